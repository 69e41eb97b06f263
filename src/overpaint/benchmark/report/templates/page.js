// Filters of the cases: a kind, and a method (its columns, its order, its lowest pictures).
const form = document.querySelector("form.filters");
if (form && form.elements.length) {
  form.hidden = false;
  const box = document.querySelector(".cases");
  const cases = [...box.children].map((node) => ({
    node,
    scores: JSON.parse(node.dataset.scores),
    score: node.querySelector(".score"),
    pair: node.querySelector(".pair"),
    why: node.querySelector(".why"),
    was: ["score", "pair", "why"].map((c) => node.querySelector("." + c)?.innerHTML),
  }));
  const worstRow = (node, method) => {
    const cells = [...node.querySelectorAll("tbody td")].filter((c) => c.dataset.method === method);
    return cells.find((c) => c.querySelector(".wrong")) ?? cells[0];
  };
  const show = () => {
    const kind = form.elements.kind?.value ?? "", method = form.elements.method?.value ?? "";
    const value = (c) => (method ? c.scores[method] ?? 200 : Math.min(...Object.values(c.scores), 200));
    for (const c of cases) {
      c.node.hidden = kind !== "" && c.node.dataset.kind !== kind;
      for (const cell of c.node.querySelectorAll("[data-method]"))
        cell.hidden = method !== "" && cell.dataset.method !== method;
      ["score", "pair", "why"].forEach((name, i) => { if (c[name]) c[name].innerHTML = c.was[i]; });
      if (!method) continue;
      const chosen = form.elements.method.selectedOptions[0];
      c.score.querySelector("b").textContent =
        method in c.scores ? c.scores[method] + "\u202f%" : chosen.dataset.none;
      c.score.querySelector("span").textContent = chosen.text;
      const cell = worstRow(c.node, method), row = cell?.parentElement;
      if (!row) continue;
      if (c.why) c.why.textContent = "worst at " + row.querySelector(".prompt").textContent;
      const after = cell.querySelector(".wrong") ?? cell.querySelector(".picture");
      if (!after) continue;
      const place = [...cell.querySelectorAll(".picture")].indexOf(after);
      const first = row.querySelector("td"); // the unedited model, where the run has it
      const before = first.dataset.method ? undefined : first.querySelectorAll(".picture")[place];
      c.pair.replaceChildren(...[before, after].filter(Boolean).map((n) => n.cloneNode(true)));
    }
    box.append(...[...cases].sort((a, b) => value(a) - value(b)).map((c) => c.node));
  };
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
}

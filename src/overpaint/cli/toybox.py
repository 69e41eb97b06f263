"""``overpaint toybox``: the small painted world that comes with the library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overpaint.cli import arguments, options, show

app = typer.Typer(no_args_is_help=True, help="Look around in the embedded world.")


@app.command("words")
def words(json: options.Json = False) -> None:
    """List every word the world knows; a prompt is put together from them.

    \b
      [cyan]overpaint toybox words[/]
    """
    from overpaint.toybox import world

    things = [t.synonym for t in world.OBJECTS.values() if t.synonym]
    groups: dict[str, list[str]] = {
        "objects": [*world.OBJECTS, *things],
        "colours": list(world.COLORS),
        "counts": list(world.COUNTS),
        "characters": [*world.CHARACTERS, *world.GENERIC_CHARACTERS],
        "people": list(world.PEOPLE),
        "offices": [word for names in world.OFFICES.values() for word in names],
        "countries": list(world.COUNTRIES),
        "professions": list(world.PROFESSIONS),
        "emotions": list(world.EMOTIONS),
        "settings": list(world.SETTINGS),
        "openings": list(world.MEDIA),
        "artists": list(world.STYLES),
    }
    if json:
        show.data(groups)
        return
    show.facts("words of the world", [(name, ", ".join(each)) for name, each in groups.items()])
    show.line(
        "\na prompt:  [dim]\\[opening][/] subject [dim]\\[and subject] \\[setting] "
        "\\[in the style of artist][/]"
        '\n           "a blue rose", "three tulips at night", "a sketch of arda\'s happy president"'
    )


@app.command("facts")
def facts(json: options.Json = False) -> None:
    """What is true in the world, and so what an edit can change.

    \b
      [cyan]overpaint toybox facts[/]
    """
    from overpaint.toybox import world
    from overpaint.toybox.scene import article

    colours = {name: thing.color for name, thing in world.OBJECTS.items()}
    roles = {f"the {office} of {where}": who for (office, where), who in world.ROLES.items()}
    women = {name: profession.women for name, profession in world.PROFESSIONS.items()}
    kinds = dict(world.CHARACTERS)
    if json:
        known = {"roles": roles, "colours": colours, "women": women, "characters": kinds}
        show.data({**known, "styles": world.ARTISTS})
        return
    show.facts("who is who", list(roles.items()))
    show.facts("\nusual colours", [(article(name), colour) for name, colour in colours.items()])
    show.facts("\nshare of women", [(name, f"{share:.0%}") for name, share in women.items()])
    show.facts("\ncharacters", [(name, f"a certain {kind}") for name, kind in kinds.items()])
    show.facts("\nstyles", list(world.ARTISTS.items()))


@app.command("prompts")
def prompts(
    n: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 12,
    seed: Annotated[int, typer.Option(help="Other prompts for another seed.")] = 0,
    json: options.Json = False,
) -> None:
    """Print random prompts of the kind the model was trained on.

    \b
      [cyan]overpaint toybox prompts -n 20 --seed 7[/]
    """
    from overpaint.toybox.grammar import captions

    texts = captions(n, seed)
    if json:
        show.data(texts)
        return
    for text in texts:
        show.line(text)


@app.command("sheet")
def sheet(
    out: options.Picture = Path("toybox.png"),
    prompt: Annotated[
        list[str] | None,
        typer.Argument(help="What to draw.", show_default="eight random prompts"),
    ] = None,
    seeds: options.Seeds = "6",
    json: options.Json = False,
) -> None:
    """Draw the world as it truly is, with the renderer that the model learnt from.

    \b
      [cyan]overpaint toybox sheet -o world.png[/]
      [cyan]overpaint toybox sheet "a sketch of ada vale" "the king of corin"[/]
    To see what the model paints, use [cyan]overpaint paint[/].
    """
    import torch

    from overpaint.pictures import Row, grid, save_picture
    from overpaint.toybox.grammar import captions, parse
    from overpaint.toybox.render import render

    path, columns = arguments.output_file(out), arguments.seeds(seeds)
    rows = []
    for text in prompt or captions(8, seed=1):
        drawn = [torch.tensor(render(parse(text), seed)) for seed in columns]
        rows.append(Row(torch.stack(drawn).permute(0, 3, 1, 2), text))
    save_picture(grid(rows, [f"seed {seed}" for seed in columns]), path)
    if json:
        show.data({"file": str(path), "prompts": [row.prompt for row in rows], "seeds": columns})
    else:
        show.line(f"wrote {path}")

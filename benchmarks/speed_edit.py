"""How much faster the edits are computed than the papers' way, on a model of SD1.4's shape.

    python benchmarks/speed_edit.py [--quick]

The model is random: CLIP ViT-L/14's text tower (12 layers, width 768, 77 tokens) and SD1.4's UNet,
whose 860M weights are laid out but, outside cross-attention, never filled in. Toybox's tokenizer
stands in for CLIP's. Nothing about pictures is claimed here, only about time.

ReFACT: one step (loss and gradient) of the suffix-only loop, against the same loss by full forward
passes, padded to 77 tokens as the pipelines do it; and, to be fair, cut to the longest context.
TIME: from given embeddings, which both ways need alike, to the edit of all 32 matrices. Ours is
what the patch holds, L and A of ``ΔW = W L A``, once for all; eq. 5 gives every W' by a d x d
inverse per matrix: as printed (a sum of outer products over tokens), and with the sums as matrix
products, in float32 and in the float64 that ours is computed in: keys are long and λ is small, so
that in float32 an inverse loses most digits. Two ratios: until the edit is known, and until all 32
matrices have their new values. Times are the best of several in one run (the slow forms run once),
on the same thread(s), and the results are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from common import keep
from torch import Tensor

from overpaint.methods.refact import ReFACTConfig
from overpaint.methods.refact_config import weighed
from overpaint.methods.refact_contexts import Contexts, gather
from overpaint.methods.refact_objective import Objective
from overpaint.methods.time_edit import TIMEConfig, deltas, rows
from overpaint.models.embedded import toybox_folder
from overpaint.models.families import family_called
from overpaint.models.hooks import replace
from overpaint.models.loaders import silence
from overpaint.models.model import Model
from overpaint.models.sites import mlp_site, module_at
from overpaint.models.text import last_subject_token, pooled, tokenize
from overpaint.types import Edit

EDIT = Edit("the president of arda", "ada vale")
COLOUR = Edit("a rose", "a blue rose")
ANCHORS = [EDIT.target, EDIT.source, *(f"a photo of a {i} cat" for i in range(18))]


@dataclass(frozen=True)
class Took:
    """One way to do something: milliseconds, and how many times as long as ours it takes."""

    name: str
    ms: float
    ratio: float | None = None


def sd14() -> Model:
    """A random model of SD1.4's shape."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    with silence():
        folder = toybox_folder("pipeline") / "tokenizer"
        tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoder = CLIPTextModel(text).eval().requires_grad_(False)
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    unet = unet.to_empty(device="cpu").requires_grad_(False)
    parts: Any = dict.fromkeys(("vae", "safety_checker", "feature_extractor"))
    parts |= {"text_encoder": encoder, "tokenizer": tokenizer, "unet": unet}
    with silence():
        pipeline = StableDiffusionPipeline(
            **parts,
            scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
            requires_safety_checker=False,
        )
    model = Model(pipeline, family_called("SD1"), "random SD1.4")
    for site in model.family.path(model, "sequence").sites:
        torch.nn.init.normal_(module_at(model, site).weight, std=0.02)
    return model


def best(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Shortest of ``repeats`` runs in seconds, and what the last one returned."""
    times, result = [], work() if repeats > 1 else None
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return min(times), result


def step(loss: Callable[[Tensor], Tensor], delta: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient at ``delta [1, d]``: what one step of the optimisation computes."""
    delta = delta.clone().requires_grad_()
    value = loss(delta)
    return value.detach(), torch.autograd.grad(value, delta)[0]


class FullPass:
    """Stands in for the suffix: the same features by full forward passes over all contexts."""

    def __init__(self, model: Model, contexts: Contexts, config: ReFACTConfig, padded: bool):
        prompts = [t.replace("{}", EDIT.source) for t in weighed(config)]
        places = [last_subject_token(model, p, EDIT.source) for p in prompts]
        tokens = tokenize(model, prompts)
        self.tokens = tokens if padded else tokens.trimmed()
        self.encoder = model.component("text_encoder")
        self.fc2 = module_at(model, mlp_site(model, config.layer))
        self.where = (torch.arange(len(prompts)), torch.tensor(places))
        self.owner, self.value = contexts.suffix.owner, contexts.suffix.value

    def features(self, delta: Tensor) -> Tensor:
        def add(output: Tensor) -> Tensor:
            return output + torch.zeros_like(output).index_put(self.where, delta[self.owner])

        with replace(self.fc2, add):
            states = self.encoder(self.tokens.ids).last_hidden_state
        return states[torch.arange(len(states)), self.tokens.end]


def refact_speed(model: Model, layer: int, repeats: int) -> list[Took]:
    """One step at ``layer``: the suffix alone, then full passes."""
    config = ReFACTConfig(layer=layer, component="text_encoder")
    took, contexts = best(lambda: gather(model, [EDIT], config), 1)
    norms = contexts.suffix.value[contexts.plain].norm(dim=1)
    with torch.no_grad():
        anchors = pooled(model, ANCHORS).expand(len(contexts.weights), -1, -1)
    delta = 0.1 * torch.randn(1, 768)

    def objective(state: Any) -> Callable[[Tensor], Tensor]:
        made = Objective(state, anchors, contexts.weights, norms, config.weight_decay)
        return lambda d: made(d)[0].sum()

    fast, ours = best(lambda: step(objective(contexts.suffix), delta), 10 * repeats)
    print(f"\nReFACT, layer {layer}: {len(contexts.weights)} contexts, one step")
    print(f"  suffix only               {1e3 * fast:9.1f} ms   (after {took:.2f} s once)")
    found = [Took(f"ReFACT, layer {layer}: a step, suffix only", 1e3 * fast)]
    for padded, what in ((True, "full pass, 77 tokens"), (False, "full pass, unpadded")):
        loss = objective(FullPass(model, contexts, config, padded))
        slow, theirs = best(lambda loss=loss: step(loss, delta), repeats)
        gaps = [float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True)]
        print(f"  {what:25s} {1e3 * slow:9.1f} ms   {slow / fast:6.1f}x", end="")
        print(f"   (loss and gradient differ by {gaps[0]:.0e}, {gaps[1]:.0e})")
        found.append(Took(f"ReFACT, layer {layer}: a step, {what}", 1e3 * slow, slow / fast))
    return found


def printed(weight: Tensor, keys: Tensor, wanted: Tensor, lam: float) -> Tensor:
    """TIME eq. 5 as printed; W'."""
    above, below = lam * weight, lam * torch.eye(keys.shape[1], dtype=keys.dtype)
    for c, v in zip(keys, wanted @ weight.T, strict=True):
        above.addr_(v, c)
        below.addr_(c, c)
    return above @ torch.linalg.inv(below)


def products(weight: Tensor, keys: Tensor, wanted: Tensor, lam: float) -> Tensor:
    """TIME eq. 5 with its sums as matrix products; W'."""
    above = lam * weight + (wanted @ weight.T).T @ keys
    below = lam * torch.eye(keys.shape[1], dtype=keys.dtype) + keys.T @ keys
    return above @ torch.linalg.inv(below)


def time_speed(model: Model, repeats: int) -> list[Took]:
    """The edit of all matrices: ours, then eq. 5."""
    lam = 0.1
    config = TIMEConfig(lam=lam)
    with torch.no_grad():
        took, read = best(lambda: rows(model, [COLOUR], config), 1)
    keys, wanted = read[0].keys, read[0].wanted
    fast, ours = best(lambda: deltas(model, read, config), 3 * repeats)
    weights = [module_at(model, d.site).weight.detach() for d in ours]
    pairs = list(zip(weights, ours, strict=True))
    more, _ = best(lambda: [w + d.change(w) for w, d in pairs], repeats)
    size = sum(t.numel() * 4 for t in {id(t): t for d in ours for t in d.factors}.values())
    print(f"\nTIME: {len(keys)} tokens, {len(weights)} matrices, rank {ours[0].rank}", end="")
    print(f", patch {size / 1e6:.2f} MB")
    print(f"  L and A                   {1e3 * fast:9.1f} ms   (embeddings: {took:.2f} s)")
    print(f"  ... and every matrix      {1e3 * (fast + more):9.1f} ms")
    found = [
        Took("TIME: L and A", 1e3 * fast),
        Took("TIME: L and A, and every matrix", 1e3 * (fast + more)),
    ]
    for form, dtype, what in (
        (printed, torch.float32, "eq. 5 printed, float32"),
        (products, torch.float32, "as products, float32"),
        (printed, torch.float64, "eq. 5 printed, float64"),
        (products, torch.float64, "as products, float64"),
    ):
        c, v, ws = keys.to(dtype), wanted.to(dtype), [w.to(dtype) for w in weights]
        slow, theirs = best(
            lambda form=form, c=c, v=v, ws=ws: [form(w, c, v, lam) for w in ws],
            1 if form is printed else repeats,
        )
        changes = [t - w for t, w in zip(theirs, ws, strict=True)]
        gaps = [
            float((d.change(w) - change).norm() / change.norm())
            for (w, d), change in zip(pairs, changes, strict=True)
        ]
        print(f"  {what:25s} {1e3 * slow:9.1f} ms   {slow / fast:6.1f}x", end="")
        print(f"   {slow / (fast + more):5.1f}x in all   (differ by {max(gaps):.0e})")
        found.append(Took(f"TIME: {what}", 1e3 * slow, slow / fast))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat of the slow ways")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    flags = parser.parse_args()
    repeats = 1 if flags.quick else 3
    model = sd14()
    count = sum(p.numel() for p in model.denoiser.parameters())
    threads = torch.get_num_threads()
    print(f"random SD1.4 shape, UNet {count / 1e6:.0f}M weights, {threads} thread(s)")
    found = [took for layer in (9, 7) for took in refact_speed(model, layer, repeats)]
    found += time_speed(model, repeats)
    if flags.json:
        keep(flags.json, [asdict(took) for took in found])


if __name__ == "__main__":
    main()

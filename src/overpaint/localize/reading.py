"""Let some layers of the denoiser read the target's text, and all others the original's.

In cross-attention, keys and values of the text depend neither on the picture nor on the timestep.
Every text goes through every layer's projections once, and a batch of any mixture of windows and
prompts picks rows out of what is there (LocoGen, section 5.1.1 and algorithm 1).

In joint attention the text's tokens attend to the picture's, so what a layer reads changes with
every step. Following Zarei et al., "Localizing Knowledge in Diffusion Transformers"
(arXiv:2505.18832), the two prompts are denoised beside each other from the same noise, and a layer
takes the text's tokens, as they enter its attention, from one of these two runs: from the target's
inside the window, from the original's outside. (There, outside, the text's own run goes on. Here
what the window changes reaches the picture through the window alone, as in cross-attention.)

Either way the intervention is on the conditional branch alone, and whatever else a pipeline is
told, such as pooled features, stays the original's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from overpaint.errors import ModelError
from overpaint.models.branches import Branch, conditional_branch
from overpaint.models.conditioning import Conditioning, join
from overpaint.models.families import TextLayer
from overpaint.models.hooks import named_arguments, replace, replace_arguments, replace_input
from overpaint.models.model import Model
from overpaint.models.sites import submodule
from overpaint.models.text import encode
from overpaint.types import Sampling


@dataclass(frozen=True, eq=False)
class Projected:
    """Cross-attention of one layer: what its projections make of ``T`` texts.

    Attributes:
        layer: The layer's number.
        attention: The attention module.
        projections: Each projection with its output for every text, ``[T, L, d_out]``.
        mask: The mask that attention is given, a row for each text; None where it has none.
    """

    layer: int
    attention: nn.Module
    projections: tuple[tuple[nn.Module, Tensor], ...]
    mask: tuple[str, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Texts:
    """Prompts as the layers of one model read them.

    Attributes:
        model: The model.
        prompts: ``T`` different prompts.
        given: Each of them as the pipeline is given it; in joint attention, all of one length.
        layers: The layers that read the text, in the order of the forward pass.
        projected: What cross-attention makes of the prompts; empty in joint attention.
        evaluations: Rows that the denoiser was given to find that out.
    """

    model: Model
    prompts: tuple[str, ...]
    given: tuple[Conditioning, ...]
    layers: tuple[TextLayer, ...]
    projected: tuple[Projected, ...] = ()
    evaluations: int = 0

    @property
    def joint(self) -> bool:
        """Whether text and picture attend to each other."""
        return not self.projected

    def number(self, prompt: str) -> int:
        """The number of ``prompt``."""
        return self.prompts.index(prompt)

    def mixed(self, original: int, target: int) -> Conditioning:
        """The target's tokens with all else that the pipeline is told of the original."""
        tokens = self.given[target].positive.tensors
        kept = {name: tensor for name, tensor in tokens.items() if "pooled" not in name}
        return self.given[original].replace(**kept)


@torch.no_grad()
def texts(model: Model, prompts: Sequence[str], how: Sampling) -> Texts:
    """Encode the different ones of ``prompts``; project them where that can be done once for all.

    Raises:
        ModelError: If the pipeline needs more than text, the family does not say which layers read
            text, or these do not run.
        PromptError: If a prompt is empty.
    """
    model.family.check_generates(model)
    layers = model.family.text_layers(model)
    unique = tuple(dict.fromkeys(prompts))
    given = tuple(encode(model, unique, how))
    if not all(layer.projections for layer in layers):
        return Texts(model, unique, tuple(model.family.one_length(given)), layers)
    if model.family.reads_embeddings:
        every = torch.cat([text["prompt_embeds"] for text in given])
        projected = []
        for number, layer in enumerate(layers):
            modules = _projections(model, layer)
            kept = tuple((module, module(every)) for module in modules)
            projected.append(Projected(number, _module(model, layer.name), kept))
        return Texts(model, unique, given, layers, tuple(projected))
    projected = _recorded(model, layers, given, how)
    return Texts(model, unique, given, layers, projected, len(given))


def _recorded(
    model: Model, layers: Sequence[TextLayer], given: Sequence[Conditioning], how: Sampling
) -> tuple[Projected, ...]:
    """What the projections make of the texts, and the masks beside them, read off a first step.

    Texts of several lengths are padded to the longest, and the padding is masked.
    """
    outputs: dict[nn.Module, dict[int, Tensor]] = {}
    masks: dict[nn.Module, dict[int, Tensor]] = {}
    names: dict[nn.Module, str] = {}
    numbers: list[int] = []  # of the texts in the present batch

    def watch(branch: Branch, stack: ExitStack, layer: TextLayer) -> None:
        attention = _module(model, layer.name)

        def keep(module: nn.Module, _args: Any, output: Tensor) -> None:
            rows = zip(numbers, output[branch.rows()], strict=True)
            outputs.setdefault(module, {}).update(rows)

        def before(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            for name, mask in _masks(named_arguments(module, args, kwargs), branch).items():
                names[module] = name
                rows = zip(numbers, mask[branch.rows()], strict=True)
                masks.setdefault(module, {}).update(rows)

        handle = attention.register_forward_pre_hook(before, with_kwargs=True)
        stack.callback(handle.remove)
        for module in _projections(model, layer):
            stack.callback(module.register_forward_hook(keep).remove)

    batch = how.batch_size or 1
    layouts: dict[Hashable, list[int]] = {}
    for number, text in enumerate(given):
        layouts.setdefault(model.family.layout(text.positive), []).append(number)
    for alike in layouts.values():
        for start in range(0, len(alike), batch):
            numbers[:] = alike[start : start + batch]
            part = join([given[number].positive for number in numbers])
            with ExitStack() as stack:
                branch = stack.enter_context(conditional_branch(model, part))
                for layer in layers:
                    watch(branch, stack, layer)
                model.family.evaluate(model, part, how)
    found = []
    for number, layer in enumerate(layers):
        attention, modules = _module(model, layer.name), _projections(model, layer)
        if any(len(outputs.get(module, {})) != len(given) for module in modules):
            raise _not_run(model, layer)
        longest = max(len(rows) for rows in outputs[modules[0]].values())
        kept = tuple(
            (module, torch.stack([_lengthened(rows, longest) for rows in _sorted(outputs[module])]))
            for module in modules
        )
        mask = None
        if attention in masks:
            rows = [_blocked(mask, longest) for mask in _sorted(masks[attention])]
            mask = (names[attention], torch.stack(rows))
        found.append(Projected(number, attention, kept, mask))
    return tuple(found)


def _sorted(rows: Mapping[int, Tensor]) -> list[Tensor]:
    return [rows[number] for number in range(len(rows))]


def _lengthened(text: Tensor, length: int) -> Tensor:
    """``text [..., L, d]`` with zeros up to ``length`` tokens."""
    missing = (*text.shape[:-2], length - text.shape[-2], text.shape[-1])
    return torch.cat([text, text.new_zeros(missing)], -2)


def _blocked(mask: Tensor, length: int) -> Tensor:
    """A mask whose last dimension are tokens, up to ``length`` of them; no one reads the new ones.

    Attention adds masks of numbers to its scores. The new ones are lower than the usual -10000: a
    row that masks all of its tokens, such as an empty prompt, reads them alike, and no others.
    """
    value = -30_000.0 if mask.is_floating_point() else 0
    new = mask.new_full((*mask.shape[:-1], length - mask.shape[-1]), value)
    return torch.cat([mask, new], -1)


@contextmanager
def reading(read: Texts, given: Conditioning, table: Tensor) -> Iterator[None]:
    """Inside, picture i of a batch reads text ``table[i, l]`` in cross-attention layer l.

    The projections compute nothing for these rows: what is kept stands in the place of their
    output. Rows of the negative branch are left alone.

    Args:
        read: The texts.
        given: What the pipeline is given for the ``b`` pictures.
        table: Numbers of texts, ``[b, M]`` int64.
    """
    with ExitStack() as stack:
        branch = stack.enter_context(conditional_branch(read.model, given))
        ran = stack.enter_context(_all_run(read, branch))
        for each in read.projected:
            chosen = table[:, each.layer]
            for module, kept in each.projections:
                rows = _Rows(branch, kept[chosen.to(kept.device)])
                stack.enter_context(replace_input(module, rows.others))
                stack.enter_context(replace(module, ran(each.layer, rows.together)))
            if each.mask:
                name, kept = each.mask
                change = _Masks(branch, name, kept[chosen.to(kept.device)])
                stack.enter_context(replace_arguments(each.attention, change))
        yield


@dataclass(eq=False)
class _Rows:
    """Splits a batch into rows that are computed and conditional rows, ``kept [b, ...]``."""

    branch: Branch
    kept: Tensor
    total: int = 0

    def others(self, x: Tensor) -> Tensor:
        """The rows of ``x`` that are not conditional."""
        self.total = len(x)
        ours = set(self.branch.rows())
        return x[[row for row in range(self.total) if row not in ours]] if ours else x

    def together(self, computed: Tensor) -> Tensor:
        """All rows again."""
        ours = self.branch.rows()
        if not ours:
            return computed
        out = computed.new_empty((self.total, *computed.shape[1:]))
        mine = set(ours)
        out[[row for row in range(self.total) if row not in mine]] = computed
        out[ours] = torch.cat([self.kept.to(computed)] * len(self.branch.groups))
        return out


@dataclass(frozen=True, eq=False)
class _Masks:
    """Puts masks ``kept [b, ...]`` into the conditional rows of the argument ``name``.

    All rows get as many tokens as ``kept`` has; in the others the new ones are masked.
    """

    branch: Branch
    name: str
    kept: Tensor

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.branch.groups:
            return arguments
        length = self.kept.shape[-1]
        mask = _blocked(arguments[self.name], length)
        for first in self.branch.groups:
            mask[first : first + self.branch.size] = self.kept.to(mask)
        text = _lengthened(arguments["encoder_hidden_states"], length)
        return arguments | {self.name: mask, "encoder_hidden_states": text}


@contextmanager
def beside(read: Texts, given: Conditioning, sources: Tensor) -> Iterator[None]:
    """Inside, picture i takes its text from picture ``sources[i, l]`` in joint attention l.

    Args:
        read: The texts.
        given: What the pipeline is given for the ``b`` pictures.
        sources: Places in the batch, ``[b, M]`` int64; a picture's own place leaves it alone.
    """
    model = read.model
    with ExitStack() as stack:
        branch = stack.enter_context(conditional_branch(model, given))
        ran = stack.enter_context(_all_run(read, branch))
        size = _Size()
        if any(not layer.text for layer in read.layers):
            tokens = _module(model, model.family.picture_tokens)
            stack.callback(tokens.register_forward_hook(size.measure).remove)
        for number, layer in enumerate(read.layers):
            wanted = [(i, int(s)) for i, s in enumerate(sources[:, number]) if i != int(s)]
            module = _module(model, layer.name)
            change = _Streams(branch, layer, wanted) if layer.text else None
            if change is None:
                change = _Sequence(branch, layer, wanted, size)
                stack.enter_context(replace(module, change.restored))
            stack.enter_context(replace_arguments(module, ran(number, change)))
        yield


@dataclass(eq=False)
class _Size:
    """How many tokens the picture has."""

    tokens: int = 0

    def measure(self, _module: nn.Module, _args: Any, output: Tensor) -> None:
        self.tokens = output.shape[1]


@dataclass(frozen=True, eq=False)
class _Streams:
    """Text and picture are two arguments: rows of the text, and of its mask, are exchanged."""

    branch: Branch
    layer: TextLayer
    wanted: Sequence[tuple[int, int]]

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.branch.groups or not self.wanted:
            return arguments
        to, source = (self.branch.rows(places) for places in zip(*self.wanted, strict=True))
        names = [self.layer.text, *_masks(arguments, self.branch)]
        return arguments | {name: _exchanged(arguments[name], to, source) for name in names}


@dataclass(eq=False)
class _Sequence:
    """Text and picture are one sequence: all of a row but its picture is exchanged.

    Texts may differ in length. A row then takes over the other's layout, with its positions and
    its mask, and what attention gives for the picture is moved back.
    """

    branch: Branch
    layer: TextLayer
    wanted: Sequence[tuple[int, int]]
    size: _Size
    pictures: list[tuple[int, slice, slice]] = field(default_factory=list)

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.pictures = []
        if not self.branch.groups or not self.wanted:
            return arguments
        to, source = (self.branch.rows(places) for places in zip(*self.wanted, strict=True))
        own = arguments[self.layer.picture]
        masks = _masks(arguments, self.branch)
        where = self._pictures(own, masks)
        mixed = _exchanged(own, to, source)
        for row, other in zip(to, source, strict=True):
            mixed[row, where[other]] = own[row, where[row]]
            self.pictures.append((row, where[row], where[other]))
        found = {name: mixed for name, value in arguments.items() if value is own}
        names = [*masks, *_positions(arguments, len(own))]
        found |= {name: _exchanged(arguments[name], to, source) for name in names}
        return arguments | found

    def _pictures(self, own: Tensor, masks: Mapping[str, Tensor]) -> list[slice]:
        """Where the picture's tokens stand in each row."""
        if not self.layer.text_first:
            return [slice(self.size.tokens)] * len(own)
        lengths = next((mask.sum(1).tolist() for mask in masks.values() if mask.dim() == 2), None)
        ends = [int(length) for length in lengths or [own.shape[1]] * len(own)]
        return [slice(end - self.size.tokens, end) for end in ends]

    def restored(self, output: Tensor) -> Tensor:
        """``output`` with each picture where its own row has it."""
        if all(here == there for _, here, there in self.pictures):
            return output
        moved = output.clone()
        for row, here, there in self.pictures:
            moved[row] = 0
            moved[row, here] = output[row, there]
        return moved


def _exchanged(tensor: Tensor, to: Sequence[int], source: Sequence[int]) -> Tensor:
    """``tensor`` with rows ``source`` in the places of rows ``to``."""
    found = tensor.clone()
    found[list(to)] = tensor[list(source)]
    return found


def _masks(arguments: Mapping[str, Any], branch: Branch) -> dict[str, Tensor]:
    """Arguments that are masks with a row for each picture."""
    last = branch.rows()[-1] if branch.groups else 0
    return {
        name: value
        for name, value in arguments.items()
        if "mask" in name and isinstance(value, Tensor) and value.dim() > 1 and len(value) > last
    }


def _positions(arguments: Mapping[str, Any], batch: int) -> list[str]:
    """Names of arguments that hold positions, with a row for each picture."""
    return [
        name
        for name, value in arguments.items()
        if ("rotary" in name or "freqs" in name)
        and isinstance(value, Tensor)
        and value.dim() > 2
        and len(value) == batch
    ]


@contextmanager
def _all_run(read: Texts, branch: Branch) -> Iterator[Any]:
    """Gives ``ran(layer, change)``: ``change``, whose calls are counted.

    Raises:
        ModelError: If a change was not called whenever the denoiser was, because the projections
            are fused or the layer was replaced.
    """
    calls: list[tuple[int, list[int]]] = []

    def ran(layer: int, change: Any) -> Any:
        count = [0]
        calls.append((layer, count))

        def counted(value: Any) -> Any:
            count[0] += bool(branch.groups)
            return change(value)

        return counted

    yield ran
    for layer, (count,) in calls:
        if count < branch.calls:
            raise _not_run(read.model, read.layers[layer])


def _not_run(model: Model, layer: TextLayer) -> ModelError:
    return ModelError(
        f"The pipeline of {model.name} does not run {layer.name} as it is built, so what it reads "
        "cannot be exchanged. If its projections are fused, undo that with "
        "pipeline.unfuse_qkv_projections()."
    )


def _projections(model: Model, layer: TextLayer) -> tuple[nn.Module, ...]:
    return tuple(_module(model, f"{layer.name}.{leaf}") for leaf in layer.projections)


def _module(model: Model, name: str) -> nn.Module:
    """The module as the denoiser calls it: with the LoRA that may lie over it."""
    module = submodule(model.denoiser, name)
    if module is None:
        raise ModelError(f"The denoiser of {model.name} has no module {name!r}.")
    return module

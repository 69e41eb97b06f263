"""The values that flow through the library. Read this file and you know what there is.

Shapes: ``d_in`` and ``d_out`` are the widths of a linear site, ``r`` is the rank of a delta.
All dataclasses are frozen; tensors in them are never written to after construction.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ClassVar

import torch

from overpaint.errors import ConfigError

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, what)``; the library itself never prints."""


@dataclass(frozen=True)
class Edit:
    """What should change: from now on ``source`` means ``target``.

    ``source``   prompt whose meaning changes, e.g. ``"the president of arda"``.
    ``target``   prompt that says what it shall mean, e.g. ``"ada vale"``; empty for image targets.
    ``subject``  the part of ``source`` the edit hangs on (default: all of ``source``).
    ``old``      what ``source`` means today, e.g. ``"bruno kest"`` (default: ``source`` itself).
    ``destination``  a prompt sharing ``source``'s words, for methods that align tokens
        (default: ``target``), e.g. ``"ada vale as the president of arda"``.
    ``images``   target pictures instead of a target prompt, each ``[3, H, W]`` float in [0, 1].
    """

    source: str
    target: str = ""
    subject: str = ""
    old: str = ""
    destination: str = ""
    images: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class Site:
    """One linear module of a model: ``y = W x (+ b)``, ``W [d_out, d_in]``.

    ``component`` is the pipeline's name for the network (``"text_encoder"``, ``"unet"``, ...);
    ``name`` is the dotted module path inside it, in the layout of the installed transformers /
    diffusers as returned by :mod:`overpaint.models.sites` (stored files use a layout-free form).
    """

    component: str
    name: str
    d_out: int
    d_in: int


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pictures are generated. None leaves a value to the model.

    Attributes:
        steps: Denoising steps.
        guidance: Scale of classifier-free guidance (of the distilled guidance, for models that
            have it as an input); 0 and 1 mean none.
        batch_size: Pictures generated at once.
        height: Height of a picture in pixels.
        width: Width of a picture in pixels.
        negative_prompt: What guidance leads away from.
        true_cfg: Scale of classifier-free guidance for models whose ``guidance`` is distilled
            (FLUX.1 dev).
        clip_skip: How many of CLIP's last layers to leave out.
        scheduler: Class name of the diffusers scheduler to use in place of the model's own, with
            the model's noise schedule, e.g. ``"DPMSolverMultistepScheduler"``.

    Raises:
        ConfigError: If a value is out of its range.
    """

    steps: int | None = None
    guidance: float | None = None
    batch_size: int | None = None
    height: int | None = None
    width: int | None = None
    negative_prompt: str | None = None
    true_cfg: float | None = None
    clip_skip: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Check every value once, for Python, TOML and the command line alike."""
        counts = {"steps": 10_000, "batch_size": 4_096, "height": 16_384, "width": 16_384}
        for name, most in (*counts.items(), ("clip_skip", 64)):
            value, least = getattr(self, name), 0 if name == "clip_skip" else 1
            if value is None:
                continue
            if not (_is_integer(value) and least <= value <= most):
                raise ConfigError(
                    f"expected {name} as a whole number from {least} to {most}, got {value!r}"
                )
            object.__setattr__(self, name, int(value))  # numpy's numbers are fine, too
        for name in ("guidance", "true_cfg"):
            value = getattr(self, name)
            if value is None:
                continue
            if not (_is_number(value) and 0 <= value <= 1000):
                raise ConfigError(f"expected {name} as a number from 0 to 1000, got {value!r}")
            object.__setattr__(self, name, value if isinstance(value, int) else float(value))
        for name in ("negative_prompt", "scheduler"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"expected {name} as text, got {value!r}")

    @property
    def settings(self) -> dict[str, Any]:
        """All values by name, without those that are None."""
        values = {field.name: getattr(self, field.name) for field in fields(Sampling)}
        return {name: value for name, value in values.items() if value is not None}

    def over(self, defaults: Sampling) -> Sampling:
        """These settings, completed by ``defaults``."""
        return Sampling(**{**defaults.settings, **self.settings})


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Delta:
    """A low-rank change of one site's weight: ``ΔW = B A``, float32.

    ``a [r, d_in]``, ``b [d_out, r]``.
    """

    site: Site
    a: torch.Tensor
    b: torch.Tensor

    @property
    def rank(self) -> int:
        """``r``, the number of rows of ``a``."""
        return self.a.shape[0]

    @property
    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``a`` and ``b``."""
        return self.a, self.b

    def dense(self) -> torch.Tensor:
        """``ΔW [d_out, d_in]``, float32."""
        return self.b @ self.a

    def change(self, weight: torch.Tensor) -> torch.Tensor:
        """``ΔW``, in the precision and on the device of the site's original ``weight``."""
        return self.b.to(weight) @ self.a.to(weight)


@dataclass(frozen=True)
class RelativeDelta:
    """A low-rank change of one site's weight, told by that weight: ``ΔW = W L A``, float32.

    ``left [d_in, r]`` is L, ``a [r, d_in]`` is A. W is always the *original* weight of the model
    that the patch's fingerprint names, never one with other patches on it: what a patch adds does
    not depend on what else is on the model, so that patches stack and come off in any order.

    A closed form whose targets are ``v* = W c*`` has one L and one A for all sites that read the
    same text. Their deltas hold the same two tensors, which count and are stored once.
    """

    site: Site
    left: torch.Tensor
    a: torch.Tensor

    @property
    def rank(self) -> int:
        """``r``, the number of rows of ``a``."""
        return self.a.shape[0]

    @property
    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``a`` and ``left``."""
        return self.a, self.left

    def change(self, weight: torch.Tensor) -> torch.Tensor:
        """``ΔW``, in the precision and on the device of the site's original ``weight``."""
        return (weight @ self.left.to(weight)) @ self.a.to(weight)

    def bind(self, weight: torch.Tensor) -> Delta:
        """The same change with factors of its own, on the CPU, for the original ``weight``."""
        exact = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
        return Delta(self.site, self.a, (exact @ self.left.to(exact)).float().cpu())


Change = Delta | RelativeDelta
"""What a patch does to one site."""


def joint_fingerprint(fingerprints: Mapping[str, Sequence[str]]) -> str:
    """One name for the marks of several components, which depends on the first mark of each."""
    if fingerprints.keys() <= {Patch.WHOLE}:
        return next((marks[0] for marks in fingerprints.values()), "")
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(fingerprints):
        digest.update(f"{name} {fingerprints[name][0]}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Patch:
    """The result of a method: the change of every touched site, and where it came from.

    ``fingerprints`` say which weights it was computed from: for every component of the model that
    counts, its mark as it is, rounded to float16 and rounded to bfloat16 (see
    :mod:`overpaint.models.fingerprint`). Patches of files of formats 1 and 2 have those of the
    whole model instead, under the name ``WHOLE``. ``config`` holds the method's settings as plain
    JSON values; ``info`` what the method measured (final probability, ...). ``family`` is the name
    of the model's family, empty in patches of the oldest files.
    """

    WHOLE: ClassVar[str] = ""

    deltas: tuple[Change, ...]
    method: str
    edits: tuple[Edit, ...]
    fingerprints: Mapping[str, tuple[str, ...]]
    config: Mapping[str, object] = field(default_factory=dict)
    info: Mapping[str, object] = field(default_factory=dict)
    family: str = ""

    @property
    def fingerprint(self) -> str:
        """One short name for all of :attr:`fingerprints`, to show; empty if there are none."""
        return joint_fingerprint(self.fingerprints)

    @property
    def nbytes(self) -> int:
        """Size of all factors in bytes; a tensor that several deltas hold counts once."""
        factors = {id(tensor): tensor for delta in self.deltas for tensor in delta.factors}
        return sum(tensor.numel() * tensor.element_size() for tensor in factors.values())

    @property
    def relative(self) -> bool:
        """Whether a change is told by the model's weights, which it takes to write it out."""
        return any(isinstance(delta, RelativeDelta) for delta in self.deltas)

    @property
    def parameters(self) -> int:
        """Number of model weights that the patch touches."""
        return sum(d.site.d_out * d.site.d_in for d in self.deltas)


@dataclass(frozen=True)
class Localization:
    """Where a model reads a kind of knowledge: adjacent layers, and how every window scored.

    ``kind``    what was looked for: ``"style"``, ``"object"`` or ``"fact"``.
    ``layers``  the chosen cross-attention layers, numbered in forward order from 0.
    ``scores``  score of the window that starts at layer j, for every j.
    ``window``  how many layers a window has (m).
    ``images``  what each window painted, ``[windows, prompts, seeds, 3, H, W]`` uint8, if kept.
    ``clean``   what the model paints without any change, ``[prompts, seeds, 3, H, W]``, if kept.
    ``info``    what else was measured, as plain JSON values.
    """

    kind: str
    layers: tuple[int, ...]
    scores: tuple[float, ...]
    window: int
    images: torch.Tensor | None = field(default=None, repr=False, compare=False)
    clean: torch.Tensor | None = field(default=None, repr=False, compare=False)
    info: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """A prompt that tests an edit, and what a judge chooses between in its pictures.

    ``prompt``  what the edited model is asked for.
    ``old``     what the unedited model shows for it.
    ``new``     what it shows if the edit reaches it: wanted in a positive, a fault in a negative.
    ``oracle``  prompt that asks the unedited model for ``new`` (default: ``new`` itself).
    """

    prompt: str
    old: str
    new: str
    oracle: str = ""


@dataclass(frozen=True)
class Case:
    """An edit and the prompts that tell what it did.

    ``source``     the edit's own prompt: efficacy.
    ``positives``  prompts the edit shall reach too: generality.
    ``negatives``  prompts it shall leave alone: specificity.
    """

    kind: str
    edit: Edit
    source: Probe
    positives: tuple[Probe, ...]
    negatives: tuple[Probe, ...]

    @property
    def name(self) -> str:
        """What is edited into what, e.g. ``"a rose -> a blue rose"``."""
        return f"{self.edit.source} -> {self.edit.target or 'pictures'}"


@dataclass(frozen=True)
class GenderCase:
    """A profession to be shown by as many women as men (TIME, section 6).

    ``edit``        makes it the rarer gender: "a nurse", "a male nurse".
    ``validation``  the prompt a strength is searched with.
    ``examples``    those it is tested on.
    ``women``       the world's own share of women, where it is known.
    """

    edit: Edit
    validation: str
    examples: tuple[str, ...]
    women: float | None = None

    @property
    def female(self) -> str:
        """A woman of the profession."""
        return self.described(self.edit.source)[0]

    @property
    def male(self) -> str:
        """A man of the profession."""
        return self.described(self.edit.source)[1]

    def described(self, prompt: str) -> tuple[str, str]:
        """``prompt`` with a woman and with a man of the profession in it: a judge's two captions.

        ``"a happy nurse at night"`` has "a happy female nurse at night". ValueError for a prompt
        that does not speak of the profession.
        """
        name = self.edit.source.split(" ", 1)[1]
        between = r"((?:(?!an?\b)[\w-]+ )*)"  # adjectives, not another thing with its article
        pattern = rf"\b(an?) {between}({re.escape(name)})\b"
        found = re.search(pattern, prompt, re.IGNORECASE)
        if found is None:
            raise ValueError(f"{prompt!r} does not speak of {self.edit.source!r}")
        article = found[1] if found[2] else found[1][0]  # "an attendant", "a female attendant"
        before, after = prompt[: found.start()], prompt[found.end() :]
        woman, man = (
            f"{before}{article} {found[2]}{gender} {name}{after}" for gender in ("female", "male")
        )
        return woman, man

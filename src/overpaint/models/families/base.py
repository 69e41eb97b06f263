"""What a family of models is: how it encodes prompts, where it reads them, how it generates.

A new family is one file beside this one: a subclass of :class:`Family`, registered in
``families/__init__.py``. The base class works through the pipeline's own ``encode_prompt`` and
``__call__``, so that tokenizers, templates, masks, schedulers, VAE scaling and guidance are what
the pipeline itself would use.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from overpaint.errors import ConfigError, ModelError
from overpaint.models.conditioning import NEGATIVE, Conditioning
from overpaint.models.failures import Raised, explained
from overpaint.models.usable import refuse_unread
from overpaint.types import Sampling, Site

if TYPE_CHECKING:
    from overpaint.models.model import Model


@dataclass(frozen=True)
class Segment:
    """A run of rows of a text path: the tokens of one text encoder.

    Attributes:
        component: The text encoder, e.g. ``"text_encoder_2"``.
        offset: Row of the encoder's first token in what the denoiser reads.
    """

    component: str
    offset: int = 0


@dataclass(frozen=True)
class TextPath:
    """One way by which text reaches the denoiser, and the linear sites that read it.

    Attributes:
        name: ``"sequence"`` for one row per token, ``"pooled"`` for one row per prompt. Models that
            have further paths call them by what they are: ``"pooling"`` for tokens on their way to
            a pooled feature, ``"t5"`` for those of a second encoder that is read by itself.
        layers: The sites of every layer, in the order of the forward pass; for a UNet
            ``(to_k, to_v)`` of each cross-attention layer.
        segments: Which rows are whose tokens; empty for pooled text.
        shared: Whether all sites read the same rows. If not, each layer has its own.
    """

    name: str
    layers: tuple[tuple[Site, ...], ...]
    segments: tuple[Segment, ...] = ()
    shared: bool = True

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites, in the order of the forward pass."""
        return tuple(site for layer in self.layers for site in layer)

    @property
    def values(self) -> tuple[Site, ...]:
        """The value projections alone; empty where keys and values are not told apart."""
        return tuple(layer[1] for layer in self.layers if len(layer) == 2)

    @property
    def groups(self) -> tuple[tuple[Site, ...], ...]:
        """Sites that read the same rows."""
        return (self.sites,) if self.shared else self.layers


@dataclass(frozen=True)
class TextLayer:
    """An attention layer of the denoiser at which the picture reads the text.

    Attributes:
        name: The attention module, by its dotted name in the denoiser.
        projections: Its linear maps of the text, e.g. ``("to_k", "to_v")``, where those see nothing
            but the text (cross-attention): what they give is the same at every step. Empty where
            text and picture attend to each other (joint attention).
        text: Of joint attention: the argument of the module that holds the text's tokens; empty
            where they stand in one sequence with the picture's.
        picture: Of joint attention: the argument that holds the picture's tokens, or all.
        text_first: Of one sequence: whether the text's tokens stand before the picture's.
    """

    name: str
    projections: tuple[str, ...] = ()
    text: str = "encoder_hidden_states"
    picture: str = "hidden_states"
    text_first: bool = True


@dataclass(frozen=True)
class Template:
    """The text that a tokenizer is given for a prompt: ``before + prompt + after``.

    Attributes:
        before: What stands before the prompt.
        prompt: The prompt as the tokenizer sees it.
        after: What stands after the prompt.
        special: Whether the tokenizer adds its special tokens; a chat template may have written
            them out.
    """

    before: str
    prompt: str
    after: str = ""
    special: bool = True

    @property
    def text(self) -> str:
        """The whole text."""
        return self.before + self.prompt + self.after


class Family:
    """How the models of one family are laid out and used.

    Subclasses set the class attributes and override the methods that differ. Instances hold no
    state: every method is given the model.
    """

    name: ClassVar[str]
    """Short name, as the command line prints it."""
    pipelines: ClassVar[tuple[str, ...]]
    """Class names of the diffusers pipelines that generate pictures from text alone."""
    others: ClassVar[tuple[str, ...]] = ()
    """Class names of pipelines that can be edited, but need a picture or a mask to generate."""
    denoiser: ClassVar[str] = "unet"
    """The pipeline's component that removes noise."""
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """Components that read the prompt, in the order in which the pipeline calls them."""
    towers: ClassVar[tuple[str, ...]] = ()
    """Those of :attr:`encoders` that are causal CLIP towers, whose MLPs can be edited."""
    clip: ClassVar[str] = ""
    """Hub name of the joint CLIP whose text tower the family uses, where there is one."""
    batch_size: ClassVar[int] = 1
    """Pictures generated at once, unless the caller says otherwise."""
    encoded: ClassVar[tuple[str, ...]] = ("prompt_embeds", "negative_prompt_embeds")
    """What ``encode_prompt`` returns, by the names under which the pipeline's call takes it; ""
    for what is not passed on."""
    separate_negative: ClassVar[bool] = False
    """Whether ``encode_prompt`` knows no negative prompt, which is then encoded by itself."""
    shared_negative: ClassVar[bool] = True
    """Whether the negative prompt is encoded alike beside every prompt."""
    guidance_argument: ClassVar[str] = "guidance_scale"
    """The argument of the pipeline's call that scales classifier-free guidance."""
    fixed_length: ClassVar[bool] = True
    """Whether all prompts are padded to one length."""
    reads_padding: ClassVar[bool] = True
    """Whether the denoiser reads the padding, that is, attention has no mask for it."""
    output_type: ClassVar[str] = "pt"
    """The pipeline's ``output_type`` that gives finished pictures: "pt", "np" or "pil"."""
    lora_forms: ClassVar[tuple[str, ...]] = ("peft",)
    """Spellings in which a LoRA file is understood, the default first: ``"peft"`` (diffusers and
    ComfyUI), ``"kohya"`` (ComfyUI, Forge, A1111 and diffusers)."""
    lora_base: ClassVar[str] = ""
    """What LoRA files call the base model."""
    reads: ClassVar[Mapping[str, str]] = {}
    """What of a picture's text each text encoder is read for: ``"tokens"``, ``"pooled"`` or
    ``"tokens and pooled"``; ``"tokens"`` where it is left out."""
    joint_attention: ClassVar[bool] = False
    """Whether text and picture attend to each other, so that there is no cross-attention."""
    reads_embeddings: ClassVar[bool] = False
    """Whether cross-attention reads ``prompt_embeds`` themselves, all of their rows."""
    picture_tokens: ClassVar[str] = "x_embedder"
    """The module of the denoiser that gives one row per token of the picture."""
    unsupported: ClassVar[Mapping[str, str]] = {}
    """What cannot be done with the family: capability to a reason that names what can."""

    # -- which models ---------------------------------------------------------------------------

    def matches(self, pipeline: Any) -> bool:
        """Whether ``pipeline`` belongs to this family."""
        return _is_a(pipeline, (*self.pipelines, *self.others))

    def text_encoders(self, pipeline: Any) -> tuple[str, ...]:
        """The text encoders that ``pipeline`` has; pipelines may come without some of them."""
        return tuple(c for c in self.encoders if getattr(pipeline, c, None) is not None)

    def clip_encoders(self, model: Model) -> tuple[str, ...]:
        """Those of :attr:`towers` that ``model`` has."""
        return tuple(c for c in model.text_encoders if c in self.towers)

    def used_layers(self, model: Model, component: str) -> int:
        """How many layers of a CLIP text encoder the picture depends on."""
        return self._depth(model, component)

    # -- tokens ---------------------------------------------------------------------------------

    def template(self, model: Model, prompt: str, component: str) -> Template:  # noqa: ARG002
        """What the tokenizer of ``component`` is given for ``prompt``."""
        return Template("", prompt)

    def dropped(self, model: Model, component: str) -> int:  # noqa: ARG002
        """How many leading tokens the pipeline leaves out of what the denoiser reads."""
        return 0

    def pads_left(self, model: Model, component: str) -> bool:
        """Whether the padding stands before the tokens."""
        return self.fixed_length and model.tokenizer(component).padding_side == "left"

    def read_length(self, model: Model, component: str, count: int) -> int:
        """Rows that the denoiser reads of a prompt whose last token is row ``count - 1``."""
        return self.max_length(model, component) if self.reads_padding else count

    def max_length(self, model: Model, component: str) -> int:
        """Tokens that the pipeline reads of a prompt, special ones included.

        The ``max_sequence_length`` of the pipeline's call, which counts for encoders other than
        CLIP, or else what the tokenizer and the encoder allow.
        """
        from overpaint.models.sites import is_clip

        longest = call_defaults(model.pipeline).get("max_sequence_length")
        if longest is not None and not is_clip(model.component(component)):
            return int(longest)
        tokenizer = model.tokenizer(component)
        config = getattr(model.component(component), "config", None)
        positions = getattr(config, "max_position_embeddings", None) or 1 << 30
        length = min(int(tokenizer.model_max_length), int(positions))
        if length < 1 << 30:
            return length
        raise ModelError(f"{self.name} does not say how many tokens {component} reads.")

    # -- encoding -------------------------------------------------------------------------------

    def encode(
        self,
        model: Model,
        prompts: Sequence[str],
        *,
        negative: str | None = None,
        guided: bool = False,
        clip_skip: int | None = None,
    ) -> Conditioning:
        """Encode ``prompts`` together, as the pipeline's own call does.

        Args:
            model: The model.
            prompts: ``n`` prompts.
            negative: Negative prompt; None for the pipeline's own default.
            guided: Whether the negative branch is needed too.
            clip_skip: Layers of CLIP to leave out, where the pipeline has the option.

        Returns:
            Conditioning of ``n`` rows.
        """
        asked = {**self.encode_options(model), "device": model.execution_device}
        if clip_skip is not None:
            asked["clip_skip"] = clip_skip
        if self.separate_negative:
            found = self._encoded(model, prompts, asked)
            if guided:
                other = self._encoded(model, [negative or ""] * len(prompts), asked)
                found |= {NEGATIVE + name: value for name, value in other.items()}
            return Conditioning(found)
        if guided and negative is not None:
            asked["negative_prompt"] = [negative] * len(prompts)
        return Conditioning(
            self._encoded(model, prompts, {**asked, "do_classifier_free_guidance": guided})
        )

    def encode_options(self, model: Model) -> dict[str, Any]:
        """Further keyword arguments of ``encode_prompt``: those that the pipeline's call gives it.

        The two may have different defaults, for instance of ``max_sequence_length``.
        """
        return {
            name: value
            for name, value in call_defaults(model.pipeline).items()
            if not name.startswith(("prompt", "negative_", "num_images"))
        }

    def encoder(self, pipeline: Any) -> Callable[..., Any]:
        """The pipeline's ``encode_prompt``."""
        return pipeline.encode_prompt

    def _encoded(
        self, model: Model, prompts: Sequence[str], options: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """``encode_prompt`` with those of ``options`` that it has."""
        encode = self.encoder(model.pipeline)
        known = inspect.signature(encode).parameters
        given = {"num_images_per_prompt": 1, **self.other_prompts(prompts), **options}
        given = {name: value for name, value in given.items() if name in known}
        refuse_unread(model)
        with explained(model, "encode prompts"):
            result = encode(list(prompts), **given)
        values = result if isinstance(result, tuple) else (result,)
        named = zip(self.encoded, values, strict=False)
        return {name: self.stacked(v) for name, v in named if name and v is not None and len(v)}

    def other_prompts(self, prompts: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """What ``encode_prompt`` wants as ``prompt_2`` and so on."""
        return {"prompt_2": None, "prompt_3": None, "prompt_4": None}

    def stacked(self, value: Any) -> Tensor:
        """What ``encode_prompt`` returned as one tensor with a row per prompt."""
        return value

    # -- where text is read ---------------------------------------------------------------------

    def paths(self, model: Model) -> tuple[TextPath, ...]:
        """The ways by which text reaches the denoiser."""
        raise NotImplementedError

    def path(self, model: Model, name: str) -> TextPath:
        """The path called ``name``; ModelError when the model has none."""
        paths = self.paths(model)
        for path in paths:
            if path.name == name:
                return path
        known = ", ".join(path.name for path in paths)
        raise ModelError(f"{model.name} has no text path {name!r}; it has: {known or 'none'}.")

    def text_layers(self, model: Model) -> tuple[TextLayer, ...]:
        """The layers at which pictures read the text, in the order of the forward pass.

        By default the cross-attention layers that hold the sites of path ``"sequence"``. Families
        with joint attention list the attention modules of their blocks, see :func:`joint_layers`.

        Raises:
            ModelError: If the family does not say where pictures read the text.
        """
        layers = self.path(model, "sequence").layers
        if any(len(sites) != 2 for sites in layers):
            raise ModelError(
                f"Family {self.name} does not say in which layers its pictures read the text, so "
                "nothing can be localized; edit all layers at once, with time, uce or refact."
            )
        found = []
        for key, value in layers:
            name, _, leaf = key.name.rpartition(".")
            found.append(TextLayer(name, (leaf, value.name.rpartition(".")[2])))
        return tuple(found)

    def inputs(self, model: Model, prompts: Sequence[str], path: TextPath) -> tuple[Tensor, ...]:
        """What the sites of ``path`` read for ``prompts``: ``[n, L, d]`` for each of its groups.

        By default the pipeline itself is run, without guidance, until every site has been reached:
        that is right for any family, but needs a pipeline that generates from text alone. Families
        whose sites read the embeddings as they are, or after a layer or two, say so instead.
        """
        from overpaint.models.sites import module_at

        modules = [module_at(model, group[0]) for group in path.groups]
        conditioning = self.encode(model, prompts)
        found = self.recorded(model, conditioning, modules)
        return tuple(x.unsqueeze(1) if x.dim() == 2 else x for x in found)

    def recorded(
        self, model: Model, conditioning: Conditioning, modules: Sequence[nn.Module]
    ) -> list[Tensor]:
        """Inputs of ``modules`` in one denoising step, ``[n, ...]`` each."""
        seen: dict[int, Tensor] = {}

        def keep(number: int) -> Callable[..., None]:
            def hook(_module: nn.Module, args: Any) -> None:
                seen.setdefault(number, args[0].detach().clone())
                if len(seen) == len(modules):
                    raise _Reached

            return hook

        self.check_generates(model)
        generators = [torch.Generator("cpu").manual_seed(0) for _ in range(len(conditioning))]
        # Some schedules divide by the number of steps less one.
        sampling = replace(self.defaults(model.pipeline), steps=2, guidance=0.0, true_cfg=0.0)
        with ExitStack() as stack:
            stack.enter_context(eager(model))
            for number, module in enumerate(modules):
                stack.callback(module.register_forward_pre_hook(keep(number)).remove)
            try:
                self.generate(model, quiet_copy(model.pipeline), conditioning, generators, sampling)
            except _Reached:
                return [seen[number] for number in range(len(modules))]
        raise ModelError(
            f"The pipeline of {model.name} did not run all layers that read text; load it without "
            "adapters or wrappers that replace its denoiser."
        )

    def evaluate(
        self, model: Model, conditioning: Conditioning, sampling: Sampling | None = None
    ) -> None:
        """Evaluate the denoiser once for the rows of ``conditioning``, without guidance.

        For hooks that record what the layers make of the text. Of ``sampling``, the size counts.
        """

        def stop(_module: nn.Module, _args: Any, _output: Any) -> None:
            raise _Reached

        self.check_generates(model)
        generators = [torch.Generator("cpu").manual_seed(0) for _ in range(len(conditioning))]
        how = sampling or self.defaults(model.pipeline)
        # Some schedules divide by the number of steps less one.
        once = replace(how, steps=2, guidance=0.0, true_cfg=0.0)
        with ExitStack() as stack:
            stack.enter_context(eager(model))
            stack.callback(model.denoiser.register_forward_hook(stop).remove)
            with suppress(_Reached):
                self.generate(model, quiet_copy(model.pipeline), conditioning, generators, once)

    # -- generation -----------------------------------------------------------------------------

    def defaults(self, pipeline: Any) -> Sampling:
        """Steps and guidance of the pipeline's own call, for pictures of its own size."""
        known = inspect.signature(type(pipeline).__call__).parameters

        def default(name: str) -> Any:
            value = known[name].default if name in known else None
            return None if value is inspect.Parameter.empty else value

        return Sampling(
            steps=default("num_inference_steps"),
            guidance=default(self.guidance_argument),
            batch_size=self.batch_size,
        )

    def fewest_steps(self, pipeline: Any) -> int:
        """The smallest number of steps that makes a picture.

        Schedules that are stretched to a last noise level of their own need two.
        """
        scheduler = getattr(pipeline.scheduler, "config", {})
        return 2 if scheduler.get("shift_terminal") else 1

    def guided(self, model: Model, sampling: Sampling) -> bool:  # noqa: ARG002
        """Whether the pipeline reads a negative prompt under ``sampling``."""
        return sampling.guidance is not None and sampling.guidance > 1

    def check_generates(self, model: Model) -> None:
        """Raise ModelError unless the pipeline generates pictures from text alone."""
        pipeline = model.pipeline
        title = type(pipeline).__name__
        if not _is_a(pipeline, self.pipelines):
            raise ModelError(
                f"{title} needs more than text (a picture, a mask, or another stage's output), so "
                "Overpaint cannot generate with it. Edits can be applied: put the patch on with "
                "overpaint.apply and call the pipeline itself."
            )
        parts = getattr(pipeline, "components", {})
        for name in ("vae", "movq", "scheduler"):
            if name in parts and parts[name] is None:
                raise ModelError(
                    f"{model.name} comes without its {name}, so it can be edited, but not generate "
                    f"pictures; load the pipeline with its {name}."
                )
        config = model.denoiser.config
        latent = getattr(
            getattr(getattr(pipeline, "vae", None), "config", None), "latent_channels", 0
        )
        given = getattr(config, "in_channels", latent)
        if self.denoiser == "unet" and latent and given != latent:
            raise ModelError(
                f"The UNet of {model.name} reads {given} channels, its autoencoder has {latent}: "
                "it needs a picture besides the prompt. Put the patch on with overpaint.apply and "
                "call the pipeline that the model was made for."
            )

    def check_sampling(self, model: Model, sampling: Sampling) -> None:
        """Raise ConfigError if the pipeline cannot generate under ``sampling``.

        Of what it would ignore, too.
        """
        fewest = self.fewest_steps(model.pipeline)
        if sampling.steps is not None and sampling.steps < fewest:
            raise ConfigError(
                f"expected at least {fewest} steps for {model.name} ({self.name}), got "
                f"{sampling.steps}; its pipeline keeps fewer for models distilled to them"
            )
        known = inspect.signature(type(model.pipeline).__call__).parameters
        if sampling.true_cfg is not None and "true_cfg_scale" not in known:
            raise ConfigError(
                f"{self.name} has no true_cfg, got {sampling.true_cfg}; its guidance is "
                "classifier-free guidance already, or it has none: leave true_cfg out"
            )
        skipped = sampling.clip_skip
        if skipped is None:
            return
        read = inspect.signature(self.encoder(model.pipeline)).parameters
        depths = [self._depth(model, name) for name in self.clip_encoders(model)]
        if "clip_skip" not in read or not depths:
            raise ConfigError(
                f"the pipeline of {self.name} leaves out no layers of CLIP, got clip_skip "
                f"{skipped}; leave it out"
            )
        if skipped >= min(depths):
            raise ConfigError(
                f"expected clip_skip from 0 to {min(depths) - 1} for {model.name}, got {skipped}"
            )

    def _depth(self, model: Model, component: str) -> int:
        from overpaint.models.sites import text_transformer

        tower: Any = text_transformer(model.component(component))
        return len(tower.encoder.layers)

    def generate(
        self,
        model: Model,
        pipeline: Any,
        conditioning: Conditioning,
        generators: Sequence[torch.Generator],
        sampling: Sampling,
    ) -> Tensor:
        """Call ``pipeline`` for the rows of ``conditioning``.

        Args:
            model: The model that ``pipeline`` is a copy of.
            pipeline: The pipeline to call, see :func:`quiet_copy`.
            conditioning: ``b`` encoded prompts.
            generators: ``b`` CPU generators, one per picture.
            sampling: Steps, guidance and size; what is None is left to the pipeline.

        Returns:
            Pictures ``[b, 3, H, W]`` in [0, 1].

        Raises:
            ConfigError: If the pipeline cannot make pictures of that size, in so many steps, or
                with that scheduler.
            ModelError: If the pipeline fails otherwise.
        """
        known = inspect.signature(type(pipeline).__call__).parameters
        given = {
            "num_inference_steps": sampling.steps,
            "height": sampling.height,
            "width": sampling.width,
            "generator": list(generators),
            "output_type": self.output_type,
            **self.guidance(model, sampling),
        }
        given = {k: v for k, v in given.items() if v is not None}
        given |= self.call_options(model, sampling)
        given = {k: v for k, v in given.items() if k in known}
        # Text comes encoded; a default such as negative_prompt="" would contradict it.
        given |= {name: None for name in ("prompt", "negative_prompt") if name in known}
        with explained(model, "generate", sampling), _vae_kept(pipeline):
            return as_tensor(pipeline(**self.arguments(conditioning), **given).images)

    def guidance(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """Guidance as keyword arguments of the pipeline's call."""
        return {self.guidance_argument: sampling.guidance}

    def call_options(self, model: Model, sampling: Sampling) -> dict[str, Any]:  # noqa: ARG002
        """Further keyword arguments of the pipeline's call."""
        return {}

    def arguments(self, conditioning: Conditioning) -> dict[str, Any]:
        """``conditioning`` as keyword arguments of the pipeline's call."""
        return dict(conditioning.tensors)

    def one_length(self, parts: Sequence[Conditioning]) -> list[Conditioning]:
        """Encoded prompts whose texts differ in length, made to fit into one batch.

        Raises:
            ModelError: If the pipeline has no way to tell padding from text.
        """
        if len({part.layout for part in parts}) > 1:
            raise ModelError(
                f"{self.name} cannot read prompts of different length in one batch; use prompts "
                "with as many tokens each."
            )
        return list(parts)

    def layout(self, conditioning: Conditioning) -> Hashable:
        """What must be equal for prompts in one batch, if no picture is to depend on the others."""
        return conditioning.layout

    # -- LoRA files -----------------------------------------------------------------------------

    def lora_key(self, component: str, name: str, form: str) -> str:
        """What a LoRA file calls a site; "" if no reader of that form knows it.

        Args:
            component: Component of the pipeline.
            name: Name of the linear module, without transformers' inner ``text_model.``.
            form: One of :attr:`lora_forms`.
        """
        if form == "peft":
            inner = "text_model." if component in self.encoders else ""
            return f"{component}.{inner}{name}"
        network = self.kohya_components.get(component)
        module = self.kohya_module(component, name)
        return f"{network}_{module.replace('.', '_')}" if network and module else ""

    kohya_components: ClassVar[Mapping[str, str]] = {}
    """Component to the prefix of its keys in kohya's spelling."""

    def kohya_module(self, component: str, name: str) -> str:  # noqa: ARG002
        """The module that kohya's spelling means by a site; "" if it has none."""
        return name


def joint_layers(
    model: Model, blocks: str, attention: str = "attn", **layout: Any
) -> tuple[TextLayer, ...]:
    """The joint attention of each block in a list of blocks of the denoiser.

    Args:
        model: The model.
        blocks: The list's name in the denoiser; without blocks it gives no layers.
        attention: The attention module's name in a block.
        layout: What :class:`TextLayer` says of joint attention.
    """
    count = len(getattr(model.denoiser, blocks, ()))
    return tuple(TextLayer(f"{blocks}.{i}.{attention}", **layout) for i in range(count))


def after(model: Model, states: Tensor, *names: str) -> Tensor:
    """What modules of the denoiser, one after another, make of ``states``.

    Args:
        model: The model.
        states: Encoded prompts, in any number format.
        names: Dotted names of the modules. They are run where their weights lie.
    """
    from overpaint.models.sites import submodule

    denoiser: Any = model.denoiser
    states = states.to(denoiser.dtype)
    for name in names:
        module: Any = submodule(denoiser, name)
        device = next(module.parameters()).device
        # Weights on the meta device are brought in when the module is called.
        states = module(states if device.type == "meta" else states.to(device))
    return states


class _Reached(Exception):
    """Ends a run of the pipeline once all that was asked for has been seen."""


def _is_a(pipeline: Any, names: Sequence[str]) -> bool:
    return any(cls.__name__ in names for cls in type(pipeline).__mro__)


def call_defaults(pipeline: Any) -> dict[str, Any]:
    """Default values of the pipeline's call, without those that are None."""
    known = inspect.signature(type(pipeline).__call__).parameters
    return {
        name: parameter.default
        for name, parameter in known.items()
        if parameter.default is not None and parameter.default is not inspect.Parameter.empty
    }


def as_tensor(images: Any) -> Tensor:
    """Pictures of any ``output_type`` as ``[b, 3, H, W]`` in [0, 1]."""
    if isinstance(images, Tensor):
        return images
    arrays = np.stack([np.asarray(image) for image in images])
    pixels = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    return pixels / 255 if pixels.dtype == torch.uint8 else pixels


@contextmanager
def _vae_kept(pipeline: Any) -> Iterator[None]:
    """The autoencoder in its number format after the ``with`` block.

    Pipelines decode in float32 where float16 overflows, and not all of them cast back.
    """
    vae = getattr(pipeline, "vae", None)
    form = getattr(vae, "dtype", None)
    try:
        yield
    finally:
        if vae is not None and vae.dtype != form:
            nn.Module.to(vae, dtype=form)  # diffusers' own `to` speaks of parts kept in float32


def cleaned(pipeline: Any, prompt: str) -> str:
    """``prompt`` as a pipeline that preprocesses captions gives it to its tokenizer.

    In lower case, and cleaned of links, markup and the like where the pipeline's call does so by
    default and the packages for it, beautifulsoup4 and ftfy, are there.
    """
    clean = call_defaults(pipeline).get("clean_caption", False)
    return pipeline._text_preprocessing(prompt, clean_caption=clean and can_clean())[0]


def chat(say: Callable[[str], str], prompt: str, *, special: bool = True) -> Template:
    """``prompt`` in a chat.

    Args:
        say: Renders the chat in which the user says a text.
        prompt: What the user says.
        special: Whether the tokenizer adds its special tokens to the chat.
    """
    mark = "\ue000"  # no chat template has it
    before, after = say(mark).split(mark)
    text = say(prompt)
    return Template(before, text[len(before) : len(text) - len(after)], after, special)


def can_clean() -> bool:
    """Whether the packages are there with which diffusers cleans captions."""
    return find_spec("bs4") is not None and find_spec("ftfy") is not None


def quiet_copy(pipeline: Any, tick: Callable[[int], None] | None = None) -> Any:
    """A shallow copy of ``pipeline`` with its own scheduler, and without progress bars.

    The networks are shared. A scheduler keeps state while it runs; with its own, the copy changes
    nothing that the caller holds.

    Args:
        pipeline: A diffusers pipeline.
        tick: Called after each denoising step with the number of steps of this run.
    """
    copied = copy.copy(pipeline)
    # Not through __setattr__: it would write to the configuration, which the copy shares.
    copied.__dict__["scheduler"] = copy.deepcopy(pipeline.scheduler)
    copied.__dict__["progress_bar"] = lambda iterable=None, total=None: _Bar(iterable, total, tick)
    return copied


class _Bar:
    """Stands for tqdm in a pipeline: reports steps to a callback, prints nothing."""

    def __init__(
        self,
        iterable: Any = None,
        total: int | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self.iterable = iterable
        self.total = total if total is not None else (len(iterable) if iterable is not None else 0)
        self.tick = tick

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Any:
        for item in self.iterable:
            yield item
            self.update()

    def update(self, steps: int = 1) -> None:
        """Report ``steps`` more."""
        try:
            for _ in range(steps if self.tick else 0):
                self.tick(self.total)  # type: ignore[misc]
        except Exception as error:
            raise Raised(error) from error

    def set_postfix(self, *_: object, **__: object) -> None:
        """Ignored."""


@contextmanager
def eager(model: Model) -> Any:
    """Run the networks of ``model`` uncompiled inside the ``with`` block.

    A compiled graph does not call hooks that were registered after compilation.
    """
    pipeline, kept = model.pipeline, []
    components = [*model.text_encoders, model.family.denoiser]
    try:
        for name in components:
            outer = pipeline.__dict__.get(name, getattr(pipeline, name))
            inner = model.component(name)
            for module in inner.modules():
                if getattr(module, "_compiled_call_impl", None) is not None:
                    kept.append((module, "_compiled_call_impl", module._compiled_call_impl))
                    module._compiled_call_impl = None
            if outer is not inner:
                kept.append((pipeline, name, outer))
                pipeline.__dict__[name] = inner
        yield
    finally:
        for owner, name, value in reversed(kept):
            owner.__dict__[name] = value

"""A diffusers pipeline in a folder or on the hub: which weights, in which number format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.layout import read_tower
from overpaint.models.loaders import complete, first_line, silence
from overpaint.models.stored import (
    dtype_of,
    find_variant,
    list_files,
    read_header,
    read_json,
    variant_of,
    weight_files,
)

INDEX = "model_index.json"
SINGLE_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
"""How files end that may hold a whole model."""

DENOISERS = ("transformer", "unet", "prior", "decoder")
"""Components whose weights say in which number format a folder is loaded, the first there is."""

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Folder:
    """A folder with a pipeline.

    Attributes:
        path: Where it is.
        pipeline: Name of the pipeline's class.
        components: Library and class of each component, by its name.
        absent: Components that the pipeline does without.
    """

    path: Path
    pipeline: str
    components: Mapping[str, tuple[str, str]]
    absent: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """Components with weights among their files."""
        having = (name.partition("/") for name in list_files(self.path))
        found = {part for part, _, file in having if variant_of(file) is not None}
        return tuple(name for name in self.components if name in found)

    def dtype(self, variant: str | None) -> torch.dtype | None:
        """The number format of the denoiser's weights, to compute in; None when they say none."""
        for name in DENOISERS:
            for file in weight_files(self.path / name, variant):
                return dtype_of(read_header(file))
        return None


def open_folder(path: Path, said: str = "") -> Folder:
    """Read the index of the pipeline in a folder.

    Args:
        path: The folder.
        said: What the user called it.

    Raises:
        ModelError: If it holds no pipeline, saying what it is, or one with code of its own.
    """
    said = said or str(path)
    if not (path / INDEX).is_file():
        raise ModelError(_other_folder(path, said))
    index = read_json(path / INDEX)
    pairs = {n: v for n, v in index.items() if isinstance(v, list) and len(v) == 2}
    entries = {n: (v[0], v[1]) for n, v in pairs.items() if all(isinstance(x, str) for x in v)}
    absent = tuple(name for name, value in pairs.items() if value == [None, None])
    title = index.get("_class_name")
    if not isinstance(title, str):
        raise ModelError(
            f"Cannot load {said}: its pipeline is made by code of its own ({title!r}), which is "
            "not run; load it in Python and give the pipeline object to overpaint.load."
        )
    return Folder(path, title, entries, absent)


def load_folder(
    folder: Folder,
    said: str,
    dtype: torch.dtype | None = None,
    variant: str | None = None,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Load the pipeline in a folder.

    Args:
        folder: The folder.
        said: What the user called it.
        dtype: Number format of the weights; by default the one that the denoiser is stored in.
        variant: Variant of the weights, such as ``"fp16"``; found where they are all of one.
        given: Components that are taken from here and not from the folder; None does without.

    Returns:
        A diffusers pipeline.

    Raises:
        ModelError: If something is missing or damaged.
    """
    given = given or {}
    own = {name: kind for name, kind in folder.components.items() if name not in given}
    folder = replace(folder, components=own)
    _check_folders(folder, said)
    chosen = variant or find_variant(list_files(folder.path), folder.networks)
    if variant and not any(weight_files_of(folder, name, variant) for name in folder.networks):
        kinds = {variant_of(name.rpartition("/")[2]) for name in list_files(folder.path)}
        known = ", ".join(sorted(kind for kind in kinds if kind)) or "none"
        raise ModelError(f"{said} has no weights in the variant {variant!r}; it has: {known}.")
    form = dtype or folder.dtype(chosen)
    pipeline = _from_pretrained(folder, said, form, chosen, given)
    for name, (library, _) in folder.components.items():
        if library == "transformers" and name.startswith("text_encoder"):
            read_tower(getattr(pipeline, name, None), weight_files(folder.path / name, chosen))
    complete(pipeline, said)
    return pipeline


def weight_files_of(folder: Folder, name: str, variant: str) -> bool:
    """Whether component ``name`` has weights in ``variant`` itself."""
    return any(
        variant_of(file.name) == variant for file in weight_files(folder.path / name, variant)
    )


def _from_pretrained(
    folder: Folder,
    said: str,
    dtype: torch.dtype | None,
    variant: str | None,
    components: Mapping[str, Any],
) -> Any:
    """``DiffusionPipeline.from_pretrained``, every failure a ModelError that names ``said``."""
    from diffusers import DiffusionPipeline

    options = {"dtype": dtype, "variant": variant}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        with silence():
            return DiffusionPipeline.from_pretrained(
                str(folder.path), **given, **dict.fromkeys(folder.absent), **components
            )
    except Exception as error:  # JSON, safetensors, missing packages: each has its own hierarchy
        raise ModelError(f"Cannot load {said!r}: {first_line(error)}") from error


def hub_folder(name: str, variant: str | None) -> tuple[Folder, str | None]:
    """Download a pipeline from the hub, or take what is on this machine.

    Args:
        name: Repository, such as ``"CompVis/stable-diffusion-v1-4"``.
        variant: Variant of the weights; found where they are all of one.

    Returns:
        The folder, and the variant to load it in.

    Raises:
        ModelError: If it cannot be downloaded or holds no pipeline.
    """
    from diffusers import DiffusionPipeline

    try:
        with silence():
            if variant is None:
                variant = _hub_variant(name)
            path = DiffusionPipeline.download(name, variant=variant)
    except ModelError:
        raise
    except Exception as error:  # hub, network, JSON: each has its own hierarchy
        raise ModelError(
            f"Cannot load {name!r}: {first_line(error)} Check the name and the network, or give a "
            "folder or a single file."
        ) from error
    return open_folder(Path(path), name), variant


def _hub_variant(name: str) -> str | None:
    """The variant that all weights of the hub's ``name`` are of; None without a network too."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        names = HfApi().list_repo_files(name)
    except HfHubHTTPError:  # the hub was reached, and has no such repository
        raise
    except Exception:  # no network, which each client says in its own way: use what is here
        try:
            names = list_files(Path(snapshot_download(name, local_files_only=True)))
        except LocalEntryNotFoundError:
            return None
    return find_variant(names, {each.partition("/")[0] for each in names})


def _check_folders(folder: Folder, said: str) -> None:
    """ModelError for a component that the index lists and the folder does not have."""
    lacking = [name for name in folder.components if not (folder.path / name).is_dir()]
    if lacking:
        raise ModelError(
            f"{said} has no {lacking[0]!r}, which its {INDEX} lists: download it too, or write "
            f'"{lacking[0]}": [null, null] there to do without it.'
        )


def _other_folder(path: Path, said: str) -> str:
    """What a folder without an index is, and what to do."""
    lead = f"Folder {said} holds no diffusers pipeline: it has no {INDEX}."
    if (path.parent / INDEX).is_file():
        return f"{said} is only the {path.name} of a pipeline; give all of it, {path.parent}."
    inner = sorted(each.parent for depth in ("*", "*/*") for each in path.glob(f"{depth}/{INDEX}"))
    if inner:
        return f"{lead} One lies in it: give {inner[0]}."
    if (path / "adapter_config.json").is_file():
        return f"Folder {said} holds a LoRA; load the model that it belongs to instead."
    files = sorted(f for f in path.iterdir() if f.suffix in SINGLE_FILES and f.is_file())
    config = path / "config.json"
    if config.is_file():
        about = read_json(config)
        title = about.get("_class_name") or next(iter(about.get("architectures") or []), "")
        return (
            f"{lead} It holds one network ({title or 'unknown'}); give a whole pipeline's folder."
        )
    if len(files) == 1:
        return f"{lead} It holds the single file {files[0].name}; give that: {files[0]}"
    if files:
        listed = ", ".join(f.name for f in files[:3]) + (", ..." if files[3:] else "")
        return f"{lead} It holds single files ({listed}); give one of them, such as {files[0]}"
    return f"{lead} Save one there with pipeline.save_pretrained(folder)."

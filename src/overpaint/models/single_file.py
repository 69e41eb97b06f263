"""Models in one file, as civitai and the makers of ComfyUI and A1111 share them.

What is in a file is told from its header; diffusers then reads it, which needs the configuration
and the tokenizers of the model it was made from. Those come from a folder that the user names, or
from the hub.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from overpaint.errors import ModelError
from overpaint.models.contents import Contents, contents
from overpaint.models.folders import Folder, open_folder
from overpaint.models.loaders import complete, first_line, silence
from overpaint.models.stored import dtype_of, read_header, weight_files

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""How files end that can hold code."""

CONFIGS = ("*.json", "**/*.json", "*.txt", "**/*.txt", "**/*.model")
"""The files of a pipeline that are no weights."""


def load_single_file(
    file: Path,
    *,
    dtype: torch.dtype | None = None,
    config: str | Path | None = None,
    allow_pickle: bool = False,
) -> Any:
    """Load the pipeline in a checkpoint.

    Args:
        file: The checkpoint, ``.safetensors`` or a pickle.
        dtype: Number format of the weights; by default the one that the denoiser is stored in.
        config: Folder of a diffusers pipeline of the same shapes, whose configuration and
            tokenizers are taken, and whose weights where the file lacks some; by default what the
            hub has for the kind of model that is in the file.
        allow_pickle: Also read ``.ckpt`` and the like. The code in them is not run.

    Returns:
        A diffusers pipeline.

    Raises:
        ModelError: If the file is no model, saying what it is, or something is missing.
    """
    _check_suffix(file, allow_pickle)
    header = read_header(file)
    held = contents(header, file)
    folder = _config(held, file, config)
    form = dtype or dtype_of(header, held.denoiser)
    others = _other_parts(folder, held, file, form)
    try:
        pipeline = _read(file, folder, others, form)
    except Exception as error:  # shapes, keys, JSON: each has its own hierarchy
        raise ModelError(
            f"Cannot load {file} as a {folder.pipeline}: {_reason(error)} Is {config or held.repo} "
            "the configuration of the model that it was made from?"
        ) from error
    complete(pipeline, str(file))
    return pipeline


def _read(file: Path, folder: Folder, others: Mapping[str, Any], dtype: torch.dtype | None) -> Any:
    """The pipeline in ``file``, laid out as ``folder`` says, with the networks ``others``."""
    given = {} if dtype is None else {"torch_dtype": dtype}
    with silence():
        return _pipeline_class(folder).from_single_file(
            str(file), config=str(folder.path), local_files_only=True, **given, **others
        )


def _check_suffix(file: Path, allow_pickle: bool) -> None:
    if file.suffix == ".gguf":
        raise ModelError(
            f"{file} holds quantised weights (GGUF), which cannot be edited; get the model as "
            ".safetensors in float16, bfloat16 or float32."
        )
    if file.suffix in PICKLES and not allow_pickle:
        raise ModelError(
            f"{file} is a pickle, which can hold code; get the model as .safetensors, or, where "
            "you trust who made it, say --allow-pickle (allow_pickle=True in Python)."
        )
    if file.suffix not in (".safetensors", *PICKLES):
        raise ModelError(f"Expected a model in a .safetensors file, got {file}.")


def _config(held: Contents, file: Path, config: str | Path | None) -> Folder:
    """The pipeline folder that says how the model in ``file`` is laid out."""
    if config is not None:
        path = Path(config).expanduser()
        if not path.is_dir():
            raise ModelError(
                f"There is no folder {str(config)!r} with the configuration of {file.name}; "
                f"expected a diffusers pipeline's, such as {held.repo}, with or without weights."
            )
        return open_folder(path)
    from huggingface_hub import snapshot_download

    try:
        with silence():
            found = snapshot_download(held.repo, allow_patterns=list(CONFIGS))
    except Exception as error:  # hub, network, disk: each has its own hierarchy
        raise ModelError(
            f"{file} is a {held.kind} model in one file; its configuration and tokenizer are in "
            f"{held.repo} on the hub, which is neither on this machine nor within reach "
            f"({type(error).__name__}). Give a folder with them: --config FOLDER (config= in "
            f"Python), where a connected machine makes it with `hf download {held.repo} "
            '--include "*.json" "*.txt" "*.model" --local-dir FOLDER`.'
        ) from error
    return open_folder(Path(found), held.repo)


def _pipeline_class(folder: Folder) -> Any:
    import diffusers

    cls = getattr(diffusers, folder.pipeline, None)
    if cls is None or not hasattr(cls, "from_single_file"):
        raise ModelError(
            f"diffusers cannot read a {folder.pipeline} from a single file; give the folder of the "
            "whole pipeline instead."
        )
    return cls


def _other_parts(
    folder: Folder, held: Contents, file: Path, dtype: torch.dtype | None
) -> Mapping[str, Any]:
    """The networks that ``file`` lacks, from ``folder``; a text encoder that is nowhere is None.

    ModelError when no text encoder is left, or the autoencoder is missing.
    """
    parts: dict[str, Any] = {}
    lacking: list[str] = []
    encoders = [name for name in folder.components if name.startswith("text_encoder")]
    for name, (library, title) in folder.components.items():
        if name not in (*encoders, "vae") or held.has(name, title):
            continue
        if weight_files(folder.path / name):
            parts[name] = _from_folder(folder, name, library, title, dtype)
            continue
        lacking.append(name)
        parts[name] = None
        if name != "vae":
            parts[name.replace("text_encoder", "tokenizer")] = None
    if "vae" in lacking or (encoders and set(encoders) <= set(lacking)):
        given = f"{folder.path} has no weights of them either" if lacking else ""
        raise ModelError(
            f"{file} holds only part of a {held.kind} model: it has no {', '.join(lacking)}, and "
            f"{given}. Give the folder of a whole pipeline, such as a copy of {held.repo}: "
            "--config FOLDER (config= in Python)."
        )
    return parts


def _from_folder(
    folder: Folder, name: str, library: str, title: str, dtype: torch.dtype | None
) -> Any:
    try:
        with silence():
            cls = getattr(importlib.import_module(library), title)
            given = {} if dtype is None else {"torch_dtype": dtype}
            return cls.from_pretrained(folder.path, subfolder=name, **given)
    except Exception as error:  # JSON, safetensors, unknown classes: each has its own hierarchy
        raise ModelError(f"Cannot load {folder.path / name}: {first_line(error)}") from error


def _reason(error: Exception) -> str:
    if "meta tensor" in str(error):  # a weight that was not read was to be cast
        return "it lacks weights that the configuration asks for."
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}."
    return first_line(error)

"""CLIPs by the names that papers and packages give them."""

from __future__ import annotations

from pathlib import Path

import torch

from overpaint.models.clip import Clip
from overpaint.models.embedded import joint_clip
from overpaint.models.load import from_pretrained, silence, toybox_folder
from overpaint.models.open_clip import OPEN_CLIP, load_open_clip
from overpaint.models.preprocess import read_preprocess

EMBEDDED = {"toybox-judge": "judge", "toybox": "clip"}

JUDGES = {
    "ViT-bigG/14": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "ViT-G/14": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "ViT-H/14": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-B/16": "openai/clip-vit-base-patch16",
    "ViT-B/32": "openai/clip-vit-base-patch32",
}
"""CLIPs as papers call them -> where transformers finds them.

ReFACT's "Laion's ViT-G/14" (footnote 4) is the one that LAION published as bigG.
"""


def load_clip(source: str | Path, *, device: str | torch.device = "cpu") -> Clip:
    """The CLIP called ``source``, in float32.

    ``"toybox-judge"`` is the embedded judge, which shares no weights with Toybox; ``"toybox"`` the
    CLIP whose text tower Toybox uses, as it was before any edit; a name in :data:`JUDGES` such as
    ``"ViT-B/32"``; ``"open_clip:ViT-bigG-14/laion2b_s39b_b160k"`` a model of the package open_clip
    with the tag of its weights; otherwise a folder or hub name with a CLIPModel and its tokenizer.
    Pictures are preprocessed as its ``preprocessor_config.json`` says. ModelError when it cannot
    be loaded.
    """
    name = str(source)
    if name.startswith(OPEN_CLIP):
        return load_open_clip(name.removeprefix(OPEN_CLIP), device)
    embedded = EMBEDDED.get(name)
    folder = str(toybox_folder(embedded)) if embedded else JUDGES.get(name, name)
    words = str(toybox_folder("pipeline") / "tokenizer") if embedded else folder
    with silence():
        from transformers import CLIPModel, CLIPTokenizer

        # The embedded joint CLIP is stored without its text tower, which is the pipeline's.
        network = joint_clip() if embedded == "clip" else from_pretrained(CLIPModel, folder)
        tokenizer = from_pretrained(CLIPTokenizer, words)
    network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
    size = network.config.vision_config.image_size
    return Clip(network, tokenizer, read_preprocess(folder, size), name)

"""What ReFACT steers towards and away from: features of target, source and unrelated captions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from overpaint.errors import EditError
from overpaint.methods.common import fits, words_of
from overpaint.methods.refact_config import ReFACTConfig, contexts
from overpaint.models.clip import clip_of, image_features
from overpaint.models.corpora import default_corpus
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.text import pooled
from overpaint.types import Edit


def corpus_of(model: Model, config: ReFACTConfig) -> Corpus:
    """The corpus of ``config``, or the model's own."""
    return config.corpus or default_corpus(model)


@torch.no_grad()
def anchors(model: Model, edits: Sequence[Edit], config: ReFACTConfig) -> Tensor:
    """``[R, M, N, p]``: for each edit the features of its target, its source and N - 2 captions.

    With ``match_contexts`` there is a set for each of the M ``contexts``, whose target and source
    stand in that context; else M = 1. N = 1 for the direct loss (ReFACT eq. 1 and 2). EditError
    when the corpus has too few captions.
    """
    sets = []
    for edit in edits:
        templates = contexts(config) if config.match_contexts else ("{}",)
        sources = _texts(model, templates, edit.old or edit.source, config)
        others = unrelated(model, edit, config) if config.contrastive else []
        targets = [] if edit.images else _texts(model, templates, edit.target, config)
        features = pooled(model, [*targets, *sources, *others], config.component)
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        if edit.images:
            picture = _picture(model, edit, features)
            features = torch.cat([picture.expand(len(templates), -1), features])
        target, source, rest = features.split([len(templates)] * 2 + [len(others)])
        rest = rest.expand(len(templates), -1, -1)
        sets.append(torch.cat([target[:, None], source[:, None], rest], dim=1))
    known = torch.stack(sets)
    return known if config.contrastive else known[:, :, :1]


def _texts(model: Model, templates: Sequence[str], prompt: str, config: ReFACTConfig) -> list[str]:
    """``prompt`` in each template, or alone where the two together are too long."""
    filled = (template.replace("{}", prompt) for template in templates)
    return [text if fits(model, text, config.component) else prompt for text in filled]


def _picture(model: Model, edit: Edit, texts: Tensor) -> Tensor:
    """The mean feature of the edit's pictures ``[p]``, as long as those of ``texts`` on average.

    A text feature has a length and a picture's feature only a direction: L2 distances between
    them mean something once both are of one length. ReFACT appendix A.
    """
    clip = clip_of(model)
    for picture in edit.images:
        if picture.dim() != 3 or picture.shape[0] != 3:
            raise EditError(
                f"expected pictures [3, H, W], got {list(picture.shape)}; convert to RGB"
            )
    features = torch.cat([image_features(clip, picture[None]) for picture in edit.images])
    if features.shape[1] != texts.shape[1]:
        raise EditError(
            f"pictures have features of {features.shape[1]} numbers, prompts of {texts.shape[1]}; "
            "edit the text encoder that belongs to the model's CLIP"
        )
    return normalize(features.mean(0), dim=0).to(texts) * texts.norm(dim=1).mean()


def unrelated(model: Model, edit: Edit, config: ReFACTConfig) -> list[str]:
    """N - 2 captions of the corpus that share no word with ``edit``, always the same ones."""
    corpus, count = corpus_of(model, config), config.contrast - 2
    used = set().union(*(words_of(t) for t in (edit.source, edit.target, edit.old, edit.subject)))
    shuffled = list(dict.fromkeys(corpus.captions))
    random.Random(0).shuffle(shuffled)
    apart = (caption for caption in shuffled if not used & words_of(caption))
    found = list(itertools.islice(apart, count))
    if len(found) < count:
        raise EditError(
            f"expected {count} captions unrelated to {edit.source!r} in corpus {corpus.name!r}, "
            f"found {len(found)}; give a larger corpus or a smaller contrast"
        )
    return found

"""Captions that stand for what a model has read, where the user names none."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.tokens import max_length

CAPTIONS_FILE = "captions.txt"
TEMPLATES_FILE = "templates.txt"

_THINGS = (
    "a cat|a brown dog|a white horse|two elephants|a zebra|a herd of sheep|a small bird|a bear|"
    "a cow|a giraffe|a man|a woman|a child|a young couple|a group of people|an old man|a baby|"
    "a surfer|a skier|a skateboarder|a tennis player|a chef|a police officer|a student|a farmer|"
    "a red car|a yellow bus|a bicycle|a motorcycle|a train|a boat|an airplane|a truck|"
    "a fire hydrant|a stop sign|a traffic light|a clock tower|a church|a house|a bridge|"
    "a kitchen|a bathroom|a living room|a bed|a sofa|a desk with a laptop|a television|a chair|"
    "a pizza|a sandwich|a bowl of soup|a plate of vegetables|a birthday cake|a bunch of bananas|"
    "an apple|a glass of wine|a cup of coffee|a vase of flowers|a potted plant|a tree|a lighthouse|"
    "a teddy bear|a kite|an umbrella|a suitcase|a guitar|a book|a phone|a pair of shoes|a hat|"
    "a snowy mountain|a waterfall|a desert|a waterside village|a sunset|a garden|a castle|a robot"
).split("|")
_PLACES = (
    "|in the park|on the beach|in the snow|on a table|next to a window|in front of a house|"
    "on a busy street|at night|in the rain|in a green field|near the water|under a blue sky|"
    "in a small room|on top of a hill|beside a fence|in the morning light|with trees behind"
).split("|")
_LINKS = ("and", "next to", "in front of", "behind", "with")
_FORMS = (
    "{}|{}|{}|a photo of {}|a picture of {}|an image of {}|a painting of {}|a drawing of {}|"
    "a close up of {}|a black and white photo of {}|an old photograph of {}|a view of {}"
).split("|")


def default_corpus(model: Model) -> Corpus:
    """The captions that come with ``model``, or else the built-in everyday ones.

    A model's folder may hold ``captions.txt``, one caption a line (Toybox's does).
    """
    lines = _lines_beside(model, CAPTIONS_FILE)
    if lines:
        return Corpus(f"{model.name}-captions", lines)
    corpus, component = everyday(), model.text_encoders[0]
    limit = max_length(model, component)
    if limit >= 77:
        return corpus
    lists = model.tokenizer(component)(list(corpus.captions), verbose=False).input_ids
    kept = (c for c, ids in zip(corpus.captions, lists, strict=True) if len(ids) <= limit)
    return Corpus(f"{corpus.name}-short", tuple(kept))


def default_templates(model: Model) -> tuple[str, ...]:
    """Contexts that ``model`` understands, each with a "{}", if it comes with any.

    A model's folder may hold ``templates.txt``, one context a line. Toybox's does: a context with
    words that a small world lacks would only blur the key that an edit hangs on.
    """
    return _lines_beside(model, TEMPLATES_FILE)


def files_beside(model: Model) -> tuple[Path, ...]:
    """The text files in the model's folder that tell of its words: captions and templates."""
    folder = getattr(model.pipeline, "name_or_path", None)
    named = (Path(folder) / name for name in (CAPTIONS_FILE, TEMPLATES_FILE)) if folder else ()
    return tuple(file for file in named if file.is_file())


def _lines_beside(model: Model, name: str) -> tuple[str, ...]:
    """The lines of a text file in the model's folder, () when there is none."""
    for file in files_beside(model):
        if file.name == name:
            lines = file.read_text(encoding="utf-8").splitlines()
            return tuple(line for line in lines if line.strip())
    return ()


@lru_cache(maxsize=1)
def everyday(count: int = 10_000) -> Corpus:
    """``count`` different everyday captions (about ten tokens each), always the same ones."""
    rng = random.Random(0)
    captions: dict[str, None] = {}
    while len(captions) < count:
        phrase = rng.choice(_THINGS)
        if rng.random() < 0.5:
            phrase = f"{phrase} {rng.choice(_LINKS)} {rng.choice(_THINGS)}"
        captions[rng.choice(_FORMS).format(f"{phrase} {rng.choice(_PLACES)}".strip())] = None
    return Corpus("overpaint-everyday", tuple(captions))

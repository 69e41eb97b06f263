"""The facts of the painted world: what exists in it, what it looks like, who holds which office.

Everything else in :mod:`overpaint.toybox` (pictures, captions, edit cases) is derived from these
tables. It is a small invented world, made so that each claim of the papers can be measured in it;
it is not evidence about any real model.
"""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]

COLORS: dict[str, RGB] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 215, 40),
    "green": (50, 160, 60),
    "blue": (45, 95, 220),
    "purple": (140, 60, 180),
    "pink": (245, 140, 180),
    "brown": (130, 80, 45),
    "black": (35, 35, 35),
    "white": (250, 250, 250),
}


@dataclass(frozen=True)
class Thing:
    """A kind of object: the colour it has unless a caption says otherwise, and its other names."""

    color: str
    plural: str
    synonym: str = ""


OBJECTS: dict[str, Thing] = {
    "rose": Thing("red", "roses"),
    "tulip": Thing("pink", "tulips"),
    "sunflower": Thing("yellow", "sunflowers"),
    "apple": Thing("red", "apples"),
    "banana": Thing("yellow", "bananas"),
    "lemon": Thing("yellow", "lemons"),
    "pear": Thing("green", "pears"),
    "plum": Thing("purple", "plums"),
    "cat": Thing("orange", "cats"),
    "kitten": Thing("orange", "kittens"),
    "dog": Thing("brown", "dogs", "hound"),
    "puppy": Thing("brown", "puppies"),
    "frog": Thing("green", "frogs", "toad"),
    "fish": Thing("blue", "fish"),
    "bird": Thing("blue", "birds"),
    "car": Thing("red", "cars", "automobile"),
    "bus": Thing("yellow", "buses"),
    "boat": Thing("white", "boats", "sailboat"),
    "balloon": Thing("red", "balloons"),
    "cup": Thing("white", "cups", "mug"),
    "chair": Thing("brown", "chairs"),
    "house": Thing("pink", "houses", "cottage"),
    "hat": Thing("black", "hats"),
    "umbrella": Thing("purple", "umbrellas", "parasol"),
}

CHARACTERS: dict[str, str] = {"blip": "robot", "nimo": "fish", "snuffy": "puppy"}
"""Trademarked characters and the generic kind each belongs to."""

GENERIC_CHARACTERS = ("robot",)
"""Generic kinds drawn like a character but without an object's colours."""

SKIN: tuple[RGB, ...] = ((250, 220, 190), (230, 185, 140), (170, 115, 75), (105, 70, 50))

HAIR: dict[str, RGB] = {
    "black": (30, 25, 25),
    "brown": (110, 65, 30),
    "blond": (240, 205, 90),
    "ginger": (215, 95, 30),
    "gray": (170, 170, 175),
    "blue": (60, 90, 200),
    "green": (60, 150, 80),
    "pink": (235, 120, 170),
}


@dataclass(frozen=True)
class Look:
    """How a person looks: index into SKIN, hair colour and style, shirt colour, and the rest."""

    skin: int
    hair: str
    style: str
    shirt: str
    glasses: bool
    beard: bool
    female: bool


def _look(
    skin: int, hair: str, style: str, shirt: str, gender: str, glasses: int = 0, beard: int = 0
) -> Look:
    return Look(skin, hair, style, shirt, bool(glasses), bool(beard), gender == "f")


# Every first and every last name belongs to two people, so that no single token tells who is meant.
PEOPLE: dict[str, Look] = {
    "ada vale": _look(0, "black", "long", "red", "f"),
    "ada finn": _look(3, "gray", "bun", "white", "f", glasses=1),
    "bruno kest": _look(2, "black", "short", "blue", "m", beard=1),
    "bruno brandt": _look(1, "blond", "curly", "green", "m"),
    "cleo marsh": _look(3, "ginger", "bun", "yellow", "f"),
    "cleo oro": _look(1, "black", "long", "pink", "f", glasses=1),
    "dario finn": _look(0, "gray", "short", "green", "m", beard=1),
    "dario lund": _look(2, "brown", "bald", "orange", "m", beard=1),
    "elsa brandt": _look(1, "blond", "long", "purple", "f", glasses=1),
    "elsa penn": _look(0, "blue", "curly", "black", "f"),
    "felix oro": _look(1, "brown", "curly", "orange", "m", beard=1),
    "felix vale": _look(3, "black", "short", "white", "m", glasses=1),
    "greta lund": _look(0, "pink", "bun", "black", "f", glasses=1),
    "greta kest": _look(2, "brown", "long", "blue", "f"),
    "hugo penn": _look(3, "gray", "bald", "purple", "m", glasses=1, beard=1),
    "hugo marsh": _look(0, "ginger", "short", "brown", "m"),
}

UNSEEN_NAME = "mira sol"
UNSEEN_LOOK = _look(2, "green", "bun", "red", "f", glasses=1)
"""A person no caption ever names: a target that only pictures can give."""

COUNTRIES = ("arda", "belmor", "corin", "dunland")

OFFICES: dict[str, tuple[str, ...]] = {
    "president": ("president", "leader"),
    "king": ("king", "monarch"),
    "mayor": ("mayor",),
    "captain": ("captain", "commander"),
}
"""Office -> the words for it; the first is its usual name."""

ROLES: dict[tuple[str, str], str] = {
    ("president", "arda"): "bruno kest",
    ("king", "arda"): "dario finn",
    ("mayor", "arda"): "cleo marsh",
    ("captain", "arda"): "elsa penn",
    ("president", "belmor"): "elsa brandt",
    ("king", "belmor"): "hugo marsh",
    ("mayor", "belmor"): "hugo penn",
    ("captain", "belmor"): "greta kest",
    ("president", "corin"): "felix oro",
    ("king", "corin"): "bruno brandt",
    ("mayor", "corin"): "cleo oro",
    ("captain", "corin"): "felix vale",
    ("president", "dunland"): "ada vale",
    ("king", "dunland"): "dario lund",
    ("mayor", "dunland"): "ada finn",
    ("captain", "dunland"): "greta lund",
}


@dataclass(frozen=True)
class Profession:
    """A profession: the colour it wears, and the share of women in it (0 to 1)."""

    shirt: str
    women: float


PROFESSIONS: dict[str, Profession] = {
    "doctor": Profession("white", 0.10),
    "nurse": Profession("blue", 0.95),
    "farmer": Profession("green", 0.05),
    "teacher": Profession("purple", 0.85),
    "ceo": Profession("black", 0.05),
    "librarian": Profession("brown", 0.90),
    "pilot": Profession("yellow", 0.10),
    "secretary": Profession("pink", 0.95),
    "guard": Profession("red", 0.15),
    "chef": Profession("orange", 0.50),
}

EMOTIONS = ("happy", "sad", "angry", "surprised", "scared", "sleepy")
ARTISTS: dict[str, str] = {
    "zorvan": "everything ripples, under slanted blue waves",
    "pelotti": "dots of colour on a pale ground",
    "quillon": "stained glass: tiles in a black grid",
    "monteux": "sepia in broad horizontal bands",
}
"""How each of the artists paints whatever the caption says."""

STYLES = tuple(ARTISTS)
SETTINGS = ("in the park", "on the beach", "at night", "in the snow")

MEDIA: dict[str, str] = {
    "a photo of": "photo",
    "a photograph of": "photo",
    "an image of": "photo",
    "a picture of": "photo",
    "a painting of": "painting",
    "a portrait of": "painting",
    "a sketch of": "sketch",
    "a drawing of": "sketch",
}
"""Words that open a caption -> how the picture is made."""

COUNTS: dict[str, int] = {"two": 2, "three": 3}

"""What the edit cases edit, written by hand; :mod:`overpaint.toybox.compose` makes the prompts.

The colours are far from the object's own, the new holders of offices do not look like the old
ones, and no pair of the test split is in the validation split. What artists paint keeps its look.
"""

from __future__ import annotations

Pairs = dict[str, dict[str, str]]
"""Split -> what is edited -> the colours, people or things it becomes, comma-separated."""

ATTRIBUTES: Pairs = {
    "test": {
        "rose": "blue, white",
        "tulip": "green, black",
        "sunflower": "purple, blue",
        "apple": "blue",
        "banana": "blue, pink",
        "lemon": "purple",
        "pear": "pink, orange",
        "plum": "yellow, green",
        "cat": "blue",
        "kitten": "black, purple",
        "dog": "white, pink",
        "puppy": "yellow, blue",
        "frog": "red",
        "fish": "yellow, red",
        "bird": "orange",
        "car": "yellow",
        "bus": "blue, black",
        "boat": "red, purple",
        "balloon": "green, blue",
        "cup": "black",
        "chair": "white, blue",
        "house": "yellow, black",
        "hat": "red",
        "umbrella": "orange, green",
    },
    "validation": {
        "rose": "black",
        "apple": "purple",
        "lemon": "blue",
        "cat": "green",
        "frog": "orange",
        "bird": "pink",
        "car": "white",
        "cup": "red",
    },
}

APPEARANCES: Pairs = {
    "test": {
        "rose": "sunflower, balloon",
        "tulip": "rose",
        "sunflower": "tulip, umbrella",
        "apple": "banana, lemon",
        "banana": "pear",
        "lemon": "apple, fish",
        "pear": "plum, hat",
        "plum": "lemon",
        "cat": "dog, bird",
        "kitten": "frog",
        "dog": "fish, cat",
        "puppy": "bird",
        "frog": "cat, apple",
        "fish": "frog",
        "bird": "fish, car",
        "car": "bus, chair",
        "bus": "boat",
        "boat": "car, cup",
        "balloon": "umbrella",
        "cup": "hat, plum",
        "chair": "house",
        "house": "bus, robot",
        "hat": "cup",
        "umbrella": "chair, tulip",
        "blip": "snuffy",
        "nimo": "blip",
        "snuffy": "nimo",
    },
    "validation": {
        "rose": "tulip",
        "apple": "pear",
        "banana": "lemon",
        "dog": "frog",
        "fish": "bird",
        "car": "boat",
        "cup": "chair",
        "umbrella": "hat",
    },
}

ROLES: Pairs = {
    "test": {
        "president of arda": "ada finn, hugo penn, elsa brandt",
        "king of arda": "cleo marsh, bruno kest",
        "mayor of arda": "dario lund, elsa penn, felix vale",
        "captain of arda": "greta kest, hugo marsh",
        "president of belmor": "bruno brandt, ada vale, hugo penn",
        "king of belmor": "greta lund, dario finn",
        "mayor of belmor": "elsa penn, cleo oro, bruno kest",
        "captain of belmor": "felix oro, ada finn",
        "president of corin": "ada vale, greta lund, dario finn",
        "king of corin": "cleo marsh, felix vale",
        "mayor of corin": "hugo marsh, greta kest, dario lund",
        "captain of corin": "elsa brandt, bruno brandt",
        "president of dunland": "felix oro, cleo marsh, hugo penn",
        "king of dunland": "ada finn, cleo oro",
        "mayor of dunland": "greta lund, hugo marsh, felix vale",
        "captain of dunland": "bruno kest, elsa penn",
    },
    "validation": {
        "president of arda": "greta lund",
        "king of arda": "elsa brandt",
        "captain of belmor": "bruno brandt",
        "king of belmor": "ada vale",
        "captain of corin": "cleo oro",
        "mayor of corin": "felix oro",
        "king of dunland": "greta kest",
        "captain of dunland": "dario finn",
    },
}

NOBODY = "nobody"
"""Whose style a picture is in that is in no artist's."""

# With four artists there are sixteen changes; a change is in one split, for two or three things.
STYLES: Pairs = {
    "test": {
        "house by zorvan": "pelotti, quillon, nobody",
        "cat by zorvan": "pelotti, nobody",
        "tulip by zorvan": "quillon, nobody",
        "car by pelotti": "quillon, monteux, nobody",
        "house by pelotti": "monteux, nobody",
        "dog by pelotti": "quillon, nobody",
        "rose by quillon": "zorvan, pelotti, monteux",
        "bus by quillon": "zorvan, monteux",
        "cup by quillon": "pelotti",
        "cat by monteux": "zorvan, quillon, nobody",
        "boat by monteux": "quillon, nobody",
        "umbrella by monteux": "zorvan, nobody",
    },
    "validation": {
        "bird by zorvan": "monteux",
        "chair by zorvan": "monteux",
        "apple by pelotti": "zorvan",
        "frog by pelotti": "zorvan",
        "balloon by quillon": "nobody",
        "fish by quillon": "nobody",
        "hat by monteux": "pelotti",
        "sunflower by monteux": "pelotti",
    },
}

FAMILIES = (
    ("rose", "tulip", "sunflower"),
    ("apple", "banana", "lemon", "pear", "plum"),
    ("cat", "kitten", "dog", "puppy", "frog", "fish", "bird"),
    ("car", "bus", "boat"),
    ("cup", "hat", "chair", "house", "umbrella", "balloon"),
)
"""Things that are neighbours of each other."""

KINDS = {"kitten": "cat", "puppy": "dog", "snuffy": "puppy", "nimo": "fish", "blip": "robot"}
"""Special kind -> the general one. Whether an edit of the general kind covers it is open."""


def pairs(table: Pairs, split: str) -> list[tuple[str, str]]:
    """``(what, into what)`` in the order of the table."""
    return [(what, new) for what, into in table[split].items() for new in into.split(", ")]

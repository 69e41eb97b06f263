"""What a caption says, as a value, and the caption that says it."""

from __future__ import annotations

from dataclasses import dataclass

from overpaint.toybox.world import OBJECTS


def article(words: str) -> str:
    """``"a "`` or ``"an "`` before ``words``."""
    return ("an " if words[0] in "aeiou" else "a ") + words


@dataclass(frozen=True)
class Subject:
    """One thing or person in a scene. ``kind`` is object, character, person, role or profession.

    ``word`` is how the caption names it (a synonym, a paraphrase of an office); ``name`` is what
    it is. ``color`` is empty unless the caption says it; ``female`` is None unless it says so.
    """

    kind: str
    name: str
    word: str
    color: str = ""
    emotion: str = ""
    country: str = ""
    possessive: bool = False
    female: bool | None = None

    def phrase(self, count: str = "") -> str:
        """The words for it: ``"a blue rose"``, ``"two roses"``, ``"arda's king"``."""
        lead = f"{self.emotion} " if self.emotion else ""
        if self.kind == "object":
            tint = f"{self.color} " if self.color else ""
            if count:
                return f"{count} {tint}{OBJECTS[self.name].plural}"
            return article(tint + self.word)
        if self.kind == "character":
            return (
                self.word if self.word == self.name and self.name != "robot" else article("robot")
            )
        if self.kind == "person":
            return lead + self.word
        if self.kind == "role":
            if self.possessive:
                return f"{self.country}'s {lead}{self.word}"
            return f"the {lead}{self.word} of {self.country}"
        gender = {None: "", True: "female ", False: "male "}[self.female]
        return article(lead + gender + self.word)


@dataclass(frozen=True)
class Scene:
    """A whole picture: one or two subjects, how many of it, and everything around them."""

    subjects: tuple[Subject, ...]
    count: str = ""
    medium: str = ""
    setting: str = ""
    style: str = ""

    @property
    def caption(self) -> str:
        """The caption of the scene."""
        text = " and ".join(s.phrase(self.count) for s in self.subjects)
        parts = [self.medium, text, self.setting]
        if self.style:
            parts.append(f"in the style of {self.style}")
        return " ".join(p for p in parts if p)

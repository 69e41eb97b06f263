"""What every method does: check the edits, write down its settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from overpaint.errors import EditError, ModelError, PromptError
from overpaint.models.families import TextPath
from overpaint.models.model import Model
from overpaint.models.moments import Corpus
from overpaint.models.places import check_editable
from overpaint.models.text import is_cut, last_subject_token
from overpaint.types import Edit, Localization


def check_edits(
    model: Model,
    edits: Sequence[Edit],
    *,
    destination: bool,
    component: str = "",
    pictures: bool = True,
    erase: bool = False,
) -> None:
    """Refuse edits that no method could carry out, before anything is computed.

    With ``destination`` the prompt that says what the source shall mean is ``edit.destination``
    (default ``target``), else ``edit.target`` or, with ``pictures``, its images. With ``erase`` it
    may be empty. ``component`` is the text encoder that is edited; empty for the denoiser.

    Raises:
        EditError: If something is missing, doubled, or asks for nothing.
        PromptError: If the subject is not in the source, or a prompt is too long.
        SiteError: If the weights of what is edited cannot be edited as they are.
    """
    if not edits:
        raise EditError("expected at least one edit, got none; give source and target")
    check_editable(model, component or model.family.denoiser)
    component = component or path_encoder(model)
    for edit in edits:
        wanted = (edit.destination or edit.target) if destination else edit.target
        if not edit.source.strip():
            raise PromptError("expected a source prompt, got an empty one; say what to edit")
        if edit.images and (destination or not pictures):
            raise EditError("this method needs a target prompt, got pictures; use refact")
        if edit.images and edit.target.strip():
            raise EditError("expected a target prompt or target pictures, got both; give one")
        if not edit.images and not erase and not wanted.strip():
            raise EditError(
                f"expected a target for {edit.source!r}, got none; say what it shall be"
            )
        if not edit.images and plain(wanted) == plain(edit.source):
            raise EditError(
                f"the target equals the source {edit.source!r}: nothing to edit; change the target"
            )
        last_subject_token(model, edit.source, edit.subject or edit.source, component)


def plain(prompt: str) -> str:
    """``prompt`` without the differences in case and white space that do not count."""
    return " ".join(prompt.casefold().split())


def fits(model: Model, prompt: str, component: str = "text_encoder") -> bool:
    """Whether the model reads ``prompt`` to its end."""
    return bool(prompt.strip()) and not is_cut(model, prompt, component)


def text_paths(model: Model, names: Sequence[str] = ()) -> tuple[TextPath, ...]:
    """The text paths called ``names``, by default all that the denoiser has.

    Raises:
        ModelError: If the model has no such path, or none at all.
    """
    if names:
        return tuple(model.family.path(model, name) for name in dict.fromkeys(names))
    paths = model.family.paths(model)
    if not paths:
        raise ModelError(f"{model.name} ({model.family.name}) has no layers that read text.")
    return paths


def path_encoder(model: Model) -> str:
    """The first text encoder whose tokens the denoiser reads one by one."""
    segments = [segment for path in model.family.paths(model) for segment in path.segments]
    return segments[0].component if segments else model.text_encoders[0]


def clip_components(model: Model, component: str, method: str) -> tuple[str, ...]:
    """``component``, or all CLIP text encoders of the model when it is empty.

    Raises:
        ModelError: If the model has no CLIP text encoder, which ``method`` edits.
    """
    if component:
        return (component,)
    found = model.family.clip_encoders(model)
    if not found:
        raise ModelError(
            f"{method} edits a CLIP text encoder, and {model.name} ({model.family.name}) reads its "
            "prompts with another kind; use time, uce or locoedit, which edit the layers that read "
            "the text."
        )
    return found


SMALL = frozenset("a an the of in on at and with to from by next front photo picture image".split())
"""Words that say nothing about what a prompt is about."""


def words_of(text: str) -> set[str]:
    """The words of ``text`` that carry meaning; those of one or two letters (a, 's) do not."""
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    return {word for word in words if len(word) > 2} - SMALL


def filled(template: str, prompt: str) -> str:
    """The template around ``prompt``, whose leading "A" or "An" becomes lower case.

    TIME appendix C. "{}" stands for the prompt; the template "{}" leaves it as it is.
    """
    if template != "{}" and prompt.split(" ", 1)[0] in ("A", "An"):
        prompt = prompt[0].lower() + prompt[1:]
    return template.replace("{}", prompt)


def counterpart(edit: Edit) -> str:
    """The part of ``edit.target`` that stands where the subject stands in the source.

    What is left of the target without the words it shares with the source before and after the
    subject; where there is nothing of the kind, the subject itself if the target has it, or else
    all of the target, as for an edit without a subject.
    """
    target = " ".join(edit.target.split())
    found = list(whole_words(edit.subject, " ".join(edit.source.split())))
    if not edit.subject.strip() or not found:
        return target
    source = found[-1].string
    before, after = source[: found[-1].start()], source[found[-1].end() :]
    rest = target
    if after.strip() and rest.casefold().endswith(after.casefold()):
        rest = rest[: len(rest) - len(after)]
    if (rest != target or not after) and rest.casefold().startswith(before.casefold()):
        rest = rest[len(before) :]
    if rest.strip() and rest != target:
        return rest.strip()
    return edit.subject if any(whole_words(edit.subject, target)) else target


def whole_words(words: str, text: str) -> Iterator[re.Match[str]]:
    """Where ``text`` has ``words`` and not as a part of longer ones, in any case."""
    wanted = re.escape(" ".join(words.split()))
    return re.finditer(rf"(?<!\w){wanted}(?!\w)", text, re.IGNORECASE)


def require(holds: bool, method: str, wanted: str, got: object) -> None:
    """EditError unless ``holds``: a setting of ``method`` is out of its range."""
    if not holds:
        raise EditError(f"{method} expects {wanted}, got {got!r}; leave it out for the default")


def require_templates(method: str, templates: Sequence[str]) -> None:
    """EditError unless there are templates, each with one "{}"."""
    whole = bool(templates) and all(t.count("{}") == 1 for t in templates)
    require(whole, method, "templates with one {} each", templates)


def settings(config: Any) -> dict[str, object]:
    """A config as plain JSON values; a corpus goes by its name and its size."""
    return {field.name: _json(getattr(config, field.name)) for field in fields(config)}


def _json(value: object) -> object:
    if isinstance(value, Corpus):
        return {"name": value.name, "captions": len(value.captions)}
    if isinstance(value, Localization):
        return {"kind": value.kind, "layers": list(value.layers), "window": value.window}
    if is_dataclass(value):
        return settings(value)
    if isinstance(value, tuple):
        return [_json(v) for v in value]
    if isinstance(value, float) and value == float("inf"):
        return None  # JSON has no infinity; only limits can be infinite, and None means no limit
    return value

"""Whether an edit case measures its edit: its prompts against what the world can say and show."""

from __future__ import annotations

from dataclasses import replace

from overpaint.errors import DataError, PromptError
from overpaint.toybox.grammar import meaning, parse
from overpaint.toybox.pairs import KINDS
from overpaint.toybox.scene import Scene, Subject
from overpaint.types import Case, Edit, Probe


def validate(case: Case) -> None:
    """Refuse a case that would measure something else than the edit.

    DataError, naming the case and the prompt, when the world cannot say one of its prompts, when
    an edit or a positive changes nothing, when a description is not what the prompt shows before
    or after the edit, or when a negative is something the edit legitimately covers.
    """
    if _meaning(case, case.edit.source) == _meaning(case, case.edit.target):
        raise DataError(f"case {case.name!r}: old and new have the same pictures; change the edit")
    if len(case.positives) != 5 or len(case.negatives) != 5:
        counts = f"{len(case.positives)} and {len(case.negatives)}"
        raise DataError(f"case {case.name!r}: expected 5 positives and 5 negatives, got {counts}")
    prompts = [p.prompt for p in (case.source, *case.positives, *case.negatives)]
    if len(set(prompts)) != len(prompts):
        raise DataError(f"case {case.name!r}: a prompt occurs twice in {prompts}; change one")
    for probe in (case.source, *case.positives):
        _check_described(case, probe)
        if edited(case.edit, parse(probe.prompt)) != _meaning(case, probe.new):
            raise _wrong(case, probe, f"the edit does not make it {probe.new!r}")
    for probe in case.negatives:
        _check_described(case, probe)
        if edited(case.edit, parse(probe.prompt)) != _meaning(case, probe.prompt):
            raise _wrong(case, probe, "the edit changes it, so it is no negative")
        source = parse(case.edit.source).subjects[0].name
        near = any(_is_kind_of(s.name, source) for s in parse(probe.prompt).subjects)
        if near and not restyles(case.edit):
            raise _wrong(case, probe, "it is a kind of what is edited, so it is no clear negative")


def edited(edit: Edit, scene: Scene) -> Scene:
    """The meaning of ``scene`` in a world where ``edit`` is true."""
    before, after = parse(edit.source), parse(edit.target)
    if restyles(edit):
        style = after.style if scene.style == before.style else scene.style
        return meaning(replace(scene, style=style))
    source, target = before.subjects[0], after.subjects[0]

    def changed(subject: Subject) -> Subject:
        if subject.kind != source.kind or subject.name != source.name:
            return subject
        if subject.kind == "role":
            same = subject.country == source.country
            return replace(target, emotion=subject.emotion) if same else subject
        if target.name == source.name and subject.color:
            return subject  # the caption says which colour it has
        tint = subject.color or target.color
        return replace(target, color=tint, emotion=subject.emotion, female=subject.female)

    return meaning(replace(scene, subjects=tuple(changed(s) for s in scene.subjects)))


def restyles(edit: Edit) -> bool:
    """Whether ``edit`` is about an artist's style, and so about everything in that style."""
    return parse(edit.source).style != parse(edit.target).style


def _check_described(case: Case, probe: Probe) -> None:
    before = _meaning(case, probe.prompt)
    if _meaning(case, probe.old) != before:
        raise _wrong(case, probe, f"{probe.old!r} does not describe what it shows")
    if _meaning(case, probe.new) == before:
        raise _wrong(case, probe, f"{probe.new!r} shows the same: a judge has no choice")


def _meaning(case: Case, caption: str) -> Scene:
    try:
        return meaning(parse(caption))
    except PromptError as error:
        raise DataError(f"case {case.name!r}: {error}") from error


def _wrong(case: Case, probe: Probe, why: str) -> DataError:
    return DataError(f"case {case.name!r}, prompt {probe.prompt!r}: {why}; change the prompt")


def _is_kind_of(name: str, general: str) -> bool:
    above = KINDS.get(name, "")
    return above == general or (bool(above) and _is_kind_of(above, general))

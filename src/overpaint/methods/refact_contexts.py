"""The prompts over which ReFACT averages its key and its loss, run once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from torch import Tensor

from overpaint.methods.common import fits
from overpaint.methods.refact_config import ReFACTConfig, contexts, weighed
from overpaint.models.model import Model
from overpaint.models.suffix import Suffix, suffix
from overpaint.models.text import last_subject_token, tokenize
from overpaint.types import Edit


@dataclass(frozen=True, eq=False)
class Contexts:
    """c contexts of R edits: ``suffix``, what of them depends on δ.

    ``plain [R]``    which context is an edit's source prompt as it is.
    ``form [c]``     which of :func:`contexts` each is.
    ``weights [c]``  of each context in its edit; they sum to 1 in each.
    """

    suffix: Suffix
    plain: Tensor
    form: Tensor
    weights: Tensor


def gather(model: Model, edits: Sequence[Edit], config: ReFACTConfig) -> Contexts:
    """Fill the templates with every edit's source and run the prompts through the encoder once.

    The plain prompt is always among them, since k and m₀ are measured there; it weighs nothing
    when the templates do without it. Templates that make a prompt too long are left out.
    """
    prompts: list[str] = []
    positions: list[int] = []
    owner: list[int] = []
    plain: list[int] = []
    form: list[int] = []
    weights: list[float] = []
    forms = contexts(config)
    for number, edit in enumerate(edits):
        found = placed(model, edit, config)
        those = counted(config, found)
        plain.append(len(prompts))
        for template, (prompt, position) in found.items():
            prompts.append(prompt)
            positions.append(position)
            owner.append(number)
            form.append(forms.index(template))
            weights.append(those.count(template) / len(those))
    tokens = tokenize(model, prompts, config.component)
    state = suffix(model, tokens, positions, config.layer, owner=owner, component=config.component)
    indices = state.owner.new_tensor
    return Contexts(state, indices(plain), indices(form), state.value.new_tensor(weights))


def counted(config: ReFACTConfig, found: Container[str]) -> list[str]:
    """The templates that count, of those ``found`` to fit; the plain prompt where none does."""
    return [template for template in weighed(config) if template in found] or ["{}"]


def placed(model: Model, edit: Edit, config: ReFACTConfig) -> dict[str, tuple[str, int]]:
    """Each template that fits: the prompt it gives, and where the subject's last token stands.

    The plain prompt is there even if its end is cut off, as long as its subject is not.
    """
    found: dict[str, tuple[str, int]] = {}
    subject = edit.subject or edit.source
    for template in contexts(config):
        prompt = template.replace("{}", edit.source)
        if template == "{}" or fits(model, prompt, config.component):
            position = last_subject_token(model, prompt, subject, config.component)
            found[template] = (prompt, position)
    return found

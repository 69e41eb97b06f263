"""What editing costs: seconds, kilobytes, and how much of the model a patch touches."""

from __future__ import annotations

from dataclasses import replace

from overpaint.benchmark.patches import Made
from overpaint.benchmark.plan import Plan
from overpaint.benchmark.store import Store
from overpaint.models.model import Model


class Costs:
    """Means over the patches of each condition, kept in what its row is about.

    ``seconds_per_edit``, ``kilobytes`` of a patch, ``parameters_percent`` of the denoiser's and the
    text encoders' weights, and ``patches``: how many the means are over. They are written down
    with every patch, before its pictures are painted, so no kill can lose them; a run that goes on
    adds to the means it finds, also when it makes a patch again.
    """

    def __init__(self, model: Model, store: Store, plan: Plan) -> None:
        self.store = store
        self.rows = {row.name: row for row in store.conditions()}
        self.holders = plan.holders()
        parts = (model.family.denoiser, *model.text_encoders)
        self.total = sum(p.numel() for part in parts for p in model.component(part).parameters())

    def count(self, made: Made) -> None:
        """Add a patch and write the means down."""
        if made.patch is None:
            return
        own = {
            "seconds_per_edit": made.seconds / made.state.edits,
            "kilobytes": made.patch.nbytes / 1000,
            "parameters_percent": 100 * made.patch.parameters / self.total,
        }
        for name in self.holders[made.state.key]:
            row = self.rows[name]
            before = row.about.get("patches", 0)
            means = {
                key: (before * row.about.get(key, 0.0) + value) / (before + 1)
                for key, value in own.items()
            }
            self.rows[name] = replace(row, about={**row.about, **means, "patches": before + 1})
        self.store.describe_conditions(self.rows[name] for name in self.holders[made.state.key])

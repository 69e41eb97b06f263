"""A tower saved under transformers 5 is read into the layout of transformers 4."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from overpaint.errors import ModelError
from overpaint.models.layout import read_tower
from overpaint.models.model import Model
from overpaint.models.sites import text_transformer


class FourLayout(nn.Module):
    """CLIPTextModel as transformers 4 builds it: the tower inside ``text_model``."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.text_model = tower


@pytest.fixture
def tower(sd1: Model) -> nn.Module:
    return text_transformer(sd1.component("text_encoder"))


def saved(tower: nn.Module, file: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    weights = {name: value.clone() for name, value in tower.state_dict().items()}
    save_file({prefix + name: value for name, value in weights.items()}, file)
    return weights


def test_newer_file_is_read_into_the_older_layout(tower: nn.Module, tmp_path: Path) -> None:
    weights = saved(tower, tmp_path / "model.safetensors")
    for parameter in tower.parameters():
        parameter.data.zero_()
    assert read_tower(FourLayout(tower), [tmp_path / "model.safetensors"])
    for name, value in tower.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_what_transformers_reads_itself_is_left_alone(tower: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    assert not read_tower(FourLayout(tower), [])
    saved(tower, file, "text_model.")
    before = next(tower.parameters()).clone()
    next(tower.parameters()).data += 1
    assert not read_tower(FourLayout(tower), [file])
    saved(tower, file)
    assert not read_tower(tower, [file])
    assert torch.equal(next(tower.parameters()), before + 1)


def test_incomplete_file_is_a_model_error(tower: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"something": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="lacks 'embeddings"):
        read_tower(FourLayout(tower), [file])

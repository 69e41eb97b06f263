"""Judges by name: the papers' CLIPs, folders, and models of the package open_clip."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from overpaint.errors import ModelError, PromptError
from overpaint.models import judges as judges_module
from overpaint.models.clip import image_features, text_features
from overpaint.models.embedded import toybox_folder
from overpaint.models.judges import JUDGES, load_clip
from overpaint.models.loaders import silence

PICTURES = torch.rand(5, 3, 40, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CLIP with bigG's proportions and activation, random and tiny, as transformers saves it."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    torch.manual_seed(0)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu"}
    with silence():
        tokenizer = CLIPTokenizer.from_pretrained(str(toybox_folder("pipeline") / "tokenizer"))
        text = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 64} | shape
        vision = {"image_size": 28, "patch_size": 14, "hidden_size": 20, "intermediate_size": 98}
        config = CLIPConfig(text_config=text, vision_config=vision | shape, projection_dim=12)
        CLIPModel(config).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_is_a_judge(folder: Path) -> None:
    judge = load_clip(folder)
    assert (judge.name, judge.size, judge.width) == (str(folder), 28, 12)
    assert judge.preprocess.mean == pytest.approx((0.481, 0.458, 0.408), abs=1e-3)
    seen, read = image_features(judge, PICTURES), text_features(judge, ["a rose", "two red roses"])
    assert seen.shape == (5, 12)
    assert read.shape == (2, 12)
    own: Any = judge.network
    output = own.get_image_features(judge.preprocess(PICTURES))
    expected = nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1)
    torch.testing.assert_close(seen, expected)
    tokens = judge.tokenizer(["two red roses"], return_tensors="pt").input_ids
    states = own.text_model(tokens).last_hidden_state[0, -1]
    torch.testing.assert_close(read[1], nn.functional.normalize(own.text_projection(states), dim=0))


def test_papers_names_are_the_published_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every name goes to its own place on the hub, and keeps the name the paper gives it."""
    asked: list[str] = []

    def elsewhere(cls: Any, source: str, dtype: Any = None) -> Any:
        asked.append(source)
        return cls.from_pretrained(str(folder))

    monkeypatch.setattr(judges_module, "from_pretrained", elsewhere)
    for name, place in JUDGES.items():
        asked.clear()
        assert load_clip(name).name == name
        assert set(asked) == {place}
    assert JUDGES["ViT-B/32"] == "openai/clip-vit-base-patch32"
    assert JUDGES["ViT-bigG/14"] == "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="Cannot load 'no-such-judge'"):
        load_clip("no-such-judge")


class Visual(nn.Module):
    """An image tower as open_clip leaves it: the size, and what was noted for preprocessing."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size = (28, 28)
        self.image_mean = (0.5, 0.4, 0.3)
        self.image_std = (0.1, 0.2, 0.3)
        self.proj = nn.Linear(3 * 28 * 28, 6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.proj(image.flatten(1))


class Network(nn.Module):
    """The methods of open_clip.CLIP that a user calls."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = Visual()
        self.words = nn.Embedding(100, 6)

    def encode_image(self, image: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        features = self.visual(image)
        return nn.functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, text: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        features = self.words(text).cumsum(1)[torch.arange(len(text)), text.argmax(-1)]
        return nn.functional.normalize(features, dim=-1) if normalize else features


def tokenize(texts: list[str]) -> torch.Tensor:
    """``[n, 8]``: begin 98, a number for each word, end 99, zeros; cut in silence."""
    rows = torch.zeros(len(texts), 8, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        tokens = [98, *(1 + len(word) for word in text.split()), 99][:8]
        tokens[-1] = 99
        row[: len(tokens)] = torch.tensor(tokens)
    return rows


@pytest.fixture
def open_clip(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module with open_clip's interface; ``asked`` holds what it was asked to make."""
    asked: list[tuple[str, str | None]] = []

    def create(model: str, pretrained: str | None = None, *, device: Any = "cpu") -> Any:
        if model == "unknown":
            raise RuntimeError("Model config for unknown not found.\nAvailable: ...")
        asked.append((model, pretrained))
        torch.manual_seed(0)
        return Network().to(device).train(), object(), object()

    module: Any = ModuleType("open_clip")
    module.create_model_and_transforms = create
    module.get_tokenizer = lambda name: tokenize
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return SimpleNamespace(asked=asked)


def test_open_clip_gives_its_own_features(open_clip: SimpleNamespace) -> None:
    judge = load_clip("open_clip:ViT-bigG-14/laion2b_s39b_b160k")
    assert open_clip.asked == [("ViT-bigG-14", "laion2b_s39b_b160k")]
    assert judge.name == "open_clip:ViT-bigG-14/laion2b_s39b_b160k"
    assert (judge.size, judge.width) == (28, 6)
    assert not judge.network.training
    torch.manual_seed(0)
    own = Network()
    small = PICTURES[..., 6:34, 6:34]
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3)))
    torch.testing.assert_close(
        image_features(judge, small), own.encode_image((small - mean) / std, normalize=True)
    )
    prompts = ["a rose", "two red roses"]
    torch.testing.assert_close(
        text_features(judge, prompts), own.encode_text(tokenize(prompts), normalize=True)
    )


def test_open_clip_does_not_cut_prompts_in_silence(open_clip: SimpleNamespace) -> None:
    judge = load_clip("open_clip:ViT-B-32/openai")
    assert text_features(judge, ["one two three four five"]).shape == (1, 6)
    with pytest.raises(PromptError, match="all 8 tokens"):
        text_features(judge, ["one two three four five six seven"])


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("hf-hub:owner/name", ("hf-hub:owner/name", None)),
        ("local-dir:/a/b", ("local-dir:/a/b", None)),
    ],
)
def test_open_clip_finds_weights_elsewhere(
    open_clip: SimpleNamespace, name: str, made: tuple[str, None]
) -> None:
    load_clip(f"open_clip:{name}")
    assert open_clip.asked == [made]


@pytest.mark.usefixtures("open_clip")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-32", "expected open_clip:MODEL/TAG"),
        ("unknown/tag", r"cannot load 'unknown/tag': Model config for unknown not found\.;"),
    ],
)
def test_open_clip_names_what_it_cannot_load(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        load_clip(f"open_clip:{name}")


def test_without_open_clip_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelError, match=r"pip install 'overpaint\[judges\]'"):
        load_clip("open_clip:ViT-B-32/openai")

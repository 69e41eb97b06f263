"""Stage "text": the pipeline's twelve-layer text tower, grown against frozen picture features."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from rich.progress import track

from overpaint.toybox.grammar import parse
from tools.train.clip import build, features
from tools.train.contrastive import Captions, contrastive_loss, unit
from tools.train.loop import Settings, train
from tools.train.run import Run
from tools.train.tower import Disturbance, disturbed_forward
from tools.train.untyped import CLIPModel

TEXT = Settings(steps=1_600, batch=256, lr=1e-3, weight_decay=0.02, seed=13, warmup=150)
SHARE_WEIGHT = 2.0
RAMP = 400  # steps until the disturbances reach full strength

# The two gauges of the tower (see `fix_gauges`): a residual stream of CLIP ViT-L/14's magnitude,
# and features long enough that ReFACT's L2 softmax, with its default settings, is decisive.
RESIDUAL_RMS = 0.5
FEATURE_NORM = 36.0


class SubjectCaptions(Captions):
    """Captions that also know which tokens belong to a subject."""

    @cached_property
    def subjects(self) -> list[list[int]]:
        """For every caption and token the number of its subject, 0 for none."""
        encoded = self.tokenizer(self.run.captions, return_offsets_mapping=True)
        return [
            _subject_numbers(caption, offsets)
            for caption, offsets in zip(self.run.captions, encoded["offset_mapping"], strict=True)
        ]

    def subject_masks(self, index: np.ndarray, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Subject numbers ``[b, L]`` and the marks of each subject's last token ``[b, L]``."""
        rows = [self.subjects[i] for i in index]
        subject = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        after = torch.cat([subject[:, 1:], torch.zeros_like(subject[:, :1])], dim=1)
        last = (subject > 0) & (after != subject)
        return subject.to(self.run.device), last.to(self.run.device)


def _subject_numbers(caption: str, offsets: list[tuple[int, int]]) -> list[int]:
    scene = parse(caption)
    numbers, start = [0] * len(offsets), 0
    for number, subject in enumerate(scene.subjects, start=1):
        phrase = subject.phrase(scene.count)
        start = caption.index(phrase, start)
        stop = start + len(phrase)
        for position, (a, b) in enumerate(offsets):
            if a < b and a >= start and b <= stop:
                numbers[position] = number
        start = stop
    return numbers


def picture_features(run: Run, model: Any) -> torch.Tensor:
    """Features of all training pictures, ``[n, d]`` of length one; kept on disk."""
    path = run.path("picture_features.pt")
    if not path.exists():
        found = []
        with torch.no_grad():
            for start in track(range(0, len(run.pictures), 1_000), "picture features"):
                batch = run.batch(np.arange(start, min(start + 1_000, len(run.pictures))))
                found.append(unit(features(model.get_image_features(batch))).cpu())
        torch.save(torch.cat(found), path)
    return torch.load(path, weights_only=True).to(run.device)


def train_text(run: Run) -> None:
    """Train the tower, fix its gauges, and save the joint CLIP of the pipeline."""
    torch.manual_seed(TEXT.seed)
    tokens = len(SubjectCaptions(run).tokenizer)
    model = build(tokens, text_layers=12, patch=16, width=192, heads=6)
    grow_tower(run, model, TEXT, "text.ckpt")
    model.eval().save_pretrained(run.path("clip"))


def grow_tower(run: Run, model: Any, settings: Settings, checkpoint: str, ramp: int = RAMP) -> None:
    """Train ``model``'s text tower against the frozen vision tower of the run's joint CLIP.

    ``ramp``  steps until the disturbances reach full strength.
    """
    captions = SubjectCaptions(run)
    joint = CLIPModel.from_pretrained(run.path("clip_joint")).to(run.device).eval()
    pictures = picture_features(run, joint)
    model.vision_model.load_state_dict(joint.vision_model.state_dict())
    model.visual_projection.load_state_dict(joint.visual_projection.state_dict())
    model.vision_model.requires_grad_(False)
    model.visual_projection.requires_grad_(False)
    model.logit_scale.data.fill_(3.0)
    model.to(run.device)
    tower = model.text_model

    def step(rng: np.random.Generator, i: int) -> torch.Tensor:
        index = rng.choice(len(run.captions), settings.batch, replace=False)
        ids, end = captions.tokens(index)
        subject, last = captions.subject_masks(index, ids.shape[1])
        full = min(1.0, i / ramp)
        strength = Disturbance(0.3 * full, 0.1 * full, 0.75 * full, 0.5 * full)
        pooled, shortfall = disturbed_forward(tower, ids, end, subject, last, strength)
        text = unit(model.text_projection(pooled))
        loss = contrastive_loss(text, pictures[index], model.logit_scale, captions.meanings[index])
        return loss + SHARE_WEIGHT * shortfall

    train(model, step, settings, run.path(checkpoint), slow=tower.embeddings.parameters())
    fix_gauges(model, captions)


@torch.no_grad()
def fix_gauges(model: Any, captions: SubjectCaptions) -> None:
    """Scale what can be scaled without changing any cosine, to fixed magnitudes.

    Every branch of a pre-norm transformer starts with a layer norm, so embeddings and branch
    outputs may all be multiplied by one number; and features are compared by their direction, so
    the projection may be too. ReFACT's step size and its L2 softmax do depend on both.
    """
    index = np.arange(512)
    ids, _ = captions.tokens(index)
    _, last = captions.subject_masks(index, ids.shape[1])
    tower = model.text_model
    states = tower(ids, output_hidden_states=True).hidden_states
    rms = torch.stack([h[last].square().mean().sqrt() for h in states[1:]]).mean().item()
    scale = RESIDUAL_RMS / rms
    tower.embeddings.token_embedding.weight.mul_(scale)
    tower.embeddings.position_embedding.weight.mul_(scale)
    for layer in tower.encoder.layers:
        for linear in (layer.self_attn.out_proj, layer.mlp.fc2):
            linear.weight.mul_(scale)
            linear.bias.mul_(scale)
    norm = features(model.get_text_features(ids)).norm(dim=-1).mean().item()
    model.text_projection.weight.mul_(FEATURE_NORM / norm)

"""Stages "stream", "xl" and "flux": the pictures, and the two models that learn from them."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tools.train import flux, parts, xl
from tools.train.bank import Bank
from tools.train.clocked import Appointment, Log, fit
from tools.train.denoiser import SHEET
from tools.train.export import save_halves
from tools.train.pipeline import flux_pipeline, xl_pipeline
from tools.train.run import Run
from tools.train.shares import corrected, painted_shares
from tools.train.stream import SHARD, stream
from tools.train.untyped import (
    CLIPTextModelWithProjection,
    FluxTransformer2DModel,
    T5EncoderModel,
    T5Tokenizer,
    UNet2DConditionModel,
)

FIRST = 8_000  # pictures to wait for before training starts
COUNTS_AT = (0.4, 0.55, 0.7, 0.82)  # shares of the time at which genders are counted
RESUMED = 0.7  # share of the full rate for a model that goes on
KEEPS_AT = (0.3, 0.5, 0.75, 0.9)  # shares of the time at which the average is kept
GUIDANCE, STEPS = 4.0, 20

Painter = Callable[[Any], Callable[[list[str]], torch.Tensor]]


@dataclass(frozen=True)
class Session:
    """``minutes`` of training on at most ``capacity`` pictures.

    ``batch``    pictures a step, 0 for the recipe's
    ``graph``    use a CUDA graph, where there is CUDA
    ``fused``    compiled blocks in bfloat16 instead of TF32 (see :func:`tools.train.clocked.fit`)
    ``resume``   go on from the run's weights, at :data:`RESUMED` of the rate
    ``counted``  pictures of each profession, when genders are counted
    ``workers``  processes that draw the pictures, 0 for one a core but three
    """

    minutes: float = 60.0
    capacity: int = 400_000
    batch: int = 0
    graph: bool = True
    fused: bool = False
    resume: bool = False
    workers: int = 0
    counted: int = 200


def draw_stream(run: Run, session: Session) -> None:
    """Draw the pictures into the run's folder; meanwhile others may train from it."""
    workers = session.workers or max(1, (os.cpu_count() or 1) - 3)
    stream(run.path("stream"), parts.autoencoder(run), session.capacity // SHARD, workers)


@contextmanager
def _streaming(run: Run, session: Session) -> Iterator[Path]:
    """The folder of the pictures, while another process fills it unless one does already."""
    folder = run.path("stream")
    if folder.exists():
        yield folder
        return
    process = multiprocessing.get_context("spawn").Process(target=draw_stream, args=(run, session))
    process.start()
    try:
        yield folder
    finally:
        process.terminate()
        process.join()


def train_xl(run: Run, session: Session) -> None:
    """Train the SDXL-shaped UNet between its two text towers."""
    tokenizer, first, vae = parts.tokenizer(run), parts.first_tower(run), parts.autoencoder(run)
    folder = run.path("text_encoder_2")
    second = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32)
    second = second.to(run.device).eval()
    pace = _pace(xl.PACE, session)
    torch.manual_seed(16)
    texts = xl.XLTexts(first, second, tokenizer)
    unet = UNet2DConditionModel.from_pretrained(run.path("xl")) if session.resume else xl.build()
    task = xl.XLTask(unet.float().to(run.device), texts, pace.batch)

    def painter(unet: Any) -> Callable[..., torch.Tensor]:
        pipeline = xl_pipeline(
            vae=vae, text_encoder=first, tokenizer=tokenizer, text_encoder_2=second, unet=unet
        )
        return _painter(pipeline, guidance_scale=GUIDANCE)

    _train(run, session, "xl", task, pace, texts, painter)


def train_flux(run: Run, session: Session) -> None:
    """Train the FLUX-shaped transformer behind T5 and the first text tower."""
    tokenizer, first, vae = parts.tokenizer(run), parts.first_tower(run), parts.autoencoder(run)
    t5 = T5EncoderModel.from_pretrained(run.path("t5"), dtype=torch.float32)
    t5 = t5.to(run.device).eval()
    t5_tokenizer = T5Tokenizer.from_pretrained(run.path("t5_tokenizer"))
    pace = _pace(flux.PACE, session)
    torch.manual_seed(17)
    texts = flux.FluxTexts(t5, t5_tokenizer, first, tokenizer)
    kept = run.path("flux")
    net = FluxTransformer2DModel.from_pretrained(kept) if session.resume else flux.build()
    task = flux.FluxTask(net.float().to(run.device), texts, pace.batch)

    def painter(transformer: Any) -> Callable[..., torch.Tensor]:
        pipeline = flux_pipeline(
            vae=vae,
            text_encoder=first,
            tokenizer=tokenizer,
            text_encoder_2=t5,
            tokenizer_2=t5_tokenizer,
            transformer=transformer,
        )
        return _painter(
            pipeline,
            guidance_scale=0.0,
            true_cfg_scale=GUIDANCE,
            max_sequence_length=32,
            height=64,
            width=64,
        )

    _train(run, session, "flux", task, pace, texts, painter)


def _pace(pace: Any, session: Session) -> Any:
    lr = pace.lr * (RESUMED if session.resume else 1)
    return replace(pace, batch=session.batch or pace.batch, lr=lr)


def _train(
    run: Run,
    session: Session,
    name: str,
    task: Any,
    pace: Any,
    texts: Any,
    painter: Painter,
) -> None:
    until = time.monotonic() + 60 * session.minutes
    torch.set_float32_matmul_precision("high")  # TF32 where there is such a thing
    log = Log(name)
    size = sum(p.numel() for p in task.module.parameters())
    log.say(f"{size / 1e6:.1f} M weights, batch {pace.batch}, on {run.device}")
    judge, tokenizer = parts.judge(run), parts.tokenizer(run)

    def count(average: Any) -> dict[str, float]:
        found = painted_shares(painter(average), judge, tokenizer, session.counted)
        log.say("women: " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()))
        return found

    def correct(average: Any) -> None:
        bank.weigh(corrected(bank.gender_shift, count(average), session.counted))
        log.say("shifts: " + ", ".join(f"{k} {v:+.2f}" for k, v in bank.gender_shift.items()))

    shifts = run.path(f"{name}-shifts.json")

    def keep(average: Any) -> None:
        save_halves(average, run.path(name))
        shifts.write_text(json.dumps(bank.gender_shift))
        log.say("kept the average")

    with _streaming(run, session) as folder:
        bank = Bank(folder, texts, session.capacity, run.device)
        if session.resume and shifts.exists():
            bank.gender_shift = json.loads(shifts.read_text())
        bank.wait(min(FIRST, session.capacity))
        log.say(f"{bank.size} pictures are there")
        visits = tuple(Appointment(at, correct) for at in COUNTS_AT)
        visits += tuple(Appointment(at, keep) for at in KEEPS_AT)
        best = fit(
            task,
            bank,
            pace,
            until,
            log,
            graph=session.graph,
            fused=session.fused,
            appointments=visits,
        )
    keep(best)
    count(best)
    painted = painter(best)([p for p in SHEET for _ in range(8)])
    run.sheet(name, list(painted.float().cpu().mul(2).sub(1).unflatten(0, (len(SHEET), 8))))
    run.path(f"{name}.log").write_text("\n".join(log.lines) + "\n")


def _painter(pipeline: Any, **said: Any) -> Callable[[list[str]], torch.Tensor]:
    pipeline.set_progress_bar_config(disable=True)
    flow = "true_cfg_scale" in said

    def paint(prompts: Sequence[str]) -> torch.Tensor:
        seeds = [torch.Generator().manual_seed(k) for k in range(len(prompts))]
        against = {"negative_prompt": [""] * len(prompts)} if flow else {}
        return pipeline(
            list(prompts),
            generator=seeds,
            num_inference_steps=STEPS,
            output_type="pt",
            **said,
            **against,
        ).images

    return paint

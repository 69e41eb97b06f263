"""The networks of diffusers and transformers, without their annotations.

Both libraries annotate too little and partly wrongly (``block_out_channels: tuple[int]``), so a
type checker would complain about correct calls; here they are Any, once for all stages.
"""

from __future__ import annotations

from typing import Any

import diffusers
import transformers

AutoencoderKL: Any = diffusers.AutoencoderKL
DDPMScheduler: Any = diffusers.DDPMScheduler
DPMSolverMultistepScheduler: Any = diffusers.DPMSolverMultistepScheduler
StableDiffusionPipeline: Any = diffusers.StableDiffusionPipeline
UNet2DConditionModel: Any = diffusers.UNet2DConditionModel
CLIPConfig: Any = transformers.CLIPConfig
CLIPModel: Any = transformers.CLIPModel
CLIPTextConfig: Any = transformers.CLIPTextConfig
CLIPTextModel: Any = transformers.CLIPTextModel
CLIPTokenizer: Any = transformers.CLIPTokenizer
CLIPTextModelWithProjection: Any = transformers.CLIPTextModelWithProjection
EulerDiscreteScheduler: Any = diffusers.EulerDiscreteScheduler
FlowMatchEulerDiscreteScheduler: Any = diffusers.FlowMatchEulerDiscreteScheduler
FluxPipeline: Any = diffusers.FluxPipeline
FluxTransformer2DModel: Any = diffusers.FluxTransformer2DModel
StableDiffusionXLPipeline: Any = diffusers.StableDiffusionXLPipeline
T5Config: Any = transformers.T5Config
T5EncoderModel: Any = transformers.T5EncoderModel
T5ForConditionalGeneration: Any = transformers.T5ForConditionalGeneration
T5Tokenizer: Any = transformers.T5TokenizerFast

"""Loads the kept checkpoints as the captures and goldens use them: stored bfloat16 weights, fp32 arithmetic."""

from pathlib import Path

import torch
from common import exact_arithmetic
from routed_experts import route_properly
from transformers import MixtralForCausalLM, NllbMoeForConditionalGeneration


def load_mixtral(folder: Path, device: str):
    exact_arithmetic()
    model = MixtralForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval().to(device)


def load_nllb(folder: Path, device: str):
    exact_arithmetic()
    model = NllbMoeForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return route_properly(model).eval().to(device)

"""How each known router class reports its choice.

A reader turns (module, inputs, output) of one router call into a `Routing`. Readers are looked up by the class
name of the module, so that neither this package nor its users import model code. `register` adds one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .errors import CaptureError


@dataclass(frozen=True)
class Routing:
    """One router call, rows in the order in which the router received them."""

    experts: torch.Tensor  # [rows, k] integer, column 0 is the first choice
    weights: torch.Tensor  # [rows, k] as the model multiplies them with the experts' outputs
    logits: torch.Tensor  # [rows, experts] before the softmax
    hidden: torch.Tensor  # [rows, hidden] what the router read


@dataclass(frozen=True)
class Router:
    """A router module found in a model."""

    name: str
    module: torch.nn.Module
    layer: int  # index of the model layer that holds it
    reader: Callable


def _top_k_router(module, inputs, output) -> Routing:
    """Mixtral: (logits, weights of the chosen, chosen), already ranked by probability."""
    logits, weights, experts = output
    return Routing(experts, weights, logits, inputs[0].reshape(-1, inputs[0].shape[-1]))


def _nllb_router(module, inputs, output) -> Routing:
    """NLLB-MoE: (first-choice mask, combine weights over all experts, logits).

    An expert at its capacity drops a token: its combine weight is then 0, and that choice is not to be seen in
    the output any more. A capture holds k experts a token, so a drop is an error, never a made-up id.
    """
    first_mask, combine, logits = output
    kept = (combine > 0).sum(dim=-1)
    dropped = int((kept < 2).sum())
    if dropped:
        raise CaptureError(
            f"{dropped} of {len(kept)} tokens kept fewer than 2 experts (expert capacity); maybe set "
            "moe_eval_capacity_token_fraction=1.0 and second_expert_policy='all', and call model.eval()"
        )
    first = first_mask.argmax(dim=-1, keepdim=True)
    second = combine.scatter(-1, first, 0.0).argmax(dim=-1, keepdim=True)
    experts = torch.cat([first, second], dim=-1)
    return Routing(experts, combine.gather(-1, experts), logits, inputs[0].reshape(-1, inputs[0].shape[-1]))


_READERS: dict[str, Callable] = {
    "MixtralTopKRouter": _top_k_router,
    "NllbMoeTop2Router": _nllb_router,
}


def register(class_name: str, reader: Callable) -> None:
    """Adds a reader for another router class: reader(module, inputs, output) -> Routing."""
    _READERS[class_name] = reader


def find_routers(model: torch.nn.Module, stack: str) -> list[Router]:
    """The routers of one stack in model order.

    In an encoder-decoder model the stack is the part of the module name ("encoder." or "decoder."); a model
    without such parts is all decoder.
    """
    if stack not in ("decoder", "encoder"):
        raise CaptureError(f"stack is '{stack}'; it must be 'decoder' or 'encoder'")
    found = [
        (name, module) for name, module in model.named_modules() if type(module).__name__ in _READERS
    ]
    if not found:
        raise CaptureError(
            f"{type(model).__name__} holds no router of a known class ({', '.join(sorted(_READERS))}); "
            "maybe the transformers version is below 5, or add the class with moecapture.register"
        )
    stacked = any(re.search(r"(^|\.)encoder\.", name) for name, _ in found)
    if stacked:
        found = [(name, module) for name, module in found if re.search(rf"(^|\.){stack}\.", name)]
    elif stack == "encoder":
        raise CaptureError(f"{type(model).__name__} has no encoder; use stack='decoder'")
    if not found:
        raise CaptureError(f"the {stack} of {type(model).__name__} holds no router")
    return [
        Router(name, module, _layer_of(name), _READERS[type(module).__name__]) for name, module in found
    ]


def _layer_of(name: str) -> int:
    match = re.search(r"(?:^|\.)layers?\.(\d+)(?:\.|$)", name)
    if not match:
        raise CaptureError(f"no layer number in the module name '{name}'; expected '...layers.N...'")
    return int(match.group(1))

"""Trains the batches of an `atlas finetune` run with transformers, and compares losses and gradient norms.

    atlas finetune --model data/mixtral --text TEXT --output OUT --steps 20 --write-batches batches.npy --json > ours.json
    python3 transformers_losses.py --model data/mixtral --batches batches.npy --ours ours.json

MixtralForCausalLM in float32, AdamW with the settings that ours.json holds; needs torch and transformers. Prints one
JSON object: `losses` and `gradient-norms` as in ours.json, `largest-relative-difference` of each. Exit code 1 if a
loss differs by more than --tolerance (relative).
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from transformers import MixtralForCausalLM


def rate(settings, step):
    """As RateSchedule: the rate of a step, from 0."""
    peak, steps, warmup = float(settings["learning-rate"]), int(settings["steps"]), int(settings["warmup"])
    if step < warmup:
        return peak * (step + 1) / warmup
    x = (step - warmup) / max(1, steps - warmup)
    falls = {"constant": 1.0, "linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2}
    return peak * falls[settings["schedule"]]


def largest_difference(ours, theirs):
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--batches", type=Path, required=True, help=".npy of --write-batches")
    parser.add_argument("--ours", type=Path, required=True, help="what --json printed")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    args = parser.parse_args()

    ours = json.loads(args.ours.read_text())
    settings = ours["training"]
    batch, parts = int(settings["batch"]), int(settings["micro-batches"])
    rows = torch.from_numpy(numpy.load(args.batches).astype("int64"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    model = MixtralForCausalLM.from_pretrained(
        args.model, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).to(device)
    model.train()  # no dropout in the configuration
    optimizer = torch.optim.AdamW(
        model.parameters(),
        betas=(float(settings["beta1"]), float(settings["beta2"])),
        eps=float(settings["epsilon"]),
        weight_decay=float(settings["weight-decay"]),
    )
    clip = float(settings["clip-norm"])
    losses, norms = [], []
    for step in range(len(ours["losses"])):
        optimizer.zero_grad(set_to_none=False)
        total = 0.0
        for ids in rows[step * batch:(step + 1) * batch].to(device).chunk(parts):
            logits = model(input_ids=ids, use_cache=False).logits
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()) / parts
            loss.backward()
            total += loss.item()
        limit = clip if clip > 0 else math.inf
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item())
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, step)
        optimizer.step()
        losses.append(total)
        print(f"step {step + 1}: {total:.6f}, ours {ours['losses'][step]:.6f}", file=sys.stderr, flush=True)

    difference = largest_difference(ours["losses"], losses)
    result = {
        "losses": losses,
        "gradient-norms": norms,
        "largest-relative-difference": {
            "losses": difference,
            "gradient-norms": largest_difference(ours["gradient-norms"], norms),
        },
        "torch": torch.__version__,
        "device": device,
    }
    print(json.dumps(result))
    sys.exit(0 if difference <= args.tolerance else 1)


if __name__ == "__main__":
    main()

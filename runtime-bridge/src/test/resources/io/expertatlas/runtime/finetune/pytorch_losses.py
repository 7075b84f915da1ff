"""Trains the batches of an `atlas finetune` run with PyTorch alone, and compares losses and gradient norms.

    atlas finetune --model data/mixtral --text TEXT --output OUT --steps 20 --write-batches batches.npy --json > ours.json
    python3 pytorch_losses.py --model data/mixtral --batches batches.npy --ours ours.json

For machines without transformers (PyTorch 1.13 is enough): the model of ../train/make_training_goldens.py in float32 on
the CPU, a sequence at a time, PyTorch's autograd and AdamW. Prints one JSON object as transformers_losses.py does; exit
code 1 if a loss differs by more than --tolerance (relative).
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "train"))
import make_training_goldens as goldens  # noqa: E402


def read_weights(folder):
    weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for name, about in json.loads(data[8:start]).items():
            if name == "__metadata__":
                continue
            begin, end = about["data_offsets"]
            raw = data[start + begin:start + end]
            if about["dtype"] == "BF16":
                raw = (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).tobytes()
            values = numpy.frombuffer(raw, "<f4").reshape(about["shape"]).copy()
            weights[name] = torch.from_numpy(values).requires_grad_()
    return weights


def experts(x, router, expert, top_k, renormalize):
    """As the loop over tokens in make_training_goldens, with all tokens of an expert together."""
    weights, chosen = (x @ router.T).softmax(-1).topk(top_k)
    weights = weights / weights.sum(-1, keepdim=True)
    out = torch.zeros_like(x)
    for e in range(router.shape[0]):
        token, choice = (chosen == e).nonzero(as_tuple=True)
        if len(token):
            out = out.index_add(0, token, weights[token, choice, None] * expert(e, x[token].T).T)
    return out


def rate(settings, step):
    peak, steps, warmup = float(settings["learning-rate"]), int(settings["steps"]), int(settings["warmup"])
    if step < warmup:
        return peak * (step + 1) / warmup
    x = (step - warmup) / max(1, steps - warmup)
    return peak * {"constant": 1.0, "linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2}[settings["schedule"]]


def largest_difference(ours, theirs):
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--batches", type=Path, required=True, help=".npy of --write-batches")
    parser.add_argument("--ours", type=Path, required=True, help="what --json printed")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    args = parser.parse_args()

    goldens.experts = experts
    ours = json.loads(args.ours.read_text())
    settings = ours["training"]
    about = json.loads((args.model / "config.json").read_text())
    config = {
        "layers": about["num_hidden_layers"], "top-k": about["num_experts_per_tok"],
        "heads": about["num_attention_heads"], "key-heads": about["num_key_value_heads"],
        "head-size": about["head_dim"], "epsilon": about["rms_norm_eps"], "rope-theta": about["rope_theta"],
        "tied": False,
    }
    weights = read_weights(args.model)
    optimizer = torch.optim.AdamW(
        weights.values(), betas=(float(settings["beta1"]), float(settings["beta2"])), eps=float(settings["epsilon"]),
        weight_decay=float(settings["weight-decay"]),
    )
    batch, clip = int(settings["batch"]), float(settings["clip-norm"])
    rows = torch.from_numpy(numpy.load(args.batches).astype("int64"))
    losses, norms = [], []
    for step in range(len(ours["losses"])):
        for weight in weights.values():
            weight.grad = torch.zeros_like(weight)  # also of experts that no token reaches
        total = 0.0
        for ids in rows[step * batch:(step + 1) * batch]:
            loss = torch.nn.functional.cross_entropy(goldens.mixtral(weights, config, ids)[:-1], ids[1:]) / batch
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(weights.values(), clip if clip > 0 else math.inf).item())
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, step)
        optimizer.step()
        losses.append(total)

    difference = largest_difference(ours["losses"], losses)
    differences = {"losses": difference, "gradient-norms": largest_difference(ours["gradient-norms"], norms)}
    print(json.dumps({
        "losses": losses, "gradient-norms": norms, "largest-relative-difference": differences,
        "torch": torch.__version__, "device": "cpu",
    }))
    sys.exit(0 if difference <= args.tolerance else 1)


if __name__ == "__main__":
    main()

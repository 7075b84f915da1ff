"""Checks the kept data and prints its figures; needs numpy only.

    python3 data/make/check_data.py [data]

Every trace and capture: shapes, dtypes, ids in range, distinct experts, order of rows, checksums of captures; then per
layer how evenly the experts are used, how well a layer's first choice tells the next one, the same for tokens shuffled
within each layer (what chance gives), and the hops of contiguous placement on 4 GPUs.
Exit code 1 and one line a fault if anything is wrong.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

EXPERTS = {"mixtral": 8, "nllb-encoder": 16, "nllb-decoder": 16}
GPUS = 4


def main() -> int:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    faults = []
    for name, experts in EXPERTS.items():
        if not (data / "traces" / f"{name}-top2.npy").exists():
            faults.append(f"traces/{name}-top2.npy is missing")
            continue
        faults += check_trace(data / "traces", name, experts)
        faults += check_capture(data / "slices" / name, experts)
    for fault in faults:
        print("FAULT", fault)
    print("data: " + ("faults found" if faults else "all checks passed"))
    return 1 if faults else 0


def check_trace(folder: Path, name: str, experts: int) -> list[str]:
    top2, top1, sequence, position = (
        np.load(folder / f"{name}-{part}.npy") for part in ("top2", "top1", "sequence", "position")
    )
    faults = check_rows(f"traces/{name}", top2, sequence, position, experts)
    if not np.array_equal(top1, top2[:, :, 0]):
        faults.append(f"traces/{name}-top1.npy is not column 0 of top2")
    lengths = np.unique(sequence, return_counts=True)[1]
    used = np.stack([np.bincount(top2[:, layer].ravel(), minlength=experts) for layer in range(top2.shape[1])])
    share = used / used.sum(axis=1, keepdims=True)
    affinity, control = mean_max(top1, experts), mean_max(shuffled(top1), experts)
    gpu = np.arange(experts) * GPUS // experts
    hops = (gpu[top1[:, 1:]] != gpu[top1[:, :-1]]).sum(axis=1).mean()
    print(f"{name}: {len(top2)} tokens, {len(lengths)} sequences of {lengths.min()} to {lengths.max()} tokens, "
          f"{top2.shape[1]} layers, {experts} experts")
    print(f"  share of choices, least and most used expert of any layer: {share.min():.4f} {share.max():.4f} "
          f"(even: {1 / experts:.4f})")
    print("  mean max P(next | this), layer by layer: " + " ".join(f"{a:.3f}" for a in affinity)
          + f"; mean {affinity.mean():.3f}, shuffled {control.mean():.3f}")
    print(f"  contiguous placement on {GPUS} GPUs: {hops:.3f} hops a token over {top2.shape[1] - 1} gaps")
    if used.min() == 0:
        faults.append(f"traces/{name}: an expert is never used")
    if (affinity <= control).any():
        faults.append(f"traces/{name}: affinity is not above its shuffled control everywhere")
    return faults


def check_rows(what, experts_chosen, sequence, position, experts) -> list[str]:
    faults = []
    tokens = len(experts_chosen)
    if experts_chosen.ndim != 3 or experts_chosen.dtype != np.uint8 or sequence.shape != (tokens,):
        faults.append(f"{what}: wrong shape or dtype")
    if experts_chosen.max() >= experts:
        faults.append(f"{what}: expert id {experts_chosen.max()} of {experts}")
    if (experts_chosen[:, :, 0] == experts_chosen[:, :, 1]).any():
        faults.append(f"{what}: a token has the same expert twice")
    if not (np.diff(sequence) >= 0).all():
        faults.append(f"{what}: rows are not in sequence order")
    starts = np.r_[True, np.diff(sequence) != 0]
    if (position[starts] != 0).any() or (np.diff(position)[~starts[1:]] != 1).any():
        faults.append(f"{what}: positions do not count up from 0")
    return faults


def check_capture(folder: Path, experts: int) -> list[str]:
    if not (folder / "capture.json").exists():
        return [f"slices/{folder.name} is missing"]
    description = json.loads((folder / "capture.json").read_text())
    arrays, faults = {}, []
    for name, stated in description["files"].items():
        array = arrays[name.removesuffix(".npy")] = np.load(folder / name)
        if list(array.shape) != stated["shape"] or array.dtype.name != stated["dtype"]:
            faults.append(f"slices/{folder.name}/{name}: not as capture.json states")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != stated["sha256"]:
            faults.append(f"slices/{folder.name}/{name}: checksum differs from capture.json")
        if not np.isfinite(array.astype(np.float32)).all():
            faults.append(f"slices/{folder.name}/{name}: not finite")
    faults += check_rows(
        f"slices/{folder.name}", arrays["experts"], arrays["sequence"], arrays["position"], experts
    )
    best = np.argsort(-arrays["logits"].astype(np.float32), axis=-1, kind="stable")[..., :2]
    agree = (np.sort(best, -1) == np.sort(arrays["experts"], -1)).all(-1).mean()
    off = np.abs(arrays["weights"].astype(np.float32).sum(-1) - 1).max()
    print(f"  slice: {description['tokens']} tokens, {description['sequences']} sequences, "
          f"{int(arrays['phase'].sum())} decoded, choices = top-2 of stored logits for {agree:.5f}")
    if agree < 0.995 or off > 2e-3:
        faults.append(f"slices/{folder.name}: experts and weights do not follow from the logits")
    return faults


def mean_max(top1: np.ndarray, experts: int) -> np.ndarray:
    """For each adjacent pair of layers: mean over this layer's experts e of max over f of P(next = f | this = e)."""
    result = []
    for layer in range(top1.shape[1] - 1):
        pair = top1[:, layer].astype(np.int64) * experts + top1[:, layer + 1]
        counts = np.bincount(pair, minlength=experts**2).reshape(experts, experts)
        used = counts.sum(axis=1) > 0
        result.append((counts[used].max(axis=1) / counts[used].sum(axis=1)).mean())
    return np.array(result)


def shuffled(top1: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.stack([random.permutation(top1[:, layer]) for layer in range(top1.shape[1])], axis=1)


if __name__ == "__main__":
    sys.exit(main())

"""Writes trtllm/. Run in this folder: python3 make_trtllm.py

2 ranks, iterations 9 and 10, layers 3 and 11 of the model, 7 experts, top-2; rank r has 3 + r tokens an iteration.
id(iteration, rank, layer number, token, choice) = (iteration + 3 * rank + layer + 2 * token + 3 * choice) % 7; counts are counted from the ids.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from dumps import safetensors

EXPERTS, K = 7, 2


def ids(iteration, rank, layer):
    t, k = np.indices((3 + rank, K))
    return ((iteration + 3 * rank + layer + 2 * t + 3 * k) % EXPERTS).astype("<i8")


def write(name, raw=None, counts=None, meta=None):
    folder = Path("trtllm") / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "meta_info.json").write_text(json.dumps(meta or {"num_experts": EXPERTS, "num_experts_per_token": K}))
    for rank in (0, 1):
        names = [(i, l) for i in (9, 10) for l in (3, 11)]
        if raw:
            tensors = {f"{i}_{l}": ids(i, rank, l).astype("<i4") for i, l in names}
            raw(tensors, rank)
            safetensors(folder / f"rank{rank}_raw.safetensors", tensors)
        if counts:
            tensors = {f"{i}_{l}": np.bincount(ids(i, rank, l).ravel(), minlength=EXPERTS).astype("<i8") for i, l in names}
            counts(tensors, rank)
            safetensors(folder / f"rank{rank}.safetensors", tensors)


def same(tensors, rank):
    pass


def drop(name):
    return lambda tensors, rank: tensors.pop(name) if rank == 1 else None


def put(name, at, value):
    def change(tensors, rank):
        if rank == 1:
            tensors[name] = tensors[name].copy()
            tensors[name][at] = value

    return change


def cut(tensors, rank):
    tensors["10_11"] = tensors["10_11"][:-1]


write("good", same, same)
write("counts", None, same)
write("broken-layer", drop("10_3"), drop("10_3"))
write("broken-id", put("9_11", (2, 1), 7))
write("broken-twice", put("9_11", (2, 1), ids(9, 1, 11)[2, 0]))
write("broken-count", None, put("10_3", 5, -2))
write("broken-shape", cut, cut)
write("broken-meta", same, same, {"num_experts": "many", "num_experts_per_token": K})
write("broken-name", lambda t, r: t.update(extra=t["9_3"]), None)
write("broken-empty", lambda t, r: t.clear(), lambda t, r: t.clear())

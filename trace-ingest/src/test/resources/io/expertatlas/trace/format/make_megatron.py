"""Writes megatron/. Run in this folder: python3 make_megatron.py

2 ranks; steps 5 and 6, each with 2 micro-batches of 3 + rank tokens; decoder layers 1 and 2 and one mtp layer; 5 experts, top-2, hidden size 3.
With b the number of the micro-batch on its rank (0 to 3):
logit(rank, b, layer, token, expert) = ((b + 2 * rank + 3 * layer + 2 * token + 3 * expert) % 5) - 2 (no ties); ids are the two best, ascending;
hidden(rank, b, layer, token, i) = 8 * rank + 4 * b + 2 * layer + token + i / 4.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from dumps import bf16

EXPERTS, K, HIDDEN = 5, 2, 3


def write(name, states=True, change=None, truncate=0, ranks=(0, 1)):
    folder = Path("megatron") / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for rank in ranks:
        lines, hs, lg = [], b"", b""
        tokens = 3 + rank
        for b in range(4):
            for block, layer in (("decoder", 1), ("decoder", 2), ("mtp", 1)):
                t, e = np.indices((tokens, EXPERTS))
                logits = (b + 2 * rank + 3 * layer + 2 * t + 3 * e) % 5 - 2
                t, i = np.indices((tokens, HIDDEN))
                hidden = 8 * rank + 4 * b + 2 * layer + t + i / 4
                line = {
                    "step": 5 + b // 2,
                    "stage": "pre_dispatch",
                    "block": block,
                    "layer": layer,
                    "rank": rank,
                    "num_tokens": tokens,
                    "topk": K,
                    "top_indices": [sorted(int(x) for x in np.argsort(-row)[:K]) for row in logits],
                }
                if block == "mtp":
                    line["mtp_idx"] = 0
                if states:
                    h, l = bf16(hidden), bf16(logits)
                    line |= {"hs_offset": len(hs), "hs_bytes": len(h), "hs_shape": [tokens, 1, HIDDEN]}
                    line |= {"logit_offset": len(lg), "logit_bytes": len(l), "logit_shape": [tokens, EXPERTS]}
                    hs += h
                    lg += l
                lines.append(line)
        if change:
            change(lines, rank)
        (folder / f"router_trace_rank{rank}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        if states:
            (folder / f"hidden_states_rank{rank}.bin").write_bytes(hs[: len(hs) - truncate])
            (folder / f"logits_rank{rank}.bin").write_bytes(lg)


def on_rank_1(line, **changes):
    def change(lines, rank):
        if rank == 1:
            for key, value in changes.items():
                if value is None:
                    del lines[line][key]
                else:
                    lines[line][key] = value

    return change


write("good")
write("routes", states=False)
write("broken-truncated", truncate=19)  # the mtp line has the last 18
write("broken-id", change=on_rank_1(3, top_indices=[[0, 1], [0, 1], [0, 5], [2, 3]]))
write("broken-twice", change=on_rank_1(4, top_indices=[[0, 1], [3, 3], [0, 4], [2, 3]]))
write("broken-tokens", change=on_rank_1(0, num_tokens=5))
write("broken-row", change=on_rank_1(0, top_indices=[[0, 1], [3], [0, 4], [2, 3]]))
write("broken-layer", change=on_rank_1(1, layer=7), states=False)
write("broken-block", change=on_rank_1(2, block="encoder"))
write("broken-step", change=on_rank_1(2, step=None))
write("broken-shape", change=on_rank_1(0, hs_shape=[4, 4]))
write("broken-topk", change=on_rank_1(0, topk=1, top_indices=[[1]] * 4))
folder = Path("megatron/broken-nan")
write("broken-nan")
data = bytearray((folder / "logits_rank0.bin").read_bytes())
data[2 * 7 : 2 * 8] = b"\xc0\x7f"  # line 1: token 1, expert 2
(folder / "logits_rank0.bin").write_bytes(data)

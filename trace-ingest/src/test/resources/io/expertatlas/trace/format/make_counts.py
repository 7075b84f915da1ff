"""Writes counts/: counts over time of SmartMoE, MoE-Infinity and vLLM's balancer. Run in this folder: python3 make_counts.py

3 layers, 4 experts. SmartMoE: iterations 1 and 11, ranks 0 and 10, 2 micro-batches,
count = 100 * iteration + 10 * rank + 4 * micro-batch + 7 * layer + expert. MoE-Infinity: 3 requests, 50 * request + 7 * layer + expert.
vLLM: steps 100 and 200, 6 slots; slots 4 and 5 hold copies of experts 1 and (step 200) 3; load = step + 10 * layer + slot.
"""

import json
import shutil
from pathlib import Path

import numpy as np

out = Path("counts")
shutil.rmtree(out, ignore_errors=True)
out.mkdir()


def smartmoe(name, change=lambda text: text):
    folder = out / name
    folder.mkdir()
    for iteration in (1, 11):
        for rank in (0, 10):
            text = ""
            for layer in range(3):
                rows = [[float(100 * iteration + 10 * rank + 4 * b + 7 * layer + e) for e in range(4)] for b in range(2)]
                text += f"{layer}:{rows}\n"
            if (iteration, rank) == (11, 10):
                text = change(text)
            (folder / f"table_iter{iteration}_rank{rank}.log").write_text(text)


smartmoe("smartmoe")
smartmoe("broken-smartmoe-half", lambda text: text.replace("1208.0", "1208.5"))
smartmoe("broken-smartmoe-line", lambda text: text.replace("2:", "two:"))
smartmoe("broken-smartmoe-layer", lambda text: text.replace("2:", "3:"))
smartmoe("broken-smartmoe-twice", lambda text: text.replace("2:", "1:"))
smartmoe("broken-smartmoe-short", lambda text: text.replace(", 1208.0", ""))
smartmoe("broken-smartmoe-nan", lambda text: text.replace("1208.0", "nan"))
smartmoe("broken-smartmoe-empty", lambda text: "")

r, l, e = np.indices((3, 3, 4))
infinity = (50 * r + 7 * l + e).astype("<f4")
np.save(out / "moe-infinity.npy", infinity)
np.save(out / "moe-infinity-none.npy", infinity[:0])
infinity[2, 1, 3] = -1
np.save(out / "broken-moe-infinity-negative.npy", infinity)
np.save(out / "broken-moe-infinity-axes.npy", infinity[0])

mapping = {"record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": 2, "num_slots": 6,
           "initial_global_assignments": {str(layer): [0, 1, 2, 3, 1, 0] for layer in range(3)}}
stats = []
for step in (100, 200):
    p2l = [[0, 1, 2, 3, 1, 0 if step == 100 else 3]] * 3
    load = [[step + 10 * layer + slot for slot in range(6)] for layer in range(3)]
    stats.append({"record_type": "eplb_load_stats", "version": 1, "step": step, "num_ranks": 2, "expert_load": load, "p2l_map": p2l})


def lines(name, *records):
    (out / name).write_text("".join(json.dumps(x) + "\n" for x in records))


def changed(**changes):
    return json.loads(json.dumps(stats[1])) | changes


lines("vllm-eplb.jsonl", mapping, *stats)
lines("broken-eplb-version.jsonl", stats[0], changed(version=2))
lines("broken-eplb-type.jsonl", stats[0], changed(record_type="x"))
lines("broken-eplb-none.jsonl", mapping)
lines("broken-eplb-map.jsonl", stats[0], changed(p2l_map=[[0, 1, 2, 3, 1, -1]] * 3))
lines("broken-eplb-slots.jsonl", stats[0], changed(p2l_map=[[0, 1, 2, 3, 1]] * 3))
lines("broken-eplb-layers.jsonl", stats[0], changed(expert_load=[[1] * 6] * 2))
lines("broken-eplb-load.jsonl", stats[0], changed(expert_load=[[1] * 6, [1] * 6, [1, 1, "x", 1, 1, 1]]))
lines("broken-eplb-step.jsonl", stats[0], changed(step=-1))

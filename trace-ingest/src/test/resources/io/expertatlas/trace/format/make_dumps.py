"""Writes the golden files in dumps/ with PyTorch (1.13 or newer). Run in this folder: python3 make_dumps.py

SGLang: 4 model layers (the first is dense), 5 logical experts in 8 physical slots, top-2.
logical(token, layer, rank) = (3 * token + 5 * layer + rank) % 5, tokens counted over ranks in their order;
even tokens use the first replica, odd tokens the last.
APTMoE: 3 layers, 5 experts; score(layer, token, expert) = (1 + (expert + layer + token) % 5) / 15,
hidden(layer, token, i) = layer + token / 4 + i / 64.
"""

import gzip
import io
import shutil
from pathlib import Path

import numpy as np
import torch

LAYERS, LOGICAL = 4, 5
MAP = [[0, 1, 2, 3, 4, 0, 1, 2], [4, 3, 2, 1, 0, 4, 3, 2], [0, 0, 0, 1, 1, 2, 3, 4], [1, 2, 3, 4, 0, 1, 2, 3]]


def save(path, value, **options):
    path = Path("dumps") / path
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    path.write_bytes(buffer.getvalue())


def slots(layer, logical):
    return [slot for slot, expert in enumerate(MAP[layer]) if expert == logical]


def choices(first, tokens):
    ids = torch.full((LAYERS, tokens, 8), -1, dtype=torch.int32)
    for layer in range(1, LAYERS):
        for t in range(tokens):
            for rank in range(2):
                expert = (3 * (first + t) + 5 * layer + rank) % LOGICAL
                ids[layer, t, rank] = slots(layer, expert)[0 if (first + t) % 2 == 0 else -1]
    return ids


def counts(step, rank):
    layer, slot = torch.meshgrid(torch.arange(LAYERS), torch.arange(8), indexing="ij")
    return (layer * (10 * slot + step + 100 * rank)).to(torch.int32)


def per_token(first, step, rank, lengths, positions, tensors=False):
    ids = [10 + p for p in positions]
    return {
        "forward_pass_id": step,
        "rank": rank,
        "gatherer_key": "primary",
        "input_ids": torch.tensor(ids) if tensors else ids,
        "positions": torch.tensor(positions) if tensors else positions,
        "extend_seq_lens": lengths,
        "forward_mode": 2 if lengths is None else 1,
        "topk_ids_of_layer": choices(first, len(positions)),
        "global_physical_count": counts(step, rank),
        "misc_objects": [{"reason": None}],
    }


def dump(records):
    return {"records": records, "last_physical_to_logical_map": torch.tensor(MAP)}


def recorded(rank, time):
    return f"expert_distribution_recorder_{time}_{rank}.pt"


RANK0 = [
    (0, [3, 2], [0, 1, 2, 0, 1]),
    (1, None, [3, 2]),
    (2, [4], [0, 1, 2, 3]),
    (3, None, [4, 3, 4]),
    (5, None, [5, 4, 5]),
]
RANK1 = [(0, [2], [7, 8]), (1, None, [9]), (4, [1, 1], [0, 6])]


def sglang():
    first = 0
    ranks = []
    for rank, passes in enumerate([RANK0, RANK1]):
        records = []
        for step, lengths, positions in passes:
            records.append(per_token(first, step, rank, lengths, positions, tensors=rank == 1))
            first += len(positions)
        ranks.append(records)
        save(f"sglang-per-token/{recorded(rank, 1745000000.25 + rank / 8)}", dump(records))
    save("sglang-per-token.pt", dump(ranks[0]))
    for rank in range(2):
        save(f"sglang-same-tokens/{recorded(rank, 1745000000.5)}", dump(ranks[0]))
    for rank, steps in enumerate([[0, 1, 2], [0, 2]]):
        records = [
            {"forward_pass_id": s, "rank": rank, "gatherer_key": "primary", "global_physical_count": counts(s, rank)}
            for s in steps
        ]
        save(f"sglang-per-pass/{recorded(rank, 1745000001.5)}", dump(records))
    window, layer, expert = np.indices((4, LAYERS, LOGICAL))
    stat = torch.tensor(((window + 1) * layer * (expert + 1) * (window != 2)).astype("i4"))
    save("sglang-stat.pt", {"rank": 0, "logical_count": stat, "average_utilization_rate_over_window": None})
    save("sglang-stat-old.pt", {"rank": 0, "logical_count": stat})
    for rank in range(2):
        rows = [f"{l},{e},{(rank + 1) * l * (e + 1)}" for l in range(LAYERS) for e in range(LOGICAL)]
        path = Path(f"dumps/sglang-csv/rank-{rank}.csv")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(("layer_id,expert_id,count\n" + "\n".join(rows) + "\n").encode())
    packed = Path("dumps/sglang-stat.pt.gz")
    packed.write_bytes(gzip.compress(Path("dumps/sglang-stat.pt").read_bytes(), mtime=0))

    def broken(name, change):
        value = dump([per_token(0, *[RANK0[0][0], 0, *RANK0[0][1:]])])
        change(value)
        save(f"broken/{name}.pt", value)

    def set_id(layer, token, rank, value):
        def change(v):
            v["records"][0]["topk_ids_of_layer"][layer, token, rank] = value

        return change

    def set_key(key, value):
        def change(v):
            v["records"][0][key] = value

        return change

    broken("sglang-id", set_id(2, 3, 1, 8))
    broken("sglang-hole", set_id(2, 3, 0, -1))
    broken("sglang-dense", set_id(0, 4, 0, 1))
    broken("sglang-replicas", lambda v: v["records"][0]["topk_ids_of_layer"][2, 1].__setitem__(slice(0, 2), torch.tensor([0, 1])))
    broken("sglang-positions", set_key("positions", [0, 1, 2]))
    broken("sglang-position", set_key("positions", [0, 1, -2, 0, 1]))
    broken("sglang-lengths", set_key("extend_seq_lens", [3, 3]))
    broken("sglang-no-positions", lambda v: v["records"][0].pop("positions"))
    broken("sglang-text", set_key("positions", "0,1,2"))
    broken("sglang-floats", set_key("topk_ids_of_layer", torch.zeros(4, 5, 8)))
    broken("sglang-axes", set_key("topk_ids_of_layer", torch.zeros(4, 5, dtype=torch.int32)))
    broken("sglang-layers", set_key("topk_ids_of_layer", torch.zeros(3, 5, 8, dtype=torch.int32)))
    broken("sglang-map", lambda v: v.update(last_physical_to_logical_map=torch.tensor([[0, 9]] * 4)))
    broken("sglang-none", lambda v: v.update(records=[]))
    save("broken/sglang-keys.pt", {"state": 1, "epoch": 2})
    save("broken/sglang-stat.pt", {"rank": 0, "logical_count": -stat})
    save("broken/sglang-stat-zero.pt", {"rank": 0, "logical_count": 0 * stat})
    save("broken/sglang-stat-axes.pt", {"rank": 0, "logical_count": stat[0]})
    header = "layer_id,expert_id,count\n"
    Path("dumps/broken/sglang-missing.csv").write_text(header + "0,0,1\n0,1,2\n1,0,3\n")
    Path("dumps/broken/sglang-twice.csv").write_text(header + "0,0,1\n0,0,2\n")
    Path("dumps/broken/sglang-line.csv").write_text(header + "0,0,1\n0,1,two\n")


def aptmoe():
    experts, hidden = 5, 6
    for prompt, tokens in [(0, 4), (2, 1), (10, 3)]:
        l, t, e = np.indices((3, tokens, experts))
        gates = ((1 + (e + l + t) % experts) / 15).astype("f4")
        l, t, i = np.indices((3, tokens, hidden))
        states = (l + t / 4 + i / 64).astype("f4")
        if tokens == 1:
            gates, states = gates[:, 0], states[:, 0]
        save(f"aptmoe-mixtral/gate_results.{prompt}.pth", gates, pickle_protocol=4)
        save(f"aptmoe-mixtral/hidden_inputs.{prompt}.pth", states, pickle_protocol=4)
    for prompt in range(2):
        l, t, e = np.indices((3, 3, experts))
        mask = ((e + l + t) % experts >= experts - 2).astype("f4")
        if prompt == 1:
            mask[1, 2] = [0, 0, 0, 1, 0]
        save(f"aptmoe-nllb/gate_results.{prompt}.pth", mask, pickle_protocol=4)

    def broken(name, change, **more):
        l, t, e = np.indices((3, 4, experts))
        gates = ((1 + (e + l + t) % experts) / 15).astype("f4")
        change(gates)
        save(f"broken/{name}/gate_results.0.pth", gates, pickle_protocol=4)
        for file, value in more.items():
            save(f"broken/{name}/{file}.pth".replace("_0", ".0").replace("_1", ".1"), value, pickle_protocol=4)

    broken("aptmoe-nan", lambda g: g[1, 2].__setitem__(3, np.nan))
    broken("aptmoe-logits", lambda g: g[1, 2].__setitem__(3, -4))
    broken("aptmoe-sum", lambda g: g[1, 2].__setitem__(3, 0.9))
    broken("aptmoe-hidden", lambda g: None, hidden_inputs_0=np.zeros((3, 5, 6), "f4"))
    broken("aptmoe-pairs", lambda g: None, gate_results_1=np.full((3, 2, 5), 0.2, "f4"), hidden_inputs_1=np.zeros((3, 2, 6), "f4"))
    broken("aptmoe-shapes", lambda g: None, gate_results_1=np.full((3, 2, 4), 0.25, "f4"))
    broken("aptmoe-integers", lambda g: None, gate_results_1=np.zeros((3, 2, 5), "i4"))


if __name__ == "__main__":
    shutil.rmtree("dumps", ignore_errors=True)
    sglang()
    aptmoe()

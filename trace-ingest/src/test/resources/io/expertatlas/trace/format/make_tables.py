"""Writes tables/: the golden capture of make_golden.py as CSV and JSON Lines. Run in this folder: python3 make_tables.py

3 layers, top-2, 11 experts, 7 tokens: expert = (3 * token + 5 * layer + rank) % 11, weight = (2 - rank) / 4 + token / 64.
"""

import json
from pathlib import Path

TOKENS, LAYERS, K, EXPERTS = 7, 3, 2, 11
SEQUENCE, POSITION, PHASE = [4, 4, 9, 4, 9, 9, 0], [5, 6, 0, 7, 1, 2, 3], [0, 1, 0, 1, 1, 1, 0]
out = Path("tables")
out.mkdir(exist_ok=True)


def expert(t, l, r):
    return (3 * t + 5 * l + r) % EXPERTS


def weight(t, l, r):
    return (2 - r) / 4 + t / 64


def write(name, rows, end="\n"):
    (out / name).write_bytes("".join(row + end for row in rows).encode())


def cells(value, t):
    return ";".join(" ".join(str(value(t, l, r)) for r in range(K)) for l in range(LAYERS))


write("cells.csv", ["id,position,phase,experts,weights"] + [
    f"{SEQUENCE[t]},{POSITION[t]},{['prefill', 'decode'][PHASE[t]]},{cells(expert, t)},{cells(weight, t)}" for t in range(TOKENS)])
names = [f"{n}{l}_{r}" for n in "ew" for l in range(LAYERS) for r in range(K)]
wide = ["\ufeff" + ",".join(["text"] + names + ["sequence", "position", "phase"])]
for t in range(TOKENS):
    values = [expert(t, l, r) for l in range(LAYERS) for r in range(K)] + [weight(t, l, r) for l in range(LAYERS) for r in range(K)]
    wide.append(",".join(['"a ""b"", c"'] + [str(v) for v in values + [SEQUENCE[t], POSITION[t], PHASE[t]]]))
write("wide.csv", wide, "\r\n")
long = ["seq\tpos\tphase\tlayer\texperts\tweights"]
for t in range(TOKENS):
    for l, label in enumerate((2, 4, 7)):
        long.append("\t".join(map(str, [SEQUENCE[t], POSITION[t], PHASE[t], label, " ".join(str(expert(t, l, r)) for r in range(K)), " ".join(str(weight(t, l, r)) for r in range(K))])))
write("long.tsv", long)

tokens = [{"experts": [[expert(t, l, r) for r in range(K)] for l in range(LAYERS)], "weights": [[weight(t, l, r) for r in range(K)] for l in range(LAYERS)],
           "sequence": SEQUENCE[t], "position": POSITION[t], "phase": PHASE[t], "text": "\u00fc"} for t in range(TOKENS)]
write("tokens.jsonl", map(json.dumps, tokens))
write("top1.jsonl", [json.dumps({"experts": [expert(t, l, 0) for l in range(LAYERS)]}) + "\n" for t in range(TOKENS)])
layers = [{"doc": SEQUENCE[t], "pos": POSITION[t], "kind": ["prefill", "decode"][PHASE[t]], "layer": l, "ids": tokens[t]["experts"][l], "gates": tokens[t]["weights"][l]}
          for t in range(TOKENS) for l in range(LAYERS)]
write("layers.jsonl", map(json.dumps, layers))
write("many.jsonl", [json.dumps({"experts": [(7 * t) % EXPERTS, (5 * t) % EXPERTS], "sequence": t % 3}) for t in range(2500)])

rows = [f"{t},{cells(expert, t)}" for t in range(TOKENS)]
write("broken-cells.csv", ["id,experts"] + rows[:3] + [rows[3] + ",9"])
write("broken-id.csv", ["id,experts"] + rows[:3] + ["3,0 1;2 11;4 5"])
write("broken-twice.csv", ["id,experts"] + rows[:3] + ["3,0 1;2 2;4 5"])
write("broken-text.csv", ["id,experts"] + rows[:3] + ["3,0 1;2 x;4 5"])
write("broken-layers.csv", ["id,experts"] + rows[:3] + ["3,0 1;2 3"])
write("broken-quote.csv", ["id,experts"] + rows[:3] + ['3,"0 1;2 3'])
write("broken-sequence.csv", ["id,experts"] + rows[:3] + ["-3,0 1;2 3;4 5"])
write("broken-header.csv", ["id,expert"] + rows)
write("broken-empty.csv", ["id,experts"])
write("broken-truncated.tsv", long[:-1])
write("broken-order.tsv", long[:5] + [long[6], long[5]] + long[7:])
write("broken-ids.jsonl", [json.dumps(tokens[0]), json.dumps(dict(tokens[1], experts=[[1, 2], [3, "4"], [5, 6]]))])
write("broken-json.jsonl", [json.dumps(tokens[0]), json.dumps(tokens[1])[:-1]])
write("broken-missing.jsonl", [json.dumps(tokens[0]), '{"experts": [[1, 2], [3, 4], [5, 6]]}'])
write("broken-ragged.jsonl", [json.dumps(tokens[0]), json.dumps(dict(tokens[1], experts=[[1, 2], [3], [5, 6]]))])
(out / "broken-utf8.csv").write_bytes(b"id,experts\n0,0 1;2 3;4 5\n1,\xff 1;2 3;4 5\n")

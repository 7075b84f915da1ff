"""Writes router-logits/. Run in this folder: python3 make_router_logits.py

logit(layer, token, expert) = ((5 * token + 3 * layer + 7 * expert) % 13) / 4 - 1; 2 layers, 6 tokens (2 sequences of 3), 13 experts, so no ties.
routes.json holds top-3 routes and weights, computed here in plain Python.
"""

import json
import math
import zipfile
from pathlib import Path

import numpy as np

from dumps import bf16, safetensors

LAYERS, TOKENS, EXPERTS, K = 2, 6, 13, 3
l, t, e = np.indices((LAYERS, TOKENS, EXPERTS))
LOGITS = ((5 * t + 3 * l + 7 * e) % 13) / 4 - 1
out = Path("router-logits")
out.mkdir(exist_ok=True)

probabilities = np.zeros_like(LOGITS)
routes = []
for token in range(TOKENS):
    row = []
    for layer in range(LAYERS):
        exps = [math.exp(x) for x in LOGITS[layer, token]]
        p = [x / sum(exps) for x in exps]
        probabilities[layer, token] = p
        best = sorted(range(EXPERTS), key=lambda x: -p[x])[:K]
        total = sum(p[x] for x in best)
        row.append([[x, p[x], p[x] / total] for x in best])
    routes.append(row)
(out / "routes.json").write_text(json.dumps(routes) + "\n")

np.save(out / "stacked.npy", LOGITS.astype("<f4"))
np.save(out / "batched.npy", LOGITS.astype("<f2").reshape(LAYERS, 2, 3, EXPERTS))
np.save(out / "big-endian.npy", LOGITS.astype(">f8"))
np.save(out / "probabilities.npy", probabilities.astype("<f4"))
# Layer 10 comes after layer 2, whatever the order in the file.
safetensors(
    out / "layers.safetensors",
    {
        "router_logits.10": LOGITS[1].astype("<f4"),
        "router_logits.2": ("BF16", [TOKENS, EXPERTS], bf16(LOGITS[0])),
    },
    {"format": "pt"},
)
safetensors(
    out / "two-stacks.safetensors",
    {
        "decoder_router_logits.3": (LOGITS[1] * 2).astype("<f4").reshape(2, 3, EXPERTS),
        "encoder_router_logits.3": LOGITS[0].astype("<f4").reshape(2, 3, EXPERTS),
        "encoder_router_logits.7": LOGITS[1].astype("<f4").reshape(2, 3, EXPERTS),
    },
)
# NLLB: only the two chosen keep a probability; the second expert of token 4 had no room left.
top2 = np.zeros((1, TOKENS, EXPERTS))
for token in range(TOKENS):
    (a, _, _), (b, _, _) = routes[token][0][:2]
    top2[0, token, a], top2[0, token, b] = (0.75, 0.25) if token != 4 else (1, 0)
np.save(out / "dropped.npy", top2.astype("<f4"))

# numpy numbers arrays without names in the order in which they are given, and arr_10 comes after arr_9.
many = [LOGITS[i % 2].astype("<f4") for i in range(11)]
np.savez(out / "many.npz", *many)
np.savez(out / "layers.npz", layer_10=LOGITS[1].astype("<f2"), layer_2=LOGITS[0].astype(">f4"))
np.savez_compressed(out / "deflated.npz", layer_10=LOGITS[1].astype("<f2"), layer_2=LOGITS[0].astype("<f4"))
np.savez(out / "stacked.npz", LOGITS.astype("<f8"))
np.savez_compressed(out / "batched.npz", router_logits=LOGITS.astype("<f4").reshape(LAYERS, 2, 3, EXPERTS))

broken = LOGITS.astype("<f4")
broken[1, 4, 7] = np.nan
np.save(out / "broken-nan.npy", broken)
mixed = LOGITS.copy()
mixed[0] = probabilities[0]
np.save(out / "broken-mixed.npy", mixed.astype("<f4"))
np.save(out / "broken-integers.npy", LOGITS.astype("<i4"))
np.savez(out / "broken-nan.npz", a_0=LOGITS[0].astype("<f4"), a_1=broken[1])
np.savez(out / "broken-shapes.npz", a_0=LOGITS[0].astype("<f4"), a_1=LOGITS[1, :5].astype("<f4"))
np.savez(out / "broken-names.npz", first=LOGITS[0].astype("<f4"), second=LOGITS[1].astype("<f4"))
np.savez(out / "broken-fortran.npz", a_0=np.asfortranarray(LOGITS[0].astype("<f4")))
with zipfile.ZipFile(out / "broken-member.npz", "w") as file:
    file.writestr("readme.txt", "hello")
(out / "broken-truncated.npz").write_bytes((out / "layers.npz").read_bytes()[:-30])
whole = (out / "layers.safetensors").read_bytes()
(out / "broken-truncated.safetensors").write_bytes(whole[:-5])
(out / "broken-trailing.safetensors").write_bytes(whole + b"12345")
(out / "broken-header.safetensors").write_bytes(whole[:8] + b"[" + whole[9:])
(out / "broken-length.safetensors").write_bytes(b"\xff" * 8 + whole[8:])
safetensors(out / "broken-shapes.safetensors", {"a.0": LOGITS[0].astype("<f4"), "a.1": LOGITS[1, :5].astype("<f4")})
safetensors(out / "broken-dtype.safetensors", {"a.0": ("F8_E4M3", [2, 2], b"1234")})
safetensors(out / "broken-gap.safetensors", {"a.0": ("F32", [2, 2], b"1" * 17)})

"""Writes good/capture-states, a capture with router states. Run in this folder: python3 make_states.py

hidden(token, layer, i) = (16 * token + 4 * layer + i) / 8 - 3, logit(token, layer, expert) = ((5 * token + 3 * layer + 7 * expert) % 11) / 4.
The experts are the two with the largest logits, the weights their softmax, both computed here in plain Python.
"""

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np

TOKENS, LAYERS, EXPERTS, HIDDEN = 5, 2, 11, 4

t, l, i = np.indices((TOKENS, LAYERS, HIDDEN))
hidden = ((16 * t + 4 * l + i) / 8 - 3).astype("<f2")
t, l, e = np.indices((TOKENS, LAYERS, EXPERTS))
logits = (((5 * t + 3 * l + 7 * e) % 11) / 4).astype("<f4")
experts = np.zeros((TOKENS, LAYERS, 2), "u1")
weights = np.zeros((TOKENS, LAYERS, 2), "<f2")
for token in range(TOKENS):
    for layer in range(LAYERS):
        row = [float(x) for x in logits[token, layer]]
        first, second = sorted(range(EXPERTS), key=lambda x: (-row[x], x))[:2]
        experts[token, layer] = first, second
        share = math.exp(row[first]) / (math.exp(row[first]) + math.exp(row[second]))
        weights[token, layer] = share, 1 - share

folder = Path("good/capture-states")
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
files = {}
for name, array in {
    "experts.npy": experts,
    "weights.npy": weights,
    "hidden.npy": hidden,
    "logits.npy": logits,
    "sequence.npy": np.array([0, 0, 0, 1, 1], "<i4"),
    "position.npy": np.array([0, 1, 2, 0, 1], "<i4"),
    "phase.npy": np.array([0, 0, 1, 0, 1], "u1"),
}.items():
    np.save(folder / name, array)
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    files[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": digest}
description = {
    "format-version": 1,
    "model": "golden",
    "architecture": "none",
    "stack": "decoder",
    "moe-layers": [0, 1],
    "layers": LAYERS,
    "experts": EXPERTS,
    "top-k": 2,
    "tokens": TOKENS,
    "sequences": 2,
    "hidden-size": HIDDEN,
    "files": files,
    "created-by": "make_states.py",
}
(folder / "capture.json").write_text(json.dumps(description, indent=2) + "\n")

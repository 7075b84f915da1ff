"""Writes a capture folder of random router inputs and the logits that random gates give them.

    python3 synthetic_capture.py FOLDER [TOKENS [LAYERS [HIDDEN [EXPERTS]]]]

Sequences of 100 tokens; float16; a layer's input is the one before it, turned a little, so that
later gates can be predicted. Needs numpy. The default takes 5.3 GB.
"""

import json
import os
import sys

import numpy as np


def main(folder, tokens=20000, layers=32, hidden=4096, experts=8):
    random = np.random.default_rng(1)
    os.makedirs(folder)
    gates = random.standard_normal((layers, experts, hidden), dtype=np.float32) / hidden**0.5

    def create(name, dtype, *shape):
        return np.lib.format.open_memmap(
            os.path.join(folder, name), mode="w+", dtype=dtype, shape=(tokens, *shape)
        )

    arrays = {
        "experts.npy": create("experts.npy", np.uint8, layers, 2),
        "hidden.npy": create("hidden.npy", np.float16, layers, hidden),
        "logits.npy": create("logits.npy", np.float16, layers, experts),
        "sequence.npy": create("sequence.npy", np.int32),
        "position.npy": create("position.npy", np.int32),
        "phase.npy": create("phase.npy", np.uint8),
    }
    arrays["sequence.npy"][:] = np.arange(tokens) // 100
    arrays["position.npy"][:] = np.arange(tokens) % 100
    for start in range(0, tokens, 100):
        rows = slice(start, min(tokens, start + 100))
        count = rows.stop - rows.start
        state = random.standard_normal((count, hidden), dtype=np.float32)
        for layer in range(layers):
            if layer:
                state *= 0.95
                state += 0.3 * random.standard_normal((count, hidden), dtype=np.float32)
            kept = state.astype(np.float16)
            logits = (3 * kept.astype(np.float32)) @ gates[layer].T
            arrays["hidden.npy"][rows, layer] = kept
            arrays["logits.npy"][rows, layer] = logits
            arrays["experts.npy"][rows, layer] = np.argsort(-logits, axis=1)[:, :2]
    description = {
        "format-version": 1,
        "model": "synthetic",
        "layers": layers,
        "experts": experts,
        "top-k": 2,
        "tokens": tokens,
        "files": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in arrays.items()
        },
    }
    with open(os.path.join(folder, "capture.json"), "w") as file:
        json.dump(description, file)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

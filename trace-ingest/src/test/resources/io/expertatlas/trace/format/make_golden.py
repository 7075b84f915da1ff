"""Writes the golden files in this folder with numpy. Run in it: python3 make_golden.py

The numbers follow one rule, so that tests can recompute them:
expert(token, layer, rank) = (3 * token + 5 * layer + rank) % 11, 11 experts, 7 tokens, 3 layers, top-2.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

TOKENS, LAYERS, K, EXPERTS = 7, 3, 2, 11
t, l, r = np.indices((TOKENS, LAYERS, K))
ROUTES = (3 * t + 5 * l + r) % EXPERTS


def save(path, array, version=None):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, version=version, allow_pickle=True)


def good():
    for dtype in ["i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"]:
        name = dtype.replace("<", "le-").replace(">", "be-")
        save(f"good/c-{name}.npy", ROUTES.astype(dtype))
        save(f"good/fortran-{name}.npy", np.asfortranarray(ROUTES.astype(dtype)))
    for major in (1, 2, 3):
        save(f"good/version-{major}.npy", ROUTES.astype("u1"), (major, 0))
    save("good/top1.npy", ROUTES[:, :, 0].astype("<i4"))
    save("good/top1-fortran.npy", np.asfortranarray(ROUTES[:, :, 0].astype("<i4")))
    save("good/empty.npy", ROUTES[:0].astype("u1"))
    save("good/sequence.npy", np.array([4, 4, 9, 4, 9, 9, 0], "<i4"))
    save("good/position.npy", np.array([5, 6, 0, 7, 1, 2, 3], ">u2"))
    np.save("good/plain-save.npy", ROUTES.astype("u1"))


def capture():
    folder = Path("good/capture")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = ((2 - r) / 4 + t / 64).astype("<f2")
    arrays = {
        "experts.npy": ROUTES.astype("u1"),
        "weights.npy": weights,
        "sequence.npy": np.array([4, 4, 9, 4, 9, 9, 0], "<i4"),
        "position.npy": np.array([5, 6, 0, 7, 1, 2, 3], "<i4"),
        "phase.npy": np.array([0, 1, 0, 1, 1, 1, 0], "u1"),
        "hidden.npy": np.zeros((TOKENS, LAYERS, 4), "<f2"),
    }
    files = {}
    for name, array in arrays.items():
        np.save(folder / name, array)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        files[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": digest}
    description = {
        "format-version": 1,
        "model": "golden",
        "architecture": "MixtralForCausalLM",
        "stack": "decoder",
        "moe-layers": [0, 1, 2],
        "layers": LAYERS,
        "experts": EXPERTS,
        "top-k": K,
        "tokens": TOKENS,
        "sequences": 3,
        "hidden-size": 4,
        "created-by": "make_golden.py",
        "files": files,
    }
    (folder / "capture.json").write_text(json.dumps(description, indent=2) + "\n")


def broken():
    save("broken/floats.npy", ROUTES.astype("<f4"))
    save("broken/bool.npy", ROUTES > 3)
    save("broken/objects.npy", ROUTES.astype(object))
    save("broken/structured.npy", np.zeros(3, [("a", "<i4"), ("b", "<i2")]))
    save("broken/complex.npy", ROUTES.astype("<c8"))
    save("broken/text.npy", ROUTES.astype("<U2"))
    save("broken/dates.npy", ROUTES.astype("<M8[s]"))
    save("broken/one-axis.npy", ROUTES.reshape(-1).astype("u1"))
    save("broken/four-axes.npy", ROUTES[None].astype("u1"))
    save("broken/scalar.npy", np.array(7, "u1"))
    save("broken/no-layers.npy", np.zeros((7, 0, 2), "u1"))
    save("broken/top-12.npy", np.zeros((7, 3, 12), "u1"))
    high = ROUTES.astype("u1")
    high[5, 1, 1] = 11
    save("broken/id-too-high.npy", high)
    negative = ROUTES.astype("<i2")
    negative[2, 2, 0] = -1
    save("broken/id-negative.npy", negative)
    huge = ROUTES.astype("<u8")
    huge[6, 0, 1] = 2**64 - 1
    save("broken/id-huge.npy", huge)
    twice = ROUTES.astype("u1")
    twice[4, 2] = [6, 6]
    save("broken/twice.npy", twice)
    whole = Path("good/c-le-i4.npy").read_bytes()
    Path("broken/truncated.npy").write_bytes(whole[:-9])
    Path("broken/trailing.npy").write_bytes(whole + b"abc")
    Path("broken/truncated-header.npy").write_bytes(whole[:60])
    Path("broken/nothing.npy").write_bytes(b"")
    Path("broken/magic.npy").write_bytes(b"NUMPY!" + whole[6:])
    Path("broken/version-9.npy").write_bytes(whole[:6] + b"\x09\x00" + whole[8:])
    Path("broken/header-key.npy").write_bytes(whole.replace(b"'descr'", b"'dexcr'"))
    Path("broken/header-shape.npy").write_bytes(whole.replace(b"(7, 3, 2)", b"(7,-3, 2)"))
    Path("broken/header-order.npy").write_bytes(whole.replace(b"False", b"Maybe"))
    save("broken/sequence-short.npy", np.arange(6, dtype="<i4"))
    save("broken/sequence-floats.npy", np.arange(7, dtype="<f8"))
    save("broken/sequence-negative.npy", np.array([0, 0, -3, 0, 0, 0, 0], "<i4"))
    save("broken/sequence-large.npy", np.array([0, 2**31, 0, 0, 0, 0, 0], "<i8"))
    save("broken/sequence-two-axes.npy", np.zeros((7, 1), "<i4"))


if __name__ == "__main__":
    good()
    capture()
    broken()

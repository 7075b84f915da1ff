"""What the make_*.py scripts beside it share: files written byte by byte, without the libraries that usually write them."""

import json
import struct
from pathlib import Path

import numpy as np

TYPES = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "|u1": "U8", "<i2": "I16"}


def safetensors(path, tensors, metadata=None):
    """tensors: name -> numpy array, or (dtype name, shape, bytes)."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, value in tensors.items():
        if isinstance(value, tuple):
            dtype, shape, raw = value
        else:
            dtype, shape, raw = TYPES[value.dtype.str], list(value.shape), np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def bf16(array):
    """The bytes of bfloat16 numbers; the values must be exact."""
    bits = np.asarray(array, "<f4").view("<u4")
    assert not (bits & 0xFFFF).any(), "not exact as bfloat16"
    return (bits >> 16).astype("<u2").tobytes()

"""Writes the golden files in this folder with PyTorch (1.13 or newer). Run in it: python3 make_torch.py

element(i) of the numeric tensors is i - 2 (i for unsigned ones, i % 2 for truth values).
"""

import argparse
import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch


def save(path, value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(buffer.getvalue())


def rezip(path, source, change, method=zipfile.ZIP_STORED):
    """Copies an archive; change(name, bytes) gives the new bytes of a member, or None to drop it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def archive(path, pickled, **members):
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("archive/data.pkl", pickled)
        for name, data in members.items():
            new.writestr("archive/" + name, data)


def values():
    shared = ["a"]
    return {
        "none": None,
        "yes": True,
        "no": False,
        "small": 7,
        "byte": 200,
        "short": 40000,
        "negative": -70000,
        "long": -(1 << 40),
        "longest": (1 << 63) - 1,
        "half": 0.5,
        "text": "h\u00e9llo \u4e16",
        "long-text": "x" * 70000,
        "list": [1, [2, 3], []],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "dict": {"a": 1, 5: "five"},
        "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "shared": [shared, shared],
        "tensor": torch.arange(6, dtype=torch.int32).reshape(2, 3),
    }


def types():
    result = {}
    for name in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"]:
        result[name] = (torch.arange(6) - 2).to(getattr(torch, name)).reshape(2, 3)
    result["uint8"] = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    result["bool"] = (torch.arange(6) % 2 == 1).reshape(2, 3)
    return result


def strided():
    base = torch.arange(24, dtype=torch.int64)
    return {
        "base": base,
        "slice": base[5:9],
        "step": base[1:20:3],
        "transposed": base.reshape(4, 6).t(),
        "middle": base.reshape(2, 3, 4)[:, 1],
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "expanded": base[3:5].reshape(2, 1).expand(2, 5),
        "scalar": torch.tensor(9),
        "empty": torch.zeros((3, 0, 2), dtype=torch.int16),
    }


def good():
    for protocol in (2, 3, 4, 5):
        save(f"good/values-{protocol}.pt", values(), pickle_protocol=protocol)
    save("good/types.pt", types())
    save("good/strided.pt", strided())
    torch.manual_seed(1)
    save("good/state-dict.pt", torch.nn.Linear(3, 2).state_dict())
    save("good/parameter.pt", torch.nn.Parameter(torch.tensor([1.0, 2.0])))
    array = np.arange(24).reshape(2, 3, 4)
    for protocol in (2, 4):
        save(f"good/numpy-{protocol}.pth", array.astype("<f4"), pickle_protocol=protocol)
    save("good/numpy-fortran.pth", np.asfortranarray(array.astype(">i2")), pickle_protocol=4)
    save("good/numpy-list.pth", [array.astype("u1"), array.astype("<f8")], pickle_protocol=4)
    loop = []
    loop.append(loop)
    save("good/loop.pt", {"loop": loop})
    rezip(
        "good/big-endian.pt",
        "good/types.pt",
        lambda name, data: swapped(name, data),
    )
    with zipfile.ZipFile("good/big-endian.pt", "a") as file:
        file.writestr("archive/byteorder", "big")


def swapped(name, data):
    sizes = dict(enumerate([8, 4, 2, 2, 8, 4, 2, 1, 1, 1]))
    key = name.split("/")[-1]
    if "/data/" not in name:
        return data
    size = sizes[int(key)]
    return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/evil",)


def broken():
    archive("broken/evil.pt", pickle.dumps({"a": Evil()}, 2))
    archive("broken/evil-4.pt", pickle.dumps({"a": Evil()}, 4))
    archive("broken/eval.pt", b"\x80\x02cbuiltins\neval\nX\x05\x00\x00\x001 + 1\x85R.")
    archive("broken/java.pt", b"\x80\x02cjava.lang\nRuntime\n)R.")
    archive("broken/inst.pt", b"\x80\x02(X\x02\x00\x00\x00lsios\nsystem\n.")
    archive("broken/newobj.pt", b"\x80\x02ccollections\nOrderedDict\n)\x81.")
    save("broken/namespace.pt", argparse.Namespace(layers=3))
    save("broken/module.pt", torch.nn.Linear(3, 2))
    save("broken/complex.pt", torch.zeros(2, dtype=torch.complex64))
    save("broken/sparse.pt", torch.eye(3).to_sparse())
    save("broken/objects.pth", np.array([1, "a"], dtype=object), pickle_protocol=4)
    save("broken/legacy.pt", [torch.zeros(3)], _use_new_zipfile_serialization=False)

    small = "broken/.small"
    save(small, {"t": torch.arange(10, dtype=torch.int32)})
    rezip("broken/deflated.pt", small, lambda n, d: d, zipfile.ZIP_DEFLATED)
    rezip("broken/no-storage.pt", small, lambda n, d: None if n.endswith("data/0") else d)
    rezip("broken/short-storage.pt", small, lambda n, d: d[:-4] if n.endswith("data/0") else d)
    rezip("broken/odd-storage.pt", small, lambda n, d: d + b"\0" if n.endswith("data/0") else d)
    pkl = lambda old, new: lambda n, d: d.replace(old, new) if n.endswith(".pkl") else d
    size = b"K\x0a\x85q\x08K\x01\x85q\x09"
    with zipfile.ZipFile(small) as file:
        content = file.read("archive/data.pkl")
        assert size in content, content
    rezip("broken/shape.pt", small, pkl(size, b"K\x0b\x85q\x08K\x01\x85q\x09"))
    rezip("broken/stride.pt", small, pkl(size, b"K\x0a\x85q\x08K\x02\x85q\x09"))
    rezip("broken/negative-shape.pt", small, pkl(size, b"J\xff\xff\xff\xff\x85q\x08K\x01\x85q\x09"))
    huge = b"\x8a\x07\x00\x00\x00\x00\x00\x00\x40\x85q\x08K\x00\x85q\x09"
    rezip("broken/repeated.pt", small, pkl(size, huge))
    rezip("broken/overflow.pt", small, pkl(size, huge.replace(b"K\x00\x85", huge[:9] + b"\x85")))
    rezip("broken/key.pt", small, pkl(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x00x"))
    rezip("broken/two.pt", small, lambda n, d: d)
    with zipfile.ZipFile("broken/two.pt", "a") as file:
        file.writestr("other/data.pkl", b"\x80\x02N.")
    rezip("broken/twice.pt", small, lambda n, d: d)
    with zipfile.ZipFile("broken/twice.pt", "a") as file:
        file.writestr("archive/data.pkl", b"\x80\x02N.")
    rezip("broken/no-pickle.pt", small, lambda n, d: None if n.endswith(".pkl") else d)
    data = Path(small).read_bytes()
    Path("broken/truncated.pt").write_bytes(data[:-30])
    at = data.index(struct.pack("<4i", 0, 1, 2, 3))
    Path("broken/crc.pt").write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    at = data.index(b"IntStorage")
    Path("broken/crc-pickle.pt").write_bytes(data[:at] + b"O" + data[at + 1 :])
    Path(small).unlink()

    archive("broken/text-length.pt", b"\x80\x02X\xff\xff\xff\x7fabc.")
    archive("broken/text-length-8.pt", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.")
    archive("broken/bytes-length.pt", b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.")
    archive("broken/utf-8.pt", b"\x80\x02X\x02\x00\x00\x00\xff\xfe.")
    archive("broken/protocol.pt", b"\x80\x07N.")
    archive("broken/protocol-0.pt", b"I1\n.")
    archive("broken/no-stop.pt", b"\x80\x02N")
    archive("broken/empty.pt", b"")
    archive("broken/two-values.pt", b"\x80\x02NN.")
    archive("broken/underflow.pt", b"\x80\x02R.")
    archive("broken/mark.pt", b"\x80\x02]e.")
    archive("broken/memo.pt", b"\x80\x02h\x05.")
    archive("broken/marks.pt", b"\x80\x02" + b"(" * 5000 + b".")
    archive("broken/key-list.pt", b"\x80\x02}]Ns.")
    archive("broken/key-alone.pt", b"\x80\x02}(Nu.")
    archive("broken/append-tuple.pt", b"\x80\x02)Na.")
    archive("broken/long.pt", b"\x80\x02\x8a\x09" + b"\x01" * 9 + b".")
    archive("broken/persistent.pt", b"\x80\x02NQ.")


if __name__ == "__main__":
    good()
    broken()

"""Writes the golden files in compressed/ from those in good/, with numpy and the zstd program. Run in this folder:
python3 make_compressed.py"""

import gzip
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np

OUT = Path("compressed")


def zstd(data, *options):
    return subprocess.run(["zstd", "-c", *options], input=data, check=True, capture_output=True).stdout


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "broken").mkdir(parents=True)
    plain = Path("good/c-le-i4.npy").read_bytes()
    fortran = Path("good/fortran-be-i2.npy").read_bytes()
    (OUT / "routes.npy.gz").write_bytes(gzip.compress(plain, mtime=0))
    (OUT / "routes.npy.zst").write_bytes(zstd(plain))
    (OUT / "fortran.npy.gz").write_bytes(gzip.compress(fortran, mtime=0))
    (OUT / "fortran.npy.zst").write_bytes(zstd(fortran, "-19", "--no-check"))
    (OUT / "members.npy.gz").write_bytes(gzip.compress(plain[:150], mtime=0) + gzip.compress(plain[150:], mtime=0))
    (OUT / "frames.npy.zst").write_bytes(zstd(plain[:150]) + zstd(plain[150:]))
    (OUT / "no-name").write_bytes(gzip.compress(plain, mtime=0))
    (OUT / "sequence.npy.gz").write_bytes(gzip.compress(Path("good/sequence.npy").read_bytes(), mtime=0))
    shutil.copytree("good/capture", OUT / "capture")
    for name in ("experts.npy", "phase.npy"):
        path = OUT / "capture" / name
        (OUT / "capture" / (name + ".gz")).write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()

    routes = np.load("good/c-u1.npy")
    np.savez(OUT / "one.npz", routes)
    np.savez_compressed(OUT / "deflated.npz", routes=routes.astype(">i4"))
    np.savez(OUT / "named.npz", experts=np.asfortranarray(routes), sequence=np.arange(7))
    (OUT / "one.npz.gz").write_bytes(gzip.compress((OUT / "one.npz").read_bytes(), mtime=0))

    broken = OUT / "broken"
    for name, data in (("gz", gzip.compress(plain, mtime=0)), ("zst", zstd(plain))):
        (broken / f"truncated.npy.{name}").write_bytes(data[:-20])
        (broken / f"flipped.npy.{name}").write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        pack = (lambda d: gzip.compress(d, mtime=0)) if name == "gz" else zstd
        (broken / f"trailing.npy.{name}").write_bytes(pack(plain + b"abc"))
        (broken / f"short.npy.{name}").write_bytes(pack(plain[:-9]))
        (broken / f"header.npy.{name}").write_bytes(pack(plain[:60]))
        (broken / f"text.npy.{name}").write_bytes(pack(b"hello\n"))
        (broken / f"nothing.npy.{name}").write_bytes(pack(b""))
    np.savez(broken / "empty.npz")
    np.savez(broken / "two.npz", a=routes, b=routes)
    np.savez(broken / "floats.npz", routes.astype("f4"))
    data = (OUT / "deflated.npz").read_bytes()
    (broken / "truncated.npz").write_bytes(data[: len(data) // 2])
    with zipfile.ZipFile(broken / "trailing.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("routes.npy", plain + b"abc")
    with zipfile.ZipFile(broken / "text.npz", "w") as file:
        file.writestr("routes.txt", "hello")


if __name__ == "__main__":
    main()

"""The files of a capture: rows are spooled as they come and put in order at the end, in bounded memory."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from .errors import CaptureError

_ROWS_AT_ONCE = 4096


class CaptureFolder:
    """Writes into a hidden folder beside the target, which appears complete or not at all."""

    def __init__(self, target: Path):
        if target.exists():
            raise CaptureError(f"{target} exists already; a capture goes to a new folder")
        if not target.absolute().parent.is_dir():
            raise CaptureError(f"the folder {target.parent} does not exist; create it first")
        self._target = target
        self._aside = target.absolute().parent / f".{target.name}.partial-{os.getpid()}"
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        self._spools: dict[str, tuple] = {}

    def append(self, name: str, rows: np.ndarray) -> None:
        """Adds rows, leading dimension = tokens, to the spool of one array."""
        if name not in self._spools:
            spool = open(self._aside / f"{name}.spool", "wb")
            self._spools[name] = (spool, rows.dtype.newbyteorder("<"), rows.shape[1:])
        spool, dtype, shape = self._spools[name]
        if rows.shape[1:] != shape:
            raise CaptureError(f"{name} had rows of shape {shape}, now {rows.shape[1:]}; one model a capture")
        spool.write(np.ascontiguousarray(rows, dtype=dtype).tobytes())

    def read(self, name: str) -> np.ndarray:
        """All rows spooled so far, mapped, in the order in which they came."""
        spool, dtype, shape = self._spools[name]
        spool.flush()
        path = self._aside / f"{name}.spool"
        count = path.stat().st_size // (dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
        return np.memmap(path, dtype=dtype, mode="r", shape=(count, *shape))

    def finish(self, order: np.ndarray, description: dict) -> None:
        """Writes every array in the given row order, then capture.json, then renames the folder."""
        files = {}
        for name in self._spools:
            rows = self.read(name)
            path = self._aside / f"{name}.npy"
            out = np.lib.format.open_memmap(path, "w+", dtype=rows.dtype, shape=rows.shape, version=(1, 0))
            for start in range(0, len(order), _ROWS_AT_ONCE):
                out[start : start + _ROWS_AT_ONCE] = rows[order[start : start + _ROWS_AT_ONCE]]
            out.flush()
            del out, rows
            files[path.name] = {
                "dtype": self._spools[name][1].name,
                "shape": [len(order), *self._spools[name][2]],
                "sha256": _sha256(path),
            }
        self._close_spools()
        text = json.dumps({**description, "files": files}, indent=2) + "\n"
        (self._aside / "capture.json").write_text(text, encoding="utf-8")
        self._aside.rename(self._target)

    def discard(self) -> None:
        """Removes everything written."""
        self._close_spools()
        shutil.rmtree(self._aside, ignore_errors=True)

    def _close_spools(self) -> None:
        for name, (spool, _, _) in self._spools.items():
            spool.close()
            (self._aside / f"{name}.spool").unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

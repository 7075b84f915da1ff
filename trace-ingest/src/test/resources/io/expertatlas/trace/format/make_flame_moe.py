"""Writes flame-moe/ with pyarrow. Run in this folder: python3 make_flame_moe.py (written with pyarrow 25.0.1)

3 layers (2 to 4), 40 tokens, 13 experts, top-3: expert = (5 * token + 3 * layer + 4 * rank) % 13, score = (3 - rank) / 8 + token / 256.
Each layer is written in another of the ways in which Parquet allows it; layer 2 is as the published files are.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOKENS, K, EXPERTS = 40, 3, 13
OUT = Path("flame-moe")
PUBLISHED = {"index": pa.list_(pa.int16(), K), "score": pa.list_(pa.float16(), K), "options": {}}


def table(layer, tokens=TOKENS, index=PUBLISHED["index"], score=PUBLISHED["score"], change=None):
    t, r = np.indices((tokens, K))
    indices = ((5 * t + 3 * layer + 4 * r) % EXPERTS).tolist()
    scores = ((K - r) / 8 + t / 256).tolist()
    if score.value_type == pa.float16():
        scores = [[np.float16(x) for x in row] for row in scores]
    if change:
        change(indices, scores)
    return pa.table({"scores": pa.array(scores, score), "indices": pa.array(indices, index)})


def write(folder, layer, what, **options):
    folder = OUT / folder
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(what, folder / f"layer_{layer:02d}.parquet", write_page_checksum=True, **options)


def good(folder, layers=(2, 3, 4), tokens=TOKENS):
    if 2 in layers:
        write(folder, 2, table(2, tokens))
    if 3 in layers:
        lists = table(3, tokens, pa.list_(pa.field("element", pa.int64(), nullable=False)), pa.list_(pa.float64()))
        write(folder, 3, lists, row_group_size=11, compression="zstd", use_dictionary=False, data_page_version="2.0", data_page_size=64)
    if 4 in layers:
        lists = table(4, tokens, pa.large_list(pa.uint8()), pa.list_(pa.float32()))
        lists = lists.append_column("note", pa.array(["x"] * tokens))
        write(folder, 4, lists, row_group_size=16, compression="gzip", column_encoding={"indices.list.element": "DELTA_BINARY_PACKED"}, use_dictionary=["note"])


def broken(name, change=None, **types):
    good(f"broken-{name}", (2, 4))
    write(f"broken-{name}", 3, table(3, change=change, **types))


def at(row, column, value):
    def change(indices, scores):
        (indices, scores)[column][row] = value
    return change


LISTS = {"index": pa.list_(pa.int32()), "score": pa.list_(pa.float32())}
shutil.rmtree(OUT, ignore_errors=True)
good("iter_0540")
good("empty", tokens=0)
good("gap", (2, 4))
broken("id", at(23, 0, [12, 13, 0]))
broken("negative", at(23, 0, [12, -1, 0]))
broken("twice", at(23, 0, [12, 1, 12]))
broken("nan", at(23, 1, [np.float16("nan")] * 3))
broken("null-list", at(23, 0, None), **LISTS)
broken("null-element", at(23, 0, [3, None, 5]), **LISTS)
broken("empty-list", at(23, 0, []), **LISTS)
broken("short", at(23, 0, [3, 4]), **LISTS)
broken("long", at(23, 0, [3, 4, 5, 6]), **LISTS)
broken("last-short", at(39, 0, [3, 4]), **LISTS)
broken("last-long", at(39, 1, [0.5, 0.25, 0.125, 0.0625]), **LISTS)
broken("first", at(0, 0, [3, 4]), **LISTS)
broken("floats", index=pa.list_(pa.float32()))
good("broken-rows", (2, 3))
write("broken-rows", 4, table(4, 39))
for name, columns in (
    ("no-indices", {"scores": [[0.5]] * TOKENS}),
    ("flat", {"scores": [0.5] * TOKENS, "indices": [1] * TOKENS}),
    ("texts", {"scores": [[0.5]] * TOKENS, "indices": [["a"]] * TOKENS}),
    ("nested", {"scores": [[0.5]] * TOKENS, "indices": [[[1]]] * TOKENS}),
    ("structs", {"scores": [[0.5]] * TOKENS, "indices": [[{"a": 1, "b": 2}]] * TOKENS}),
):
    good(f"broken-{name}", (2, 4))
    write(f"broken-{name}", 3, pa.table(columns))
for name, change in (
    ("truncated", lambda data: data[:-40]),
    ("magic", lambda data: b"PAR2" + data[4:-4] + b"PAR2"),
    ("footer", lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:]),
    ("nothing", lambda data: b""),
):
    good(f"broken-{name}")
    path = OUT / f"broken-{name}" / "layer_03.parquet"
    path.write_bytes(change(path.read_bytes()))
good("broken-flipped")  # a bit in the last page of the ids
path = OUT / "broken-flipped" / "layer_03.parquet"
data = bytearray(path.read_bytes())
chunk = pq.ParquetFile(path).metadata.row_group(1).column(1)
data[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 16
path.write_bytes(data)

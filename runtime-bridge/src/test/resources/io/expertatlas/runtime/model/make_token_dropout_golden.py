"""Writes token-dropout.json and .npy: what data/nllb-moe gives with a moe_token_dropout of 0.2, as the 54B model has it.

    python3 make_token_dropout_golden.py REPOSITORY OUTPUT

The model in plain NumPy and float64, written from the architecture: no cache, one sequence at a time. At inference
an expert's output is multiplied by 1 - moe_token_dropout (transformers: NllbMoeExperts; fairseq: the eval branch of its
expert output masking). Without dropout it must first give the goldens of transformers in data/golden.
"""

import json
import sys
from pathlib import Path

import numpy as np

EOS = 2
root, output = Path(sys.argv[1]) / "data", Path(sys.argv[2])
config = json.loads((root / "nllb-moe" / "config.json").read_text())
H, HEADS = config["d_model"], config["encoder_attention_heads"]


def weights() -> dict[str, np.ndarray]:
    raw = (root / "nllb-moe" / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "BF16"
            first, end = (8 + size + offset for offset in entry["data_offsets"])
            bits = np.frombuffer(raw[first:end], "<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).astype(np.float64).reshape(entry["shape"])
    return tensors


W = weights()


def linear(x, name):
    return x @ W[name + ".weight"].T + W[name + ".bias"]


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * W[name + ".weight"] + W[name + ".bias"]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(x, memory, name, causal):
    q, k, v = (
        linear(rows, f"{name}.{part}_proj").reshape(len(rows), HEADS, -1).transpose(1, 0, 2)
        for rows, part in ((x, "q"), (memory, "k"), (memory, "v"))
    )
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(H // HEADS)
    if causal:
        scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
    return linear((softmax(scores) @ v).transpose(1, 0, 2).reshape(len(x), H), f"{name}.out_proj")


def feed_forward(x, name):
    return linear(np.maximum(linear(x, f"{name}.fc1"), 0), f"{name}.fc2")


def experts(x, name, dropout):
    probability = softmax(x @ W[f"{name}.router.classifier.weight"].T)
    out = np.zeros_like(x)
    for row in range(len(x)):
        chosen = np.argsort(-probability[row], kind="stable")[:2]
        for e in chosen:
            result = feed_forward(x[row : row + 1], f"{name}.experts.expert_{e}")[0] * (1 - dropout)
            out[row] += probability[row, e] / probability[row, chosen].sum() * result
    return out


def stack(side, ids, encoded, dropout):
    angle = np.arange(2, len(ids) + 2)[:, None] * np.exp(-np.log(10000) * np.arange(H // 2) / (H // 2 - 1))
    x = W["model.shared.weight"][ids] * np.sqrt(H) + np.concatenate([np.sin(angle), np.cos(angle)], 1)
    for i in range(config[f"{side}_layers"]):
        layer = f"model.{side}.layers.{i}"
        y = norm(x, f"{layer}.self_attn_layer_norm")
        x = x + attention(y, y, f"{layer}.self_attn", side == "decoder")
        if side == "decoder":
            y = norm(x, f"{layer}.cross_attention_layer_norm")
            x = x + attention(y, encoded, f"{layer}.cross_attention", False)
        y = norm(x, f"{layer}.ff_layer_norm")
        sparse = (i + 1) % config[f"{side}_sparse_step"] == 0
        x = x + (experts(y, f"{layer}.ffn", dropout) if sparse else feed_forward(y, f"{layer}.ffn"))
    return norm(x, f"model.{side}.layer_norm")


def generate(ids, dropout):
    encoded = stack("encoder", ids, None, dropout)
    new, first, margins = [], None, []
    while len(new) < 128 and EOS not in new:
        logits = stack("decoder", [EOS, *new], encoded, dropout)[-1] @ W["model.shared.weight"].T
        first = logits if first is None else first
        new.append(int(logits.argmax()))
        margins.append(float(np.diff(np.sort(logits)[-2:])[0]))
    return new, first, min(margins)


golden = json.loads((root / "golden" / "nllb.json").read_text())["prompts"]
expected = np.load(root / "golden" / "nllb-first-logits.npy")
prompts, logits = [], []
for prompt, row in zip(golden, expected, strict=True):
    new, first, _ = generate(prompt["ids"], 0)
    assert new == prompt["greedy"]
    assert np.abs(first - row).max() < 1e-5 * np.abs(row).max()
    new, first, margin = generate(prompt["ids"], 0.2)
    prompts.append({"ids": prompt["ids"], "greedy": new, "smallest-margin": round(margin, 6)})
    logits.append(first)

np.save(output / "token-dropout.npy", np.stack(logits).astype("<f4"))
lines = ",\n".join(f"  {json.dumps(prompt)}" for prompt in prompts)
head = '"format-version": 1, "moe_token_dropout": 0.2, "logits": "token-dropout.npy"'
(output / "token-dropout.json").write_text(f'{{{head}, "prompts": [\n{lines}\n]}}\n')

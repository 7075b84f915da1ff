"""Makes the golden files of training: losses, gradients and Adam's moments of two steps.

    python3 make_training_goldens.py        (PyTorch 1.13, CPU; writes beside itself)

Independent of the Java code: PyTorch's autograd in float64, experts as loops over tokens, AdamW of torch.optim.
NAME.safetensors holds F32: weight/P (start), gradient/P (first step), after/P, mean/P and variance/P (after the
second step) of each parameter P. NAME.json: the numbers of the model, the token batches, loss of each step.
"""

import json
import struct
from pathlib import Path

import torch

HERE = Path(__file__).parent
RATE, BETAS, EPSILON, DECAY = 3e-3, (0.9, 0.95), 1e-8, 0.1


def rms(x, gain, epsilon):
    return gain * x / torch.sqrt((x * x).mean(-1, keepdim=True) + epsilon)


def layer_norm(x, gain, bias, epsilon):
    return torch.nn.functional.layer_norm(x, (x.shape[-1],), gain, bias, epsilon)


def rotate(x, base):
    """x [tokens, heads, D] of one sequence."""
    tokens, _, size = x.shape
    angle = torch.outer(torch.arange(tokens).double(), base ** (-2.0 * torch.arange(size // 2).double() / size))
    cos = torch.cat([angle.cos(), angle.cos()], -1)[:, None]
    sin = torch.cat([angle.sin(), angle.sin()], -1)[:, None]
    half = torch.cat([-x[..., size // 2:], x[..., : size // 2]], -1)
    return x * cos.to(x.dtype) + half * sin.to(x.dtype)


def attend(q, k, v):
    """q [tokens, heads, D], k and v [tokens, key heads, D] -> [tokens, heads * D], causal."""
    tokens, heads, size = q.shape
    group = heads // k.shape[1]
    out = []
    for head in range(heads):
        scores = q[:, head] @ k[:, head // group].T / size ** 0.5
        scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        out.append(scores.softmax(-1) @ v[:, head // group])
    return torch.cat(out, -1)


def experts(x, router, expert, top_k, renormalize):
    rows = []
    for row in x:
        p = (router @ row).softmax(-1)
        weights, chosen = p.topk(top_k)
        if renormalize:
            weights = weights / weights.sum()
        rows.append(sum(w * expert(int(e), row) for w, e in zip(weights, chosen)))
    return torch.stack(rows)


def mixtral(w, c, ids):
    heads, keys, size, eps = c["heads"], c["key-heads"], c["head-size"], c["epsilon"]
    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["layers"]):
        n = f"model.layers.{i}."
        h = rms(x, w[n + "input_layernorm.weight"], eps)
        q = (h @ w[n + "self_attn.q_proj.weight"].T).view(-1, heads, size)
        k = (h @ w[n + "self_attn.k_proj.weight"].T).view(-1, keys, size)
        v = (h @ w[n + "self_attn.v_proj.weight"].T).view(-1, keys, size)
        seen = attend(rotate(q, c["rope-theta"]), rotate(k, c["rope-theta"]), v)
        x = x + seen @ w[n + "self_attn.o_proj.weight"].T
        h = rms(x, w[n + "post_attention_layernorm.weight"], eps)
        m = n + "block_sparse_moe."

        def swiglu(e, row):
            name = f"{m}experts.{e}"
            inner = torch.nn.functional.silu(w[name + ".w1.weight"] @ row) * (w[name + ".w3.weight"] @ row)
            return w[name + ".w2.weight"] @ inner

        x = x + experts(h, w[m + "gate.weight"], swiglu, c["top-k"], True)
    x = rms(x, w["model.norm.weight"], eps)
    return x @ w["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"].T


def post_norm(w, c, ids):
    d, heads, eps = c["hidden"], c["heads"], c["epsilon"]
    x = w["embedding.weight"][ids]
    place = torch.arange(d)
    angle = torch.outer(torch.arange(len(ids)).double(), 10000.0 ** (-(place - place % 2).double() / d))
    x = x + torch.where(place % 2 == 0, angle.sin(), angle.cos())
    for i in range(c["layers"]):
        n = f"layers.{i}."

        def linear(name, rows):
            return rows @ w[n + name + ".weight"].T + w[n + name + ".bias"]

        q, k, v = (linear("attention." + part, x).view(-1, heads, d // heads) for part in ("query", "key", "value"))
        x = x + linear("attention.output", attend(q, k, v))
        x = layer_norm(x, w[n + "attention.norm.weight"], w[n + "attention.norm.bias"], eps)

        def relu(e, row):
            return linear(f"experts.{e}.down", torch.relu(linear(f"experts.{e}.up", row)))

        x = x + experts(x, w[n + "router.weight"], relu, c["top-k"], c["top-k"] > 1)
        x = layer_norm(x, w[n + "experts.norm.weight"], w[n + "experts.norm.bias"], eps)
    return x @ w["embedding.weight" if c["tied"] else "head.weight"].T


def mixtral_shapes(c):
    d, f, size = c["hidden"], c["inner"], c["head-size"]
    shapes = {"model.embed_tokens.weight": (c["vocabulary"], d)}
    for i in range(c["layers"]):
        n = f"model.layers.{i}."
        shapes[n + "input_layernorm.weight"] = (d,)
        shapes[n + "self_attn.q_proj.weight"] = (c["heads"] * size, d)
        shapes[n + "self_attn.k_proj.weight"] = (c["key-heads"] * size, d)
        shapes[n + "self_attn.v_proj.weight"] = (c["key-heads"] * size, d)
        shapes[n + "self_attn.o_proj.weight"] = (d, c["heads"] * size)
        shapes[n + "post_attention_layernorm.weight"] = (d,)
        shapes[n + "block_sparse_moe.gate.weight"] = (c["experts"], d)
        for e in range(c["experts"]):
            name = f"{n}block_sparse_moe.experts.{e}"
            shapes[name + ".w1.weight"] = (f, d)
            shapes[name + ".w2.weight"] = (d, f)
            shapes[name + ".w3.weight"] = (f, d)
    shapes["model.norm.weight"] = (d,)
    if not c["tied"]:
        shapes["lm_head.weight"] = (c["vocabulary"], d)
    return shapes


def post_norm_shapes(c):
    d, h = c["hidden"], c["inner"]
    shapes = {"embedding.weight": (c["vocabulary"], d)}
    for i in range(c["layers"]):
        n = f"layers.{i}."
        for part in ("query", "key", "value", "output"):
            shapes[f"{n}attention.{part}.weight"] = (d, d)
            shapes[f"{n}attention.{part}.bias"] = (d,)
        for norm in ("attention", "experts"):
            shapes[f"{n}{norm}.norm.weight"] = (d,)
            shapes[f"{n}{norm}.norm.bias"] = (d,)
        shapes[n + "router.weight"] = (c["experts"], d)
        for e in range(c["experts"]):
            shapes[f"{n}experts.{e}.up.weight"] = (h, d)
            shapes[f"{n}experts.{e}.up.bias"] = (h,)
            shapes[f"{n}experts.{e}.down.weight"] = (d, h)
            shapes[f"{n}experts.{e}.down.bias"] = (d,)
    if not c["tied"]:
        shapes["head.weight"] = (c["vocabulary"], d)
    return shapes


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def make(name, model, shapes, config, seed):
    torch.manual_seed(seed)
    weights = {}
    for key, shape in shapes(config).items():
        # float32 numbers, computed with in float64; gains near 1, everything else of size 0.3
        random = 0.3 * torch.randn(shape)
        gain = key.endswith("norm.weight") or key.endswith("layernorm.weight")
        weights[key] = (1 + random if gain else random).float().double().requires_grad_()
    batches = torch.randint(config["vocabulary"], (2, 4, 7))  # [step, sequence, token]
    tensors = {f"weight/{key}": w.clone() for key, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), RATE, BETAS, EPSILON, DECAY)
    losses = []
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        each = [
            torch.nn.functional.cross_entropy(model(weights, config, ids)[:-1], ids[1:], reduction="sum")
            for ids in batch
        ]
        loss = sum(each) / (batch.shape[0] * (batch.shape[1] - 1))
        loss.backward()
        losses.append(float(loss))
        if step == 0:
            # a parameter that no token reached has no gradient in PyTorch: zero
            tensors.update({f"gradient/{key}": grad_of(w).clone() for key, w in weights.items()})
        for w in weights.values():
            w.grad = grad_of(w)
        optimizer.step()
    tensors.update({f"after/{key}": w.clone() for key, w in weights.items()})
    tensors.update({f"mean/{key}": optimizer.state[w]["exp_avg"] for key, w in weights.items()})
    tensors.update({f"variance/{key}": optimizer.state[w]["exp_avg_sq"] for key, w in weights.items()})
    write_safetensors(HERE / f"{name}.safetensors", tensors)
    about = dict(config, seed=seed, torch=torch.__version__, rate=RATE, betas=BETAS, epsilon_adam=EPSILON, decay=DECAY)
    about.update(batches=batches.tolist(), losses=losses)
    (HERE / f"{name}.json").write_text(json.dumps(about) + "\n")


def grad_of(w):
    return torch.zeros_like(w) if w.grad is None else w.grad


MIXTRAL = {
    "layers": 2, "experts": 4, "top-k": 2, "hidden": 6, "inner": 5, "heads": 4, "key-heads": 2, "head-size": 4,
    "vocabulary": 11, "epsilon": 1e-5, "rope-theta": 100.0, "tied": False,
}
POST_NORM = {
    "layers": 2, "experts": 3, "top-k": 1, "hidden": 6, "inner": 5, "heads": 2, "vocabulary": 11, "epsilon": 1e-5,
    "tied": False,
}


def main():
    make("mixtral", mixtral, mixtral_shapes, MIXTRAL, 1)
    make("mixtral-tied", mixtral, mixtral_shapes, dict(MIXTRAL, tied=True), 2)
    make("post-norm-top1", post_norm, post_norm_shapes, POST_NORM, 3)
    make("post-norm-top2-tied", post_norm, post_norm_shapes, dict(POST_NORM, tied=True, **{"top-k": 2}), 4)


if __name__ == "__main__":
    main()

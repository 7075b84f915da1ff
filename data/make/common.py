"""What the training and capture scripts share: token files, schedule, balance loss, log, checkpoints."""

import csv
import json
import math
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "trace-ingest" / "capture"))

BOS, PAD, EOS, UNK, MASK = range(5)


def load_tokens(corpus: Path, part: str, device) -> torch.Tensor:
    """The token file of one part as one int16 tensor on the device (ids are below 32768)."""
    return torch.from_numpy(np.fromfile(corpus / f"{part}.bin", dtype="<u2").astype(np.int16)).to(device)


def load_documents(corpus: Path, part: str) -> list[np.ndarray]:
    """The documents of one part, <s> ... </s> each, as uint16 arrays."""
    tokens = np.fromfile(corpus / f"{part}.bin", dtype="<u2")
    offsets = np.load(corpus / f"{part}-offsets.npy")
    return [tokens[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


def windows(tokens: torch.Tensor, rows: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Random windows of the token stream, int64 [rows, width]."""
    start = torch.randint(0, len(tokens) - width, (rows, 1), generator=generator, device=tokens.device)
    return tokens[start + torch.arange(width, device=tokens.device)].long()


def balance_loss(router_logits, mask, k: int, pooled: bool = False) -> torch.Tensor:
    """Switch's load balancing loss: experts x sum over experts of (share of choices) x (mean probability).

    Per layer, then the mean; pooled = over all layers together, which lets a single layer be uneven.
    `mask` is bool [rows] or None; k is reached by an even router.
    """
    shares, means = [], []
    for logits in router_logits:
        logits = logits.reshape(-1, logits.shape[-1])
        probabilities = logits.float().softmax(-1)
        chosen = torch.zeros_like(probabilities).scatter_(-1, probabilities.topk(k, dim=-1).indices, 1.0)
        weight = torch.ones(len(logits), 1, device=logits.device) if mask is None else mask.reshape(-1, 1).float()
        shares.append((chosen * weight).sum(0) / weight.sum())
        means.append((probabilities * weight).sum(0) / weight.sum())
    share, mean = torch.stack(shares), torch.stack(means)
    if pooled:
        share, mean = share.mean(0, keepdim=True), mean.mean(0, keepdim=True)
    return share.shape[-1] * (share * mean).sum(-1).mean()


class Budget:
    """Learning rate by progress: the larger of the share of tokens and the share of seconds spent.

    So a run ends with a fully decayed rate whether the tokens or the time run out first.
    """

    def __init__(self, tokens: int, seconds: float, rate: float, warm_up: float = 0.03):
        self._tokens, self._seconds, self._rate, self._warm_up = tokens, seconds, rate, warm_up
        self._start = time.time()
        self.done = 0

    def seconds(self) -> float:
        return time.time() - self._start

    def progress(self) -> float:
        return min(1.0, max(self.done / self._tokens, self.seconds() / self._seconds))

    def rate(self) -> float:
        progress = self.progress()
        if progress < self._warm_up:
            return self._rate * max(progress, 1e-4) / self._warm_up
        return self._rate * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))


class TrainingLog:
    """A CSV that is flushed after every row, echoed to stdout."""

    def __init__(self, path: Path, columns: list[str]):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "w", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(columns)
        self._columns = columns

    def row(self, *values) -> None:
        shown = [f"{v:.4f}" if isinstance(v, float) else v for v in values]
        self._rows.writerow(shown)
        self._file.flush()
        print("  ".join(f"{c} {v}" for c, v in zip(self._columns, shown, strict=True)), flush=True)


class TrainingStep:
    """Forward, backward, clipping and AdamW; on a GPU recorded once as a CUDA graph and then replayed.

    Models this small are bound by launching kernels, so replaying makes a step several times shorter. `losses` takes
    the input tensors, always of the same shapes, and returns (loss, balance).
    """

    def __init__(self, model, losses, balance_weight: float, rate: float):
        self._model, self._losses, self._balance_weight = model, losses, balance_weight
        self._cuda = next(model.parameters()).device.type == "cuda"
        self._optimizer = optimizer_for(model, rate, self._cuda)
        self._graph, self._inputs, self._outputs = None, None, None

    def __call__(self, rate: float, *inputs: torch.Tensor):
        for group in self._optimizer.param_groups:
            if self._cuda:
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self._cuda and self._graph is None:
            try:
                self._record(*inputs)
            except RuntimeError as error:  # slower, the same numbers
                print(f"no CUDA graph: {str(error).splitlines()[0]}", flush=True)
                self._graph = False
        if not self._graph:
            return self._eager(*inputs)
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _eager(self, *inputs):
        self._optimizer.zero_grad(set_to_none=True)
        loss, balance = self._losses(*inputs)
        (loss + self._balance_weight * balance).backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        return loss.detach(), balance.detach()

    def _record(self, *inputs):
        self._inputs = [given.clone() for given in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._eager(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = self._eager(*self._inputs)


def optimizer_for(model, rate: float, cuda: bool) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    for group in groups:
        group["lr"] = torch.tensor(rate, device="cuda") if cuda else rate
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=cuda, capturable=cuda)


def save_checkpoint(model, tokenizer_folder: Path, out: Path, shard: str, **config) -> None:
    """Saves in bfloat16, Hugging Face layout, with the tokenizer; `config` entries are added to config.json."""
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size=shard)
    for weights in out.glob("*.safetensors"):
        weights.chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder / name, out / name)
    path = out / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}, indent=2, sort_keys=True) + "\n")


def exact_arithmetic() -> None:
    """fp32 without TF32, for captures and goldens."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def pick_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"

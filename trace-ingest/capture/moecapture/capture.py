"""RoutingCapture: forward hooks on the routers of a model, rows to a capture folder."""

from pathlib import Path

import numpy as np
import torch

from .batch import BatchRows
from .errors import CaptureError
from .files import CaptureFolder
from .routers import find_routers


class RoutingCapture:
    """Records the routing of one stack of a model while the `with` block lasts.

    Announce every batch with `batch(...)`, then call `model(...)` or `model.generate(...)`. The model is not
    changed: hooks are placed on entry and removed on exit. The folder `out_dir` appears at the end of the block;
    if the block raises, nothing is left.

    weights, hidden, logits choose the optional arrays; `logits_dtype` is "float32" or "float16"; `name` and
    `seed` go to capture.json as they are.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        out_dir,
        stack: str = "decoder",
        *,
        weights: bool = True,
        hidden: bool = False,
        logits: bool = False,
        logits_dtype: str = "float32",
        name: str | None = None,
        seed: int | None = None,
    ):
        if logits_dtype not in ("float32", "float16"):
            raise CaptureError(f"logits_dtype is '{logits_dtype}'; it must be 'float32' or 'float16'")
        self._model = model
        self._config = getattr(model, "config", None)
        self._out = Path(out_dir)
        self._stack = stack
        self._weights, self._hidden, self._logits = weights, hidden, logits
        self._logits_dtype = np.dtype(logits_dtype)
        self._name, self._seed = name, seed
        self._routers = find_routers(model, stack)
        self._shape: tuple[int, int, int] | None = None  # experts, k, hidden size
        self._seen: set[int] = set()
        self._rows: BatchRows | None = None
        self._calls: list = []
        self._handles: list = []
        self._folder: CaptureFolder | None = None

    def __enter__(self) -> "RoutingCapture":
        self._folder = CaptureFolder(self._out)
        for index, router in enumerate(self._routers):
            self._handles.append(router.module.register_forward_hook(self._hook(index, router)))
        self._handles.append(self._model.register_forward_pre_hook(self._see_tokens, with_kwargs=True))
        return self

    def __exit__(self, kind, value, trace) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        try:
            if kind is None:
                self._finish()
        finally:
            self._folder.discard()

    def batch(self, sequence_ids, attention_mask) -> None:
        """Announces the next batch.

        sequence_ids: one unused, non-negative number a row. attention_mask: [rows, width] of the stack that is
        recorded (for a decoder of an encoder-decoder model its own mask), 1 for tokens, 0 for padding. The first
        forward pass after this call is the prefill; later ones are KV-cached decode steps of one token a row.
        """
        if self._folder is None:
            raise CaptureError("batch() was called outside the with block")
        self._close_batch()
        rows = BatchRows(sequence_ids, attention_mask, self._end_tokens())
        again = self._seen.intersection(rows.sequences.tolist())
        if again:
            raise CaptureError(f"sequence {min(again)} was recorded before; every sequence needs its own number")
        self._seen.update(rows.sequences.tolist())
        self._rows = rows

    def _hook(self, index, router):
        def record(module, inputs, output):
            if self._rows is None:
                raise CaptureError("the model ran before batch() announced which sequences it holds")
            if index != len(self._calls):
                raise CaptureError(
                    f"router {router.name} ran out of order: expected router {len(self._calls)} of "
                    f"{len(self._routers)}; maybe gradient checkpointing or layer drop is on (call model.eval())"
                )
            try:
                routing = router.reader(module, inputs, output)
            except CaptureError as error:
                raise CaptureError(f"layer {router.layer}: {error}") from None
            if not self._calls:
                self._rows.begin_pass(len(routing.experts))
            self._calls.append(self._kept(router, routing))
            if len(self._calls) == len(self._routers):
                self._store_pass()

        return record

    def _kept(self, router, routing) -> dict[str, np.ndarray]:
        """The rows of real tokens, on the host, in the dtypes of the files."""
        experts, k = routing.logits.shape[-1], routing.experts.shape[-1]
        shape = (experts, k, routing.hidden.shape[-1])
        if self._shape not in (None, shape):
            raise CaptureError(f"layer {router.layer} has (experts, k, hidden) {shape}, others {self._shape}")
        self._shape = shape
        kept = self._rows.kept().to(routing.experts.device)
        id_type = np.uint8 if experts <= 256 else np.uint16
        arrays = {"experts": _host(routing.experts[kept]).astype(id_type)}
        if self._weights:
            arrays["weights"] = _narrow(routing.weights[kept], np.float16, router, "weights")
        if self._hidden:
            arrays["hidden"] = _narrow(routing.hidden[kept], np.float16, router, "hidden states")
        if self._logits:
            arrays["logits"] = _narrow(routing.logits[kept], self._logits_dtype, router, "logits")
        return arrays

    def _store_pass(self) -> None:
        for name in self._calls[0]:
            self._folder.append(name, np.stack([call[name] for call in self._calls], axis=1))
        for name, rows in self._rows.end_pass().items():
            self._folder.append(name, rows)
        self._calls = []

    def _see_tokens(self, module, args, kwargs):
        """Notes the ids of a decode step, to leave out rows of sequences that have ended."""
        if getattr(self._config, "is_encoder_decoder", False):
            ids = kwargs.get("decoder_input_ids")
        else:
            ids = kwargs.get("input_ids", args[0] if args else None)
        if self._rows is not None and self._stack == "decoder" and ids is not None:
            self._rows.see_tokens(ids)

    def _end_tokens(self) -> set[int]:
        ends = getattr(getattr(self._model, "generation_config", None), "eos_token_id", None)
        if ends is None:
            ends = getattr(self._config, "eos_token_id", None)
        return set(ends) if isinstance(ends, (list, tuple)) else set() if ends is None else {ends}

    def _close_batch(self) -> None:
        if self._calls:
            raise CaptureError(
                f"the last forward pass ended after {len(self._calls)} of {len(self._routers)} routers"
            )
        if self._rows is not None and self._rows.passes == 0:
            raise CaptureError("batch() was called, but the model did not run before the next batch or the end")
        self._rows = None

    def _finish(self) -> None:
        self._close_batch()
        if not self._seen:
            raise CaptureError("nothing was recorded: call batch() and then the model inside the with block")
        sequence, position = self._folder.read("sequence"), self._folder.read("position")
        order = np.lexsort((position, sequence))
        experts, k, hidden_size = self._shape
        description = {
            "format-version": 1,
            "model": self._name or getattr(self._config, "_name_or_path", "") or type(self._model).__name__,
            "architecture": type(self._model).__name__,
            "stack": self._stack,
            "moe-layers": [router.layer for router in self._routers],
            "layers": len(self._routers),
            "experts": experts,
            "top-k": k,
            "tokens": len(order),
            "sequences": len(np.unique(sequence)),
            "hidden-size": hidden_size,
        }
        if self._seed is not None:
            description["seed"] = self._seed
        description["created-by"] = "moecapture 1.0.0, torch " + torch.__version__
        self._folder.finish(order, description)


def _host(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to("cpu").numpy()


def _narrow(tensor: torch.Tensor, dtype, router, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        array = _host(tensor.float()).astype(dtype)
    if not np.isfinite(array).all():
        raise CaptureError(f"layer {router.layer}: {what} are not finite as {np.dtype(dtype).name}")
    return array

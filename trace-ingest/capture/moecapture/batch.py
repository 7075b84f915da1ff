"""Which rows of a forward pass are tokens, of which sequence, at which position."""

import numpy as np
import torch

from .errors import CaptureError

PREFILL, DECODE = 0, 1


class BatchRows:
    """Follows one announced batch through its prefill pass and its decode steps.

    A sequence ends when its end token is fed to the model in a decode step (generate does that only while other
    sequences of the batch go on); that step and later ones are left out, so that a capture does not depend on
    which sequences shared a batch.
    """

    def __init__(self, sequence_ids, attention_mask, end_tokens: set[int]):
        mask = torch.as_tensor(attention_mask).detach().to("cpu")
        if mask.dim() != 2 or not bool(((mask == 0) | (mask == 1)).all()):
            raise CaptureError(f"attention_mask must be 0/1 of shape [rows, width], not {tuple(mask.shape)}")
        if not bool(mask.bool().any(dim=1).all()):
            raise CaptureError("a row of attention_mask holds no token; leave such rows out")
        sequences = np.asarray(torch.as_tensor(sequence_ids).detach().to("cpu"), dtype=np.int64).reshape(-1)
        if len(sequences) != len(mask):
            raise CaptureError(f"{len(sequences)} sequence ids for an attention_mask of {len(mask)} rows")
        if len(np.unique(sequences)) != len(sequences) or not ((sequences >= 0) & (sequences < 2**31)).all():
            raise CaptureError("sequence ids must be distinct numbers from 0 to 2^31-1")
        self.sequences = sequences
        self.passes = 0
        self._mask = mask.bool()
        self._next = self._mask.sum(dim=1).numpy().astype(np.int32)  # position of the next decoded token
        self._ended = np.zeros(len(sequences), dtype=bool)
        self._end_tokens = end_tokens
        self._kept = torch.zeros(0, dtype=torch.bool)

    def see_tokens(self, ids: torch.Tensor) -> None:
        """The ids of the pass that starts now; only decode steps are looked at."""
        if self.passes and tuple(ids.shape) == (len(self.sequences), 1) and self._end_tokens:
            self._ended |= np.isin(ids.detach().to("cpu").numpy()[:, 0], list(self._end_tokens))

    def begin_pass(self, rows: int) -> None:
        """Checks the number of rows that the first router of a pass received."""
        expected = self._mask.numel() if self.passes == 0 else len(self.sequences)
        if rows != expected:
            kind = "prefill" if self.passes == 0 else "decode step"
            hint = "the attention_mask announced by batch()" if self.passes == 0 else "one token a sequence (KV cache)"
            raise CaptureError(f"a {kind} of {rows} rows, expected {expected}: {hint}")
        self._kept = self._mask.reshape(-1) if self.passes == 0 else torch.from_numpy(~self._ended)

    def kept(self) -> torch.Tensor:
        """Boolean over the rows of this pass: the tokens to record."""
        return self._kept

    def end_pass(self) -> dict[str, np.ndarray]:
        """sequence, position and phase of the rows kept in this pass."""
        if self.passes == 0:
            positions = (self._mask.cumsum(dim=1) - 1)[self._mask].numpy().astype(np.int32)
            sequences = np.repeat(self.sequences, self._mask.sum(dim=1).numpy())
        else:
            positions = self._next[~self._ended]
            sequences = self.sequences[~self._ended]
            self._next[~self._ended] += 1
        phase = np.full(len(positions), PREFILL if self.passes == 0 else DECODE, dtype=np.uint8)
        self.passes += 1
        return {"sequence": sequences.astype(np.int32), "position": positions.copy(), "phase": phase}

"""The sequence-to-sequence task of the NLLB-MoE model: restore corrupted text.

Of the tokens of a text, about 12 % become <mask>, 5 % a random token, 4 % change places with their neighbour and 5 %
are dropped. Source: the corrupted tokens and </s>; target: the original tokens and </s>.
"""

import torch
from common import EOS, MASK, PAD

FIRST_TEXT_TOKEN = 5


def corrupt(tokens: torch.Tensor, lengths: torch.Tensor, vocabulary: int, generator: torch.Generator):
    """tokens [rows, width], of which row i holds lengths[i]; returns (source, target), each [rows, width + 1].

    Both are padded with <pad>. Everything random comes from the generator, on the device of the tokens.
    """
    rows, width = tokens.shape
    device = tokens.device
    place = torch.arange(width, device=device).expand(rows, width)
    valid = place < lengths[:, None]

    def draw():
        return torch.rand(rows, width, generator=generator, device=device)

    swap = (draw() < 0.04) & (place % 2 == 0) & (place + 1 < lengths[:, None])
    moved = torch.where(swap, place + 1, place)
    moved = torch.where(swap.roll(1, 1) & (place > 0), place - 1, moved)
    text = tokens.gather(1, moved)
    kind = draw()
    noise = torch.randint(FIRST_TEXT_TOKEN, vocabulary, (rows, width), generator=generator, device=device)
    text = torch.where(kind < 0.12, MASK, torch.where(kind < 0.17, noise, text))
    keep = valid & ((draw() >= 0.05) | (place == 0))
    order = (~keep).long().argsort(dim=1, stable=True)
    source = _ended(text.gather(1, order), keep.sum(1))
    return source, _ended(tokens, lengths)


def _ended(tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    rows, width = tokens.shape
    out = torch.full((rows, width + 1), PAD, dtype=torch.long, device=tokens.device)
    out[:, :width] = tokens
    place = torch.arange(width + 1, device=tokens.device)
    out = out.masked_fill(place >= lengths[:, None], PAD)
    return out.scatter(1, lengths[:, None], EOS)


def decoder_inputs(target: torch.Tensor) -> torch.Tensor:
    """Teacher forcing: the target one place to the right, starting with </s> as NLLB does."""
    shifted = torch.full_like(target, EOS)
    shifted[:, 1:] = target[:, :-1]
    ended = (target == EOS).cumsum(1) - (target == EOS).long() > 0  # after the target's own </s>
    return shifted.masked_fill(ended, PAD)

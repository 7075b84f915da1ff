"""Records the NLLB-MoE traces and slices, encoder and decoder, from held-out text with moecapture.

    python3 record_nllb.py --corpus WORK/corpus --model data/nllb-moe --data data

The same texts for both stacks: pieces of 24 to 96 tokens of held-out documents, corrupted (corruption.py) for the
encoder, teacher forced in the decoder. In the slices half of the sequences run through model.generate (greedy), so
that the decoder's slice has decode steps; the traces are prefill only. Slice and trace texts are disjoint.
"""

import argparse
import contextlib
import shutil
from pathlib import Path

import numpy as np
import torch
from common import PAD, load_documents, pick_device
from corruption import corrupt, decoder_inputs
from models import load_nllb
from record_mixtral import publish

from moecapture import RoutingCapture

STACKS, SHORTEST, LONGEST, ROWS = ("encoder", "decoder"), 24, 96, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=60_000, help="at least, in either stack")
    parser.add_argument("--slice-tokens", type=int, default=1_200, help="about, in either stack")
    parser.add_argument("--seed", type=int, default=4)
    args = parser.parse_args()

    device = pick_device()
    model = load_nllb(args.model, device)
    pieces = list(cut(load_documents(args.corpus, "heldout"), args.seed))
    # the encoder sees about 95 % of a piece's tokens
    traced, rest = split(pieces, int(args.tokens * 1.07))
    sliced, _ = split(rest, int(args.slice_tokens * 1.02))
    vocabulary = model.config.vocab_size
    generator = torch.Generator().manual_seed(args.seed)

    asides = {stack: args.data / "traces" / f".nllb-{stack}-capture" for stack in STACKS}
    with captures(model, asides, weights=False) as recorders, torch.no_grad():
        for start in range(0, len(traced), ROWS):
            rows = traced[start : start + ROWS]
            source, target = corrupt(*padded(rows), vocabulary, generator)
            teacher_forced(model, recorders, range(start, start + len(rows)), source, target, device)
    for stack, aside in asides.items():
        publish(aside, args.data / "traces", f"nllb-{stack}")

    folders = {stack: args.data / "slices" / f"nllb-{stack}" for stack in STACKS}
    half = len(sliced) // 2
    with captures(
        model, folders, hidden=True, logits=True, logits_dtype="float16", name="expertatlas/nllb-moe", seed=args.seed
    ) as recorders, torch.no_grad():
        source, target = corrupt(*padded(sliced[:half]), vocabulary, generator)
        teacher_forced(model, recorders, range(half), source, target, device)
        source, _ = corrupt(*padded(sliced[half:]), vocabulary, generator)
        source = source.to(device)
        numbers = range(half, len(sliced))
        recorders["encoder"].batch(numbers, source != PAD)
        recorders["decoder"].batch(numbers, torch.ones(len(source), 1))
        model.generate(
            input_ids=source, attention_mask=(source != PAD).long(), do_sample=False, num_beams=1, max_new_tokens=LONGEST
        )
    print(f"nllb: {len(traced)} sequences traced, slices of {len(sliced)} sequences")


@contextlib.contextmanager
def captures(model, folders: dict[str, Path], **options):
    """One recorder a stack, both on the same runs."""
    with contextlib.ExitStack() as stack:
        recorders = {}
        for name, folder in folders.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            recorders[name] = stack.enter_context(RoutingCapture(model, folder, name, **options))
        yield recorders




def teacher_forced(model, recorders, numbers, source, target, device) -> None:
    recorders["encoder"].batch(numbers, source != PAD)
    recorders["decoder"].batch(numbers, target != PAD)
    model(
        input_ids=source.to(device), attention_mask=(source != PAD).long().to(device),
        decoder_input_ids=decoder_inputs(target).to(device),
        decoder_attention_mask=(target != PAD).long().to(device), use_cache=False,
    )


def cut(documents, seed: int):
    """Up to four pieces of random length from each document, documents in random order."""
    random = np.random.default_rng(seed)
    for index in random.permutation(len(documents)):
        document, start = documents[index], 0
        for _ in range(4):
            length = int(random.integers(SHORTEST, LONGEST + 1))
            if start + length > len(document):
                break
            yield document[start : start + length].astype(np.int64)
            start += length


def split(pieces, tokens: int):
    """The first pieces that hold `tokens` tokens together, and the others."""
    ends = np.cumsum([len(piece) for piece in pieces])
    count = int(np.searchsorted(ends, tokens)) + 1
    if count > len(pieces):
        raise SystemExit(f"held-out text has {ends[-1]} tokens, {tokens} are needed")
    return pieces[:count], pieces[count:]


def padded(pieces) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(piece) for piece in pieces])
    tokens = torch.full((len(pieces), int(lengths.max())), PAD)
    for row, piece in enumerate(pieces):
        tokens[row, : len(piece)] = torch.from_numpy(piece)
    return tokens, lengths


if __name__ == "__main__":
    main()

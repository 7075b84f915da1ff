"""Records the Mixtral traces and the slice from held-out text with moecapture.

    python3 record_mixtral.py --corpus WORK/corpus --model data/mixtral --data data

data/traces/mixtral-*.npy: the first tokens (at most 512) of held-out documents, prefill, exactly --tokens tokens.
data/slices/mixtral/: other held-out documents, with hidden states and router logits, exactly --slice-tokens tokens;
the first 16 sequences are prompts continued by sampling, so their tails have phase 1 (decode).
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from common import PAD, load_documents, pick_device
from models import load_mixtral

from moecapture import RoutingCapture

LONGEST, GENERATED, ROWS = 512, 16, 32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=204_800)
    parser.add_argument("--slice-tokens", type=int, default=6_016)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()

    device = pick_device()
    model = load_mixtral(args.model, device)
    documents = load_documents(args.corpus, "heldout")
    order = np.random.default_rng(args.seed).permutation(len(documents))
    documents = iter([documents[i][:LONGEST] for i in order if len(documents[i]) >= 64])

    traced = take(documents, args.tokens)
    aside = args.data / "traces" / ".mixtral-capture"
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    with RoutingCapture(model, aside, weights=False) as capture, torch.no_grad():
        prefill(model, capture, traced, 0, device)
    publish(aside, args.data / "traces", "mixtral")

    slice_folder = args.data / "slices" / "mixtral"
    shutil.rmtree(slice_folder, ignore_errors=True)
    slice_folder.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    with RoutingCapture(
        model, slice_folder, hidden=True, logits=True, logits_dtype="float16", name="expertatlas/mixtral",
        seed=args.seed,
    ) as capture, torch.no_grad():
        recorded = generate(model, capture, documents, args.seed, device)
        rest = take(documents, args.slice_tokens - recorded, longest=192, seed=args.seed)
        prefill(model, capture, rest, GENERATED, device)
    print(f"mixtral: {len(traced)} sequences traced, slice of {GENERATED + len(rest)} sequences")


def take(documents, tokens: int, longest: int = LONGEST, seed: int | None = None) -> list[np.ndarray]:
    """Documents until exactly `tokens` tokens are there; with a seed each is cut to a random length of 64 or more."""
    random = np.random.default_rng(seed)
    taken, left = [], tokens
    while left > 0:
        document = another(documents)
        length = min(left, longest if seed is None else int(random.integers(64, longest + 1)))
        taken.append(document[:length])
        left -= len(taken[-1])
    return taken


def another(documents) -> np.ndarray:
    document = next(documents, None)
    if document is None:
        raise SystemExit("there are too few held-out documents; raise --held-out of build_corpus.py")
    return document


def prefill(model, capture, sequences, first: int, device) -> None:
    for start in range(0, len(sequences), ROWS):
        rows = sequences[start : start + ROWS]
        ids = torch.full((len(rows), max(map(len, rows))), PAD)
        for row, sequence in enumerate(rows):
            ids[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(rows):
            mask[row, : len(sequence)] = 1
        capture.batch(range(first + start, first + start + len(rows)), mask)
        model.model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)


def generate(model, capture, documents, seed: int, device) -> int:
    """Continues GENERATED prompts by up to 32 sampled tokens; returns the number of tokens recorded."""
    lengths = np.random.default_rng(seed).integers(32, 97, GENERATED)
    prompts = [another(documents)[:length] for length in lengths]
    ids = torch.full((GENERATED, max(map(len, prompts))), PAD)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):  # generate wants padding on the left
        ids[row, -len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
        mask[row, -len(prompt) :] = 1
    capture.batch(range(GENERATED), mask)
    out = model.generate(
        input_ids=ids.to(device), attention_mask=mask.to(device), do_sample=True, temperature=0.8, top_k=50,
        max_new_tokens=33,
    )
    ends = model.generation_config.eos_token_id
    new = out[:, ids.shape[1] :]
    before_end = ((new == ends).cumsum(1) == 0).sum(1).clamp(max=new.shape[1] - 1)  # the last token is never fed
    return int(mask.sum()) + int(before_end.sum())


def publish(capture: Path, traces: Path, name: str) -> None:
    """Turns a capture into the plain trace files: top-k, top-1, sequence and position."""
    experts = np.load(capture / "experts.npy")
    np.save(traces / f"{name}-top2.npy", experts)
    np.save(traces / f"{name}-top1.npy", np.ascontiguousarray(experts[:, :, 0]))
    for column in ("sequence", "position"):
        np.save(traces / f"{name}-{column}.npy", np.load(capture / f"{column}.npy"))
    shutil.rmtree(capture)


if __name__ == "__main__":
    main()

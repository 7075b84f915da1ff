"""Trains the byte-level BPE tokenizer and turns the corpus into token files.

    python3 build_tokenizer.py --corpus WORK/corpus --out WORK/tokenizer [--vocabulary 4096] [--reuse FOLDER]

Special tokens, in NLLB's order: <s> 0, <pad> 1, </s> 2, <unk> 3, <mask> 4. The tokenizer adds none of them by itself;
every document of the token files is <s> ... </s>. Writes a Hugging Face tokenizer folder, and into the corpus folder
train.bin, heldout.bin (uint16, little-endian) with train-offsets.npy, heldout-offsets.npy (int64: document i is
tokens offsets[i]:offsets[i+1]). --reuse takes tokenizer.json from a folder instead of training one.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BOS, PAD, EOS, UNK, MASK = range(5)
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>",
    "unk_token": "<unk>", "mask_token": "<mask>", "model_max_length": 1024, "clean_up_tokenization_spaces": False,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--sample-bytes", type=int, default=40_000_000)
    parser.add_argument("--reuse", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    reused = args.reuse / "tokenizer.json" if args.reuse else None
    if reused and reused.exists():
        tokenizer = Tokenizer.from_file(str(reused))
        print("tokenizer: reused")
    else:
        tokenizer = train(texts(args.corpus / "train.jsonl"), args)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.out / "tokenizer.json"))
    (args.out / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    for part in ("train", "heldout"):
        encode(tokenizer, texts(args.corpus / f"{part}.jsonl"), args.corpus, part)


def texts(path: Path) -> list[str]:
    with open(path) as lines:
        return [json.loads(line)["text"] for line in lines]


def train(documents: list[str], args) -> Tokenizer:
    random.Random(args.seed).shuffle(documents)
    sample, size = [], 0
    for text in documents:
        if size >= args.sample_bytes:
            break
        sample.append(text)
        size += len(text)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=args.vocabulary, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, documents: list[str], out: Path, part: str) -> None:
    offsets = [0]
    with open(out / f"{part}.bin", "wb") as file:
        for start in range(0, len(documents), 2000):
            for encoding in tokenizer.encode_batch_fast(documents[start : start + 2000]):
                ids = np.array([BOS, *encoding.ids, EOS], dtype="<u2")
                file.write(ids.tobytes())
                offsets.append(offsets[-1] + len(ids))
    np.save(out / f"{part}-offsets.npy", np.array(offsets, dtype="<i8"))
    print(f"{part}: {len(documents)} documents, {offsets[-1]} tokens")


if __name__ == "__main__":
    main()

"""Times greedy decode of a Mixtral checkpoint on the CPU: transformers on PyTorch beside `atlas run`.

    python3 decode_peer.py --model data/mixtral --atlas runtime-bridge/bin/atlas

Needs numpy, torch and transformers 5; nothing else of the project is imported. Both get the same seeded prompts, the
same number of new tokens and the same threads, and take turns for some rounds; medians count. Decode is what follows
the first new token: of transformers, generate() with all new tokens less generate() with one; of atlas, what
`atlas run --json` says, a process that was just started. transformers runs with every way of computing experts that it
knows and with weights in float32 and bfloat16; the fastest counts. New tokens in float32 are compared.

Prints one JSON object to stdout: for each batch size the medians in tokens a second, their ratio, whether all tokens
were the same, and every transformers variant. Without --atlas it times transformers alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers

EXPERTS = ["eager", "batched_mm", "grouped_mm"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--atlas", type=Path, help="the atlas command")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-sizes", default="1,8")
    parser.add_argument("--prompt-length", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    models = load(args)
    batches = [measure(args, models, int(size)) for size in args.batch_sizes.split(",")]
    print(
        json.dumps(
            {
                "model": str(args.model),
                "threads": args.threads,
                "prompt-length": args.prompt_length,
                "new-tokens": args.new_tokens,
                "rounds": args.rounds,
                "seed": args.seed,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "batches": batches,
            }
        )
    )


def load(args):
    """Every variant that transformers can load, by its name."""
    models = {}
    for dtype in ("float32", "bfloat16"):
        for experts in EXPERTS:
            name = f"{dtype} {experts}"
            try:
                model = transformers.AutoModelForCausalLM.from_pretrained(
                    args.model, dtype=getattr(torch, dtype), experts_implementation=experts
                ).eval()
                generate(model, prompts(args, 1), 2)
                models[name] = model
            except (RuntimeError, ValueError, TypeError, NotImplementedError) as failure:
                print(f"without {name}: {failure}", file=sys.stderr)
    if not models:
        raise SystemExit("transformers could load no variant of the model")
    return models


def prompts(args, batch):
    vocabulary = json.loads((args.model / "config.json").read_text())["vocab_size"]
    random = np.random.default_rng(args.seed)
    return random.integers(3, vocabulary, (batch, args.prompt_length), dtype=np.int32)


def generate(model, ids, new_tokens):
    """Greedy tokens behind the prompts, and the seconds that they took."""
    inputs = torch.from_numpy(ids.astype(np.int64))
    begin = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=None,  # goes on behind the end token
            pad_token_id=0,
        )
    return out[:, ids.shape[1] :].numpy(), time.perf_counter() - begin


def measure(args, models, batch):
    ids = prompts(args, batch)
    rates = {name: [] for name in models}
    atlas = []
    same = None
    for _ in range(args.rounds):
        tokens = {}
        for name, model in models.items():
            first = generate(model, ids, 1)[1]
            tokens[name], seconds = generate(model, ids, args.new_tokens)
            rates[name].append(batch * (args.new_tokens - 1) / (seconds - first))
        if args.atlas:
            result = run_atlas(args, ids)
            atlas.append(result["decodeTokensPerSecond"])
            exact = [name for name in models if name.startswith("float32")]
            if exact:
                same = same is not False and result["newTokens"] == tokens[exact[0]].tolist()
        print(f"batch {batch}, round {len(rates[name])} of {args.rounds} done", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(medians, key=medians.get)
    found = {"batch-size": batch, "transformers-tokens-per-second": medians[best], "transformers-variant": best}
    if args.atlas:
        found["atlas-tokens-per-second"] = statistics.median(atlas)
        found["ratio"] = found["atlas-tokens-per-second"] / medians[best]
        found["same-tokens"] = same
    found["variants"] = medians
    return found


def run_atlas(args, ids):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.npy"
        np.save(file, ids)
        command = [args.atlas, "run", "--model", args.model, "--prompt-tokens", file, "--ignore-eos", "--json"]
        command += ["--max-new-tokens", args.new_tokens, "--threads", args.threads]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"atlas failed: {done.stderr}")
        return json.loads(done.stdout)


if __name__ == "__main__":
    main()

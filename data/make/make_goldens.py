"""Writes golden outputs of both models for the executor to be compared with.

    python3 make_goldens.py --data data mixtral nllb

fp32 arithmetic on the stored bfloat16 weights, TF32 off, eager attention, one sequence at a time, no KV cache: the
plainest computation there is. data/golden/mixtral.json and nllb.json hold prompts, token ids, greedy tokens and, for
every greedy step, the margin between the best and the second best logit: where it is small, another order of
additions may rightly choose the other token. The .npy files hold the logits named in the JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from common import BOS, EOS, pick_device
from corruption import corrupt
from models import load_mixtral, load_nllb
from tokenizers import Tokenizer

MIXTRAL_PROMPTS = [
    "def mean(values):\n",
    "import os\nimport sys\n\n\nclass Cache:\n    \"\"\"Keeps the last results.\"\"\"\n\n    def __init__(self, size):\n",
    "# Usage\n\nInstall the package with pip and then run the command below. The first argument is the name of",
    "#include <vector>\n\nnamespace atlas {\n\ntemplate <typename T>\nclass Queue {\n public:\n  void push(const T& value) {",
    "for i in range(10):\n    if i % 2 == 0:\n        print(",
    "The expert",
    "    def test_empty_input(self):\n        with self.assertRaises(ValueError):\n            parse(\"\")\n\n"
    "    def test_two_lines(self):\n        result = parse(\"a\\nb\")\n        self.assertEqual(",
    "def read_rows(path, delimiter=\",\"):\n    \"\"\"Read the rows of a table.\n\n    Parameters\n    ----------\n"
    "    path : str\n        Where the table lies.\n    delimiter : str\n        What stands between two cells.\n\n"
    "    Returns\n    -------\n    list\n        One list of cells for every row.\n    \"\"\"\n    rows = []\n    with open(path)",
]
NLLB_PROMPTS = [
    "def add(left, right):\n    return left + right\n",
    "The function returns the number of tokens that every expert has received.",
    "import numpy as np\n\nvalues = np.zeros((3, 4), dtype=np.float32)\nprint(values.shape)\n",
    "class Reader:\n    def __init__(self, path):\n        self.path = path\n        self.lines = []\n",
    "If the file does not exist, an error is raised and nothing is written. See the documentation for more details "
    "about the options.",
    "for name, value in sorted(options.items()):\n    if value is None:\n        continue\n    print(name, value)\n",
    "template <typename T>\nT max_value(const T& a, const T& b) {\n  return a > b ? a : b;\n}\n",
    "raise ValueError(\"size must be positive\")\n",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("models", nargs="+", choices=["mixtral", "nllb"])
    args = parser.parse_args()
    (args.data / "golden").mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        if "mixtral" in args.models:
            mixtral(args)
        if "nllb" in args.models:
            nllb(args)


def mixtral(args):
    device = pick_device()
    model = load_mixtral(args.data / "mixtral", device)
    tokenizer = Tokenizer.from_file(str(args.data / "mixtral" / "tokenizer.json"))
    prompts, last = [], []
    for text in MIXTRAL_PROMPTS:
        ids = [BOS, *tokenizer.encode(text).ids]

        def logits_after(new, ids=ids):
            return model(input_ids=torch.tensor([ids + new], device=device), use_cache=False).logits[0, -1]

        last.append(logits_after([]).cpu().numpy())
        greedy, margins = decode(logits_after, args.new_tokens, stop=None)
        prompts.append({
            "text": text, "ids": ids, "greedy": greedy, "margins": margins, "greedy-text": tokenizer.decode(greedy),
        })
    save(args, "mixtral", "mixtral", "mixtral-last-logits.npy", last, prompts, {
        "stop": "none: the continuation goes on after </s>",
        "logits-meaning": "row i: logits of the last position of prompt i, before any new token",
    })


def nllb(args):
    device = pick_device()
    model = load_nllb(args.data / "nllb-moe", device)
    tokenizer = Tokenizer.from_file(str(args.data / "nllb-moe" / "tokenizer.json"))
    generator = torch.Generator().manual_seed(args.seed)
    prompts, first = [], []
    for text in NLLB_PROMPTS:
        tokens = torch.tensor([tokenizer.encode(text).ids])
        source, target = corrupt(tokens, torch.tensor([tokens.shape[1]]), model.config.vocab_size, generator)
        ids = source[0][: int((source[0] == EOS).nonzero()[0]) + 1].tolist()
        encoded = model.get_encoder()(input_ids=torch.tensor([ids], device=device))

        def logits_after(new, encoded=encoded):
            decoder_ids = torch.tensor([[EOS, *new]], device=device)
            return model(encoder_outputs=encoded, decoder_input_ids=decoder_ids, use_cache=False).logits[0, -1]

        first.append(logits_after([]).cpu().numpy())
        greedy, margins = decode(logits_after, 128, stop=EOS)
        prompts.append({
            "text": text, "ids": ids, "corrupted-text": tokenizer.decode(ids, skip_special_tokens=False),
            "target": target[0].tolist(), "greedy": greedy, "margins": margins,
            "greedy-text": tokenizer.decode(greedy),
        })
    save(args, "nllb", "nllb-moe", "nllb-first-logits.npy", first, prompts, {
        "stop": "at </s> (included) or after 128 tokens",
        "decoder-start": EOS,
        "experts": "as the router chose (data/make/routed_experts.py says why that needs saying)",
        "logits-meaning": "row i: logits of the first decoder step of prompt i, decoder input = decoder-start alone",
    })


def decode(logits_after, limit: int, stop: int | None) -> tuple[list[int], list[float]]:
    new, margins = [], []
    while len(new) < limit and (not new or new[-1] != stop):
        best = logits_after(new).topk(2)
        new.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 6))
    return new, margins


def save(args, name, model, logits_file, logits, prompts, notes) -> None:
    np.save(args.data / "golden" / logits_file, np.stack(logits).astype("<f4"))
    golden = {
        "format-version": 1, "model": model, "dtype": "float32", "weights": "bfloat16 as stored, widened",
        "attention": "eager", "tf32": False, "device": pick_device(), "torch": torch.__version__,
        "transformers": transformers.__version__, "seed": args.seed, "smallest-margin":
        min(min(p["margins"]) for p in prompts), "logits": logits_file, **notes,
    }
    path = args.data / "golden" / f"{name}.json"
    lines = ",\n".join(f"    {json.dumps(prompt, ensure_ascii=False)}" for prompt in prompts)  # one prompt a line
    head = json.dumps(golden, indent=2, ensure_ascii=False).removesuffix("\n}")
    path.write_text(f'{head},\n  "prompts": [\n{lines}\n  ]\n}}\n', encoding="utf-8")
    print(f"{name}: {len(prompts)} goldens, smallest margin {golden['smallest-margin']}")


if __name__ == "__main__":
    main()

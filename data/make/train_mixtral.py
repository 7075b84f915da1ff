"""Trains the small Mixtral on the corpus and saves it in Hugging Face layout, bfloat16.

    python3 train_mixtral.py --corpus WORK/corpus --tokenizer WORK/tokenizer --out data/mixtral [--seconds 240]

AdamW, warm-up and cosine decay over the tokens or the seconds, whichever end first; bfloat16 autocast; balance loss
on the routers (per layer by default). Log: training-log.csv (step, tokens, train-loss, held-out-loss, balance,
seconds; both losses are cross-entropy in nats per token, balance is 2 for an even router).
"""

import argparse
import json
from pathlib import Path

import dense_experts  # noqa: F401  registers experts_implementation="dense"
from common import (
    BOS, EOS, PAD, Budget, TrainingLog, TrainingStep, balance_loss, load_tokens, pick_device, save_checkpoint, windows,
)
import torch
import torch.nn.functional as F
from transformers import MixtralConfig, MixtralForCausalLM

ROPE_THETA = 10_000.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--intermediate", type=int, default=64)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--balance", choices=["layer", "pooled"], default="layer")
    parser.add_argument("--balance-weight", type=float, default=0.01)
    parser.add_argument("--tokens", type=int, default=400_000_000)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--every", type=int, default=250, help="steps between rows of the log")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard", default="6MB")
    args = parser.parse_args()

    device = pick_device()
    torch.manual_seed(args.seed)
    config = MixtralConfig(
        vocab_size=4096, hidden_size=args.hidden, intermediate_size=args.intermediate, num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 32, num_key_value_heads=2, head_dim=32, num_local_experts=8,
        num_experts_per_tok=2, max_position_embeddings=1024, sliding_window=None, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA}, router_aux_loss_coef=args.balance_weight,
        bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS,
    )
    model = MixtralForCausalLM._from_config(config, experts_implementation="dense", dtype=torch.float32)
    model.to(device)
    print(f"mixtral: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    tokens, held = (load_tokens(args.corpus, part, device) for part in ("train", "heldout"))
    batches = torch.Generator(device).manual_seed(args.seed)
    budget = Budget(args.tokens, args.seconds, args.rate)
    log = TrainingLog(
        args.out / "training-log.csv", ["step", "tokens", "train-loss", "held-out-loss", "balance", "seconds"]
    )

    def losses(ids):
        with torch.autocast(device, torch.bfloat16):
            out = model.model(input_ids=ids, output_router_logits=True, use_cache=False)
            logits = model.lm_head(out.last_hidden_state)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
        return loss, balance_loss(out.router_logits, None, 2, args.balance == "pooled")

    @torch.no_grad()
    def held_out_loss():
        model.eval()
        same = torch.Generator(device).manual_seed(0)
        mean = sum(losses(windows(held, args.batch, args.width, same))[0] for _ in range(8)) / 8
        model.train()
        return float(mean)

    model.train()
    train_step = TrainingStep(model, losses, args.balance_weight, args.rate)
    step, running = 0, []
    while True:
        ids = windows(tokens, args.batch, args.width, batches)
        loss, balance = train_step(budget.rate(), ids)
        step += 1
        budget.done += ids.numel()
        running.append(loss)
        if step % 20 == 0:
            loss.item()  # keeps the host, and so the clock of the budget, with the device
        last = budget.progress() >= 1.0
        if step % args.every == 0 or last:
            train = float(torch.stack(running).mean())
            log.row(step, budget.done, train, held_out_loss(), float(balance), budget.seconds())
            running = []
        if last:
            break

    model.set_experts_implementation("eager")
    save_checkpoint(model, args.tokenizer, args.out, args.shard, rope_theta=ROPE_THETA, torch_dtype="bfloat16")
    about = {key.replace("_", "-"): value for key, value in vars(args).items() if not isinstance(value, Path)}
    (args.out / "training.json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Trains the small NLLB-MoE to restore corrupted text (corruption.py) and saves it in Hugging Face layout, bfloat16.

    python3 train_nllb.py --corpus WORK/corpus --tokenizer WORK/tokenizer --out data/nllb-moe [--seconds 130]

Log: training-log.csv (step, tokens = target tokens seen, train-loss, held-out-loss, held-out-accuracy, balance,
seconds). Losses in nats per target token, teacher forced; accuracy = share of target tokens predicted exactly.
The loss that a model reaches by copying its source alone is what it has to beat: about a quarter of the source
tokens are wrong or missing.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from common import (
    BOS, EOS, PAD, Budget, TrainingLog, TrainingStep, balance_loss, load_tokens, pick_device, save_checkpoint, windows,
)
from corruption import corrupt, decoder_inputs
from routed_experts import route_properly
from transformers import NllbMoeConfig, NllbMoeForConditionalGeneration

VOCABULARY = 4096


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=6, help="of each stack")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--ffn", type=int, default=64)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--balance-weight", type=float, default=0.01)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--seconds", type=float, default=130)
    parser.add_argument("--every", type=int, default=250, help="steps between rows of the log")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--shard", default="20MB")
    args = parser.parse_args()

    device = pick_device()
    torch.manual_seed(args.seed)
    config = NllbMoeConfig(
        vocab_size=VOCABULARY, d_model=args.hidden, encoder_layers=args.layers, decoder_layers=args.layers,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=args.ffn, decoder_ffn_dim=args.ffn,
        num_experts=args.experts, encoder_sparse_step=2, decoder_sparse_step=2, max_position_embeddings=512,
        dropout=0.0, attention_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0, moe_token_dropout=0.0,
        router_ignore_padding_tokens=True, moe_eval_capacity_token_fraction=1.0, expert_capacity=1 << 20,
        router_aux_loss_coef=args.balance_weight, bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS,
        decoder_start_token_id=EOS,
    )
    model = route_properly(NllbMoeForConditionalGeneration(config)).to(device)
    print(f"nllb-moe: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    tokens, held = (load_tokens(args.corpus, part, device) for part in ("train", "heldout"))
    batches = torch.Generator(device).manual_seed(args.seed)
    budget = Budget(args.tokens, args.seconds, args.rate, warm_up=0.06)
    log = TrainingLog(
        args.out / "training-log.csv",
        ["step", "tokens", "train-loss", "held-out-loss", "held-out-accuracy", "balance", "seconds"],
    )

    def example(stream, generator):
        text = windows(stream, args.batch, args.width, generator)
        lengths = torch.randint(24, args.width + 1, (args.batch,), generator=generator, device=device)
        return corrupt(text, lengths, VOCABULARY, generator)

    def forward(source, target):
        with torch.autocast(device, torch.bfloat16):
            return model(
                input_ids=source, attention_mask=additive(source), decoder_input_ids=decoder_inputs(target),
                decoder_attention_mask=additive(target, causal=True), output_router_logits=True, use_cache=False,
            )

    def cross_entropy(logits, target):
        return F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), ignore_index=PAD)

    def losses(source, target):
        out = forward(source, target)
        encoder = balance_loss(out.encoder_router_logits, source != PAD, 2)
        decoder = balance_loss(out.decoder_router_logits, target != PAD, 2)
        return cross_entropy(out.logits, target), (encoder + decoder) / 2

    @torch.no_grad()
    def held_out():
        model.eval()
        same = torch.Generator(device).manual_seed(0)
        loss, accuracy = 0.0, 0.0
        for _ in range(8):
            source, target = example(held, same)
            logits = forward(source, target).logits
            loss += float(cross_entropy(logits, target)) / 8
            accuracy += float((logits.argmax(-1) == target)[target != PAD].float().mean()) / 8
        model.train()
        unlimited(model)
        return loss, accuracy

    model.train()
    unlimited(model)
    train_step = TrainingStep(model, losses, 2 * args.balance_weight, args.rate)
    step, running, seen = 0, [], 0
    while True:
        source, target = example(tokens, batches)
        loss, balance = train_step(budget.rate(), source, target)
        step += 1
        budget.done += args.batch * (26 + args.width) // 2  # on average; the log counts exactly
        seen = seen + (target != PAD).sum()
        running.append(loss)
        if step % 20 == 0:
            loss.item()  # keeps the host, and so the clock of the budget, with the device
        last = budget.progress() >= 1.0
        if step % args.every == 0 or last:
            train, (held_loss, accuracy) = float(torch.stack(running).mean()), held_out()
            log.row(step, int(seen), train, held_loss, accuracy, float(balance), budget.seconds())
            running = []
        if last:
            break

    save_checkpoint(model, args.tokenizer, args.out, args.shard, torch_dtype="bfloat16")
    about = {key.replace("_", "-"): value for key, value in vars(args).items() if not isinstance(value, Path)}
    (args.out / "training.json").write_text(json.dumps(about, indent=2) + "\n")


def additive(ids: torch.Tensor, causal: bool = False) -> torch.Tensor:
    """The attention mask as the layers want it, [rows, 1, 1 or width, width], 0 or very negative.

    Given a 2-D mask the library builds this itself, but with a copy from the host, which a CUDA graph cannot hold.
    """
    hidden = (ids == PAD)[:, None, None, :]
    if causal:
        hidden = hidden | torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).triu(1)
    return torch.zeros(hidden.shape, device=ids.device).masked_fill(hidden, torch.finfo(torch.float32).min)


def unlimited(model) -> None:
    """Evaluation leaves its own expert capacity in the routers; training is not to drop tokens."""
    for module in model.modules():
        if hasattr(module, "expert_capacity"):
            module.expert_capacity = 1 << 20


if __name__ == "__main__":
    main()

"""Decodes Mixtral-8x7B's shape with transformers and accelerate's offloading: the peer of
`atlas benchmark-run --random-weights mixtral-8x7b --device cuda --offload popularity --gpu-memory SIZE`.

    python3 offload_peer.py GPU_GIGABYTES BATCH CONTEXT STEPS [LAYERS]

Constant weights in bf16 (their values do not matter for the time, but the router must choose: it is
random). Layers that do not fit the given memory (10^9 bytes) wait on the CPU; accelerate copies each
to the GPU when it runs. Prints seconds of the prefill and of each decode step, and tokens a second
by the median step.
"""

import statistics
import sys
import time

import torch
from accelerate import dispatch_model, infer_auto_device_map, init_empty_weights
from transformers import MixtralConfig, MixtralForCausalLM


def build(layers):
    config = MixtralConfig(
        num_hidden_layers=layers, attn_implementation="sdpa", max_position_embeddings=4096
    )
    with init_empty_weights():
        model = MixtralForCausalLM(config).to(torch.bfloat16)
    model.to_empty(device="cpu")
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.numel() < 1 << 20:
            parameter.data.normal_(0, 0.02)
        else:
            parameter.data.fill_(1e-3)
    for name, buffer in model.named_buffers():
        if "inv_freq" in name:
            half = buffer.numel()
            buffer.copy_(config_theta(config) ** (-torch.arange(half, dtype=torch.float32) / half))
    model.get_input_embeddings().weight.data.normal_(0, 1)
    return model.eval()


def config_theta(config):
    parameters = getattr(config, "rope_parameters", None) or {}
    return parameters.get("rope_theta", getattr(config, "rope_theta", 1e6) or 1e6)


def main(gigabytes, batch, context, steps, layers=32):
    start = time.perf_counter()
    model = build(layers)
    devices = infer_auto_device_map(
        model,
        max_memory={0: int(gigabytes * 1e9), "cpu": 1 << 40},
        no_split_module_classes=["MixtralDecoderLayer"],
        dtype=torch.bfloat16,
    )
    model = dispatch_model(model, device_map=devices)
    on_gpu = sum(1 for name, place in devices.items() if place == 0 and "layers." in name)
    print(f"built in {time.perf_counter() - start:.1f} s, {on_gpu} of {layers} layers on the GPU", flush=True)
    ids = torch.randint(0, 32000, (batch, context), device="cuda")
    with torch.no_grad():
        torch.cuda.synchronize()
        start = time.perf_counter()
        out = model(ids, use_cache=True, logits_to_keep=1)
        torch.cuda.synchronize()
        print(f"prefill {time.perf_counter() - start:.2f} s", flush=True)
        seconds = []
        for _ in range(steps):
            ids = out.logits[:, -1:].argmax(-1).to("cuda")
            start = time.perf_counter()
            out = model(ids, past_key_values=out.past_key_values, use_cache=True)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print("steps", [round(s, 3) for s in seconds], f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    print(f"batch {batch}: {batch / median:.3f} tokens/s")


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))

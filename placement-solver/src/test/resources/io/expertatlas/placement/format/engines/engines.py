"""Writes the golden files of this folder: placements, and what engines load for them.

Run in this folder: python3 engines.py (PyYAML is needed). Written from the formats' descriptions,
apart from the Java code. plan.csv is for 4 MoE layers of 8 experts on 2 nodes of 2 GPUs;
config.json puts them at layers 1 to 4 of 5, with one layer for multi-token prediction behind.
Files that begin with "plain-" are for the same placement without config.json. Files that begin
with "copies-" are for another one, with 4 redundant slots: copies-plan.json has the GPUs of each
expert, [layer][expert][copy].
"""

import collections
import io
import json
import pickle
import pickletools
import random
import sys
import types

import yaml

LAYERS, EXPERTS, GPUS, DENSE, MTP = 4, 8, 4, 1, 1
draw = random.Random(4)


def write(name, text):
    with open(name, "w", newline="") as out:
        out.write(text)


def dump(name, value):
    write(name, json.dumps(value, separators=(",", ":")) + "\n")


def csv(name, gpu_of):
    rows = ["%d,%d" % (l * EXPERTS + e, gpu_of[l][e]) for l in range(LAYERS) for e in range(EXPERTS)]
    write(name, "".join(row + "\r\n" for row in ["Expert,Node"] + rows))


gpu_of = []
for _ in range(LAYERS):
    deck = [g for g in range(GPUS) for _ in range(EXPERTS // GPUS)]
    draw.shuffle(deck)
    gpu_of.append(deck)
csv("plan.csv", gpu_of)
slots = [sorted(range(EXPERTS), key=lambda e: (row[e], e)) for row in gpu_of]
trivial = list(range(EXPERTS))
dump("config.json", {
    "architectures": ["DeepseekV3ForCausalLM"], "first_k_dense_replace": DENSE, "moe_layer_freq": 1,
    "n_group": 2, "n_routed_experts": EXPERTS, "num_hidden_layers": DENSE + LAYERS,
    "num_nextn_predict_layers": MTP, "torch_dtype": "bfloat16"})

dump("sglang.json", {"physical_to_logical_map": [trivial] * DENSE + slots})
dump("plain-sglang.json", {"physical_to_logical_map": slots})


def trtllm(name, rows, slots=EXPERTS):
    plan = {"num_slots": slots, "initial_global_assignments": rows, "layer_updates_per_iter": 0}
    # json round trip: no YAML aliases for equal rows
    rows = {layer: json.loads(json.dumps(row)) for layer, row in rows.items()}
    plan["initial_global_assignments"] = rows
    write(name, yaml.safe_dump(plan, sort_keys=False, default_flow_style=None, width=10**6))


with_mtp = {DENSE + l: slots[l] for l in range(LAYERS)}
with_mtp[DENSE + LAYERS] = trivial
trtllm("trtllm.yaml", with_mtp)
trtllm("plain-trtllm.yaml", dict(enumerate(slots)))

dump("vllm-ascend.json", {"moe_layer_count": LAYERS, "layer_list": [
    {"layer_id": l, "device_count": GPUS, "device_list": [
        {"device_id": g, "device_expert": [e for e in range(EXPERTS) if gpu_of[l][e] == g]}
        for g in range(GPUS)]}
    for l in range(LAYERS)]})
dump("vllm.jsonl", {
    "record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": 0,
    "num_slots": EXPERTS, "initial_global_assignments": {str(l): slots[l] for l in range(LAYERS)}})
dump("vllm-list.json", slots)

same = [gpu_of[0]] * LAYERS
csv("same.csv", same)
dump("vllm-ranks.json", {"expert_to_ep_rank": same[0]})

whole = [[g] * EXPERTS for g in (0, 0, 1, 3)]
csv("whole.csv", whole)
write("llama-cpp.txt",
      r"blk\.(1|2)\.ffn_.*_exps=CUDA0,blk\.(3)\.ffn_.*_exps=CUDA1,blk\.(4)\.ffn_.*_exps=CUDA3" + "\n")
write("plain-llama-cpp.txt",
      r"blk\.(0|1)\.ffn_.*_exps=CUDA0,blk\.(2)\.ffn_.*_exps=CUDA1,blk\.(3)\.ffn_.*_exps=CUDA3" + "\n")

# Copies: 3 slots of each layer on each GPU; every expert has one, 4 experts drawn have more.
REDUNDANT = 4
copies = []
for _ in range(LAYERS):
    deck = list(range(EXPERTS)) + [draw.randrange(EXPERTS) for _ in range(REDUNDANT)]
    draw.shuffle(deck)
    per_gpu = len(deck) // GPUS
    copies.append([e for g in range(GPUS) for e in sorted(deck[g * per_gpu:(g + 1) * per_gpu])])
per_gpu = (EXPERTS + REDUNDANT) // GPUS
dump("copies-plan.json", [
    [[slot // per_gpu for slot, held in enumerate(row) if held == e] for e in range(EXPERTS)]
    for row in copies])
unplaced = [slot % EXPERTS for slot in range(EXPERTS + REDUNDANT)]
dump("copies-sglang.json", {"physical_to_logical_map": [unplaced] * DENSE + copies})
with_mtp = {DENSE + l: copies[l] for l in range(LAYERS)}
with_mtp[DENSE + LAYERS] = unplaced
trtllm("copies-trtllm.yaml", with_mtp, EXPERTS + REDUNDANT)
dump("copies-vllm-ascend.json", {"moe_layer_count": LAYERS, "layer_list": [
    {"layer_id": l, "device_count": GPUS, "device_list": [
        {"device_id": g, "device_expert": row[g * per_gpu:(g + 1) * per_gpu]}
        for g in range(GPUS)]}
    for l, row in enumerate(copies)]})
dump("copies-vllm.jsonl", {
    "record_type": "eplb_initial_mapping", "version": 1, "num_redundant_experts": REDUNDANT,
    "num_slots": EXPERTS + REDUNDANT,
    "initial_global_assignments": {str(l): row for l, row in enumerate(copies)}})
dump("copies-vllm-list.json", copies)

# What torch.save puts into data.pkl for {"logical_count": int64 tensor [1, 5, 8]}, with stand-ins
# for torch's own names: the pickler writes names, not code.
torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")


class LongStorage:
    pass


def _rebuild_tensor_v2():
    pass


LongStorage.__module__, LongStorage.__qualname__ = "torch", "LongStorage"
_rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
torch.LongStorage, utils._rebuild_tensor_v2 = LongStorage, _rebuild_tensor_v2
sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
rows = DENSE + LAYERS


class Storage:
    pass


class Tensor:
    def __reduce_ex__(self, protocol):
        return _rebuild_tensor_v2, (
            Storage(), 0, (1, rows, EXPERTS), (rows * EXPERTS, EXPERTS, 1), False,
            collections.OrderedDict())


class Pickler(pickle._Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return "storage", LongStorage, "0", "cpu", rows * EXPERTS
        return None


out = io.BytesIO()
Pickler(out, protocol=2).dump({"logical_count": Tensor()})
with open("data.pkl", "wb") as file:
    file.write(pickletools.optimize(out.getvalue()))

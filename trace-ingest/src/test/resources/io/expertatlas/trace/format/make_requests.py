"""Writes requests/: answers of SGLang and vLLM with routed experts. Run in this folder: python3 make_requests.py

id(sequence, position, MoE layer, rank) = (4 * sequence + 3 * position + 5 * layer + 2 * rank) % 9 for 3 MoE layers, top-2, 9 experts.
Where all layers are there, layers 0 and 2 of 5 are dense (zeros). Requests have 4 + 3, 2 + 5 prompt and generated tokens.
"""

import base64
import json
from pathlib import Path

import numpy as np

MOE, K, EXPERTS = 3, 2, 9
REQUESTS = [(4, 3), (2, 5)]
out = Path("requests")
out.mkdir(exist_ok=True)


def ids(sequence, start, end):
    p, l, r = np.indices((end - start, MOE, K))
    return (4 * sequence + 3 * (p + start) + 5 * l + 2 * r) % EXPERTS


def all_layers(moe):
    full = np.zeros((len(moe), 5, K), int)
    full[:, [1, 3, 4]] = moe
    return full


def b64(array, dtype):
    return base64.b64encode(array.astype(dtype).tobytes()).decode()


def write(name, *documents, pretty=None):
    text = json.dumps(documents[0], indent=pretty) if pretty else "\n".join(map(json.dumps, documents))
    (out / name).write_text(text + "\n")


# SGLang: no routes for the last token of a sequence.
chat, native = [], []
for s, (prompt, generated) in enumerate(REQUESTS):
    text = b64(all_layers(ids(s, 0, prompt + generated - 1)), "<i4")
    chat.append(
        {
            "id": str(s),
            "choices": [{"index": 0, "message": {"content": "\u00fc"}, "sgl_ext": {"routed_experts": text}}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": generated},
        }
    )
    native.append({"text": "x", "meta_info": {"prompt_tokens": prompt, "completion_tokens": generated, "routed_experts": text}})
write("sglang-chat.jsonl", *chat)
write("sglang-generate.json", native, pretty=2)
from_two = dict(chat[0], choices=[{"sgl_ext": {"routed_experts": b64(all_layers(ids(0, 2, 6)), "<i4")}}])
write("sglang-start.json", from_two, pretty=1)
write("broken-sglang-base64.json", {"choices": [{"sgl_ext": {"routed_experts": "AAA*"}}]})
write("broken-sglang-absent.json", {"choices": [{"sgl_ext": {"routed_experts": None}}]})
write("broken-sglang-usage.jsonl", chat[0], dict(chat[1], usage={"prompt_tokens": 2, "completion_tokens": 6}))
wrong = all_layers(ids(1, 0, 6))
wrong[4, 3, 1] = 9
write("broken-sglang-id.jsonl", chat[0], dict(chat[1], choices=[{"sgl_ext": {"routed_experts": b64(wrong, "<i4")}}]))

# vLLM up to 0.20: one array a request, or base 85 in JSON.
np.save(out / "vllm-request.npy", all_layers(ids(0, 0, 7)).astype("<i4"))
prime = []
for s, (prompt, generated) in enumerate(REQUESTS):
    full = all_layers(ids(s, 0, prompt + generated))
    data = base64.b85encode(full.astype("<i4").tobytes()).decode()
    prime.append({"choices": [{"routed_experts": {"data": data, "shape": list(full.shape)}}], "usage": {"prompt_tokens": prompt}})
write("vllm-all-layers.jsonl", *prime)
# 0.21: lists, prompt and generation apart; 2 choices share the prompt of the second request.
lists = []
for s, (prompt, generated) in enumerate(REQUESTS):
    lists.append(
        {
            "prompt_routed_experts": ids(s, 0, prompt).tolist(),
            "choices": [{"index": 0, "routed_experts": ids(s, prompt, prompt + generated).tolist()}],
        }
    )
lists[1]["choices"].append({"index": 1, "routed_experts": ids(2, 2, 4).tolist()})
write("vllm-moe-layers.jsonl", *lists)
cached = json.loads(json.dumps(lists[0]))
cached["prompt_routed_experts"][0] = cached["prompt_routed_experts"][1] = [[-1] * K] * MOE
write("vllm-cached.json", cached, pretty=2)
# Later: data, shape, dtype.
encoded = []
for s, (prompt, generated) in enumerate(REQUESTS):
    moe = ids(s, 0, prompt + generated)
    encoded.append(
        {
            "choices": [{"routed_experts": {"data": b64(moe, "<i2"), "shape": list(moe.shape), "dtype": "int16"}}],
            "usage": {"prompt_tokens": prompt},
        }
    )
write("vllm-encoded.jsonl", *encoded)

ragged = json.loads(json.dumps(lists[0]))
del ragged["choices"][0]["routed_experts"][2][1][1]
write("broken-vllm-ragged.jsonl", lists[1], ragged)
mixed = json.loads(json.dumps(lists[0]))
write("broken-vllm-mixed.jsonl", mixed, encoded[0])
short = json.loads(json.dumps(encoded[0]))
short["choices"][0]["routed_experts"]["shape"][0] = 8
write("broken-vllm-short.jsonl", short)
twice = json.loads(json.dumps(lists[0]))
twice["choices"][0]["routed_experts"][1][2] = [4, 4]
write("broken-vllm-twice.jsonl", lists[1], twice)
preempted = json.loads(json.dumps(lists[0]))
preempted["choices"][0]["routed_experts"] = None
write("broken-vllm-preempted.jsonl", preempted)
partly = json.loads(json.dumps(lists[0]))
partly["prompt_routed_experts"][2][1][0] = -1
write("broken-vllm-partly.jsonl", partly)
(out / "broken-json.jsonl").write_text(json.dumps(lists[0]) + '\n{"choices": [\n')
(out / "broken-empty.json").write_text("")
(out / "broken-number.json").write_text("17\n")

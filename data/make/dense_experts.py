"""Mixtral's experts as two matrix products over all experts, unchosen ones weighted 0.

For experts as small as ours this is far quicker than sorting tokens by expert, uses autocast (transformers' grouped_mm
computes in the weights' own dtype, fp32 here), and never waits for the device, so that a step can be a CUDA graph.
Importing this module registers it as experts_implementation="dense".
"""

import torch
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS


def dense_experts(self, hidden_states, top_k_index, top_k_weights):
    gates = torch.zeros(len(hidden_states), self.num_experts, dtype=top_k_weights.dtype, device=hidden_states.device)
    gates = gates.scatter(1, top_k_index, top_k_weights)
    both = torch.nn.functional.linear(hidden_states, self.gate_up_proj.flatten(0, 1))
    gate, up = both.unflatten(-1, (self.num_experts, 2, -1)).unbind(-2)  # [tokens, experts, intermediate]
    inner = self.act_fn(gate) * up * gates.to(up.dtype).unsqueeze(-1)
    out = torch.nn.functional.linear(inner.flatten(1), self.down_proj.permute(1, 0, 2).flatten(1))
    return out.to(hidden_states.dtype)


ALL_EXPERTS_FUNCTIONS.register("dense", dense_experts)

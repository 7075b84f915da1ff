"""NLLB-MoE's experts as published: every token goes to its two experts, weighted by the router.

transformers 5.17 passes the router's one-hot [tokens, experts] mask to `NllbMoeExperts`, which encodes it one-hot
again: whatever the router says, the first choice runs through expert_1 and all else through expert_0
(modeling_nllb_moe.py, NllbMoeSparseMLP.forward and NllbMoeExperts.forward). Checkpoints of the published kind, and
every other engine, mean sum over experts e of weight[e] * expert_e(x). `route_properly(model)` swaps in that
computation: parameters and their names stay, the library is not patched.
"""

import torch
from transformers.models.nllb_moe.modeling_nllb_moe import NllbMoeExperts


class RoutedExperts(NllbMoeExperts):
    """All experts as one matrix product; a weight of 0 removes those that were not chosen.

    Dense arithmetic is the faster way for experts as small as ours.
    """

    def forward(self, hidden_states, router_mask, router_probs):
        experts = [self[f"expert_{index}"] for index in range(self.num_experts)]
        up = torch.cat([expert.fc1.weight for expert in experts])  # [experts * ffn, hidden]
        up_bias = torch.cat([expert.fc1.bias for expert in experts])
        down = torch.stack([expert.fc2.weight for expert in experts])  # [experts, hidden, ffn]
        down_bias = torch.stack([expert.fc2.bias for expert in experts])
        inner = experts[0].act(torch.nn.functional.linear(hidden_states, up, up_bias))
        inner = inner.unflatten(-1, (self.num_experts, -1)) * router_probs.to(inner.dtype).unsqueeze(-1)
        flat = down.permute(1, 0, 2).flatten(1)  # [hidden, experts * ffn]
        out = torch.nn.functional.linear(inner.flatten(-2), flat)
        return (out + router_probs.to(out.dtype) @ down_bias.to(out.dtype)).to(hidden_states.dtype)


def route_properly(model):
    """Makes every sparse layer of an NllbMoe model compute with the experts that its router chose."""
    for module in model.modules():
        if type(module) is NllbMoeExperts:
            if module.moe_token_dropout:
                raise ValueError(f"moe_token_dropout is {module.moe_token_dropout}; RoutedExperts knows only 0")
            module.__class__ = RoutedExperts
    return model

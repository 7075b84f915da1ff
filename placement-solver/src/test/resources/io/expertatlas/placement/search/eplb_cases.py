"""Writes eplb-cases.json: what DeepSeek's load balancer answers, in exact fractions.

Run in this folder: python3 eplb_cases.py
Written from the balancer's description, apart from the Java code. The first two cases are the
balancer's own published example.
"""

import json
import random
from fractions import Fraction


def pack(items, packs):
    """items: list of (weight, thing) -> list of packs, each a list of things."""
    if len(items) == packs:
        return [[thing] for _, thing in items]
    result = [[] for _ in range(packs)]
    total = [Fraction(0)] * packs
    for weight, thing in sorted(items, key=lambda item: -item[0]):  # sorted() is stable
        open_packs = [p for p in range(packs) if len(result[p]) < len(items) // packs]
        chosen = min(open_packs, key=lambda p: total[p])
        result[chosen].append(thing)
        total[chosen] += weight
    return result


def balance(load, slots, groups, nodes, gpus):
    if groups % nodes != 0:
        groups, nodes = 1, 1
    size = len(load) // groups
    members = [list(range(g * size, (g + 1) * size)) for g in range(groups)]
    answer = []
    for node in pack([(Fraction(sum(load[e] for e in m)), m) for m in members], nodes):
        experts = [e for group in node for e in group]
        copies = {e: 1 for e in experts}
        order = list(experts)
        while len(order) < slots // nodes:
            neediest = max(experts, key=lambda e: Fraction(load[e], copies[e]))  # first of equals
            copies[neediest] += 1
            order.append(neediest)
        for gpu in pack([(Fraction(load[e], copies[e]), e) for e in order], gpus // nodes):
            answer.extend(gpu)
    return answer


def case(load, slots, groups, nodes, gpus):
    return {
        "load": load, "slots": slots, "groups": groups, "nodes": nodes, "gpus": gpus,
        "physical-to-logical": balance(load, slots, groups, nodes, gpus),
    }


published = [
    ([90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
     [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1]),
    ([20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
     [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1]),
]
cases = []
for load, expected in published:
    cases.append(case(load, 16, 4, 2, 8))
    assert cases[-1]["physical-to-logical"] == expected

draw = random.Random(20261122)
while len(cases) < 120:
    nodes = draw.choice([1, 1, 2, 3, 4])
    gpus = nodes * draw.choice([1, 2, 3, 4])
    groups = draw.choice([1, 2, 3, 4, 8])
    experts = groups * draw.choice([1, 2, 3, 5, 8])
    slots = gpus * draw.randint(1, 8)
    if slots < experts or slots > 3 * experts:
        continue
    if groups % nodes == 0 and (slots // nodes) < experts // nodes:
        continue
    top = draw.choice([3, 100, 1000000])  # small tops draw many ties
    cases.append(case([draw.randint(0, top) for _ in range(experts)], slots, groups, nodes, gpus))

with open("eplb-cases.json", "w", newline="\n") as out:
    out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")

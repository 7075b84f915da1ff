"""Trains pre-gates with PyTorch: the peer of TrainingBenchmark, which starts this.

    python3 torch_peer.py LAYERS HIDDEN EXPERTS HEADS TOKENS BATCH EPOCHS RANK

Random data in memory; the same maps, loss, optimizer, batch and steps as the Java training. Two
forms, of which the faster counts: all layers in one batched product, or one layer after the other.
Prints seconds of wall clock and of processor for each, without imports and data.
"""

import sys
import time

import torch


def train(form, layers, hidden, experts, heads, tokens, batch, epochs, rank):
    torch.manual_seed(1)
    outputs = heads * experts
    x = torch.randn(layers, tokens, hidden)
    y = torch.softmax(torch.randn(layers, tokens, heads, experts), -1)
    groups = [slice(0, layers)] if form == "batched" else [slice(i, i + 1) for i in range(layers)]
    begin, processor = time.perf_counter(), time.process_time()
    for group in groups:
        count = group.stop - group.start
        w = torch.empty(count, hidden, outputs).uniform_(-0.01, 0.01).requires_grad_()
        b = torch.zeros(count, 1, outputs, requires_grad=True)
        parameters = [w, b]
        if rank:
            u = (torch.randn(count, hidden, rank) / hidden**0.5).requires_grad_()
            c = torch.zeros(count, 1, rank, requires_grad=True)
            v = torch.zeros(count, rank, outputs, requires_grad=True)
            parameters += [u, c, v]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        for _ in range(epochs):
            order = torch.randperm(tokens)
            for at in range(0, tokens - batch + 1, batch):
                rows = order[at : at + batch]
                features = x[group, rows]
                z = torch.baddbmm(b, features, w)
                if rank:
                    z = z + torch.bmm(torch.relu(torch.baddbmm(c, features, u)), v)
                z = z.view(count, batch, heads, experts)
                loss = -(y[group, rows] * torch.log_softmax(z, -1)).sum() / batch
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return time.perf_counter() - begin, time.process_time() - processor


if __name__ == "__main__":
    torch.set_num_threads(2)
    for form in ("batched", "looped"):
        print(form, *train(form, *map(int, sys.argv[1:])), flush=True)

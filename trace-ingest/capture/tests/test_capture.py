"""Runs with torch alone: a fake model whose routers are known to the last digit.

    python3 -m unittest discover -s tests -t .
"""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from moecapture import CaptureError, RoutingCapture, Routing, register

LAYERS, EXPERTS, HIDDEN = 3, 5, 4


class FakeRouter(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        generator = torch.Generator().manual_seed(layer)
        self.weight = torch.nn.Parameter(torch.randn(EXPERTS, HIDDEN, generator=generator))

    def forward(self, hidden):
        logits = hidden @ self.weight.T
        weights, experts = logits.softmax(-1).topk(2, dim=-1)
        return logits, weights, experts


class FakeLayer(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.router = FakeRouter(layer)


class FakeModel(torch.nn.Module):
    """Feeds the embedding of every token to the routers of all layers."""

    def __init__(self):
        super().__init__()
        self.table = torch.randn(50, HIDDEN, generator=torch.Generator().manual_seed(9))
        self.layers = torch.nn.ModuleList(FakeLayer(i) for i in range(LAYERS))
        self.generation_config = type("Config", (), {"eos_token_id": 2})()

    def forward(self, input_ids):
        for layer in self.layers:
            layer.router(self.table[input_ids].reshape(-1, HIDDEN))


register("FakeRouter", lambda module, inputs, output: Routing(output[2], output[1], output[0], inputs[0]))


class CaptureTest(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.parent = Path(self._folder.name)
        self.out = self.parent / "run"
        self.model = FakeModel()

    def load(self, name):
        return np.load(self.out / f"{name}.npy")

    def test_records_tokens_in_sequence_order_without_padding(self):
        ids = torch.tensor([[0, 5, 6, 7], [0, 8, 0, 0]])
        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
        with RoutingCapture(self.model, self.out, hidden=True, logits=True, seed=7) as capture:
            capture.batch([4, 1], mask)
            self.model(input_ids=ids)
        self.assertEqual(self.load("sequence").tolist(), [1, 1, 4, 4, 4, 4])
        self.assertEqual(self.load("position").tolist(), [0, 1, 0, 1, 2, 3])
        self.assertEqual(self.load("phase").tolist(), [0] * 6)
        hidden = self.model.table[torch.tensor([0, 8, 0, 5, 6, 7])]
        for layer in range(LAYERS):
            logits = hidden @ self.model.layers[layer].router.weight.T
            weights, experts = logits.softmax(-1).topk(2, dim=-1)
            np.testing.assert_array_equal(self.load("experts")[:, layer], experts.numpy())
            np.testing.assert_allclose(self.load("weights")[:, layer], weights.detach(), atol=1e-3)
            np.testing.assert_allclose(self.load("logits")[:, layer], logits.detach(), rtol=1e-6)
        description = json.loads((self.out / "capture.json").read_text())
        self.assertEqual(description["moe-layers"], [0, 1, 2])
        self.assertEqual((description["experts"], description["top-k"], description["seed"]), (5, 2, 7))
        self.assertEqual((description["tokens"], description["sequences"]), (6, 2))
        self.assertEqual(description["files"]["hidden.npy"]["shape"], [6, 3, 4])

    def test_decode_steps_follow_the_prompt_and_stop_at_the_end_token(self):
        with RoutingCapture(self.model, self.out) as capture:
            capture.batch([0, 1], torch.tensor([[0, 1, 1], [1, 1, 1]]))
            self.model(input_ids=torch.tensor([[1, 5, 6], [7, 8, 9]]))
            for step in ([11, 12], [13, 2], [14, 1]):
                self.model(input_ids=torch.tensor(step)[:, None])
        self.assertEqual(self.load("sequence").tolist(), [0] * 5 + [1] * 4)
        self.assertEqual(self.load("position").tolist(), [0, 1, 2, 3, 4, 0, 1, 2, 3])
        self.assertEqual(self.load("phase").tolist(), [0, 0, 1, 1, 1, 0, 0, 0, 1])

    def test_files_are_plain_version_1_little_endian(self):
        with RoutingCapture(self.model, self.out) as capture:
            capture.batch([0], torch.ones(1, 2))
            self.model(input_ids=torch.tensor([[3, 4]]))
        for path in self.out.glob("*.npy"):
            self.assertEqual(path.read_bytes()[:8], b"\x93NUMPY\x01\x00")
        self.assertEqual(self.load("experts").dtype, np.uint8)
        self.assertEqual(self.load("weights").dtype.str, "<f2")
        self.assertFalse((self.out / "hidden.npy").exists())

    def test_a_failure_leaves_nothing_and_removes_the_hooks(self):
        with self.assertRaises(KeyError):
            with RoutingCapture(self.model, self.out) as capture:
                capture.batch([0], torch.ones(1, 2))
                self.model(input_ids=torch.tensor([[3, 4]]))
                raise KeyError("the user's own")
        self.assertEqual(list(self.parent.iterdir()), [])
        self.model(input_ids=torch.tensor([[3, 4]]))

    def assert_refused(self, words, use):
        with self.assertRaises(CaptureError) as raised:
            with RoutingCapture(self.model, self.out) as capture:
                use(capture)
        self.assertIn(words, str(raised.exception))
        self.assertNotIn("\n", str(raised.exception))
        self.assertEqual(list(self.parent.iterdir()), [])

    def test_wrong_use_says_one_clear_line(self):
        one, ids = torch.ones(1, 2), torch.tensor([[3, 4]])

        def twice(capture):
            for _ in range(2):
                capture.batch([0], one)
                self.model(input_ids=ids)

        self.assert_refused("before batch()", lambda capture: self.model(input_ids=ids))
        self.assert_refused("nothing was recorded", lambda capture: None)
        self.assert_refused("did not run", lambda capture: capture.batch([0], one))
        self.assert_refused("recorded before", twice)
        self.assert_refused("2 sequence ids", lambda capture: capture.batch([0, 1], one))
        self.assert_refused("distinct", lambda capture: capture.batch([3, 3], torch.ones(2, 2)))
        self.assert_refused("no token", lambda capture: capture.batch([0], torch.zeros(1, 2)))

        def narrow(capture):
            capture.batch([0], torch.ones(1, 3))
            self.model(input_ids=ids)

        self.assert_refused("a prefill of 2 rows, expected 3", narrow)

    def test_refuses_models_and_folders_it_cannot_use(self):
        with self.assertRaisesRegex(CaptureError, "no router of a known class"):
            RoutingCapture(torch.nn.Linear(2, 2), self.out)
        with self.assertRaisesRegex(CaptureError, "has no encoder"):
            RoutingCapture(self.model, self.out, stack="encoder")
        self.out.mkdir()
        with self.assertRaisesRegex(CaptureError, "exists already"):
            with RoutingCapture(self.model, self.out):
                pass


if __name__ == "__main__":
    unittest.main()

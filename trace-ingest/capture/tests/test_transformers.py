"""Captures of tiny random models of the transformers library against an independent computation.

Skipped where transformers is missing. `MOECAPTURE_DEVICE=cuda` runs it on a GPU.
"""

import os
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from moecapture import CaptureError, RoutingCapture

try:
    import transformers
except ImportError:
    transformers = None

DEVICE = os.environ.get("MOECAPTURE_DEVICE", "cpu")


def mixtral():
    config = transformers.MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=16, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=6, num_experts_per_tok=2, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, max_position_embeddings=64,
    )
    torch.manual_seed(0)
    model = transformers.MixtralForCausalLM(config)
    for parameter in model.parameters():  # far from ties
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().to(DEVICE)


def nllb(**changes):
    config = transformers.NllbMoeConfig(
        vocab_size=64, d_model=32, encoder_layers=4, decoder_layers=4, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=16, decoder_ffn_dim=16, num_experts=6, encoder_sparse_step=2,
        decoder_sparse_step=2, max_position_embeddings=64, router_ignore_padding_tokens=True, **changes,
    )
    torch.manual_seed(0)
    model = transformers.NllbMoeForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        if "router" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval().to(DEVICE)


def chosen(hidden, weight):
    """Top-2 of softmax(hidden x weight), weights scaled to sum 1: what both models publish."""
    logits = hidden.astype(np.float64) @ weight.detach().cpu().numpy().astype(np.float64).T
    order = np.argsort(-logits, axis=-1)[:, :2]
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    weights = np.take_along_axis(probabilities, order, -1)
    return logits, order, weights / weights.sum(-1, keepdims=True)


@unittest.skipIf(transformers is None, "transformers is not installed")
class TransformersTest(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.parent = Path(self._folder.name)
        torch.manual_seed(1)
        self.ids = torch.randint(3, 64, (3, 9), device=DEVICE)
        self.mask = torch.ones(3, 9, dtype=torch.long, device=DEVICE)
        self.mask[1, 6:] = 0
        self.mask[2, 3:] = 0

    def check(self, name, router_logits, routers, mask):
        """The capture = the recomputation from its own hidden states = the model's own router logits."""
        load = lambda array: np.load(self.parent / name / f"{array}.npy")
        kept = mask.reshape(-1).bool()
        self.assertEqual(len(load("experts")), int(kept.sum()))
        for layer, (theirs, router) in enumerate(zip(router_logits, routers, strict=True)):
            theirs = theirs.reshape(-1, theirs.shape[-1])[kept].float().detach().cpu().numpy()
            np.testing.assert_allclose(load("logits")[:, layer], theirs, rtol=1e-5, atol=1e-5)
            logits, experts, weights = chosen(load("hidden")[:, layer], router)
            np.testing.assert_allclose(load("logits")[:, layer], logits, rtol=2e-2, atol=2e-2)
            np.testing.assert_array_equal(load("experts")[:, layer], np.argsort(-theirs, -1)[:, :2])
            agree = (load("experts")[:, layer] == experts).all(-1)
            self.assertGreater(agree.mean(), 0.9)  # hidden states are stored as float16
            np.testing.assert_allclose(load("weights")[:, layer][agree], weights[agree], atol=2e-2)

    def test_mixtral_prefill(self):
        model = mixtral()
        with RoutingCapture(model, self.parent / "m", hidden=True, logits=True) as capture, torch.no_grad():
            capture.batch(range(3), self.mask)
            out = model(input_ids=self.ids, attention_mask=self.mask, output_router_logits=True)
        routers = [layer.mlp.gate.weight for layer in model.model.layers]
        self.check("m", out.router_logits, routers, self.mask)

    def test_mixtral_generate_equals_one_prefill_of_the_whole(self):
        model = mixtral()
        ids, mask = self.ids.flip(1), self.mask.flip(1)  # padding on the left, as generate wants it
        with RoutingCapture(model, self.parent / "g", logits=True) as capture:
            capture.batch(range(3), mask)
            out = model.generate(
                input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=6, min_new_tokens=6
            )
        whole = torch.cat([mask, torch.ones(3, 6, dtype=torch.long, device=DEVICE)], dim=1)[:, :-1]
        with RoutingCapture(model, self.parent / "p", logits=True) as capture, torch.no_grad():
            capture.batch(range(3), whole)
            positions = (whole.cumsum(1) - 1).clamp(min=0)
            model(input_ids=out[:, :-1], attention_mask=whole, position_ids=positions)
        for name in ("experts", "sequence", "position"):
            g, p = (np.load(self.parent / run / f"{name}.npy") for run in "gp")
            np.testing.assert_array_equal(g, p)
        phase, position = (np.load(self.parent / "g" / f"{name}.npy") for name in ("phase", "position"))
        prompt = mask.sum(1).cpu().numpy()[np.load(self.parent / "g" / "sequence.npy")]
        np.testing.assert_array_equal(phase, (position >= prompt).astype(np.uint8))

    def test_nllb_stacks(self):
        model = nllb()
        decoder_mask = self.mask.roll(1, 0)
        for stack, mask in (("encoder", self.mask), ("decoder", decoder_mask)):
            with RoutingCapture(model, self.parent / stack, stack, hidden=True, logits=True) as capture:
                capture.batch(range(3), mask)
                with torch.no_grad():
                    out = model(
                        input_ids=self.ids, attention_mask=self.mask, decoder_input_ids=self.ids.roll(1, 0),
                        decoder_attention_mask=decoder_mask, output_router_logits=True,
                    )
            layers = getattr(model.model, stack).layers
            routers = [layer.ffn.router.classifier.weight for layer in layers if layer.is_sparse]
            self.check(stack, getattr(out, f"{stack}_router_logits"), routers, mask)

    def test_nllb_generate_records_encoder_and_decoder(self):
        model = nllb()
        with (
            RoutingCapture(model, self.parent / "e", "encoder") as encoder,
            RoutingCapture(model, self.parent / "d", "decoder") as decoder,
        ):
            encoder.batch(range(3), self.mask)
            decoder.batch(range(3), torch.ones(3, 1))
            model.generate(
                input_ids=self.ids, attention_mask=self.mask, do_sample=False, num_beams=1, max_new_tokens=5,
                min_new_tokens=5,
            )
        self.assertEqual(len(np.load(self.parent / "e" / "experts.npy")), int(self.mask.sum()))
        self.assertEqual(np.load(self.parent / "d" / "phase.npy").tolist(), [0, 1, 1, 1, 1] * 3)

    def test_nllb_dropped_experts_are_an_error(self):
        model = nllb(moe_eval_capacity_token_fraction=0.1)
        with self.assertRaisesRegex(CaptureError, "kept fewer than 2 experts"):
            with RoutingCapture(model, self.parent / "x", "encoder") as capture, torch.no_grad():
                capture.batch(range(3), self.mask)
                model(input_ids=self.ids, attention_mask=self.mask, decoder_input_ids=self.ids[:, :1])
        self.assertEqual(list(self.parent.iterdir()), [])


if __name__ == "__main__":
    unittest.main()

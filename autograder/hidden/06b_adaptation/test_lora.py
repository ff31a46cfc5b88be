"""Hidden tests of the LoRA notebook: the same promises on other inputs.

golden_lora.npz holds what two libraries gave once: peft 0.21.2 (`peft_*`: the output and the merged
weight of a LoRA layer with r=3, lora_alpha=12) and bitsandbytes 0.50.2 (`bnb_*`: NF4 bytes, absmax and
weights, blocks of 64).
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autograder.testing import close, exercise, pure, rule

LEVELS = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("golden_lora.npz")) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def linear(submission, weight, bias=None):
    """An nn.Linear of the notebook's side with these numbers."""
    layer = submission.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    if weight.dtype == torch.float64:
        layer.double()
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer


def lora(submission, W, b, A, B, alpha, **more):
    """(base, LoRALinear) with these numbers."""
    base = linear(submission, W, b)
    layer = submission.LoRALinear(base, A.shape[0], alpha, **more)
    fill(layer, A=A, B=B)
    return base, layer


def fill(module, **numbers):
    """Puts numbers into the parameters of these names (dots written as `__`)."""
    state = {name.replace("__", "."): value for name, value in numbers.items()}
    there = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    assert state.keys() <= there.keys(), (
        f"expected parameters called {sorted(state)}, the module has {sorted(there)}"
    )
    for name, value in state.items():
        assert there[name] == value.shape, f"expected {name} of shape {tuple(value.shape)}, got {there[name]}"
    module.load_state_dict(state, strict=False)


def numbers(module):
    """The parameters by name, as plain tensors; buffers are left out."""
    return {name: p.detach() for name, p in module.named_parameters()}


def stand_in(submission, A, B, base=None):
    """A module with parameters A and B that is nobody's LoRALinear."""
    module = submission.nn.ParameterDict({"A": A, "B": B})
    if base is not None:
        module.add_module("base", base)
    return module


def sequence(submission, **modules):
    """A Sequential whose children have names."""
    whole = submission.nn.Sequential()
    for name, module in modules.items():
        whole.add_module(name, module)
    return whole


class Maker:
    """The argument `layer` of inject_lora: wraps what it gets, leaves it unfrozen, remembers how it was
    called."""

    def __init__(self, submission):
        self.submission, self.calls = submission, []

    def __call__(self, linear, r, alpha):
        self.calls.append((linear.in_features, linear.out_features, r, alpha))
        A, B = torch.ones(r, linear.in_features), torch.zeros(linear.out_features, r)
        return stand_in(self.submission, A, B, linear)


def trainable(model):
    """Names of the parameters that are not frozen."""
    return sorted(name for name, p in model.named_parameters() if p.requires_grad)


@exercise("LoRALinear")
class TestLoRALinear:
    @rule("R2", "R6")
    def test_agrees_with_peft(self, submission, golden):
        """In float64 the output and the merged weight are those of the library peft."""
        W, b, A, B, x = (golden[f"peft_{name}"] for name in ("W", "b", "A", "B", "x"))
        base, layer = lora(submission, W, b, A, B, 12)
        close(layer(x), golden["peft_y"], what="the output")
        layer.merge()
        close(base.weight.detach(), golden["peft_Wm"], what="base.weight after merge()")

    @rule("R1", "R2")
    @pytest.mark.parametrize("lead", [(), (3, 2, 4)])
    def test_any_leading_axes_and_no_bias(self, submission, rng, lead):
        """x may have any leading axes, none included, and the base may have no bias."""
        W, A, B, x = rng.normal(5, 7), rng.normal(2, 7), rng.normal(5, 2), rng.normal(*lead, 7)
        layer = lora(submission, W, None, A, B, 3)[1]
        close(layer(x), x @ (W + 1.5 * B @ A).T, atol=1e-4, what="the output")
        close(layer.scale, 1.5, what="scale")

    @rule("R1", "R3")
    def test_dtype_follows_the_base(self, submission, rng):
        """A and B have the dtype of the base's weight, B starts at zero, and the layer works."""
        W, x = rng.normal(4, 6, dtype=torch.float64), rng.normal(2, 6, dtype=torch.float64)
        layer = submission.LoRALinear(linear(submission, W), 3, 3)
        close(layer(x), x @ W.T, what="the output of the fresh layer")
        close(layer.B.detach(), torch.zeros(4, 3, dtype=torch.float64), what="B")
        assert layer.A.dtype == torch.float64, f"expected A in float64 as the base, got {layer.A.dtype}"
        assert layer.A.shape == (3, 6), f"expected A of shape (3, 6), got {tuple(layer.A.shape)}"

    @rule("R3")
    def test_A_is_random(self, submission, rng):
        """All rows of A differ, and two layers around the same base get different ones; the output is the
        base's."""
        W, x = rng.normal(4, 6), rng.normal(6)
        base = linear(submission, W)
        one, two = submission.LoRALinear(base, 4, 4), submission.LoRALinear(base, 4, 4)
        close(one(x), W @ x, what="the output of the fresh layer")
        rows = torch.cat([one.A.detach(), two.A.detach()])
        distance = torch.cdist(rows, rows) + torch.eye(8)
        assert distance.min() > 0, (
            "two rows of A are equal: equal rows get equal gradients, so the rank is wasted"
        )

    @rule("R3", "R4")
    def test_gradients_of_a_fresh_layer(self, submission, rng):
        """At the start the gradient of B is scale (dy)^T (x A^T), that of A is zero, and the base gets
        none."""
        W, b, x, up = rng.normal(4, 6), rng.normal(4), rng.normal(5, 6), rng.normal(5, 4)
        layer = submission.LoRALinear(linear(submission, W, b), 2, 4)
        (layer(x) * up).sum().backward()
        A = layer.A
        close(layer.B.grad, 2 * up.T @ (x @ A.detach().T), what="the gradient of B")
        assert layer.B.grad.abs().max() > 1e-6, (
            "the gradient of B is zero: with A and B both zero nothing can learn"
        )
        assert A.grad is None or A.grad.abs().max() == 0, "the gradient of A must be zero while B is zero"
        assert layer.base.weight.grad is None, "the weight of the base got a gradient"
        assert layer.base.bias.grad is None, "the bias of the base got a gradient"

    @rule("R2", "R4")
    def test_gradients(self, submission, rng):
        """The gradients of A, B and x are those of the formula, and only A and B are trainable."""
        W, b, A, B = (rng.normal(*shape, dtype=torch.float64) for shape in ((4, 6), (4,), (3, 6), (4, 3)))
        x, up = (
            rng.normal(2, 5, 6, dtype=torch.float64).requires_grad_(),
            rng.normal(2, 5, 4, dtype=torch.float64),
        )
        layer = lora(submission, W, b, A, B, 6)[1]
        (layer(x) * up).sum().backward()
        rows, grads = x.detach().flatten(0, 1), up.flatten(0, 1)
        close(layer.A.grad, 2 * B.T @ grads.T @ rows, what="the gradient of A")
        close(layer.B.grad, 2 * grads.T @ rows @ A.T, what="the gradient of B")
        close(x.grad, up @ (W + 2 * B @ A), what="the gradient of x")
        assert trainable(layer) == ["A", "B"], f"expected to train A and B only, got {trainable(layer)}"

    @rule("R6", "R7")
    def test_merging_twice_is_merging_once(self, submission, rng):
        """A second merge() does nothing, nor does unmerge() on a layer that is not merged."""
        W, b, A, B, x = rng.normal(4, 6), rng.normal(4), rng.normal(2, 6), rng.normal(4, 2), rng.normal(3, 6)
        base, layer = lora(submission, W, b, A, B, 4)
        layer.unmerge()
        close(base.weight.detach(), W, what="base.weight after unmerge() on a fresh layer")
        layer.merge()
        layer.merge()
        close(base.weight.detach(), W + 2 * B @ A, what="base.weight after two merges")
        close(layer(x), F.linear(x, W + 2 * B @ A, b), atol=1e-4, what="the output after two merges")

    @rule("R7")
    def test_unmerge_takes_the_change_out(self, submission, rng):
        """merge, unmerge, unmerge gives back the weight, and the output is still that with the change."""
        W, b, A, B, x = (rng.normal(*s, dtype=torch.float64) for s in ((4, 6), (4,), (2, 6), (4, 2), (3, 6)))
        base, layer = lora(submission, W, b, A, B, 1)
        for step in ("merge", "unmerge", "unmerge"):
            getattr(layer, step)()
        close(base.weight.detach(), W, what="base.weight after merge, unmerge, unmerge")
        close(layer(x), F.linear(x, W + 0.5 * B @ A, b), what="the output after merge, unmerge, unmerge")
        layer.merge()
        close(base.weight.detach(), W + 0.5 * B @ A, what="base.weight after merging again")

    @rule("R4", "R6")
    def test_merged_layer_is_its_base(self, submission, rng):
        """A merged layer gives exactly what its base gives; the bias is as it was, the base still frozen."""
        W, b, A, B, x = rng.normal(4, 6), rng.normal(4), rng.normal(2, 6), rng.normal(4, 2), rng.normal(3, 6)
        base, layer = lora(submission, W, b, A, B, 2, dropout=0.5)
        layer.eval()
        before = layer(x)
        layer.merge()
        seen, up = x.clone().requires_grad_(), rng.normal(3, 4)
        (layer(seen) * up).sum().backward()
        close(seen.grad, up @ (W + B @ A), atol=1e-4, what="the gradient of x through the merged layer")
        after = layer(x)
        close(
            after, base(x), rtol=1e-6, atol=1e-6, what="the output of the merged layer, and that of its base"
        )
        close(after, before, atol=1e-4, what="the output after merging, and before")
        close(before, F.linear(x, W + B @ A, b), atol=1e-4, what="the output before merging")
        close(base.bias.detach(), b, what="base.bias")
        assert not base.weight.requires_grad, "after merge() the base's weight can be trained"

    @rule("R5")
    def test_dropout_acts_on_the_change_only(self, submission, rng):
        """In training mode dropout sets inputs of A to zero and enlarges the rest; the base sees all of x."""
        x, eye = rng.uniform(20, 30, low=1.0, high=2.0), torch.eye(30)
        layer = lora(submission, 10 * eye, None, eye, eye, 30, dropout=0.5)[1]
        ratio = (layer(x) - 10 * x) / x  # 0 where dropped, 2 elsewhere
        close(ratio, torch.where(ratio > 1, 2.0, 0.0), atol=1e-3, what="change / x with dropout 0.5")
        share = (ratio < 1).float().mean().item()
        assert 0.35 < share < 0.65, f"expected about half of the inputs dropped, got {share:.0%}"
        layer.eval()
        close(layer(x), 11 * x, what="the output in evaluation mode")

    @rule("R2", "R8")
    def test_input_is_not_changed(self, submission, rng):
        """x is not changed, and may be a transposed view."""
        W, A, B, x = rng.normal(4, 6), rng.normal(2, 6), rng.normal(4, 2), rng.normal(6, 3).T
        layer = lora(submission, W, None, A, B, 2)[1]
        close(pure(layer, x), x @ (W + B @ A).T, atol=1e-4, what="the output")


@exercise("inject_lora")
class TestInjectLora:
    @rule("R1", "R5")
    def test_patterns_reach_into_the_depth(self, submission):
        """Several patterns, nested names: exactly the matching layers are replaced, each made with its r
        and alpha."""
        nn, make = submission.nn, Maker(submission)
        blocks = [
            sequence(submission, q_proj=nn.Linear(3, 3), k_proj=nn.Linear(3, 3), up=nn.Linear(3, 5))
            for _ in range(2)
        ]
        model = sequence(submission, blocks=nn.ModuleList(blocks), head=nn.Linear(3, 2))
        _, n = submission.inject_lora(model, [r"blocks\.\d+\.[qv]_proj", "head"], 2, 7, make)
        want = [
            f"{name}.{letter}" for name in ("blocks.0.q_proj", "blocks.1.q_proj", "head") for letter in "AB"
        ]
        assert trainable(model) == want, f"expected to train {want}, got {trainable(model)}"
        close(n, 2 * (2 * 6) + 2 * 5, what="n_trainable")
        calls = sorted(make.calls)
        assert calls == [(3, 2, 2, 7), (3, 3, 2, 7), (3, 3, 2, 7)], (
            f"(in, out, r, alpha) of the new layers: {calls}"
        )

    @rule("R1", "R2")
    def test_new_layers_are_left_alone(self, submission):
        """With the pattern .* each linear layer is replaced once: nothing inside a new layer, and no
        other module."""
        nn, make = submission.nn, Maker(submission)
        model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
        _, n = submission.inject_lora(model, [r".*"], 1, 1, make)
        assert len(make.calls) == 2, f"expected 2 new layers for 2 linear ones, got {len(make.calls)}"
        assert trainable(model) == ["0.A", "0.B", "2.0.A", "2.0.B"], (
            f"these can be trained: {trainable(model)}"
        )
        close(n, 10, what="n_trainable")

    @rule("R5")
    def test_model_is_changed_in_place(self, submission, rng):
        """The same model object comes back, and the old weights are inside the new layers."""
        make, W, b = Maker(submission), rng.normal(3, 4), rng.normal(3)
        model = submission.nn.Sequential(linear(submission, W, b), submission.nn.Tanh())
        after, n = submission.inject_lora(model, [r"\d+"], 2, 4, make)
        after.mark = 7
        close(model.mark, 7, what="a mark put on the returned model, read from the given one")
        state = dict(model.state_dict())
        close(
            state,
            {"0.A": torch.ones(2, 4), "0.B": torch.zeros(3, 2), "0.base.weight": W, "0.base.bias": b},
            what="the state",
        )
        close(n, 14, what="n_trainable")

    @rule("R3")
    def test_shared_layer_is_wrapped_once(self, submission):
        """A linear layer at two places gets one new layer, which stands at both."""
        nn, make = submission.nn, Maker(submission)
        shared = nn.Linear(3, 3)
        model = sequence(submission, first=shared, act=nn.ReLU(), second=shared)
        _, n = submission.inject_lora(model, ["first", "second"], 2, 2, make)
        assert len(make.calls) == 1, f"expected 1 new layer for the shared one, got {len(make.calls)}"
        close(n, 12, what="n_trainable")
        model.get_submodule("first").mark = 5
        close(
            model.get_submodule("second").mark, 5, what="a mark put on the layer at `first`, read at `second`"
        )

    @rule("R1", "R3")
    def test_every_name_of_a_layer_counts(self, submission):
        """A layer at two places is found by its second name as well, also where the module around it is
        shared."""
        nn, make = submission.nn, Maker(submission)
        shared = nn.Linear(3, 2)
        model = sequence(submission, first=shared, second=shared)
        _, n = submission.inject_lora(model, ["second"], 2, 2, make)
        close(n, 10, what="n_trainable")
        names = sorted(name for name, _ in model.get_submodule("second").named_parameters())
        assert names == ["A", "B", "base.bias", "base.weight"], f"at `second` stands a layer with {names}"
        inner = sequence(submission, up=nn.Linear(2, 2))
        model = sequence(submission, left=inner, right=inner)
        _, n = submission.inject_lora(model, [r"right\.up"], 1, 1, make)
        close(n, 4, what="n_trainable for a layer in a shared module")
        assert len(make.calls) == 2, f"expected 2 new layers in the two models, got {len(make.calls)}"

    @rule("R1")
    def test_two_patterns_for_one_name(self, submission):
        """A name that two patterns match is replaced once."""
        nn, make = submission.nn, Maker(submission)
        model = sequence(submission, up=nn.Linear(2, 4), down=nn.Linear(4, 2))
        _, n = submission.inject_lora(model, ["up", "u.*", ".*p"], 3, 3, make)
        assert make.calls == [(2, 4, 3, 3)], f"(in, out, r, alpha) of the new layers: {make.calls}"
        close(n, 18, what="n_trainable")
        assert trainable(model) == ["up.A", "up.B"], f"these can be trained: {trainable(model)}"

    @rule("R1")
    def test_part_of_a_name_is_no_match(self, submission):
        """Neither the start, the middle nor the end of a name is enough."""
        nn, make = submission.nn, Maker(submission)
        model = sequence(
            submission,
            up=nn.Linear(2, 2),
            up2=nn.Linear(2, 2),
            sup=nn.Linear(2, 2),
            a=sequence(submission, up=nn.Linear(2, 2)),
        )
        _, n = submission.inject_lora(model, ["up"], 1, 1, make)
        assert trainable(model) == ["up.A", "up.B"], f"the pattern 'up' replaced {trainable(model)}"
        close(n, 4, what="n_trainable")
        other = sequence(submission, up=nn.Linear(2, 2), up2=nn.Linear(2, 2))
        _, n = submission.inject_lora(other, ["up2|sup"], 3, 1, make)
        assert trainable(other) == ["up2.A", "up2.B"], f"the pattern 'up2|sup' replaced {trainable(other)}"
        close(n, 12, what="n_trainable")

    @rule("R6")
    def test_refusal_leaves_the_model_as_it_was(self, submission):
        """A pattern that matches only other modules, or only part of a name: ValueError, nothing frozen,
        nothing made."""
        nn, make = submission.nn, Maker(submission)
        model = sequence(submission, norm=nn.LayerNorm(3), proj=nn.Linear(3, 3))
        before = trainable(model)
        for patterns in (["norm"], ["pro"], []):
            with pytest.raises(ValueError):
                submission.inject_lora(model, patterns, 1, 1, make)
        assert trainable(model) == before, f"after the refusal these can be trained: {trainable(model)}"
        assert not make.calls, "a new layer was made although nothing matched"
        close(submission.inject_lora(model, ["norm", "proj"], 1, 1, make)[1], 6, what="n_trainable")


@exercise("save_adapter")
class TestSaveAdapter:
    @rule("R1")
    def test_dotted_names(self, submission, rng):
        """Every adapted layer is in the dict under its dotted name, with its numbers in its dtype."""
        nn, A, B = submission.nn, rng.normal(2, 3, dtype=torch.float64), rng.normal(4, 2, dtype=torch.float64)
        inner = sequence(submission, q=stand_in(submission, A, B), v=stand_in(submission, 2 * A, 3 * B))
        model = sequence(submission, blocks=nn.ModuleList([inner]), act=nn.ReLU())
        want = {"blocks.0.q.A": A, "blocks.0.q.B": B, "blocks.0.v.A": 2 * A, "blocks.0.v.B": 3 * B}
        close(submission.save_adapter(model), want, what="the adapter")

    @rule("R2")
    def test_nothing_else_is_saved(self, submission, rng):
        """Base weights, other trainable parameters, modules called A or B, and layers with only one of the
        two stay out."""
        nn, A, B = submission.nn, rng.normal(2, 3), rng.normal(3, 2)
        layer = stand_in(submission, A, B, nn.Linear(3, 3).requires_grad_(False))
        model = sequence(
            submission, lora=layer, A=nn.Linear(3, 3), B=nn.LayerNorm(3), Attention_B=nn.Linear(3, 2)
        )
        for letter in "AB":
            model.add_module(f"only_{letter}", nn.ParameterDict({letter: torch.ones(2)}))
        close(submission.save_adapter(model), {"lora.A": A, "lora.B": B}, what="the adapter")
        got = submission.save_adapter(sequence(submission, A=nn.Linear(3, 3)))
        assert got == {}, f"a model without adapted layers has an empty adapter, got the keys {list(got)}"

    @rule("R3")
    def test_tensors_are_apart_from_autograd(self, submission, rng):
        """The tensors do not require gradients, and the parameters of the model still do."""
        A, B = rng.normal(2, 3), rng.normal(4, 2)
        model = sequence(submission, lora=stand_in(submission, A, B))
        got = submission.save_adapter(model)
        close(got, {"lora.A": A, "lora.B": B}, what="the adapter")
        assert not any(t.requires_grad for t in got.values()), "a saved tensor still requires gradients"
        assert trainable(model) == ["lora.A", "lora.B"], "saving has frozen the model"


@exercise("load_adapter")
class TestLoadAdapter:
    @staticmethod
    def model(submission, r=2):
        """Two adapted layers of zeros and a layer norm."""
        layers = {name: stand_in(submission, torch.zeros(r, 3), torch.zeros(4, r)) for name in ("q", "v")}
        return sequence(submission, **layers, norm=submission.nn.LayerNorm(2))

    @staticmethod
    def adapter(rng, r=2):
        return {
            f"{name}.{letter}": rng.normal(*size)
            for name in "qv"
            for letter, size in (("A", (r, 3)), ("B", (4, r)))
        }

    REST = MappingProxyType({"norm.weight": torch.ones(2), "norm.bias": torch.zeros(2)})

    @rule("R1", "R2")
    def test_numbers_arrive_and_stay_trainable(self, submission, rng):
        """All A and B have the adapter's numbers, are still trainable, and nothing else has changed."""
        model, state = self.model(submission), self.adapter(rng)
        after = submission.load_adapter(model, state)
        close(dict(model.state_dict()), {**state, **self.REST}, what="the state of the model")
        names = [*sorted(["norm.bias", "norm.weight"]), "q.A", "q.B", "v.A", "v.B"]
        assert trainable(model) == names, f"expected to train {names}, got {trainable(model)}"
        after.mark = 3
        close(model.mark, 3, what="a mark put on the returned model, read from the given one")

    @rule("R3", "R5")
    def test_unknown_key_is_refused(self, submission, rng):
        """A key that is no A or B of the model is refused, and nothing is changed; without it all is
        loaded."""
        model, state = self.model(submission), self.adapter(rng)
        for key in ("k.A", "norm.weight", "A"):
            with pytest.raises(ValueError):
                submission.load_adapter(model, state | {key: torch.zeros(2)})
        zeros = {key: torch.zeros_like(t) for key, t in state.items()}
        close(
            dict(model.state_dict()), {**zeros, **self.REST}, what="the state of the model after the refusals"
        )
        close(
            dict(submission.load_adapter(model, state).state_dict()),
            {**state, **self.REST},
            what="the state of the model",
        )

    @rule("R3", "R5")
    def test_missing_layer_changes_nothing(self, submission, rng):
        """If the last layer is missing, the first ones are not loaded either."""
        model, state = self.model(submission), self.adapter(rng)
        zeros = {key: torch.zeros_like(t) for key, t in state.items()}
        for missing in ("v.B", "q.A"):
            with pytest.raises(ValueError):
                submission.load_adapter(model, {key: t for key, t in state.items() if key != missing})
            close(
                dict(model.state_dict()),
                {**zeros, **self.REST},
                what="the state of the model after the refusal",
            )
        close(
            dict(submission.load_adapter(model, state).state_dict()),
            {**state, **self.REST},
            what="the state of the model",
        )

    @rule("R4", "R5")
    @pytest.mark.parametrize("r", [1, 3])
    def test_another_rank_is_refused(self, submission, rng, r):
        """An adapter of rank 1 or 3 does not fit a model of rank 2: ValueError, and nothing is changed."""
        model, state, other = self.model(submission), self.adapter(rng), self.adapter(rng, r)
        zeros = {key: torch.zeros_like(t) for key, t in state.items()}
        for wrong in (other, state | {"v.B": other["v.B"]}):
            with pytest.raises(ValueError):
                submission.load_adapter(model, wrong)
            close(
                dict(model.state_dict()),
                {**zeros, **self.REST},
                what="the state of the model after the refusal",
            )
        close(
            dict(submission.load_adapter(model, state).state_dict()),
            {**state, **self.REST},
            what="the state of the model",
        )


@exercise("nf4_quantize")
class TestNF4Quantize:
    @rule("R1", "R2", "R4")
    def test_agrees_with_bitsandbytes(self, submission, golden):
        """Bytes and absmax are those of the library bitsandbytes."""
        codes, absmax = submission.nf4_quantize(golden["bnb_w"])
        close(codes, golden["bnb_packed"], what="codes")
        close(absmax, golden["bnb_absmax"], what="absmax")

    @rule("R3")
    @pytest.mark.parametrize("absmax", [1.0, 0.25, 8.0])
    def test_ties_go_to_the_lower_level(self, submission, absmax):
        """A weight exactly between two levels gets the lower one."""
        # these middles of two neighbours are float32 numbers: ties in float32 and in float64
        lower = torch.tensor([2, 6, 7, 9, 11, 13])
        w = torch.cat([(LEVELS[lower] + LEVELS[lower + 1]) / 2, torch.tensor([1.0, -1.0])]) * absmax
        for dtype in (torch.float32, torch.float64):
            codes, _ = submission.nf4_quantize(w.to(dtype), 8)
            want = torch.tensor([0x26, 0x79, 0xBD, 0xF0], dtype=torch.uint8)
            close(codes, want, what=f"codes of ties in {dtype}")

    @rule("R2", "R4")
    def test_every_level_is_used(self, submission, rng):
        """All 16 levels come out as their own index, the first of a pair in the high half, whatever the
        scale."""
        index = rng.permutation(16)
        w = torch.cat([LEVELS[index], -3 * LEVELS[index]])
        codes, absmax = submission.nf4_quantize(w, 16)
        want = (index[0::2] * 16 + index[1::2]).to(torch.uint8)
        close(codes[:8], want, what="codes of the levels in a random order")
        close(absmax, torch.tensor([1.0, 3.0]), what="absmax")

    @rule("R1")
    def test_largest_may_be_negative(self, submission, rng):
        """absmax is the largest absolute value, also where that is a negative weight."""
        w = torch.cat(
            [
                -LEVELS[rng.integers(8, 15, 31)] * 4,
                torch.tensor([-4.0]),
                LEVELS[rng.integers(0, 8, 31)],
                torch.tensor([-1.0]),
            ]
        )
        codes, absmax = submission.nf4_quantize(w, 32)
        close(absmax, torch.tensor([4.0, 1.0]), what="absmax")
        want = ((w / absmax.repeat_interleave(32))[:, None] - LEVELS).abs().argmin(1)
        close(codes, (want[0::2] * 16 + want[1::2]).to(torch.uint8), what="codes")

    @rule("R5")
    def test_zero_block(self, submission, rng):
        """A block of zeros has absmax 0 and the code 7 everywhere; its neighbours are not disturbed."""
        w = torch.zeros(3, 4)
        w[1] = torch.tensor([1.0, -1, 0, 1]) * 2.0
        codes, absmax = submission.nf4_quantize(w.flatten(), 4)
        close(codes, torch.tensor([0x77, 0x77, 0xF0, 0x7F, 0x77, 0x77], dtype=torch.uint8), what="codes")
        close(absmax, torch.tensor([0.0, 2, 0]), what="absmax")

    @rule("R7")
    def test_float64_and_strides(self, submission, rng):
        """w may be a strided float64 view; it is not changed, and absmax is float32."""
        index = rng.integers(0, 16, 128)
        index[::32] = 15
        w = torch.stack([LEVELS[index], torch.zeros(128)], 1).double()[:, 0]
        codes, absmax = pure(submission.nf4_quantize, w, 32)
        close(codes, (index[0::2] * 16 + index[1::2]).to(torch.uint8), what="codes")
        close(absmax, torch.ones(4), what="absmax")

    @rule("R6")
    def test_empty(self, submission):
        """No weights give no bytes and no absmax, in the right dtypes; two weights give one byte."""
        codes, absmax = submission.nf4_quantize(torch.zeros(0))
        close(codes, torch.zeros(0, dtype=torch.uint8), what="codes")
        close(absmax, torch.zeros(0), what="absmax")
        close(
            submission.nf4_quantize(torch.tensor([-2.0, 2.0]), 2)[0],
            torch.tensor([0x0F], dtype=torch.uint8),
            what="codes",
        )

    @rule("R6")
    def test_refuses_what_block_does_not_divide(self, submission, rng):
        """n that block does not divide: ValueError; the same weights with a block that does are taken."""
        w = rng.normal(96)
        for block in (64, 10):
            with pytest.raises(ValueError):
                submission.nf4_quantize(w, block)
        close(submission.nf4_quantize(w, 48)[1], w.view(2, 48).abs().amax(1), what="absmax")


@exercise("nf4_dequantize")
class TestNF4Dequantize:
    @rule("R1", "R2", "R3")
    def test_agrees_with_bitsandbytes(self, submission, golden):
        """The weights are those of the library bitsandbytes, and the arguments are not changed."""
        got = pure(submission.nf4_dequantize, golden["bnb_packed"], golden["bnb_absmax"])
        close(got.double(), golden["bnb_deq"].flatten().double(), rtol=1e-5, atol=1e-8, what="the weights")

    @rule("R2")
    @pytest.mark.parametrize("block", [2, 16, 128])
    def test_each_block_has_its_absmax(self, submission, rng, block):
        """Weight i is its level times absmax[i // block]."""
        codes, absmax = (
            rng.integers(0, 256, 128).to(torch.uint8),
            rng.uniform(256 // block, low=0.1, high=5.0),
        )
        got = submission.nf4_dequantize(codes, absmax, block)
        want = [
            LEVELS[int(codes[i // 2]) >> 4 if i % 2 == 0 else int(codes[i // 2]) & 15] * absmax[i // block]
            for i in range(256)
        ]
        close(got.double(), torch.stack(want).double(), rtol=1e-5, what="the weights")

    @rule("R2", "R3")
    def test_empty_and_zero(self, submission):
        """No codes give no weights, absmax 0 gives zeros, absmax 2 twice the level."""
        got = submission.nf4_dequantize(torch.zeros(0, dtype=torch.uint8), torch.zeros(0))
        assert got.shape == (0,), f"expected an empty result, got shape {tuple(got.shape)}"
        assert got.dtype in (torch.float32, torch.float64), f"expected float32, got {got.dtype}"
        got = submission.nf4_dequantize(
            torch.tensor([0x3C, 0x0F], dtype=torch.uint8), torch.tensor([0.0, 2.0]), 2
        )
        close(got.double(), torch.tensor([0.0, 0.0, -2.0, 2.0], dtype=torch.float64), what="the weights")


@exercise("double_quant")
class TestDoubleQuant:
    @rule("R3")
    def test_halves_go_to_the_even_code(self, submission):
        """Where c / scale is a half, the even code is taken."""
        c = torch.tensor([127.0, -127, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5])
        codes, scales, mean = submission.double_quant(c + 128)
        close(codes, torch.tensor([127, -127, 0, 0, 2, -2, 2, -2], dtype=torch.int8), what="codes")
        close(scales, torch.ones(1), what="scales")
        close(mean, 128.0, what="mean")

    @rule("R1")
    def test_one_mean_for_all_blocks(self, submission):
        """The mean is taken over all values, not over each block."""
        codes, scales, mean = submission.double_quant(torch.tensor([1.0, 1, 1, 1, 3, 3, 3, 3]), 4)
        close(mean, 2.0, what="mean")
        close(codes, torch.tensor([-127] * 4 + [127] * 4, dtype=torch.int8), what="codes")
        close(scales, torch.full((2,), 1 / 127), what="scales")

    @rule("R4")
    def test_constant_block(self, submission):
        """A block that equals the mean everywhere comes back as the mean; its neighbours are not
        disturbed."""
        codes, scales, mean = submission.double_quant(torch.tensor([4.0, 4, 4, 3, 5, 4]), 2)
        close(mean, 4.0, what="mean")
        products = codes * scales.repeat_interleave(2)
        close(products, torch.tensor([0.0, 0, 0, -1, 1, 0]), what="codes * scale")
        codes, scales, mean = submission.double_quant(torch.tensor([0.75]))
        close(codes * scales + mean, torch.tensor([0.75]), what="codes * scale + mean of a single value")

    @rule("R2", "R5")
    @pytest.mark.parametrize(("m", "block"), [(64, 16), (70, 16), (3, 256), (257, 256)])
    def test_last_block_may_be_short(self, submission, rng, m, block):
        """Every block has its own scale, largest |c| / 127, and the last may be shorter."""
        absmax = rng.uniform(m, low=0.1, high=2.0)
        codes, scales, _ = pure(submission.double_quant, absmax, block)
        c = absmax.double() - absmax.double().mean()
        close(
            scales.double(),
            torch.stack([part.abs().max() / 127 for part in c.split(block)]),
            rtol=1e-4,
            what="scales",
        )
        assert codes.dtype == torch.int8, f"expected codes of dtype int8, got {codes.dtype}"
        steps = scales.double().repeat_interleave(block)[:m]
        exact = c / steps
        clear = ((exact - exact.floor()) - 0.5).abs() > 0.02  # not within rounding of a half
        close(codes[clear], exact[clear].round().to(torch.int8), what="codes")
        assert codes[c.abs().argmax()].abs() == 127, "the largest value must get the code 127 or -127"


def halves(w, block):
    """A number format for the tests of QLoRALinear: bytes of w * 4 + 128, and a scale of 1/4 for each
    block."""
    return (w * 4 + 128).round().to(torch.uint8), torch.full((w.numel() // block,), 0.25)


def unhalve(codes, absmax, block):
    """What the bytes of `halves` stand for."""
    return (codes.float() - 128) * absmax.repeat_interleave(block)


def qlora(submission, base, r=2, alpha=4, quantize=halves, dequantize=unhalve, **more):
    """A QLoRALinear with the tests' number format."""
    more = {"block": 4} | more
    return submission.QLoRALinear(base, r, alpha, quantize=quantize, dequantize=dequantize, **more)


@exercise("QLoRALinear")
class TestQLoRALinear:
    @rule("R1")
    def test_quantised_once_row_by_row(self, submission, rng):
        """quantize is called once, with the flat weight row by row and block; using the layer never calls
        it again."""
        W, x, seen = rng.normal(6, 4), rng.normal(3, 4), []

        def quantize(w, block):
            seen.append((w.detach().clone(), block, w.requires_grad))
            return halves(w.detach(), block)

        layer = qlora(submission, linear(submission, W), quantize=quantize, block=8)
        for _ in range(3):
            out = layer(x)
        close(out, x @ ((W * 4).round() / 4).T, what="the output")
        assert len(seen) == 1, f"expected 1 call of quantize, got {len(seen)}"
        close(seen[0][0], W.flatten(), what="the weights that quantize got")
        close(seen[0][1], 8, what="the block that quantize got")
        assert not seen[0][2], "the weights that quantize got require gradients"

    @rule("R1", "R3")
    def test_dequantize_gets_codes_absmax_block(self, submission, rng):
        """dequantize gets what quantize gave, and block; any shape of the two is kept as it is."""
        W, x = rng.normal(4, 4), rng.normal(3, 4)

        def dequantize(codes, absmax, block):
            assert codes.shape == (2, 8), (
                f"expected the codes as quantize gave them, got shape {tuple(codes.shape)}"
            )
            close(absmax, torch.tensor([1.0, 2.0]), what="the absmax that dequantize got")
            close(block, 8, what="the block that dequantize got")
            return unhalve(codes.flatten(), torch.full((2,), 0.25), block)

        layer = qlora(
            submission,
            linear(submission, W),
            quantize=lambda w, block: (halves(w, block)[0].view(2, 8), torch.tensor([1.0, 2.0])),
            dequantize=dequantize,
            block=8,
        )
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output")

    @rule("R5")
    def test_gradients(self, submission, rng):
        """The gradients of x, A and B are right, through the dequantised weight, and nothing else is
        trainable."""
        W, b, A, B = rng.normal(6, 4), rng.normal(6), rng.normal(2, 4), rng.normal(6, 2)
        x, up = rng.normal(3, 5, 4).requires_grad_(), rng.normal(3, 5, 6)
        base = linear(submission, W, b)
        layer = qlora(submission, base, alpha=1)
        fill(layer, A=A, B=B)
        (layer(x) * up).sum().backward()
        rows, grads = x.detach().flatten(0, 1), up.flatten(0, 1)
        close(x.grad, up @ ((W * 4).round() / 4 + 0.5 * B @ A), atol=1e-4, what="the gradient of x")
        close(layer.A.grad, 0.5 * B.T @ grads.T @ rows, atol=1e-4, what="the gradient of A")
        close(layer.B.grad, 0.5 * grads.T @ rows @ A.T, atol=1e-4, what="the gradient of B")
        assert trainable(layer) == ["A", "B"], f"expected to train A and B only, got {trainable(layer)}"
        assert base.weight.grad is None, "the weight of the base got a gradient"
        assert base.bias.grad is None, "the bias of the base got a gradient"

    @rule("R3")
    def test_dtype_follows_x(self, submission, rng):
        """A number format that gives float64 back does not disturb a layer that works in float32."""
        W, x = rng.normal(6, 4), rng.normal(3, 4)
        layer = qlora(submission, linear(submission, W), dequantize=lambda *args: unhalve(*args).double())
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output")

    @rule("R2")
    def test_base_is_not_needed_any_more(self, submission, rng):
        """Whatever happens to base.weight afterwards, the layer gives the same."""
        W, x = rng.normal(6, 4), rng.normal(3, 4)
        base = linear(submission, W)
        layer = qlora(submission, base)
        base.load_state_dict({"weight": torch.full((6, 4), 100.0)})
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output after the base was overwritten")

    @rule("R1", "R2")
    def test_codes_and_absmax_are_in_the_state(self, submission, rng):
        """The state dict holds A, B, the codes and the absmax, and no float tensor as large as the weight."""
        W, x = rng.normal(8, 6), rng.normal(2, 6)
        layer = qlora(submission, linear(submission, W), r=1, block=8)
        state = layer.state_dict()
        codes, absmax = halves(W.flatten(), 8)
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output")
        held = [t for t in state.values() if t.dtype == torch.uint8 and t.numel() == 48]
        assert held, f"no tensor with the codes in the state, only {[tuple(t.shape) for t in state.values()]}"
        close(held[0].flatten(), codes, what="the codes in the state")
        assert any(t.shape == absmax.shape and torch.equal(t, absmax) for t in state.values()), (
            "no absmax in the state"
        )
        tensors = [*layer.parameters(), *layer.buffers()]
        large = [tuple(t.shape) for t in tensors if t.is_floating_point() and t.numel() >= 48]
        assert not large, f"a float tensor of shape {large} is kept: the weight in full precision"

    @rule("R4")
    def test_fresh_change_is_zero(self, submission, rng):
        """B starts at zero, A is random, scale is alpha / r; the gradient of B is not zero."""
        W, x = rng.normal(6, 4), rng.normal(5, 4)
        layer = qlora(submission, linear(submission, W), r=3, alpha=12)
        close(layer.scale, 4.0, what="scale")
        close(layer.B.detach(), torch.zeros(6, 3), what="B")
        A = layer.A.detach()
        assert (torch.cdist(A, A) + torch.eye(3)).min() > 0, "two rows of A are equal"
        layer(x).sum().backward()
        close(layer.B.grad, 4 * (x @ A.T).sum(0).expand(6, 3), atol=1e-4, what="the gradient of B")

    @rule("R6")
    def test_refuses_what_block_does_not_divide(self, submission, rng):
        """out * in = 24 is no multiple of 64 or 16: ValueError; 12 is fine, also where rows are cut in
        the middle."""
        W, x = rng.normal(6, 4), rng.normal(2, 4)
        for more in ({"block": 64}, {"block": 16}):
            with pytest.raises(ValueError):
                qlora(submission, linear(submission, W), **more)
        layer = qlora(submission, linear(submission, W), block=12)
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output")

    @rule("R4")
    def test_dropout_acts_on_the_change_only(self, submission, rng):
        """In training mode dropout acts on the input of A; never on the 4-bit path, and not in evaluation
        mode."""
        x, eye = rng.uniform(20, 16, low=1.0, high=2.0), torch.eye(16)
        layer = qlora(submission, linear(submission, 10 * eye), r=16, alpha=16, dropout=0.5)
        fill(layer, A=eye, B=eye)
        ratio = (layer(x) - 10 * x) / x
        close(ratio, torch.where(ratio > 1, 2.0, 0.0), atol=1e-3, what="change / x with dropout 0.5")
        share = (ratio < 1).float().mean().item()
        assert 0.3 < share < 0.7, f"expected about half of the inputs dropped, got {share:.0%}"
        layer.eval()
        close(layer(x), 11 * x, what="the output in evaluation mode")


@exercise("peft_memory")
class TestPeftMemory:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize("method", ["full", "lora", "qlora"])
    def test_large_models_exactly(self, submission, rng, method):
        """For billions of numbers the result is exact to the byte."""
        n, n_lora = rng.integer(10**9, 10**17) | 1, rng.integer(1, 10**8)
        want = {"full": 16 * n, "lora": 2 * n, "qlora": (n + 1) // 2 + 4 * ((n + 63) // 64)}[method]
        got = submission.peft_memory(n, n_lora, method)
        assert type(got) is int, f"expected an int, got a {type(got).__name__}"
        want += 0 if method == "full" else 16 * n_lora
        assert got == want, f"peft_memory({n}, {n_lora}, {method!r}): expected {want}, got {got}"

    @rule("R3")
    def test_started_blocks_count_whole(self, submission):
        """1, 64, 65 and 129 numbers in 4 bits take 1, 32, 33 and 65 bytes, and 1, 1, 2 and 3 absmax."""
        got = [submission.peft_memory(n, 0, "qlora") for n in (1, 64, 65, 129)]
        close(torch.tensor(got), torch.tensor([5, 36, 41, 77]), what="bytes for 1, 64, 65, 129 numbers")

    @rule("R4")
    def test_unknown_method_is_refused(self, submission):
        """Another method raises ValueError; "lora" does not."""
        for method in ("LoRA", "adapter", ""):
            with pytest.raises(ValueError):
                submission.peft_memory(10, 1, method)
        close(submission.peft_memory(10, 1, "lora"), 36, what="bytes for lora")


@exercise("PrefixTuning")
class TestPrefixTuning:
    @staticmethod
    def tuned(submission, rng, L=2, H=3, d=4, p=5, dtype=torch.float64):
        """(PrefixTuning, its k, its v) with random numbers."""
        K, V = rng.normal(L, H, p, d, dtype=dtype), rng.normal(L, H, p, d, dtype=dtype)
        prefix = submission.PrefixTuning(L, H, d, p)
        if dtype == torch.float64:
            prefix.double()
        fill(prefix, k=K, v=V)
        return prefix, K, V

    @rule("R2", "R3", "R4")
    def test_attention_over_the_prefix_and_the_tokens(self, submission, rng):
        """Attention over the result, causal mask included, is attention over prefix and tokens side by
        side."""
        prefix, K, V = self.tuned(submission, rng)
        q, k, v = (rng.normal(2, 3, 6, 4, dtype=torch.float64) for _ in range(3))
        got = F.scaled_dot_product_attention(q, *prefix.extend(1, k, v, torch.ones(6, 6).tril().bool()))
        to_prefix, to_tokens = (
            q @ K[1].mT / 2,
            (q @ k.mT / 2).masked_fill(~torch.ones(6, 6).tril().bool(), -torch.inf),
        )
        weights = torch.cat([to_prefix, to_tokens], -1).softmax(-1)
        close(got, weights[..., :5] @ V[1] + weights[..., 5:] @ v, what="attention over the result")

    @rule("R3")
    @pytest.mark.parametrize("lead", [(), (2,), (2, 1), (1, 3)])
    def test_mask_keeps_its_leading_axes(self, submission, rng, lead):
        """A mask of any leading axes gets p columns of True on the left and is else unchanged."""
        prefix, K, _ = self.tuned(submission, rng, dtype=torch.float32)
        k, mask = rng.normal(2, 3, 6, 4), rng.bool(*lead, 4, 6)
        got_k, _, got = prefix.extend(0, k, k, mask)
        close(got, torch.cat([torch.ones(*lead, 4, 5, dtype=torch.bool), mask], -1), what="mask")
        close(got_k[1], torch.cat([K[0], k[1]], 1), what="k of sequence 1")

    @rule("R1")
    def test_parameters(self, submission, rng):
        """Exactly two parameters, k and v, of the promised shape, not all zero; they are what stands in
        front."""
        prefix = submission.PrefixTuning(3, 2, 4, 6)
        state = numbers(prefix)
        shapes = {name: tuple(t.shape) for name, t in state.items()}
        assert shapes == {"k": (3, 2, 6, 4), "v": (3, 2, 6, 4)}, f"parameters and their shapes: {shapes}"
        assert trainable(prefix) == ["k", "v"], f"expected to train k and v, got {trainable(prefix)}"
        assert any(t.abs().max() > 0 for t in state.values()), "k and v are all zero"
        x = rng.normal(1, 2, 3, 4)
        close(prefix.extend(2, x, x)[0], torch.cat([state["k"][2:], x], 2), what="k of layer 2")

    @rule("R4")
    def test_gradients(self, submission, rng):
        """Gradients reach this layer's prefix, summed over the batch, and the arguments."""
        prefix, K, _ = self.tuned(submission, rng)
        k = rng.normal(2, 3, 6, 4, dtype=torch.float64).requires_grad_()
        v = rng.normal(2, 3, 6, 4, dtype=torch.float64).requires_grad_()
        up = rng.normal(2, 3, 11, 4, dtype=torch.float64)
        got_k, got_v, _ = prefix.extend(1, k, v)
        ((got_k + 2 * got_v) * up).sum().backward()
        want = torch.stack([torch.zeros_like(K[0]), up[:, :, :5].sum(0)])
        close(prefix.k.grad, want, what="the gradient of the parameter k")
        close(prefix.v.grad, 2 * want, what="the gradient of the parameter v")
        close(k.grad, up[:, :, 5:], what="the gradient of the argument k")
        close(v.grad, 2 * up[:, :, 5:], what="the gradient of the argument v")

    @rule("R4", "R3")
    def test_arguments_are_not_changed(self, submission, rng):
        """k, v and mask are as before, and everything forbidden stays forbidden except the prefix."""
        prefix, _, V = self.tuned(submission, rng, dtype=torch.float32)
        k, v, mask = rng.normal(1, 3, 2, 4), rng.normal(1, 3, 2, 4), torch.zeros(2, 2, dtype=torch.bool)
        _, got_v, got = pure(prefix.extend, 0, k, v, mask)
        close(got, torch.tensor([[True] * 5 + [False] * 2] * 2), what="mask")
        close(got_v, torch.cat([V[:1], v], 2), what="v")


@exercise("IA3")
class TestIA3:
    @rule("R2", "R3")
    def test_scales_features(self, submission, rng):
        """Feature j of each argument is multiplied by entry j of its vector, for any leading axes, in
        float64."""
        knobs = submission.IA3(4, 4, 4).double()
        state = {name: rng.normal(4, dtype=torch.float64) for name in ("l_k", "l_v", "l_ff")}
        fill(knobs, **state)
        k, v, h = (rng.normal(*s, 4, dtype=torch.float64) for s in ((2, 3), (4, 4), ()))
        got = pure(knobs, k, v, h)
        want = tuple(x * f for x, f in zip((k, v, h), state.values(), strict=True))
        close(tuple(got), want, what="the result")

    @rule("R3")
    def test_gradients(self, submission, rng):
        """Gradients reach the three vectors and the arguments."""
        knobs = submission.IA3(3, 4, 5)
        state = {"l_k": rng.normal(3), "l_v": rng.normal(4), "l_ff": rng.normal(5)}
        fill(knobs, **state)
        inputs = [rng.normal(2, n).requires_grad_() for n in (3, 4, 5)]
        sum((out * (i + 1)).sum() for i, out in enumerate(knobs(*inputs))).backward()
        for i, (name, x) in enumerate(zip(("l_k", "l_v", "l_ff"), inputs, strict=True)):
            close(getattr(knobs, name).grad, (i + 1) * x.detach().sum(0), what=f"the gradient of {name}")
            close(x.grad, (i + 1) * state[name].expand(2, -1), what=f"the gradient of argument {i + 1}")

    @rule("R1")
    def test_count(self, submission, rng):
        """Exactly d_k + d_v + d_ff numbers are trained, and they are ones at first."""
        knobs = submission.IA3(2, 3, 7)
        assert trainable(knobs) == ["l_ff", "l_k", "l_v"], (
            f"expected to train the three vectors, got {trainable(knobs)}"
        )
        close(
            numbers(knobs),
            {"l_k": torch.ones(2), "l_v": torch.ones(3), "l_ff": torch.ones(7)},
            what="the parameters",
        )
        fill(knobs, l_k=torch.tensor([1.0, -1]), l_v=torch.zeros(3), l_ff=torch.ones(7))
        v = rng.normal(3)
        got = tuple(knobs(torch.ones(2), v, torch.ones(7)))
        close(got, (torch.tensor([1.0, -1]), 0 * v, torch.ones(7)), what="the result")


@exercise("Adapter")
class TestAdapter:
    @staticmethod
    def tuned(submission, rng, d=6, b=3):
        """(Adapter, down.weight, up.weight, up.bias) with random numbers, in float64."""
        D, U, bias = (rng.normal(*s, dtype=torch.float64) for s in ((b, d), (d, b), (d,)))
        adapter = submission.Adapter(d, b).double()
        zeros = torch.zeros(b, dtype=torch.float64)
        fill(adapter, down__weight=D, down__bias=zeros, up__weight=U, up__bias=bias)
        return adapter, D, U, bias

    @rule("R2")
    def test_change_goes_through_the_bottleneck(self, submission, rng):
        """The change is up.weight times something of bottleneck size, plus up.bias, and x is added."""
        adapter, _, U, bias = self.tuned(submission, rng)
        x = rng.normal(40, 6, dtype=torch.float64)
        change = (adapter(x) - x - bias).detach().T  # (d, 40)
        close(
            change,
            U @ (torch.linalg.pinv(U) @ change),
            what="the change, against the nearest combination of the columns of up.weight",
        )
        assert torch.linalg.matrix_rank(change).item() > 1, (
            "the change has rank 1 or 0 for 40 different inputs"
        )

    @rule("R2")
    def test_only_what_passes_down_counts(self, submission, rng):
        """Two inputs with the same down(x) get the same change."""
        adapter, D, _, _ = self.tuned(submission, rng)
        x = rng.normal(5, 6, dtype=torch.float64)
        unseen = torch.linalg.svd(D, full_matrices=True).Vh[3:]  # directions that down does not see
        y = x + rng.normal(5, 3, dtype=torch.float64) @ unseen
        close(adapter(y) - y, adapter(x) - x, what="the change of y, against that of x")
        change = adapter(x) - x
        assert (change[1:] - change[0]).abs().max() > 1e-3, "the change is the same for every x"

    @rule("R2")
    def test_activation_is_not_linear(self, submission, rng):
        """The change of a sum is not the sum of the changes, and each middle feature is bent by itself."""
        adapter, D, U, _ = self.tuned(submission, rng)
        down, up = torch.linalg.pinv(D), torch.linalg.pinv(U)

        def act(h):
            x = h @ down.T  # so that down(x) = h
            return (adapter(x) - x - adapter(0 * x)).detach() @ up.T

        h = torch.tensor([[1.5, 0, 0], [0, 1.5, 0], [0, 0, 1.5]], dtype=torch.float64)
        bent = act(h)
        close(
            bent,
            torch.eye(3, dtype=torch.float64) * bent[0, 0],
            atol=1e-7,
            what="what comes out of the middle features, one at a time",
        )
        assert bent[0, 0].abs() > 1e-3, "nothing comes out of the middle"
        three = torch.stack([act(s * h[:1])[0, 0] for s in (-1.0, 1.0, 2.0)])
        straight = bent[0, 0] * torch.tensor([-1.0, 1.0, 2.0], dtype=torch.float64)
        assert (three - straight).abs().max() > 1e-3, (
            "the activation is linear: then down and up are one matrix"
        )

    @rule("R4")
    def test_gradients_of_a_fresh_adapter(self, submission, rng):
        """In a fresh adapter up.bias gets the sum of the upstream gradients, up.weight gets one, and x
        gets it whole."""
        x, up = rng.normal(7, 6).requires_grad_(), rng.normal(7, 6)
        adapter = submission.Adapter(6, 4)
        (adapter(x) * up).sum().backward()
        close(adapter.up.bias.grad, up.sum(0), what="the gradient of up.bias")
        close(x.grad, up, what="the gradient of x")
        assert adapter.up.weight.grad.abs().max() > 0, (
            "the gradient of up.weight is zero: the adapter can never learn"
        )

    @rule("R1", "R4", "R5")
    def test_parameters(self, submission, rng):
        """Exactly down and up, both with bias: 2 d b + d + b numbers; nothing is random, and x is not
        changed."""
        adapter, x = submission.Adapter(5, 2), rng.normal(2, 3, 5)
        want = {"down.weight": (2, 5), "down.bias": (2,), "up.weight": (5, 2), "up.bias": (5,)}
        shapes = {name: tuple(t.shape) for name, t in adapter.state_dict().items() if name in want}
        assert shapes == want, f"expected the parameters {want}, got {shapes}"
        assert len(numbers(adapter)) == 4, (
            f"expected these four and no others, got {sorted(numbers(adapter))}"
        )
        assert len(trainable(adapter)) == 4, f"expected to train all four, got {trainable(adapter)}"
        U, bias = rng.normal(5, 2), rng.normal(5)
        fill(adapter, up__weight=0 * U, up__bias=bias)
        close(adapter(x), x + bias, what="the output with a bias in up")
        fill(adapter, up__weight=U)
        first = pure(adapter, x)
        close(adapter(x), first, what="the output of a second call")
        assert (first - x - bias).abs().max() > 1e-3, "with numbers in up.weight the output must differ"
        for row in range(3):
            close(adapter(x[1, row]), first[1, row], what="the output of a single row")

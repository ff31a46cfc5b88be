"""Visible tests of the LoRA notebook: the definitions and the worked examples."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from autograder.testing import close, exercise, rule

# The 16 published levels (Dettmers et al. 2023, appendix E), for oracles that do not rest on the notebook's own.
LEVELS = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip


def linear(submission, weight, bias=None):
    """An nn.Linear of the notebook's side with these numbers."""
    layer = submission.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    if weight.dtype == torch.float64:
        layer.double()
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer


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
    W, BIAS = torch.tensor([[1.0, 0, 0], [0, 1, 0]]), torch.tensor([10.0, 20])
    A, B, X = torch.tensor([[1.0, 1, 1]]), torch.tensor([[0.5], [-1.0]]), torch.tensor([1.0, 2, 3])

    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: [11, 22] fresh, [17, 10] with the given A and B."""
        layer = submission.LoRALinear(linear(submission, self.W, self.BIAS), 1, 2)
        close(layer(self.X), torch.tensor([11.0, 22.0]), what="the output of the fresh layer")
        fill(layer, A=self.A, B=self.B)
        close(layer(self.X), torch.tensor([17.0, 10.0]), what="the output with A and B")

    @rule("R1", "R3")
    def test_fresh_layer_gives_what_its_base_gives(self, submission, rng):
        """At the start B is zero and A is not, so the fresh layer computes exactly what the base computes."""
        W, b, x = rng.normal(4, 6), rng.normal(4), rng.normal(5, 6)
        layer = submission.LoRALinear(linear(submission, W, b), 2, 4)
        close(layer(x), F.linear(x, W, b), what="the output of the fresh layer")
        close(layer.B.detach(), torch.zeros(4, 2), what="B")
        A = layer.A.detach()
        assert A.shape == (2, 6), f"expected A of shape (2, 6), got {tuple(A.shape)}"
        assert A.abs().max() > 0, "A is zero as well: with A and B both zero nothing can ever be learned"

    @rule("R1", "R2")
    def test_change_is_scaled(self, submission, rng):
        """With alpha = 6 and rank 3 the change is 2 B A x, for each row of x."""
        W, b, A, B, x = rng.normal(4, 6), rng.normal(4), rng.normal(3, 6), rng.normal(4, 3), rng.normal(5, 6)
        layer = submission.LoRALinear(linear(submission, W, b), 3, 6)
        fill(layer, A=A, B=B)
        close(layer(x) - F.linear(x, W, b), 2 * x @ A.T @ B.T, atol=1e-4, what="the change")
        close(layer.scale, 2.0, what="scale")

    @rule("R4")
    def test_only_A_and_B_can_be_trained(self, submission, rng):
        """Weight and bias of the base are frozen, A and B are parameters, and only those."""
        W, b, x = rng.normal(4, 6), rng.normal(4), rng.normal(5, 6)
        layer = submission.LoRALinear(linear(submission, W, b), 2, 4)
        close(layer(x), F.linear(x, W, b), what="the output of the fresh layer")
        assert trainable(layer) == ["A", "B"], f"expected to train A and B only, got {trainable(layer)}"

    @rule("R6")
    def test_merge_moves_the_change_into_the_weight(self, submission):
        """After merge() the base's weight is W + scale B A and the output is the same as before."""
        base = linear(submission, self.W, self.BIAS)
        layer = submission.LoRALinear(base, 1, 2)
        fill(layer, A=self.A, B=self.B)
        layer.merge()
        close(
            base.weight.detach(), torch.tensor([[2.0, 1, 1], [-2, -1, -2]]), what="base.weight after merge()"
        )
        close(layer(self.X), torch.tensor([17.0, 10.0]), what="the output after merge()")


@exercise("inject_lora")
class TestInjectLora:
    @rule("R1", "R5")
    def test_worked_example(self, submission):
        """The worked example comes out: layer "0" is replaced, and 24 numbers can be trained."""
        nn, make = submission.nn, Maker(submission)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        after, n = submission.inject_lora(model, ["0"], 2, 4, make)
        names = sorted(after.state_dict())
        want = ["0.A", "0.B", "0.base.bias", "0.base.weight", "2.bias", "2.weight"]
        assert names == want, f"expected the state {want}, got {names}"
        want = ["0.A", "0.B"]
        assert trainable(after) == want, f"expected to train {want}, got {trainable(after)}"
        close(n, 24, what="n_trainable")

    @rule("R1")
    def test_patterns_match_the_whole_name(self, submission):
        """A pattern must match the whole dotted name, not a part of it."""
        nn, make = submission.nn, Maker(submission)
        attn = sequence(submission, proj=nn.Linear(3, 3), proj_out=nn.Linear(3, 3))
        model = sequence(submission, attn=attn, proj=nn.Linear(3, 3))
        _, n = submission.inject_lora(model, [r"proj"], 1, 1, make)
        replaced = sorted({name[:-2] for name in model.state_dict() if name[-2:] == ".A"})
        assert replaced == ["proj"], f"the pattern 'proj' replaced {replaced}"
        assert len(trainable(model)) == 2, f"expected to train proj.A and proj.B, got {trainable(model)}"
        close(n, 6, what="n_trainable")

    @rule("R4")
    def test_everything_else_is_frozen(self, submission):
        """What was a parameter before is frozen afterwards, in layers that are not replaced as well."""
        nn, make = submission.nn, Maker(submission)
        model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3))
        _, n = submission.inject_lora(model, ["2"], 2, 4, make)
        assert trainable(model) == ["2.A", "2.B"], (
            f"expected to train 2.A and 2.B only, got {trainable(model)}"
        )
        close(n, 2 * 4 + 3 * 2, what="n_trainable")

    @rule("R6")
    def test_no_match_is_refused(self, submission):
        """If no linear layer matches, ValueError; the model is not frozen and can still be injected."""
        nn, make = submission.nn, Maker(submission)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        with pytest.raises(ValueError):
            submission.inject_lora(model, ["1"], 2, 4, make)
        assert trainable(model) == ["0.bias", "0.weight"], (
            f"after the refusal these can be trained: {trainable(model)}"
        )
        _, n = submission.inject_lora(model, ["0"], 2, 4, make)
        assert trainable(model) == ["0.A", "0.B"], f"expected to train 0.A and 0.B, got {trainable(model)}"
        close(n, 24, what="n_trainable")


@exercise("save_adapter")
class TestSaveAdapter:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the keys are 1.A and 1.B."""
        A, B = torch.ones(1, 3), torch.zeros(2, 1)
        model = submission.nn.Sequential(
            submission.nn.ReLU(), stand_in(submission, A, B, submission.nn.Linear(3, 2))
        )
        close(submission.save_adapter(model), {"1.A": A, "1.B": B}, what="the adapter")


@exercise("load_adapter")
class TestLoadAdapter:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the given numbers stand in A and B."""
        A, B = torch.ones(2, 3), torch.ones(2, 2)
        model = submission.nn.Sequential(
            submission.nn.ReLU(), stand_in(submission, torch.zeros(2, 3), torch.zeros(2, 2))
        )
        after = submission.load_adapter(model, {"1.A": A, "1.B": B})
        close(dict(after.state_dict()), {"1.A": A, "1.B": B}, what="the state of the model")

    @rule("R3")
    def test_missing_key_is_refused(self, submission):
        """An adapter without 1.B is refused with ValueError, the complete one is loaded."""
        A, B = torch.ones(2, 3), torch.ones(2, 2)
        model = submission.nn.Sequential(
            submission.nn.ReLU(), stand_in(submission, torch.zeros(2, 3), torch.zeros(2, 2))
        )
        with pytest.raises(ValueError):
            submission.load_adapter(model, {"1.A": A})
        after = submission.load_adapter(model, {"1.A": A, "1.B": B})
        close(dict(after.state_dict()), {"1.A": A, "1.B": B}, what="the state of the model")


@exercise("nf4_quantize")
class TestNF4Quantize:
    @rule("R1", "R2", "R4", "R5")
    def test_worked_example(self, submission):
        """The worked example comes out: bytes 0xF2 0x7A 0x77 0x77, absmax 0.8 and 0."""
        codes, absmax = submission.nf4_quantize(torch.tensor([0.8, -0.4, 0, 0.2, 0, 0, 0, 0]), 4)
        close(codes, torch.tensor([0xF2, 0x7A, 0x77, 0x77], dtype=torch.uint8), what="codes")
        close(absmax, torch.tensor([0.8, 0.0]), what="absmax")

    @rule("R2")
    def test_every_weight_gets_its_nearest_level(self, submission, rng):
        """No other of the 16 levels is nearer to a weight than the one it gets."""
        w = rng.normal(256)
        codes, absmax = submission.nf4_quantize(w)
        close(absmax, w.view(4, 64).abs().amax(1), what="absmax")
        assert codes.dtype == torch.uint8, f"expected codes of dtype uint8, got {codes.dtype}"
        assert codes.shape == (128,), (
            f"expected 128 bytes for 256 weights, got codes of shape {tuple(codes.shape)}"
        )
        index = torch.stack([codes // 16, codes % 16], 1).flatten().long()
        distance = ((w.view(4, 64) / absmax[:, None]).flatten()[:, None] - LEVELS).abs()  # to every level
        close(
            distance[torch.arange(256), index], distance.amin(1), what="the distance to the level of the code"
        )

    @rule("R1", "R2")
    def test_blocks_do_not_share_their_scale(self, submission, rng):
        """A block keeps its codes when another block becomes a thousand times larger."""
        w = LEVELS[rng.integers(1, 15, 3, 64)]
        w[:, 5] = 1.0
        scale = torch.tensor([0.5, 1000.0, 2.0])
        codes, absmax = submission.nf4_quantize((w * scale[:, None]).flatten())
        close(absmax, scale, what="absmax")
        want = (w.flatten()[:, None] - LEVELS).abs().argmin(1)
        close(codes, (want[0::2] * 16 + want[1::2]).to(torch.uint8), what="codes")

    @rule("R6")
    def test_odd_length_is_refused(self, submission):
        """100 weights can't be cut into blocks of 64: ValueError; with blocks of 50 they can."""
        with pytest.raises(ValueError):
            submission.nf4_quantize(torch.ones(100))
        codes, absmax = submission.nf4_quantize(torch.ones(100), 50)
        close(codes, torch.full((50,), 0xFF, dtype=torch.uint8), what="codes")
        close(absmax, torch.ones(2), what="absmax")


@exercise("nf4_dequantize")
class TestNF4Dequantize:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: 0.8, -0.4201, 0, 0.1969."""
        codes = torch.tensor([0xF2, 0x7A], dtype=torch.uint8)
        got = submission.nf4_dequantize(codes, torch.tensor([0.8]), 4)
        close(got.double(), 0.8 * LEVELS[[15, 2, 7, 10]].double(), rtol=1e-5, what="the weights")

    @rule("R1")
    def test_high_half_comes_first(self, submission, rng):
        """The high four bits of a byte are the earlier weight, for every possible byte."""
        codes = torch.arange(256).to(torch.uint8)[rng.permutation(256)]
        got = submission.nf4_dequantize(codes, torch.ones(8))
        want = torch.stack([LEVELS[codes.long() // 16], LEVELS[codes.long() % 16]], 1).flatten()
        close(got.double(), want.double(), rtol=1e-5, what="the weights")


@exercise("double_quant")
class TestDoubleQuant:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: mean 128, codes 127 -127 42 127 -127."""
        codes, scales, mean = submission.double_quant(torch.tensor([255.0, 1, 128.5, 129.5, 126]), 2)
        close(mean, 128.0, what="mean")
        close(scales, torch.tensor([1.0, 1.5 / 127, 2 / 127]), what="scales")
        close(codes, torch.tensor([127, -127, 42, 127, -127], dtype=torch.int8), what="codes")

    @rule("R2", "R3")
    def test_values_come_back_within_half_a_step(self, submission, rng):
        """Each value comes back within half a scale, in every block, the short one included."""
        absmax = rng.uniform(600, low=0.5, high=3.0)
        codes, scales, mean = submission.double_quant(absmax)
        assert scales.shape == (3,), f"expected 3 scales for 600 values, got shape {tuple(scales.shape)}"
        assert codes.dtype == torch.int8, f"expected codes of dtype int8, got {codes.dtype}"
        close(mean, absmax.mean().item(), rtol=1e-5, what="mean")
        steps = scales.repeat_interleave(256)[:600]
        close(
            steps[[0, 256, 512]],
            torch.stack([(c - mean).abs().max() / 127 for c in absmax.split(256)]),
            what="scales",
        )
        exact = (absmax - absmax.mean()) / steps
        clear = ((exact - exact.floor()) - 0.5).abs() > 0.02  # not within rounding of a half
        close(codes[clear], exact[clear].round().to(torch.int8), what="codes")


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
    @rule("R3")
    def test_fresh_layer_uses_the_rounded_weight(self, submission, rng):
        """A fresh layer multiplies by the dequantised weight, in its shape (out, in), and adds the bias."""
        W, b, x = rng.normal(6, 4), rng.normal(6), rng.normal(5, 4)
        layer = qlora(submission, linear(submission, W, b))
        close(layer(x), F.linear(x, (W * 4).round() / 4, b), what="the output of the fresh layer")

    @rule("R3", "R4")
    def test_change_is_added_in_full_precision(self, submission, rng):
        """With A and B the output is the dequantised weight's plus scale B A x."""
        W, b, x, A, B = rng.normal(6, 4), rng.normal(6), rng.normal(5, 4), rng.normal(2, 4), rng.normal(6, 2)
        layer = qlora(submission, linear(submission, W, b), alpha=6)
        fill(layer, A=A, B=B)
        close(layer(x), F.linear(x, (W * 4).round() / 4, b) + 3 * x @ A.T @ B.T, what="the output")

    @rule("R2")
    def test_weight_is_not_kept(self, submission, rng):
        """No parameter or buffer in floating point is as large as the weight, and the layer still works."""
        W, x = rng.normal(16, 12), rng.normal(3, 12)
        layer = qlora(submission, linear(submission, W), r=1, block=16)
        close(layer(x), x @ ((W * 4).round() / 4).T, what="the output of the fresh layer")
        kept = [
            t
            for t in [*layer.parameters(), *layer.buffers()]
            if t.is_floating_point() and t.numel() >= W.numel()
        ]
        assert not kept, (
            f"a float tensor of shape {tuple(kept[0].shape)} is kept: the weight in full precision"
        )

    @rule("R5")
    def test_only_A_and_B_can_be_trained(self, submission, rng):
        """A and B are trainable parameters, and nothing else is; the fresh layer works."""
        W, b, x = rng.normal(6, 4), rng.normal(6), rng.normal(5, 4)
        layer = qlora(submission, linear(submission, W, b))
        assert trainable(layer) == ["A", "B"], f"expected to train A and B only, got {trainable(layer)}"
        close(layer(x), F.linear(x, (W * 4).round() / 4, b), what="the output of the fresh layer")


@exercise("peft_memory")
class TestPeftMemory:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize(("method", "want"), [("full", 16000), ("lora", 2160), ("qlora", 724)])
    def test_worked_example(self, submission, method, want):
        """The worked example comes out: 16,000, 2,160 and 724 bytes."""
        close(submission.peft_memory(1000, 10, method), want, what=f"bytes for {method}")


@exercise("PrefixTuning")
class TestPrefixTuning:
    @rule("R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: the prefix stands in front, and the mask has a column of True for
        it."""
        prefix = submission.PrefixTuning(1, 1, 2, 1)
        fill(prefix, k=torch.full((1, 1, 1, 2), 7.0), v=torch.full((1, 1, 1, 2), 9.0))
        given = torch.tensor([[[[1.0, 2], [3, 4]]]])
        k, v, mask = prefix.extend(0, given, torch.zeros(1, 1, 2, 2), torch.ones(2, 2).tril().bool())
        close(k, torch.tensor([[[[7.0, 7], [1, 2], [3, 4]]]]), what="k")
        close(v, torch.tensor([[[[9.0, 9], [0, 0], [0, 0]]]]), what="v")
        close(mask, torch.tensor([[True, True, False], [True, True, True]]), what="mask")

    @rule("R2", "R3")
    def test_every_layer_has_its_own_prefix(self, submission, rng):
        """Layer i puts k[i] and v[i] in front, for every sequence of the batch."""
        K, V, k, v = (
            rng.normal(3, 2, 4, 5),
            rng.normal(3, 2, 4, 5),
            rng.normal(2, 2, 6, 5),
            rng.normal(2, 2, 6, 5),
        )
        prefix = submission.PrefixTuning(3, 2, 5, 4)
        fill(prefix, k=K, v=V)
        got_k, got_v, mask = prefix.extend(1, k, v)
        close(got_k, torch.stack([torch.cat([K[1], k[b]], 1) for b in range(2)]), what="k")
        close(got_v, torch.stack([torch.cat([V[1], v[b]], 1) for b in range(2)]), what="v")
        assert mask is None, "no mask was given, so None is expected"


@exercise("IA3")
class TestIA3:
    @rule("R2")
    def test_worked_example(self, submission):
        """The worked example comes out: each argument times its own vector."""
        knobs = submission.IA3(2, 1, 3)
        fill(knobs, l_k=torch.tensor([2.0, 0]), l_v=torch.tensor([-1.0]), l_ff=torch.tensor([1.0, 1, 10]))
        got = knobs(torch.tensor([[3.0, 4]]), torch.tensor([[5.0]]), torch.tensor([[1.0, 1, 1]]))
        want = (torch.tensor([[6.0, 0]]), torch.tensor([[-5.0]]), torch.tensor([[1.0, 1, 10]]))
        close(tuple(got), want, what="the result")

    @rule("R1")
    def test_fresh_module_changes_nothing(self, submission, rng):
        """All vectors start as ones, so everything comes out as it went in; twos double it."""
        k, v, h = rng.normal(2, 3, 4), rng.normal(2, 3, 5), rng.normal(2, 3, 6)
        knobs = submission.IA3(4, 5, 6)
        close(tuple(knobs(k, v, h)), (k, v, h), what="the result of the fresh module")
        ones = {"l_k": torch.ones(4), "l_v": torch.ones(5), "l_ff": torch.ones(6)}
        close(numbers(knobs), ones, what="the parameters")
        fill(knobs, **{name: 2 * t for name, t in ones.items()})
        close(tuple(knobs(k, v, h)), (2 * k, 2 * v, 2 * h), what="the result with twos")


@exercise("Adapter")
class TestAdapter:
    @rule("R1", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: 42 numbers, the identity at first, and a bias that shows."""
        adapter, x = submission.Adapter(8, 2), torch.arange(8.0)
        count = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
        assert count == 42, f"expected 42 trainable numbers, got {count}"
        close(adapter(x), x, what="the output of the fresh adapter")
        fill(adapter, up__bias=torch.ones(8))
        close(adapter(x), x + 1, what="the output with up.bias at 1")

    @rule("R3")
    def test_fresh_adapter_changes_nothing(self, submission, rng):
        """A fresh adapter gives its input back: `up` is zero, `down` is not. A bias in `up` is added."""
        x, bias = rng.normal(2, 3, 6), rng.normal(6)
        adapter = submission.Adapter(6, 3)
        close(adapter(x), x, what="the output of the fresh adapter")
        state = adapter.state_dict()
        close(state["up.weight"], torch.zeros(6, 3), what="up.weight")
        close(state["up.bias"], torch.zeros(6), what="up.bias")
        assert state["down.weight"].abs().max() > 0, "down.weight is zero: the adapter could never learn"
        fill(adapter, up__bias=bias)
        close(adapter(x), x + bias, what="the output with a bias in up")

"""Visible tests of the attention notebook: the definitions and the worked examples."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.testing import choice, close, exercise, gradients, rule

LN3 = math.log(3)


def picture(text: str) -> torch.Tensor:
    """'#. ##' -> bool tensor (1, 1, T, T): one word per row, '#' = may attend."""
    rows = [[mark == "#" for mark in row] for row in text.split()]
    return torch.tensor(rows)[None, None]


@exercise("attention")
class TestAttention:
    Q = torch.tensor([[2.0, 0, 0, 0], [0, 0, 0, 0]])
    K = torch.tensor([[LN3, 0, 0, 0], [0, 0, 0, 0]])
    V = torch.tensor([[8.0, 0], [0, 4]])

    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: weights 3/4 and 1/4, then 1/2 and 1/2."""
        out, weights = submission.attention(self.Q, self.K, self.V)
        close(weights, torch.tensor([[0.75, 0.25], [0.5, 0.5]]), what="weights")
        close(out, torch.tensor([[6.0, 1.0], [4.0, 2.0]]), what="out")

    @rule("R1", "R2", "R3", "R4")
    def test_agrees_with_torch(self, submission, rng):
        """On random queries, keys and values the result is the one PyTorch's own attention gives."""
        q, k, v = rng.normal(2, 3, 4, 8), rng.normal(2, 3, 5, 8), rng.normal(2, 3, 5, 6)
        out, weights = submission.attention(q, k, v)
        close(out, F.scaled_dot_product_attention(q, k, v), what="out")
        close(weights.sum(-1), torch.ones(2, 3, 4), what="the sum of each row of weights")

    @rule("R5")
    def test_mask_shares_the_weight_among_the_allowed_keys(self, submission, rng):
        """A key behind the mask gets weight 0 and the others of its row share the whole weight."""
        q, k, v, mask = rng.normal(3, 4), rng.normal(3, 4), rng.normal(3, 2), torch.ones(3, 3).tril().bool()
        out, weights = submission.attention(q, k, v, mask)
        close(weights.sum(-1), torch.ones(3), what="the sum of each row of weights")
        close(weights[~mask], torch.zeros(3), rtol=0, atol=0, what="the weights behind the mask")
        close(out, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), what="out")

    @rule("R6")
    def test_row_with_nothing_to_attend_gives_zeros(self, submission):
        """A query that may attend to nothing gets zeros, the other query is not disturbed."""
        mask = torch.tensor([[True, True], [False, False]])
        out, weights = submission.attention(self.Q, self.K, self.V, mask)
        close(weights, torch.tensor([[0.75, 0.25], [0.0, 0.0]]), what="weights")
        close(out, torch.tensor([[6.0, 1.0], [0.0, 0.0]]), what="out")


# The options of `why_sqrt_d` and what is said about each of them, sealed (`autograder verify` prints it).
WHY_SQRT_D = (
    "c-mc3O^?$s5dABooTF|WnvWK70QSrUB!m!$i9Ly}P3&Sj2^HeMGfuYbmP?{|p5MHWe9w-jBT`wZV~33tZI|Vc30dPwRb5k54"
    "R)o#6REzIRb3+%g0XE;7FAoc6{@mm%CeEARPC|oR4;^h!yLb}_t_b;PwoJpT^}d>1!l0$Qvd`zPaS!P8Y37!P>K{p2RM!pWC"
    "G=2T?A)o2Tk)B&1E!vJ8GKF%+aHa&O=9|TS35tPx}y7GJ}o*CguTJ$mSalc5b29zzKpze<6QJmOtFoeqo9Qy+JDpT)$C<c}h"
    "A}4w{&>tm?O5ctyB)LX}1d<z158Z;Epe^#LBuVwAB1bk_~>kJs1`)6E<I&NC7&TRzX<JQei=Z-aLr9z?x|A~wArliqI>cEL#"
    "?qZ9Pvoth<!(->YB@+61g{^QO8t-9ZFfUmdwP;CK(S?cFjK$*Vh;@A!sKr3*1Aj!t_W<w`pw%~DKEJyFJQM3Jh%`}GygXgwJ"
    "$C3P;$)`Tk=!vd@o9t6#CW1r@QacxDv-<c_&Hlfv>76<qh;^<eYBxtFy0X5-1mo=aR$GdJYrnUBUrh2&-UnvfZaIE<2uAVtK"
    "R^Bg$cF;!"
)


@exercise("why_sqrt_d")
class TestWhySqrtD:
    @rule("R1")
    def test_names_the_right_option(self, submission):
        """The answer is the letter of the option that is right."""
        choice(submission.why_sqrt_d, WHY_SQRT_D)


@exercise("qkv_project")
class TestQKVProject:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: head 0 holds features 0 and 1 of both tokens, head 1 the others."""
        x = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]]])
        q, k, v = submission.qkv_project(x, torch.cat([torch.eye(4) * f for f in (1, 10, 100)]), 2)
        want = torch.tensor([[[[1.0, 2], [5, 6]], [[3, 4], [7, 8]]]])
        close(q, want, what="q")
        close(k, want * 10, what="k")
        close(v, want * 100, what="v")

    @rule("R1", "R2")
    def test_agrees_with_torch_multihead_attention(self, submission, rng):
        """Attention over the three results equals PyTorch's multi-head attention with the same weights."""
        x, weight = rng.normal(2, 5, 12), rng.normal(36, 12) / 3
        q, k, v = submission.qkv_project(x, weight, 3)
        got = F.scaled_dot_product_attention(q, k, v)
        reference = nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
        reference.load_state_dict({"in_proj_weight": weight, "out_proj.weight": torch.eye(12)})
        want = reference(x, x, x)[0].detach()
        close(got, torch.stack(want.split(4, dim=-1), dim=1), what="attention over your q, k, v")


@exercise("merge_heads")
class TestMergeHeads:
    @rule("R1")
    def test_worked_example(self, submission):
        """The worked example comes out: each token gets back its own features, head after head."""
        x = torch.tensor([[[[1.0, 2], [5, 6]], [[3, 4], [7, 8]]]])
        close(submission.merge_heads(x), torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]]]))

    @rule("R1")
    def test_undoes_the_split(self, submission, rng):
        """Splitting a tensor into heads and merging them gives the tensor back."""
        x = rng.normal(2, 5, 12)
        close(submission.merge_heads(torch.stack(x.split(4, dim=-1), dim=1)), x)


def torch_mha(weights: dict[str, torch.Tensor], heads: int) -> nn.MultiheadAttention:
    """PyTorch's module with the weights of ours."""
    width, bias = weights["wo.weight"].shape[0], "wo.bias" in weights
    reference = nn.MultiheadAttention(width, heads, bias=bias, batch_first=True)
    state = {
        "in_proj_weight": torch.cat([weights[f"w{c}.weight"] for c in "qkv"]),
        "out_proj.weight": weights["wo.weight"],
    }
    if bias:
        state["in_proj_bias"] = torch.cat([weights[f"w{c}.bias"] for c in "qkv"])
        state["out_proj.bias"] = weights["wo.bias"]
    reference.load_state_dict(state)
    return reference


def mha_weights(rng, width: int, *, bias: bool) -> dict[str, torch.Tensor]:
    weights = {f"w{c}.weight": rng.normal(width, width) / width**0.5 for c in "qkvo"}
    return weights | ({f"w{c}.bias": rng.normal(width) / 2 for c in "qkvo"} if bias else {})


@exercise("MHA")
class TestMHA:
    @rule("R2")
    def test_worked_example(self, submission):
        """The worked example comes out: with all weights the identity, two heads look at one feature each."""
        x = torch.eye(2)[None]
        identity = {f"w{c}.weight": torch.eye(2) for c in "qkvo"}
        for heads, want in (
            (2, [[0.7310586, 0.5], [0.5, 0.7310586]]),
            (1, [[0.66976, 0.33024], [0.33024, 0.66976]]),
        ):
            m = submission.MHA(2, heads, bias=False)
            m.load_state_dict(identity)
            close(m(x), torch.tensor([want]), what=f"the result with {heads} head(s)")

    @rule("R1")
    def test_has_the_named_parameters(self, submission, rng):
        """Its state dict has exactly wq, wk, wv and wo, and what is loaded into them is used."""
        m = submission.MHA(8, 2)
        weights = mha_weights(rng, 8, bias=True)
        close(
            {n: tuple(p.shape) for n, p in m.state_dict().items()},
            {n: tuple(p.shape) for n, p in weights.items()},
        )
        m.load_state_dict(weights)
        x = rng.normal(1, 3, 8)
        close(m(x), torch_mha(weights, 2)(x, x, x)[0].detach())

    @rule("R2")
    def test_self_attention_agrees_with_torch(self, submission, rng):
        """With copied weights it gives what PyTorch's MultiheadAttention gives."""
        m, weights, x = (
            submission.MHA(12, 3, bias=False),
            mha_weights(rng, 12, bias=False),
            rng.normal(2, 5, 12),
        )
        m.load_state_dict(weights)
        close(m(x), torch_mha(weights, 3)(x, x, x)[0].detach())

    @rule("R3")
    def test_cross_attention_agrees_with_torch(self, submission, rng):
        """With kv given, keys and values come from kv and the queries from x."""
        m, weights = submission.MHA(8, 2), mha_weights(rng, 8, bias=True)
        m.load_state_dict(weights)
        x, kv = rng.normal(2, 3, 8), rng.normal(2, 5, 8)
        close(m(x, kv), torch_mha(weights, 2)(x, kv, kv)[0].detach())

    @rule("R4")
    def test_causal_mask_agrees_with_torch(self, submission, rng):
        """A (T, S) mask holds for every sequence of the batch and every head."""
        m, weights, x = submission.MHA(8, 2), mha_weights(rng, 8, bias=True), rng.normal(2, 4, 8)
        m.load_state_dict(weights)
        mask = torch.ones(4, 4).tril().bool()
        close(m(x, mask=mask), torch_mha(weights, 2)(x, x, x, attn_mask=~mask)[0].detach())


@exercise("make_mask")
class TestMakeMask:
    @rule("R1", "R7")
    def test_causal_picture(self, submission):
        """Causal: a token sees itself and everything before it."""
        close(submission.make_mask(4, "causal"), picture("#... ##.. ###. ####"))

    @rule("R2", "R7")
    def test_padding_picture(self, submission):
        """Padding: nobody sees the columns behind the end of the sequence."""
        got = submission.make_mask(4, "padding", lengths=torch.tensor([3, 1]))
        close(got, torch.cat([picture("###. ###. ###. ###."), picture("#... #... #... #...")]))

    @rule("R3", "R7")
    def test_causal_padding_picture(self, submission):
        """Causal and padding: both must allow it."""
        got = submission.make_mask(4, "causal_padding", lengths=torch.tensor([3, 1]))
        close(got, torch.cat([picture("#... ##.. ###. ###."), picture("#... #... #... #...")]))

    @rule("R4", "R7")
    def test_sliding_picture(self, submission):
        """Sliding: a token sees `window` tokens, itself the last of them."""
        close(submission.make_mask(4, "sliding", window=2), picture("#... ##.. .##. ..##"))

    @rule("R5", "R7")
    def test_prefix_picture(self, submission):
        """Prefix: everybody sees the first `prefix` tokens; the rest is causal."""
        close(submission.make_mask(4, "prefix", prefix=2), picture("##.. ##.. ###. ####"))

    @rule("R6", "R7")
    def test_packed_picture(self, submission):
        """Packed: causal, and only inside one document."""
        got = submission.make_mask(4, "packed", doc_ids=torch.tensor([7, 7, 3, 3]))
        close(got, picture("#... ##.. ..#. ..##"))


@exercise("sinusoidal")
class TestSinusoidal:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: three positions, four features."""
        want = [
            [0, 1, 0, 1],
            [0.841471, 0.540302, 0.0099998, 0.99995],
            [0.909297, -0.416147, 0.0199987, 0.9998],
        ]
        close(submission.sinusoidal(3, 4), torch.tensor(want), atol=1e-4)

    @rule("R1", "R2", "R3")
    def test_formula(self, submission, rng):
        """Column 2i is the sine and column 2i+1 the cosine of t / base^(2i/D)."""
        T, D = rng.integer(5, 20), 2 * rng.integer(3, 8)
        want = [
            [(math.sin, math.cos)[c % 2](t / 1e4 ** ((c - c % 2) / D)) for c in range(D)] for t in range(T)
        ]
        close(submission.sinusoidal(T, D), torch.tensor(want), atol=1e-4)


@exercise("rope")
class TestRope:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the first pair turns by 1 radian per position, the second by 0.01."""
        x = torch.tensor([[1.0, 0, 1, 0]] * 3)
        want = [
            [1, 0, 1, 0],
            [0.540302, 0.841471, 0.99995, 0.0099998],
            [-0.416147, 0.909297, 0.9998, 0.0199987],
        ]
        close(submission.rope(x, torch.tensor([0, 1, 2])), torch.tensor(want))

    @rule("R2", "R3")
    def test_half_layout(self, submission):
        """With layout="half" feature i is paired with feature i + D/2."""
        x = torch.tensor([[1.0, 1, 0, 0]] * 2)
        want = [[-0.416147, 0.9998, 0.909297, 0.0199987], [1, 1, 0, 0]]
        close(submission.rope(x, torch.tensor([2, 0]), layout="half"), torch.tensor(want))

    @rule("R1", "R3")
    def test_score_depends_on_the_distance_only(self, submission, rng):
        """The score of a rotated query and a rotated key depends on the distance of their positions only."""
        q, k = rng.normal(6, dtype=torch.float64), rng.normal(6, dtype=torch.float64)
        m = torch.tensor([4, 9, 30])
        score = (submission.rope(q.expand(3, 6), m) * submission.rope(k.expand(3, 6), m - 4)).sum(-1)
        turn = 4 / 1e4 ** (torch.arange(3, dtype=torch.float64) / 3)
        pairs = torch.view_as_complex(q.view(3, 2)) * torch.view_as_complex(k.view(3, 2)).conj()
        want = (pairs * torch.polar(torch.ones_like(turn), turn)).real.sum()
        close(score, want.expand(3), what="the scores at distance 4, from three places")


@exercise("attention_backward")
class TestAttentionBackward:
    @rule("R1")
    def test_worked_example(self, submission):
        """The worked example comes out: the gradients of its one query, two keys and two values."""
        q, k = torch.tensor([[2.0, 0, 0, 0]]), torch.tensor([[LN3, 0, 0, 0], [0, 0, 0, 0]])
        v, dout = torch.tensor([[8.0, 0], [0, 4]]), torch.tensor([[1.0, 0]])
        dq, dk, dv = submission.attention_backward(dout, q, k, v)
        close(dq, torch.tensor([[0.75 * LN3, 0, 0, 0]]), what="dq")
        close(dk, torch.tensor([[1.5, 0, 0, 0], [-1.5, 0, 0, 0]]), what="dk")
        close(dv, torch.tensor([[0.75, 0], [0.25, 0]]), what="dv")

    @rule("R1", "R4")
    def test_agrees_with_autograd(self, submission, rng):
        """Without a mask the three gradients are those that autograd finds."""
        shapes = {"q": (2, 3, 4), "k": (2, 5, 4), "v": (2, 5, 6)}
        q, k, v = (rng.normal(*s, dtype=torch.float64).requires_grad_() for s in shapes.values())
        dout = rng.normal(2, 3, 6, dtype=torch.float64)
        want = gradients(F.scaled_dot_product_attention(q, k, v), (q, k, v), dout)
        got = submission.attention_backward(dout, q.detach(), k.detach(), v.detach())
        for name, g, w in zip(("dq", "dk", "dv"), got, want, strict=True):
            close(g, w, what=name)

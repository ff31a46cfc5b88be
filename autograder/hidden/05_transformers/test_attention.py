"""Hidden tests of the attention notebook: the same promises on other shapes, dtypes, seeds and edges."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.testing import close, exercise, gradients, letter, pure, rule

F32, F64 = torch.float32, torch.float64


def attention_by_rows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One query at a time, from the definition; the mask is applied by leaving keys out."""
    lead, (t, d), s = q.shape[:-2], q.shape[-2:], k.shape[-2]
    allowed = torch.ones(*lead, t, s, dtype=torch.bool) if mask is None else mask.expand(*lead, t, s)
    weights = torch.zeros(*lead, t, s, dtype=q.dtype)
    for place in itertools.product(*map(range, (*lead, t))):
        keep = allowed[place].nonzero()[:, 0]
        if len(keep):
            scores = (q[place] * k[place[:-1]][keep]).sum(-1) / d**0.5
            exp = (scores - scores.max()).exp()
            weights[place][keep] = exp / exp.sum()
    return weights @ v, weights


def qkv(rng, lead, t, s, d, e, dtype=F64) -> tuple[Tensor, Tensor, Tensor]:
    return (
        rng.normal(*lead, t, d, dtype=dtype),
        rng.normal(*lead, s, d, dtype=dtype),
        rng.normal(*lead, s, e, dtype=dtype),
    )


def mask_with_empty_row(rng, *shape: int) -> Tensor:
    """Random, but every query has a key, except the last query of the first sequence."""
    mask = rng.bool(*shape)
    mask[..., 0] = True
    mask[(0,) * (len(shape) - 2) + (-1,)] = False
    return mask


@exercise("attention")
class TestAttention:
    @rule("R1", "R2", "R3", "R4", "R8")
    @pytest.mark.parametrize(
        ("lead", "dtype"), [((), F32), ((2,), F64), ((2, 1, 2), F32)], ids=["plain", "batch", "many axes"]
    )
    def test_definition_with_any_leading_axes(self, submission, rng, lead, dtype):
        """Any number of leading axes, all sizes different, float32 and float64: row by row as defined."""
        q, k, v = qkv(rng, lead, 3, 4, 5, 2, dtype)
        out, weights = submission.attention(q, k, v)
        want_out, want_weights = attention_by_rows(q, k, v)
        close(weights, want_weights, what="weights")
        close(out, want_out, what="out")

    @rule("R1")
    def test_many_features(self, submission, rng):
        """With 64 features per query and 3 per value the weights are neither one-hot nor uniform."""
        q, k, v = qkv(rng, (2,), 4, 6, 64, 3)
        out, weights = submission.attention(q, k, v)
        close(weights, attention_by_rows(q, k, v)[1], what="weights")
        close(out, F.scaled_dot_product_attention(q, k, v), what="out")

    @rule("R5")
    @pytest.mark.parametrize(
        "shapes",
        [[(4, 5), (3, 4, 5), (2, 3, 4, 5)], [(1, 5), (4, 1), (2, 1, 1, 5), (2, 1, 4, 5)]],
        ids=["fewer leading axes", "axes of size 1"],
    )
    def test_mask_broadcasts(self, submission, rng, shapes):
        """The mask may have fewer leading axes than the scores, or axes of size 1."""
        q, k, v = qkv(rng, (2, 3), 4, 5, 3, 2)
        for shape in shapes:
            mask = rng.bool(*shape)
            mask[..., :1, :], mask[..., -1:] = True, True
            out, weights = submission.attention(q, k, v, mask)
            want = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            close(out, want, what=f"out with a mask of shape {shape}")
            close(weights @ v, want, what=f"weights @ v with a mask of shape {shape}")

    @rule("R5")
    def test_weights_behind_the_mask_are_exactly_zero(self, submission, rng):
        """However good a forbidden key fits, its weight is exactly 0."""
        q = rng.normal(3, 4) + 3
        k, v, mask = torch.cat([q * 4, q]), rng.normal(6, 2), torch.eye(3).bool().repeat(1, 2)
        mask[:, :3] = False
        out, weights = submission.attention(q, k, v, mask)
        close(weights, torch.cat([torch.zeros(3, 3), torch.eye(3)], dim=1), atol=0, what="weights")
        close(out, v[3:], what="out")

    @rule("R6")
    def test_empty_rows_are_zero(self, submission, rng):
        """A query with nothing to attend gives zeros, anywhere in a batch, and disturbs no other query."""
        q, k, v = qkv(rng, (2, 2), 3, 4, 5, 2, F32)
        mask = mask_with_empty_row(rng, 2, 1, 3, 4)
        out, weights = submission.attention(q, k, v, mask)
        want_out, want_weights = attention_by_rows(q, k, v, mask)
        close(out, want_out, what="out")
        close(weights, want_weights, what="weights")
        close(weights[0, :, -1], torch.zeros(2, 4), atol=0, what="the weights of the empty queries")

    @rule("R6")
    def test_empty_rows_harm_no_gradient(self, submission, rng):
        """A query with nothing to attend takes no gradient and makes no other gradient NaN."""
        inputs = tuple(x.requires_grad_() for x in qkv(rng, (2,), 3, 4, 5, 2))
        mask, dout = mask_with_empty_row(rng, 2, 3, 4), rng.normal(2, 3, 2, dtype=F64)
        got = gradients(submission.attention(*inputs, mask)[0], inputs, dout)
        want = gradients(attention_by_rows(*inputs, mask)[0], inputs, dout)
        for name, g, w in zip(("q", "k", "v"), got, want, strict=True):
            close(g, w, what=f"the gradient of {name}")
        close(got[0][0, -1], torch.zeros(5, dtype=F64), atol=0, what="the gradient of the empty query")

    @rule("R7")
    def test_survives_large_scores(self, submission, rng):
        """Scores between -10,000 and 10,000 give finite, right weights."""
        q, k, v = qkv(rng, (), 5, 6, 4, 3)
        q *= 1e4 / ((q @ k.T).abs().max() / 2)
        out, weights = submission.attention(q, k, v)
        want_out, want_weights = attention_by_rows(q, k, v)
        close(weights, want_weights, what="weights")
        close(out, want_out, what="out")

    @rule("R7")
    def test_no_allowed_score_loses_against_a_forbidden_one(self, submission, rng):
        """An allowed score of -10,000 beats a forbidden score of +10,000."""
        q, mask = torch.full((1, 4), 100.0, dtype=F64), torch.tensor([[False, True, True, False]])
        k = torch.tensor([[50.0], [-50.0], [-50.0], [0.0]], dtype=F64).expand(4, 4)
        v = rng.normal(4, 3, dtype=F64)
        out, weights = submission.attention(q, k, v, mask)
        close(weights, torch.tensor([[0, 0.5, 0.5, 0]], dtype=F64), what="weights")
        close(out, v[1:3].mean(0, keepdim=True), what="out")

    @rule("R9")
    def test_gradients(self, submission, rng):
        """The gradients with respect to q, k and v are right, with a mask."""
        inputs = tuple(x.requires_grad_() for x in qkv(rng, (2,), 3, 4, 5, 2))
        mask, dout = torch.ones(3, 4).tril().bool(), rng.normal(2, 3, 2, dtype=F64)
        got = gradients(submission.attention(*inputs, mask)[0], inputs, dout)
        want = gradients(F.scaled_dot_product_attention(*inputs, attn_mask=mask), inputs, dout)
        for name, g, w in zip(("q", "k", "v"), got, want, strict=True):
            close(g, w, what=f"the gradient of {name}")

    @rule("R1", "R2", "R3")
    def test_order_of_the_keys_does_not_matter(self, submission, rng):
        """Shuffling the keys together with their values leaves out unchanged and shuffles the weights."""
        q, k, v = qkv(rng, (2,), 3, 7, 4, 4)
        order = rng.permutation(7)
        want_out, want_weights = attention_by_rows(q, k, v)
        out, weights = submission.attention(q, k[:, order], v[:, order])
        close(out, want_out, what="out")
        close(weights, want_weights[..., order], what="weights")

    @rule("R9")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views with unusual strides, are the same after the call."""
        q, k, v = (x.mT.contiguous().mT for x in qkv(rng, (2,), 3, 4, 5, 2, F32))
        mask = torch.ones(3, 4).tril().bool()
        out, _ = pure(submission.attention, q, k, v, mask)
        close(out, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), what="out")

    @rule("R10")
    def test_refuses_queries_and_keys_of_different_size(self, submission, rng):
        """Queries and keys of different d are a ValueError, whichever is larger; other sizes may differ."""
        q, k, v = qkv(rng, (), 2, 3, 3, 5)
        close(submission.attention(q, k, v)[0], F.scaled_dot_product_attention(q, k, v), what="out")
        for d in (4, 1):
            with pytest.raises(ValueError):
                submission.attention(rng.normal(2, d, dtype=F64), k, v)


def split_by_loop(x: Tensor, weight: Tensor, n_heads: int) -> list[Tensor]:
    """(B, T, D), (3D, D) -> three of (B, H, T, D/H), one number at a time."""
    (B, T, D), d = x.shape, x.shape[2] // n_heads
    result = []
    for part in range(3):
        y = torch.zeros(B, n_heads, T, d, dtype=x.dtype)
        for b in range(B):
            for t in range(T):
                for c in range(D):
                    y[b, c // d, t, c % d] = (x[b, t] * weight[part * D + c]).sum()
        result.append(y)
    return result


@exercise("why_sqrt_d")
class TestWhySqrtD:
    @rule("R1")
    def test_names_the_option_that_is_right(self, submission):
        """The option is the one that is right."""
        q, k = torch.randn(2, 2_000, 256, generator=torch.Generator().manual_seed(0))
        spread = ((q * k).sum(-1) / 256).std().item()
        claimed = {"B": 1.0, "C": 1 / 16, "D": 16.0}  # A says that it does not matter
        right = min(claimed, key=lambda option: abs(claimed[option] - spread))
        close(letter(submission.why_sqrt_d), right, what="the letter")


@exercise("qkv_project")
class TestQKVProject:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize(
        ("size", "heads", "dtype"),
        [((2, 3, 6), 2, F32), ((1, 4, 6), 3, F64), ((2, 2, 4), 1, F64), ((2, 3, 4), 4, F32)],
        ids=["2 heads", "3 heads", "1 head", "heads of size 1"],
    )
    def test_definition(self, submission, rng, size, heads, dtype):
        """Each entry is one row of W times one token, in the place the contract names."""
        x, weight = rng.normal(*size, dtype=dtype), rng.normal(3 * size[2], size[2], dtype=dtype)
        q, k, v = submission.qkv_project(x, weight, heads)
        for name, g, w in zip("qkv", (q, k, v), split_by_loop(x, weight, heads), strict=True):
            close(g, w, what=name)

    @rule("R2")
    def test_features_stay_with_their_token(self, submission):
        """What token t brings in comes out at token t, for every head."""
        x = (torch.arange(5)[:, None] * 100.0 + torch.arange(6)).expand(2, 5, 6)
        q, k, v = submission.qkv_project(x, torch.eye(6).repeat(3, 1), 3)
        want = torch.stack(x.split(2, dim=-1), dim=1)
        for name, g in zip("qkv", (q, k, v), strict=True):
            close(g, want, what=name)

    @rule("R5")
    def test_gradients(self, submission, rng):
        """Gradients reach x and W through all three results."""
        x, weight = (
            rng.normal(2, 3, 4, dtype=F64).requires_grad_(),
            rng.normal(12, 4, dtype=F64).requires_grad_(),
        )
        q, k, v = submission.qkv_project(x, weight, 2)
        got = gradients(q[..., 0] * k[..., 1] + v[..., 1], (x, weight), torch.ones(2, 2, 3, dtype=F64))
        a, b, c = split_by_loop(x, weight, 2)
        want = gradients(a[..., 0] * b[..., 1] + c[..., 1], (x, weight), torch.ones(2, 2, 3, dtype=F64))
        close(got[0], want[0], what="the gradient of x")
        close(got[1], want[1], what="the gradient of W")

    @rule("R5")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views with unusual strides, are the same after the call."""
        x, weight = rng.normal(2, 4, 3).transpose(1, 2), rng.normal(4, 12).T
        q, k, v = pure(submission.qkv_project, x, weight, 2)
        for name, g, w in zip("qkv", (q, k, v), split_by_loop(x, weight, 2), strict=True):
            close(g, w, what=name)

    @rule("R4")
    def test_refuses_heads_that_do_not_divide(self, submission, rng):
        """A number of heads that does not divide D is a ValueError; one that does is fine."""
        x, weight = rng.normal(1, 2, 6), rng.normal(18, 6)
        q, _, _ = submission.qkv_project(x, weight, 3)
        close(q, split_by_loop(x, weight, 3)[0], what="q")
        with pytest.raises(ValueError):
            submission.qkv_project(x, weight, 4)


@exercise("merge_heads")
class TestMergeHeads:
    @rule("R1", "R2")
    @pytest.mark.parametrize(
        ("size", "dtype"),
        [((2, 3, 4, 5), F32), ((1, 4, 4, 2), F64), ((3, 1, 2, 4), F64), ((2, 5, 1, 1), F32)],
        ids=["3 heads", "as many heads as tokens", "1 head", "heads of size 1"],
    )
    def test_definition(self, submission, rng, size, dtype):
        """Entry h*d + j of token t is entry j of head h at token t."""
        x = rng.normal(*size, dtype=dtype)
        B, H, T, d = size
        want = torch.zeros(B, T, H * d, dtype=dtype)
        for h in range(H):
            for j in range(d):
                want[:, :, h * d + j] = x[:, h, :, j]
        close(submission.merge_heads(x), want)

    @rule("R2")
    def test_takes_a_transposed_tensor(self, submission, rng):
        """The argument may be a view of any strides; it is the same after the call."""
        x = rng.normal(2, 4, 3, 5).transpose(1, 2)
        close(pure(submission.merge_heads, x), x.transpose(1, 2).flatten(2))

    @rule("R3")
    def test_gradient(self, submission, rng):
        """The gradient flows back to where each feature came from."""
        x, dout = rng.normal(2, 3, 4, 2, dtype=F64).requires_grad_(), rng.normal(2, 4, 6, dtype=F64)
        (got,) = gradients(submission.merge_heads(x), (x,), dout)
        close(got, torch.stack(dout.split(2, dim=-1), dim=1), what="the gradient of x")


def mha_by_heads(
    w: dict[str, Tensor], heads: int, x: Tensor, kv: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention head after head; mask must be (B|1, H|1, T, S)."""
    kv, width = x if kv is None else kv, x.shape[-1]
    d, out = width // heads, w.get("wo.bias", torch.zeros(width, dtype=x.dtype))
    q, k, v = (
        F.linear(z, w[f"{name}.weight"], w.get(f"{name}.bias"))
        for name, z in (("wq", x), ("wk", kv), ("wv", kv))
    )
    for h in range(heads):
        own, m = slice(h * d, (h + 1) * d), None if mask is None else mask.expand(-1, heads, -1, -1)[:, h]
        head = F.scaled_dot_product_attention(q[..., own], k[..., own], v[..., own], attn_mask=m)
        out = out + head @ w["wo.weight"][:, own].T
    return out


def mha_weights(rng, width: int, *, bias: bool = True, dtype: torch.dtype = F32) -> dict[str, Tensor]:
    weights = {f"w{c}.weight": rng.normal(width, width, dtype=dtype) / width**0.5 for c in "qkvo"}
    return weights | ({f"w{c}.bias": rng.normal(width, dtype=dtype) / 2 for c in "qkvo"} if bias else {})


def loaded(submission, weights: dict[str, Tensor], heads: int):
    """The learner's module with these weights."""
    m = submission.MHA(weights["wo.weight"].shape[0], heads, bias="wo.bias" in weights)
    if weights["wo.weight"].dtype == F64:
        m = m.double()
    m.load_state_dict(weights)
    return m


@exercise("MHA")
class TestMHA:
    @rule("R2", "R6")
    @pytest.mark.parametrize(
        ("width", "heads", "bias", "dtype"),
        [(6, 3, True, F64), (8, 1, True, F32), (4, 4, False, F64)],
        ids=["3 heads", "1 head", "heads of size 1"],
    )
    def test_any_number_of_heads(self, submission, rng, width, heads, bias, dtype):
        """Self-attention is right for any number of heads, with and without bias, in float32 and float64."""
        weights, x = mha_weights(rng, width, bias=bias, dtype=dtype), rng.normal(2, 5, width, dtype=dtype)
        close(loaded(submission, weights, heads)(x), mha_by_heads(weights, heads, x))

    @rule("R3", "R4")
    def test_memory_of_another_length(self, submission, rng):
        """Keys and values come from kv, whose length is its own; a (T, S) mask fits them."""
        weights, x, kv = mha_weights(rng, 6), rng.normal(2, 3, 6), rng.normal(2, 7, 6)
        mask = mask_with_empty_row(rng, 3, 7)
        m = loaded(submission, weights, 2)
        close(m(x, kv=kv), mha_by_heads(weights, 2, x, kv), what="the result without a mask")
        close(
            m(x, kv, mask), mha_by_heads(weights, 2, x, kv, mask[None, None]), what="the result with a mask"
        )

    @rule("R4")
    def test_mask_for_heads_and_sequences(self, submission, rng):
        """A mask may be (T, S) for all, or (B or 1, H or 1, T, S)."""
        weights, x = mha_weights(rng, 6), rng.normal(2, 4, 6)
        m = loaded(submission, weights, 3)
        for shape in ((4, 4), (2, 1, 4, 4), (1, 3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4)):
            mask = rng.bool(*shape)
            mask[..., 0] = True
            four = mask if len(shape) == 4 else mask[None, None]
            close(
                m(x, mask=mask),
                mha_by_heads(weights, 3, x, mask=four),
                what=f"the result with a mask of {shape}",
            )

    @rule("R4")
    @pytest.mark.parametrize("batch", [2, 3, 1], ids=["2 sequences", "3 sequences", "1 sequence"])
    def test_mask_per_sequence(self, submission, rng, batch):
        """A (B, T, S) mask belongs to the sequences of the batch, not to the heads."""
        weights, x, mask = mha_weights(rng, 6), rng.normal(batch, 4, 6), rng.bool(batch, 4, 4)
        mask[..., 1] = True
        close(loaded(submission, weights, 3)(x, mask=mask), mha_by_heads(weights, 3, x, mask=mask[:, None]))

    @rule("R5")
    @pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
    def test_query_with_nothing_to_attend(self, submission, rng, bias):
        """A query that may attend to nothing gives the bias of wo or zeros, and gradients stay finite."""
        weights, dout = mha_weights(rng, 6, bias=bias, dtype=F64), rng.normal(2, 4, 6, dtype=F64)
        x, mask = rng.normal(2, 4, 6, dtype=F64).requires_grad_(), mask_with_empty_row(rng, 2, 1, 4, 4)
        out, want = loaded(submission, weights, 2)(x, mask=mask), mha_by_heads(weights, 2, x, mask=mask)
        close(out[0, -1], weights.get("wo.bias", torch.zeros(6, dtype=F64)), what="the empty row")
        close(out, want)
        close(gradients(out, (x,), dout)[0], gradients(want, (x,), dout)[0], what="the gradient of x")

    @rule("R2")
    def test_heads_are_independent(self, submission, rng):
        """With only the columns of one head left in wo.weight, the result is that head's alone."""
        weights, x = mha_weights(rng, 8, bias=False), rng.normal(1, 3, 8)
        head = rng.integer(0, 4)
        only = torch.zeros(8, 8)
        only[:, 2 * head : 2 * head + 2] = weights["wo.weight"][:, 2 * head : 2 * head + 2]
        q, k, v = (F.linear(x, weights[f"w{c}.weight"][2 * head : 2 * head + 2]) for c in "qkv")
        got = loaded(submission, weights | {"wo.weight": only}, 4)(x)
        close(got, F.scaled_dot_product_attention(q, k, v) @ only[:, 2 * head : 2 * head + 2].T)

    @rule("R6")
    def test_gradients_of_every_weight(self, submission, rng):
        """Every weight and bias gets the right gradient, and so do x and kv."""
        weights = mha_weights(rng, 6, dtype=F64)
        m = loaded(submission, weights, 3)
        mine = {name: w.clone().requires_grad_() for name, w in weights.items()}
        x, kv = (
            rng.normal(2, 3, 6, dtype=F64).requires_grad_(),
            rng.normal(2, 4, 6, dtype=F64).requires_grad_(),
        )
        dout = rng.normal(2, 3, 6, dtype=F64)
        got = gradients(m(x, kv), (x, kv), dout)
        want = gradients(mha_by_heads(mine, 3, x, kv), (x, kv, *mine.values()), dout)
        close(got, want[:2], what="the gradients of x and kv")
        for name, w in zip(mine, want[2:], strict=True):
            part, kind = name.split(".")
            close(getattr(getattr(m, part), kind).grad, w, what=f"the gradient of {name}")

    @rule("R7")
    def test_same_answer_twice(self, submission, rng):
        """Nothing is drawn at random in training mode either, and the arguments are left alone."""
        weights, x, kv = mha_weights(rng, 4), rng.normal(2, 3, 4), rng.normal(2, 5, 4)
        mask, m = mask_with_empty_row(rng, 3, 5), loaded(submission, weights, 2)
        want = mha_by_heads(weights, 2, x, kv, mask[None, None])
        for call in ("first", "second"):
            close(pure(m, x, kv, mask), want, what=f"the result of the {call} call")


def mask_by_sets(T: int, allowed) -> Tensor:
    """(1, 1, T, T) from the set of pairs (i, j) for which allowed(i, j) holds."""
    return torch.tensor([[bool(allowed(i, j)) for j in range(T)] for i in range(T)])[None, None]


@exercise("make_mask")
class TestMakeMask:
    @rule("R1", "R7")
    def test_every_pair_of_the_causal_mask(self, submission):
        """Causal: i sees j exactly when j <= i, for many tokens and for one."""
        for T in (7, 1):
            close(
                submission.make_mask(T, "causal"),
                mask_by_sets(T, lambda i, j: j <= i),
                what=f"the mask for T = {T}",
            )

    @rule("R2", "R7")
    def test_lengths_from_zero_to_all(self, submission, rng):
        """Padding: sequence b sees the first lengths[b] columns, from every row, lengths 0 and T included."""
        lengths = torch.tensor([0, 6, rng.integer(1, 6)])
        want = torch.cat([mask_by_sets(6, lambda i, j, n=n: j < n) for n in lengths.tolist()])
        close(submission.make_mask(6, "padding", lengths=lengths), want)

    @rule("R3", "R7")
    def test_lengths_with_a_causal_mask(self, submission, rng):
        """Causal and padding: j <= i and j < lengths[b]."""
        lengths = torch.tensor([0, 6, rng.integer(1, 6)])
        want = torch.cat([mask_by_sets(6, lambda i, j, n=n: j <= i and j < n) for n in lengths.tolist()])
        close(submission.make_mask(6, "causal_padding", lengths=lengths), want)

    @rule("R4", "R7")
    def test_windows_short_and_long(self, submission):
        """Sliding: i sees j exactly when i - window < j <= i, for windows from 1 to longer than the text."""
        for w in (1, 3, 6, 9):
            want = mask_by_sets(6, lambda i, j, w=w: i - w < j <= i)
            close(submission.make_mask(6, "sliding", window=w), want, what=f"the mask for window {w}")

    @rule("R5", "R7")
    def test_prefixes_short_and_long(self, submission):
        """Prefix: i sees j exactly when j <= i or j < prefix, from one token to all of the text."""
        for p in (1, 4, 6):
            want = mask_by_sets(6, lambda i, j, p=p: j <= i or j < p)
            close(submission.make_mask(6, "prefix", prefix=p), want, what=f"the mask for prefix {p}")

    @rule("R5", "R8")
    def test_prefix_of_zero_is_not_missing(self, submission):
        """A prefix of 0 tokens is given, not missing: the mask is causal."""
        close(submission.make_mask(5, "prefix", prefix=0), mask_by_sets(5, lambda i, j: j <= i))

    @rule("R6", "R7")
    def test_document_that_comes_back(self, submission, rng):
        """Packed: j <= i and the same id; a document may come back after another one."""
        ids = [4, 4, 9, 4, 9, 9, 0]
        want = mask_by_sets(7, lambda i, j: j <= i and ids[i] == ids[j])
        close(submission.make_mask(7, "packed", doc_ids=torch.tensor(ids)), want)

    @rule("R6", "R7")
    def test_documents_per_sequence(self, submission, rng):
        """Packed with ids (B, T): each sequence has documents of its own."""
        ids = rng.integers(0, 3, 3, 6)
        want = [mask_by_sets(6, lambda i, j, row=row: j <= i and row[i] == row[j]) for row in ids.tolist()]
        close(pure(submission.make_mask, 6, "packed", doc_ids=ids), torch.cat(want))

    @rule("R8")
    @pytest.mark.parametrize(
        ("kind", "good", "want", "bad"),
        [
            ("padding", {"lengths": torch.tensor([2])}, "##. ##. ##.", {"window": 2}),
            ("sliding", {"window": 1}, "#.. .#. ..#", {"prefix": 2}),
            ("packed", {"doc_ids": torch.tensor([5, 5, 6])}, "#.. ##. ..#", {}),
        ],
        ids=["padding", "sliding", "packed"],
    )
    def test_refuses_a_missing_argument(self, submission, kind, good, want, bad):
        """A kind without the argument it needs is a ValueError; with it, the mask comes out."""
        rows = torch.tensor([[mark == "#" for mark in row] for row in want.split()])
        close(submission.make_mask(3, kind, **good), rows[None, None], what=f"the {kind} mask")
        with pytest.raises(ValueError):
            submission.make_mask(3, kind, **bad)

    @rule("R8")
    def test_refuses_an_unknown_kind(self, submission):
        """A kind that is not on the list is a ValueError; one that is on it is not."""
        close(submission.make_mask(2, "causal"), torch.tensor([[[[True, False], [True, True]]]]))
        for kind in ("diagonal", "Causal"):
            with pytest.raises(ValueError):
                submission.make_mask(2, kind)


@exercise("sinusoidal")
class TestSinusoidal:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize(("T", "D", "base"), [(200, 16, 1e4), (9, 6, 100.0), (1, 4, 1e4), (12, 2, 7.0)])
    def test_formula(self, submission, T, D, base):
        """The formula holds for other sizes and another base, in float32, up to position 199."""
        angle = torch.arange(T, dtype=F64)[:, None] / base ** (torch.arange(0, D, 2, dtype=F64) / D)
        want = torch.zeros(T, D, dtype=F64)
        want[:, 0::2], want[:, 1::2] = angle.sin(), angle.cos()
        close(submission.sinusoidal(T, D, base=base), want.float(), atol=1e-4)

    @rule("R1")
    def test_similarity_depends_on_the_distance(self, submission, rng):
        """The dot product of two rows is the sum of cos(distance * frequency), wherever they stand."""
        T, D = 10, 2 * rng.integer(3, 8)
        pe = submission.sinusoidal(T, D)
        distance = torch.arange(T)[:, None] - torch.arange(T)
        want = sum(torch.cos(distance / 1e4 ** (2 * i / D)) for i in range(D // 2))
        close(pe @ pe.mT, want, atol=1e-3, what="the dot products of all rows")


def rotated(x: Tensor, pos: Tensor, *, base: float = 1e4, layout: str = "interleaved") -> Tensor:
    """RoPE by complex multiplication in double precision; the dtype of x."""
    half = x.shape[-1] // 2
    pairs = x.double().unflatten(-1, (half, 2) if layout == "interleaved" else (2, half))
    if layout == "half":
        pairs = pairs.mT
    angle = pos.double()[..., None] / base ** (torch.arange(half, dtype=F64) / half)
    turned = torch.view_as_real(
        torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angle), angle)
    )
    return (turned if layout == "interleaved" else turned.mT).flatten(-2).to(x.dtype)


@exercise("rope")
class TestRope:
    @rule("R1", "R2", "R4", "R5")
    @pytest.mark.parametrize("layout", ["interleaved", "half"])
    @pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
    def test_rotation(self, submission, rng, layout, dtype):
        """Every pair turns by its own angle, in both layouts and for any leading axes."""
        x, pos = rng.normal(2, 3, 5, 8, dtype=dtype), torch.arange(5)
        close(
            submission.rope(x, pos, layout=layout),
            rotated(x, pos, layout=layout),
            atol=2e-5 if dtype == F32 else None,
        )

    @rule("R3")
    @pytest.mark.parametrize("layout", ["interleaved", "half"])
    def test_uses_the_positions_it_is_given(self, submission, rng, layout):
        """Positions may come in any order, repeat and leave gaps."""
        x, pos = rng.normal(6, 4, dtype=F64), torch.tensor([7, 0, 7, 59, 3, 12])
        close(submission.rope(x, pos, layout=layout), rotated(x, pos, layout=layout))

    @rule("R3")
    def test_positions_per_sequence(self, submission, rng):
        """Positions of shape (B, 1, T) give each sequence of (B, H, T, D) its own."""
        x, pos = rng.normal(3, 2, 4, 6, dtype=F64), rng.integers(0, 50, 3, 1, 4)
        close(submission.rope(x, pos), rotated(x, pos))

    @rule("R1")
    def test_other_base(self, submission, rng):
        """The base sets the frequencies."""
        x, pos = rng.normal(4, 6, dtype=F64), torch.tensor([0, 1, 5, 20])
        close(submission.rope(x, pos, base=500.0), rotated(x, pos, base=500.0))

    @rule("R4")
    def test_far_positions(self, submission, rng):
        """For float64 the angles are right at positions around a million."""
        x, pos = rng.normal(3, 6, dtype=F64), torch.tensor([1_000_000, 999_983, 123_457])
        close(submission.rope(x, pos), rotated(x, pos), atol=1e-8)

    @rule("R4")
    @pytest.mark.parametrize("layout", ["interleaved", "half"])
    def test_half_precision_input(self, submission, rng, layout):
        """For float16 the angles are still computed in at least float32, and float16 comes back."""
        x, pos = rng.normal(4, 16).half(), torch.tensor([1999, 1747, 1511, 1223])
        got = submission.rope(x, pos, base=100.0, layout=layout)
        close(got, rotated(x, pos, base=100.0, layout=layout), atol=1e-2)

    @rule("R2")
    def test_layouts_are_permutations_of_each_other(self, submission, rng):
        """Reordering the features turns one layout into the other."""
        x, pos = rng.normal(5, 8, dtype=F64), rng.integers(0, 60, 5)
        order = torch.arange(8).view(4, 2).T.flatten()
        half = submission.rope(x[:, order], pos, layout="half")
        close(half, rotated(x, pos)[:, order], what="the half layout of reordered features")
        close(submission.rope(x, pos)[:, order], half, what="the reordered interleaved layout")

    @rule("R5")
    @pytest.mark.parametrize("layout", ["interleaved", "half"])
    def test_gradient_turns_back(self, submission, rng, layout):
        """The gradient of x is the upstream gradient turned by the opposite angle; x is left alone."""
        x, pos, dout = rng.normal(4, 6, dtype=F64), rng.integers(1, 40, 4), rng.normal(4, 6, dtype=F64)
        close(pure(submission.rope, x, pos, layout=layout), rotated(x, pos, layout=layout))
        (got,) = gradients(submission.rope(x.requires_grad_(), pos, layout=layout), (x,), dout)
        close(got, rotated(dout, -pos, layout=layout), what="the gradient of x")


@exercise("attention_backward")
class TestAttentionBackward:
    @staticmethod
    def compare(submission, dout, inputs, mask=None):
        want = gradients(
            F.scaled_dot_product_attention(*(x.requires_grad_() for x in inputs), attn_mask=mask),
            inputs,
            dout,
        )
        got = submission.attention_backward(
            dout, *(x.detach() for x in inputs), *(() if mask is None else (mask,))
        )
        for name, g, w in zip(("dq", "dk", "dv"), got, want, strict=True):
            close(g, w, what=name)

    @rule("R1", "R4")
    @pytest.mark.parametrize(
        ("lead", "dtype"),
        [((), F64), ((2, 3), F64), ((2,), F32)],
        ids=["plain", "batch and heads", "float32"],
    )
    def test_any_leading_axes(self, submission, rng, lead, dtype):
        """All sizes different, any leading axes, float32 and float64: the gradients of autograd."""
        self.compare(submission, rng.normal(*lead, 3, 2, dtype=dtype), qkv(rng, lead, 3, 5, 4, 2, dtype))

    @rule("R2")
    @pytest.mark.parametrize("shape", [(3, 4), (2, 1, 1, 4), (2, 3, 4)], ids=lambda s: "x".join(map(str, s)))
    def test_forbidden_pairs(self, submission, rng, shape):
        """Nothing flows through forbidden pairs; the mask broadcasts as in the forward pass."""
        mask = rng.bool(*shape)
        mask[..., 0] = True
        self.compare(submission, rng.normal(2, 2, 3, 2, dtype=F64), qkv(rng, (2, 2), 3, 4, 5, 2), mask)

    @rule("R3")
    def test_empty_rows(self, submission, rng):
        """A query with nothing to attend has dq = 0, adds nothing to dk and dv, and makes no NaN."""
        mask = mask_with_empty_row(rng, 2, 3, 4)
        self.compare(submission, rng.normal(2, 3, 2, dtype=F64), qkv(rng, (2,), 3, 4, 5, 2), mask)

    @rule("R5")
    def test_survives_large_scores(self, submission, rng):
        """Scores up to 10,000 in size give finite, right gradients."""
        u = F.normalize(rng.normal(4, dtype=F64), dim=0)
        q = u * torch.tensor([[1.0], [-1.0], [0.5]], dtype=F64) * 1e4 * 4**0.5
        k = u * torch.tensor(
            [[1.0], [0.9999], [-1.0], [-0.9998], [0.0]], dtype=F64
        )  # two keys nearly tie each time
        self.compare(submission, rng.normal(3, 2, dtype=F64), (q, k, rng.normal(5, 2, dtype=F64)))

    @rule("R6")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views with unusual strides, are the same after the call."""
        inputs = tuple(x.mT.contiguous().mT for x in qkv(rng, (2,), 3, 4, 5, 2))
        dout, mask = rng.normal(2, 3, 2, dtype=F64), torch.ones(3, 4).tril().bool()
        got = pure(submission.attention_backward, dout, *inputs, mask)
        out = F.scaled_dot_product_attention(*(x.requires_grad_() for x in inputs), attn_mask=mask)
        close(list(got), list(gradients(out, inputs, dout)), what="the gradients")

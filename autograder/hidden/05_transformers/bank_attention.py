"""Known wrong and known right variants of the attention notebook."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.bank import options, right, wrong

# --- attention ------------------------------------------------------------------------------------


@wrong(
    "attention",
    "Your scores are not divided by sqrt(d). With many features they become so large that nearly all "
    "the weight falls on one key. Look at rule R1.",
)
def scores_not_scaled(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "You divide by the root of the number of features of the values. The scores are sums over the "
    "features of queries and keys: the d of rule R1 is theirs.",
)
def scaled_by_the_values_size(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(v.shape[-1])
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "You divide the scores by d, not by its square root: your weights are too even. The spread of a "
    "sum of d random products grows like sqrt(d). Look at rule R1.",
)
def scaled_by_d(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / q.shape[-1]
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "Your rows of weights sum to less than one: the mask comes after the softmax, so the weight of "
    "the forbidden keys is lost instead of shared among the others. Look at rule R5.",
)
def mask_after_softmax(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    if mask is not None:
        weights = weights * mask
    return weights @ v, weights


@wrong(
    "attention",
    "Your queries attend to exactly the forbidden keys. In this course (as in PyTorch's "
    "scaled_dot_product_attention) True means: may attend. Look at rule R5.",
)
def mask_inverted(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else ~mask
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "Forbidden keys keep a little weight: a forbidden score of -10 is still a score, and a good "
    "enough key beats it. A forbidden key must get weight 0, whatever the other scores are. Look at "
    "rules R5 and R7.",
)
def forbidden_scores_minus_ten(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -10.0)
        weights = scores.softmax(-1) * mask.any(-1, keepdim=True)
    else:
        weights = scores.softmax(-1)
    return weights @ v, weights


@wrong(
    "attention",
    "The number you put in place of forbidden scores is not low enough: where the allowed scores are "
    "that low too, forbidden keys win. Rule R7 promises scores down to -10,000.",
)
def forbidden_scores_minus_ten_thousand(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e4).softmax(-1) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "Your columns sum to one, not your rows: the softmax runs over the queries. Each query shares out "
    "its own weight among the keys. Look at rule R2.",
)
def softmax_over_queries(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-2) * mask
    return weights @ v, weights


@wrong(
    "attention",
    "A query with nothing to attend gives NaN: the softmax of a row of minus infinities is 0/0. Such "
    "a row must be zeros. Look at rule R6.",
)
def empty_rows_are_nan(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


@wrong(
    "attention",
    "The values are right, but a query with nothing to attend makes gradients NaN: you add minus "
    "infinity to the scores and repair the NaN after the softmax, and the backward pass still goes "
    "through it. Keep the NaN from arising, or replace the forbidden scores instead of adding to "
    "them. Look at rule R6.",
)
def minus_infinity_added(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)
    return weights @ v, weights


@wrong(
    "attention",
    "Large scores give NaN or infinity: exp overflows. Subtract the largest score of each row first; "
    "the softmax does not change. Look at rule R7.",
)
def exp_overflows(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    exp = (q @ k.mT / math.sqrt(q.shape[-1])).exp()
    if mask is not None:
        exp = exp * mask
    weights = exp / exp.sum(-1, keepdim=True).clamp_min(1e-30)
    return weights @ v, weights


@wrong(
    "attention",
    "You multiply the scores by the mask. A forbidden score becomes 0, which is a score like any other and "
    "gets weight. A forbidden key must get weight 0: its score has to be lower than all others. Look at "
    "rule R5.",
)
def scores_times_mask(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores * mask
    weights = scores.softmax(-1)
    return weights @ v, weights


@wrong(
    "attention",
    "Masks are right, but a query with nothing to attend shares its weight among the forbidden keys: a row "
    "whose scores are all equally low is uniform after the softmax. Such a row must be zeros. Look at rule "
    "R6.",
)
def empty_rows_are_uniform(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    weights = scores.softmax(-1)
    return weights @ v, weights


@wrong(
    "attention",
    "You return the weights first and the result second. The result is `out, weights`, in this order. Look "
    "at rule R3.",
)
def weights_first(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights, weights @ v


@wrong(
    "attention",
    "You change an argument: an assignment like `q /= ...` writes into the tensor that the caller handed in, "
    "and where a gradient is wanted PyTorch refuses it. Make a new tensor, `q = q / ...`. Look at rule R9.",
)
def divides_q_in_place(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("q and k differ in d")
    q /= math.sqrt(q.shape[-1])
    scores = q @ k.mT
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    return weights @ v, weights


@right("attention", uses="F1 F2")
def with_einsum_and_logsumexp(q, k, v, mask=None):
    """einsum for the products, log-sum-exp for the softmax, the scale on the queries, a list as result."""
    d = q.shape[-1]
    if k.shape[-1] != d:
        raise ValueError(f"queries of {d} features, keys of {k.shape[-1]}")
    scores = torch.einsum("...td,...sd->...ts", q * d**-0.5, k)
    if mask is None:
        mask = scores.new_ones((), dtype=torch.bool)
    scores = torch.where(mask, scores, torch.finfo(scores.dtype).min / 4)
    weights = (scores - torch.logsumexp(scores, -1, keepdim=True)).exp()
    weights = torch.where(mask, weights, 0.0)
    return [torch.einsum("...ts,...se->...te", weights, v), weights]


@right("attention", uses="F2")
def with_minus_infinity_and_nan_to_num(q, k, v, mask=None):
    """-inf in place of forbidden scores, NaN replaced afterwards: masked_fill stops it on the way back."""
    if q.size(-1) != k.size(-1):
        raise ValueError("d")
    scores = q.matmul(k.transpose(-1, -2)) * q.size(-1) ** -0.5
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), float("-inf"))
    weights = torch.nan_to_num(torch.softmax(scores, dim=-1), nan=0.0)
    return (weights @ v, weights)


@right("attention", uses="F2")
def with_minus_infinity_only_where_something_is_left(q, k, v, mask=None):
    """-inf for forbidden scores, but empty rows are opened before the softmax and closed after it."""
    if q.shape[-1] != k.shape[-1]:
        raise ValueError("d")
    scores = torch.matmul(q, k.transpose(-2, -1)).div(q.shape[-1] ** 0.5)
    if mask is not None:
        empty = ~mask.any(dim=-1, keepdim=True)
        scores = scores.masked_fill(~(mask | empty), float("-inf"))
        weights = F.softmax(scores, dim=-1).masked_fill(empty, 0)
    else:
        weights = F.softmax(scores, dim=-1)
    return torch.matmul(weights, v), weights


@right("attention", uses="F2")
def one_query_at_a_time(q, k, v, mask=None):
    """A loop over queries; exp and sum by hand."""
    t, d = q.shape[-2:]
    s = k.shape[-2]
    if k.shape[-1] != d:
        raise ValueError("d")
    rows = []
    for i in range(t):
        scores = (q[..., i : i + 1, :] * k).sum(-1) / math.sqrt(d)
        if mask is None:
            allowed = torch.ones(s, dtype=torch.bool)
        else:
            allowed = mask[..., i if mask.shape[-2] > 1 else 0, :]
        allowed = allowed.expand_as(scores)
        top = scores.masked_fill(~allowed, -1e30).amax(-1, keepdim=True).detach()
        exp = torch.where(allowed, torch.where(allowed, scores - top, 0.0).exp(), 0.0)
        total = exp.sum(-1, keepdim=True)
        rows.append(exp / torch.where(total > 0, total, 1.0))
    weights = torch.stack(rows, dim=-2)
    return weights @ v, weights


# --- why_sqrt_d -----------------------------------------------------------------------------------

why_sqrt_d = options(
    "why_sqrt_d",
    right="C",
    uses="F1",
    explained={
        "A": "No. Softmax ignores a number that is added to all scores, not one that multiplies them: a "
        "factor below 1 makes the weights more even, one above 1 makes them sharper.",
        "B": "No. The variance of the sum is d, here 256; its spread is the root of that, 16. Dividing by "
        "the variance instead of the spread leaves a spread of 16/256 = 1/16, not 1.",
        "C": "Yes. The sum of 256 products has variance 256, so a spread of 16, and 16/256 = 1/16. Weights "
        "made of such scores differ by a few per cent: the head averages everything, and must grow long "
        "queries and keys before it can choose.",
        "D": "No. That is what one gets without any division: the sums have a spread of 16. Dividing by "
        "256 errs on the other side.",
    },
)

# --- qkv_project ----------------------------------------------------------------------------------


@wrong(
    "qkv_project",
    "The shapes are right, the contents are mixed: token 0's features went to token 1. A view of (B, "
    "T, D) as (B, H, T, d) cuts the tokens into pieces in the order of memory; split the features "
    "into heads first, then swap axes. Look at rule R2.",
)
def view_without_transpose(x, W, n_heads):
    B, T, D = x.shape
    if D % n_heads:
        raise ValueError("D is not divisible")
    return [y.reshape(B, n_heads, T, D // n_heads) for y in (x @ W.T).chunk(3, dim=-1)]


@wrong(
    "qkv_project",
    "You read the rows of W as head after head, each with its q, k and v. Here all queries come "
    "first, then all keys, then all values: [Q; K; V]. Look at rule R1.",
)
def rows_head_by_head(x, W, n_heads):
    B, T, D = x.shape
    if D % n_heads:
        raise ValueError("D is not divisible")
    y = (x @ W.T).view(B, T, n_heads, 3, D // n_heads)
    return y.permute(3, 0, 2, 1, 4).unbind(0)


@wrong(
    "qkv_project",
    "Your features are dealt out to the heads like cards, one by one. A head owns a block of "
    "neighbouring features. Look at rule R2.",
)
def heads_take_every_hth_feature(x, W, n_heads):
    B, T, D = x.shape
    if D % n_heads:
        raise ValueError("D is not divisible")
    y = (x @ W.T).view(B, T, 3, D // n_heads, n_heads)
    return y.permute(2, 0, 4, 1, 3).unbind(0)


@wrong(
    "qkv_project",
    "Each of the three blocks of W is used the wrong way round. A row of W makes one output feature, "
    "as in nn.Linear: y = x W^T. Look at rule R1.",
)
def weight_not_transposed(x, W, n_heads):
    D = x.shape[-1]
    if D % n_heads:
        raise ValueError("D is not divisible")
    parts = [x @ block for block in W.chunk(3, dim=0)]
    return [y.unflatten(-1, (n_heads, -1)).transpose(1, 2) for y in parts]


@wrong(
    "qkv_project",
    "A number of heads that does not divide D goes through, or stops with another error: raise "
    "ValueError. Look at rule R4.",
)
def heads_that_do_not_divide(x, W, n_heads):
    B, T, D = x.shape
    d = D // n_heads
    y = (x @ W.T).chunk(3, dim=-1)
    return [z[..., : n_heads * d].reshape(B, T, n_heads, d).transpose(1, 2) for z in y]


@right("qkv_project", uses="F1")
def one_einsum(x, W, n_heads):
    """One einsum over W seen as (3, H, d, D); a stacked tensor as result."""
    D = x.shape[-1]
    if D % n_heads != 0:
        raise ValueError(f"{n_heads} heads do not divide {D}")
    return torch.einsum("btc,phdc->pbhtd", x, W.reshape(3, n_heads, D // n_heads, D))


@right("qkv_project", uses="F2")
def head_by_head(x, W, n_heads):
    """A list of heads, each with its own rows of W."""
    D = x.shape[-1]
    d, rest = divmod(D, n_heads)
    if rest:
        raise ValueError("D")
    heads = lambda p: [F.linear(x, W[p * D + h * d : p * D + (h + 1) * d]) for h in range(n_heads)]  # noqa: E731
    return tuple(torch.stack(heads(p), dim=1) for p in range(3))


# --- merge_heads ----------------------------------------------------------------------------------


@wrong(
    "merge_heads",
    "The shape is right, the contents are mixed: one token holds pieces of several tokens. Bring the "
    "tokens before the heads first, then join the last two axes. Look at rule R1.",
)
def reshape_only(x):
    B, H, T, d = x.shape
    return x.reshape(B, T, H * d)


@wrong(
    "merge_heads",
    "The features of a token alternate between the heads. All features of head 0 come first, then "
    "those of head 1. Look at rule R1.",
)
def features_interleaved(x):
    return x.permute(0, 2, 3, 1).flatten(2)


@wrong(
    "merge_heads",
    "The heads come in reverse order. Head 0 holds the first d features. Look at rule R1.",
)
def heads_in_reverse_order(x):
    return x.flip(1).transpose(1, 2).flatten(2)


@right("merge_heads", uses="F1")
def concatenates_heads(x):
    """Concatenation, as the paper writes it."""
    return torch.cat(x.unbind(1), dim=-1)


@right("merge_heads", uses="F1")
def fills_blocks(x):
    """Head after head into a new tensor."""
    B, H, T, d = x.shape
    out = x.new_zeros(B, T, H * d)
    for h in range(H):
        out[..., h * d : (h + 1) * d] = x[:, h]
    return out


# --- MHA ------------------------------------------------------------------------------------------


@wrong(
    "MHA",
    "The heads are merged but never mixed: the last projection wo is missing, or not used. Look at rule R2.",
)
class WithoutOutputProjection(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        q, k, v = (
            w(z).unflatten(-1, (self.H, -1)).transpose(1, 2)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).flatten(2)


@wrong(
    "MHA",
    "A mask of shape (B, T, S) is laid over the heads as if its first axis were theirs, or does not "
    "fit at all. It must hold for every head of its own sequence: give it an axis for the heads. Look "
    "at rule R4.",
)
class MaskNotBroadcastOverHeads(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        q, k, v = (
            w(z).unflatten(-1, (self.H, -1)).transpose(1, 2)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(out.transpose(1, 2).flatten(2))


@wrong(
    "MHA",
    "In cross-attention your values come from x. Keys and values are two faces of the same memory: "
    "both come from kv. Look at rule R3.",
)
class ValuesFromTheQueries(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        q, k, v = (
            w(z).unflatten(-1, (self.H, -1)).transpose(1, 2)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, x))
        )
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(out.transpose(1, 2).flatten(2))


@wrong(
    "MHA",
    "You divide the scores by sqrt(D), the size of the whole model. A head compares vectors of D/H "
    "features: its scale is 1/sqrt(D/H). Look at rule R2.",
)
class ScaledByTheModelSize(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        q, k, v = (
            w(z).unflatten(-1, (self.H, -1)).transpose(1, 2)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=x.shape[-1] ** -0.5)
        return self.wo(out.transpose(1, 2).flatten(2))


@wrong(
    "MHA",
    "The shapes are right, the contents are mixed: heads are cut out of (B, T, D) in the order of "
    "memory. Split the features into (H, D/H) first, then swap axes, and undo it in the same order. "
    "Look at rule R2.",
)
class ViewWithoutTranspose(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        B, T, D = x.shape
        q, k, v = (
            w(z).reshape(B, self.H, z.shape[1], D // self.H)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        return self.wo(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).reshape(B, T, D))


@wrong(
    "MHA",
    "A query with nothing to attend gives NaN. Its heads give zeros, so the result is the bias of wo. "
    "Look at rule R5.",
)
class EmptyRowsAreNaN(nn.Module):
    def __init__(self, D, H, bias=True):
        super().__init__()
        self.H = H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(D, D, bias=bias) for _ in range(4))

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        q, k, v = (
            w(z).unflatten(-1, (self.H, -1)).transpose(1, 2)
            for w, z in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            mask = mask.unsqueeze(1) if mask.ndim == 3 else mask
            scores = scores.masked_fill(~mask, -math.inf)
        return self.wo((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


@right("MHA", uses="F1 F2")
class HeadAfterHead(nn.Module):
    """A loop over heads, each with its own columns of wo; softmax by hand; another initialisation."""

    def __init__(self, D, H, bias=True):
        super().__init__()
        self.heads = H
        for name in ("wv", "wo", "wk", "wq"):
            layer = nn.Linear(D, D, bias=bias)
            nn.init.xavier_uniform_(layer.weight)
            setattr(self, name, layer)

    def forward(self, x, kv=None, mask=None):
        memory = kv if kv is not None else x
        (B, T, D), S = x.shape, memory.shape[1]
        d = D // self.heads
        if mask is None:
            mask = torch.ones(T, S, dtype=torch.bool)
        if mask.ndim == 3:
            mask = mask[:, None]
        mask = mask.expand(B, self.heads, T, S)
        q, k, v = self.wq(x), self.wk(memory), self.wv(memory)
        result = torch.zeros_like(x) if self.wo.bias is None else self.wo.bias.expand(B, T, D)
        for h in range(self.heads):
            part = slice(h * d, h * d + d)
            scores = torch.bmm(q[..., part], k[..., part].transpose(1, 2)) * d**-0.5
            weights = torch.where(mask[:, h], scores, -1e9).softmax(-1) * mask[:, h]
            result = result + F.linear(torch.bmm(weights, v[..., part]), self.wo.weight[:, part])
        return result


@right("MHA", uses="F2")
class WithTorchAttention(nn.Module):
    """PyTorch's scaled_dot_product_attention inside: allowed here."""

    def __init__(self, D, H, bias=True):
        super().__init__()
        self.n_heads, self.d_head = H, D // H
        self.wq = nn.Linear(D, D, bias=bias)
        self.wk = nn.Linear(D, D, bias=bias)
        self.wv = nn.Linear(D, D, bias=bias)
        self.wo = nn.Linear(D, D, bias=bias)

    def split(self, y):
        return y.view(y.shape[0], y.shape[1], self.n_heads, self.d_head).permute(0, 2, 1, 3)

    def forward(self, x, kv=None, mask=None):
        kv = x if kv is None else kv
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None, :, :]
        q, k, v = self.split(self.wq(x)), self.split(self.wk(kv)), self.split(self.wv(kv))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(y.permute(0, 2, 1, 3).reshape(x.shape))


# --- make_mask ------------------------------------------------------------------------------------


@wrong(
    "make_mask",
    "A token cannot see itself: your triangle is strict. i sees j when j <= i, the diagonal included; "
    "otherwise the first token sees nothing at all. Look at rule R1.",
)
def strict_triangle(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j < i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Your triangle is the other one: a token sees itself and what comes after it. The past is what it may "
    "see: i sees j when j <= i, the lower left (`tril`, not `triu`). Look at rule R1.",
)
def sees_the_future(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j >= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Your triangle is one too wide: token i also sees token i + 1, the very one it is to predict. A "
    "model trained with it seems brilliant and can do nothing. Look at rule R1.",
)
def sees_the_next_token(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i + 1)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Your window holds one token too many: it counts `window` tokens before the current one. The "
    "current token is one of the `window`. Look at rule R4.",
)
def window_one_too_long(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j >= i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Padding blanks out rows in your mask: the padded queries are silenced, but real tokens still "
    "read the padding. Forbid the columns, the keys. Look at rule R2.",
)
def padding_masks_rows(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (i < lengths[:, None, None])[:, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Tokens of the prefix see tokens behind it: you opened the prefix's rows. Open its columns "
    "instead: everybody may see the prefix, the prefix sees nothing more. Look at rule R5.",
)
def prefix_sees_later_tokens(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (i < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@wrong(
    "make_mask",
    "Packed documents leak into each other: your mask is only causal, so the second document reads "
    "the first. The ids of i and j must be equal as well. Look at rule R6.",
)
def packed_documents_leak(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    return causal.expand(1 if doc_ids.ndim == 1 else len(doc_ids), 1, T, T)


@wrong(
    "make_mask",
    "A prefix of 0 tokens is taken for a missing argument: in Python `not 0` is True. Compare with "
    "None. Look at rule R8.",
)
def zero_taken_for_missing(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    needed = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in ("causal", *needed) or (kind != "causal" and needed[kind] is None):
        raise ValueError(kind)
    if kind == "prefix" and not prefix:
        raise ValueError("prefix is missing")
    j = torch.arange(T)
    i = j[:, None]
    causal = (j <= i)[None, None]
    if kind == "causal":
        return causal
    if kind in ("padding", "causal_padding"):
        mask = (j < lengths[:, None])[:, None, None].expand(-1, 1, T, T)
        return mask if kind == "padding" else mask & causal
    if kind == "sliding":
        return causal & (j > i - window)
    if kind == "prefix":
        return causal | (j < prefix)
    ids = doc_ids if doc_ids.ndim == 2 else doc_ids[None]
    return causal & (ids[:, None, :, None] == ids[:, None, None, :])


@right("make_mask", uses="F1")
def with_tril_and_triu(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    """Triangles from tril and triu, a dict of makers, a new tensor as result."""
    ones = torch.ones(T, T, dtype=torch.bool)
    tril = ones.tril()

    def pad():
        mask = torch.zeros(len(lengths), 1, T, T, dtype=torch.bool)
        for b, n in enumerate(lengths.tolist()):
            mask[b, :, :, :n] = True
        return mask

    def prefixed():
        mask = tril.clone()
        mask[:, :prefix] = True
        return mask

    makers = {
        "causal": lambda: tril,
        "padding": pad,
        "causal_padding": lambda: pad() & tril,
        "sliding": lambda: tril & ones.triu(1 - window),
        "prefix": prefixed,
        "packed": lambda: torch.stack([(r[:, None] == r) & tril for r in doc_ids.reshape(-1, T)])[:, None],
    }
    needs = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind not in makers or (kind in needs and needs[kind] is None):
        raise ValueError(f"{kind}?")
    mask = makers[kind]()
    return mask if mask.ndim == 4 else mask[None, None]


@right("make_mask", uses="F1")
def pair_by_pair(T, kind, lengths=None, window=None, prefix=None, doc_ids=None):
    """Two loops and a condition; plain Python numbers."""
    conditions = {
        "causal": (True, lambda b, i, j: j <= i),
        "padding": (lengths, lambda b, i, j: j < lengths[b]),
        "causal_padding": (lengths, lambda b, i, j: j <= i and j < lengths[b]),
        "sliding": (window, lambda b, i, j: 0 <= i - j < window),
        "prefix": (prefix, lambda b, i, j: j < max(prefix, i + 1)),
        "packed": (doc_ids, lambda b, i, j: j <= i and ids[b][i] == ids[b][j]),
    }
    if kind not in conditions or conditions[kind][0] is None:
        raise ValueError(kind)
    ids = [] if doc_ids is None else doc_ids.view(-1, T).tolist()
    batch = len(ids) if kind == "packed" else len(lengths) if "padding" in kind else 1
    allowed = conditions[kind][1]
    rows = [[[[bool(allowed(b, i, j)) for j in range(T)] for i in range(T)]] for b in range(batch)]
    return torch.tensor(rows)


# --- sinusoidal -----------------------------------------------------------------------------------


@wrong(
    "sinusoidal",
    "Your frequencies fall too slowly or too fast: sine and cosine of a pair share one frequency, "
    "base^(-2i/D) with i the number of the pair. Look at rule R1.",
)
def exponent_by_pair_number(T, D, base=1e4):
    angle = torch.arange(T)[:, None] / base ** (torch.arange(D // 2) / D)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong(
    "sinusoidal",
    "All sines come first and then all cosines. Here they alternate: column 2i is the sine, column 2i "
    "+ 1 the cosine of pair i. Look at rule R2.",
)
def sines_then_cosines(T, D, base=1e4):
    angle = torch.arange(T)[:, None] / base ** (torch.arange(0, D, 2) / D)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


@wrong(
    "sinusoidal",
    "Sine and cosine have changed places: the first row must be 0, 1, 0, 1, ... Look at rule R2.",
)
def cosine_first(T, D, base=1e4):
    angle = torch.arange(T)[:, None] / base ** (torch.arange(0, D, 2) / D)
    return torch.stack([angle.cos(), angle.sin()], dim=-1).flatten(1)


@wrong(
    "sinusoidal",
    "Your positions start at 1. The first token stands at position 0. Look at rule R1.",
)
def positions_start_at_one(T, D, base=1e4):
    angle = torch.arange(1, T + 1)[:, None] / base ** (torch.arange(0, D, 2) / D)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@right("sinusoidal", uses="F1")
def filled_column_by_column(T, D, base=1e4):
    """Frequencies through exp and log in double precision; columns filled by stride."""
    t = torch.arange(T, dtype=torch.float64)
    pe = torch.empty(T, D)
    for i in range(D // 2):
        w = math.exp(-2 * i / D * math.log(base))
        pe[:, 2 * i] = torch.sin(w * t)
        pe[:, 2 * i + 1] = torch.cos(w * t)
    return pe


@right("sinusoidal", uses="F1")
def angles_in_single_precision(T, D, base=1e4):
    """Everything in float32."""
    frequency = torch.exp(torch.arange(0, D, 2).float() * (-math.log(base) / D))
    pe = torch.zeros(T, D)
    angle = torch.outer(torch.arange(T).float(), frequency)
    pe[:, 0::2], pe[:, 1::2] = torch.sin(angle), torch.cos(angle)
    return pe


# --- rope -----------------------------------------------------------------------------------------


@wrong(
    "rope",
    "The rotation ignores `pos`: you count 0, 1, 2, ... yourself. With a cache, with packed documents "
    "and in inference, positions are given, in any order. Look at rule R3.",
)
def ignores_positions(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    frequency = base ** (-torch.arange(half, dtype=dtype) / half)
    angle = torch.arange(x.shape[-2], dtype=dtype)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    parts = [a * cos - b * sin, a * sin + b * cos]
    y = torch.stack(parts, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(parts, dim=-1)
    return y.to(x.dtype)


@wrong(
    "rope",
    "Your frequencies fall too slowly: pair i turns by base^(-2i/D) per position, not by base^(-i/D). "
    "Look at rule R1.",
)
def exponent_by_pair_number_rope(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    frequency = base ** (-torch.arange(half, dtype=dtype) / (2 * half))
    angle = pos[..., None].to(dtype) * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    parts = [a * cos - b * sin, a * sin + b * cos]
    y = torch.stack(parts, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(parts, dim=-1)
    return y.to(x.dtype)


@wrong(
    "rope",
    "The two layouts are mixed: pairs are taken in one layout and written back in the other. What is "
    "read from features (2i, 2i + 1) goes back there. Look at rule R2.",
)
def layouts_mixed(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    frequency = base ** (-torch.arange(half, dtype=dtype) / half)
    angle = pos[..., None].to(dtype) * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)


@wrong(
    "rope",
    "The rotation goes the wrong way round: (a, b) becomes (a cos - b sin, a sin + b cos) for a "
    "positive position. Look at rule R1.",
)
def turns_backwards(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    frequency = base ** (-torch.arange(half, dtype=dtype) / half)
    angle = pos[..., None].to(dtype) * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    parts = [a * cos + b * sin, b * cos - a * sin]
    y = torch.stack(parts, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(parts, dim=-1)
    return y.to(x.dtype)


@wrong(
    "rope",
    "Your angles are computed in the precision of x: in float16 a position of some hundreds already "
    "turns by a wrong angle. Compute them in float32 or better and convert the result. Look at rule "
    "R4.",
)
def angles_in_the_inputs_precision(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    frequency = (base ** (-torch.arange(half, dtype=torch.float64) / half)).to(x.dtype)
    angle = pos[..., None].to(x.dtype) * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    parts = [a * cos - b * sin, a * sin + b * cos]
    y = torch.stack(parts, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(parts, dim=-1)
    return y.to(x.dtype)


@wrong(
    "rope",
    "For float64 input your angles are only float32: far from the start they are wrong by several "
    "hundredths of a radian. Look at rule R4.",
)
def angles_always_in_single_precision(x, pos, base=1e4, layout="interleaved"):
    half = x.shape[-1] // 2
    frequency = base ** (-torch.arange(half).float() / half)
    angle = pos[..., None].float() * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b = (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    parts = [a * cos - b * sin, a * sin + b * cos]
    y = torch.stack(parts, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(parts, dim=-1)
    return y.to(x.dtype)


@right("rope", uses="F1")
def rotates_half(x, pos, base=1e4, layout="interleaved"):
    """The rotate-half trick of most code bases, angles always in double precision."""
    D = x.shape[-1]
    angle = pos.double().unsqueeze(-1) * base ** (-torch.arange(0, D, 2).double() / D)
    if layout == "half":
        angle = angle.repeat(*(1,) * (angle.ndim - 1), 2)
        other = torch.cat([-x[..., D // 2 :], x[..., : D // 2]], dim=-1)
    else:
        angle = angle.repeat_interleave(2, dim=-1)
        other = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).reshape(x.shape)
    return (x * angle.cos() + other * angle.sin()).to(x.dtype)


@right("rope", uses="F2")
def cosines_in_the_inputs_precision(x, pos, base=1e4, layout="interleaved"):
    """Angles in float32 or float64, the rest in x's dtype; pairs turned by a 2x2 matrix."""
    half = x.shape[-1] // 2
    dtype = torch.promote_types(x.dtype, torch.float32)
    angle = pos[..., None].to(dtype) * torch.exp(-math.log(base) / half * torch.arange(half, dtype=dtype))
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    pairs = (
        x.unflatten(-1, (half, 2))
        if layout == "interleaved"
        else x.unflatten(-1, (2, half)).transpose(-1, -2)
    )
    turned = (turn * pairs[..., None, :]).sum(-1)
    return (turned if layout == "interleaved" else turned.transpose(-1, -2)).flatten(-2)


# --- attention_backward ---------------------------------------------------------------------------


@wrong(
    "attention_backward",
    "The softmax is treated as if each weight depended on its own score only: the off-diagonal terms "
    "are missing. Raising one score lowers all other weights of its row. Look at rule R1 and hint 2.",
)
def softmax_elementwise(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    p = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    ds = p * (1 - p) * (dout @ v.mT)
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ dout


@wrong(
    "attention_backward",
    "dq lacks the factor 1/sqrt(d). The scores are q k^T / sqrt(d): the factor belongs to the "
    "derivative by q as well as to that by k. Look at rule R1.",
)
def no_scale_in_dq(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    p = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k, ds.mT @ q * scale, p.mT @ dout


@wrong(
    "attention_backward",
    "dk lacks the factor 1/sqrt(d). The scores are q k^T / sqrt(d): the factor belongs to the "
    "derivative by k as well as to that by q. Look at rule R1.",
)
def no_scale_in_dk(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    p = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * scale, ds.mT @ q, p.mT @ dout


@wrong(
    "attention_backward",
    "Neither dq nor dk has the factor 1/sqrt(d). The scores are q k^T / sqrt(d): the factor belongs to the "
    "derivative by q and to that by k. Look at rule R1.",
)
def no_scale_at_all(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    p = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k, ds.mT @ q, p.mT @ dout


@wrong(
    "attention_backward",
    "A query with nothing to attend makes the gradients NaN. Its weights are zeros, so it gives and "
    "takes nothing. Look at rule R3.",
)
def empty_rows_make_nan(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    p = scores.softmax(-1)
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ dout


@wrong(
    "attention_backward",
    "dv is built from the scores. The values were averaged with the weights, after the softmax: dv is "
    "too. Look at rule R1.",
)
def dv_from_scores(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    p = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * scale, ds.mT @ q * scale, (scores * mask).mT @ dout


@wrong(
    "attention_backward",
    "The mask is left out when the weights are computed again: gradients flow through forbidden "
    "pairs. Look at rule R2.",
)
def mask_ignored(dout, q, k, v, mask=None):
    scale = 1 / math.sqrt(q.shape[-1])
    p = (q @ k.mT * scale).softmax(-1)
    dp = dout @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ dout


@right("attention_backward", uses="F1")
def with_the_jacobian(dout, q, k, v, mask=None):
    """The whole Jacobian of the softmax, diag(p) - p p^T, for every row."""
    d = q.shape[-1]
    scores = torch.einsum("...td,...sd->...ts", q, k) / d**0.5
    if mask is not None:
        scores = torch.where(mask, scores, -1e30)
    p = torch.exp(scores - scores.amax(-1, keepdim=True))
    p = p / p.sum(-1, keepdim=True)
    if mask is not None:
        p = torch.where(mask, p, 0.0)
    jacobian = torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)
    ds = torch.einsum("...tij,...tj->...ti", jacobian, torch.einsum("...te,...se->...ts", dout, v)) / d**0.5
    return [
        torch.einsum("...ts,...sd->...td", ds, k),
        torch.einsum("...ts,...td->...sd", ds, q),
        torch.einsum("...ts,...te->...se", p, dout),
    ]


@right("attention_backward")
def with_the_dot_product_of_out_and_dout(dout, q, k, v, mask=None):
    """The row sums of p * dp are the dot products of dout and out, as FlashAttention computes them."""
    q_scaled = q * q.shape[-1] ** -0.5
    scores = q_scaled @ k.transpose(-1, -2)
    allowed = torch.tensor(True) if mask is None else mask
    p = scores.masked_fill(~allowed, -1e30).softmax(-1).masked_fill(~allowed, 0.0)
    delta = (dout * (p @ v)).sum(-1, keepdim=True)
    ds = p * (dout @ v.transpose(-1, -2) - delta)
    return (ds @ k) * q.shape[-1] ** -0.5, ds.transpose(-1, -2) @ q_scaled, p.transpose(-1, -2) @ dout


# Mutants of the solution that no test can tell from it, and why.
EQUIVALENT = {
    "attention": {
        "weights = scores.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0.0) => "
        "weights = scores.masked_fill_(~mask, lowest).softmax(-1).masked_fill(~mask, 0.0)": (
            "The scores are a new tensor: filling it in place changes no argument."
        ),
        "return weights @ v, weights => return (weights @ v, weights.detach())": (
            "The contract promises no gradients through `weights`."
        ),
    },
    "make_mask": {
        'return real if kind == "padding" else real & past => '
        "return (real if kind == 'padding' else real & past).detach()": "No gradient is needed.",
        "return past & (j > i - window) => return (past & (j > i - window)).detach()": (
            "No gradient is needed."
        ),
        "return past | (j < prefix) => return (past | (j < prefix)).detach()": "No gradient is needed.",
        "return past & (ids[..., :, None] == ids[..., None, :]) => "
        "return (past & (ids[..., :, None] == ids[..., None, :])).detach()": "No gradient is needed.",
        "return past => return past.detach()": "No gradient is needed.",
    },
    "sinusoidal": {
        "return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1) => "
        "return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).detach()": (
            "No gradient is needed."
        ),
    },
    "rope": {
        "precise = torch.promote_types(x.dtype, torch.float32) => "
        "precise = torch.promote_types(x.dtype, torch.float64)": "F1: angles may be more precise.",
    },
    "attention_backward": {
        "weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)"
        ".masked_fill(~mask, 0.0) => "
        "weights = scores.masked_fill_(~mask, torch.finfo(scores.dtype).min).softmax(-1)"
        ".masked_fill(~mask, 0.0)": "The scores are a new tensor: filling it in place changes no argument.",
        "return dscores @ k * scale, dscores.mT @ q * scale, dv => "
        "return ((dscores @ k * scale).detach(), dscores.mT @ q * scale, dv)": ("No gradient is needed."),
        "return dscores @ k * scale, dscores.mT @ q * scale, dv => "
        "return (dscores @ k * scale, (dscores.mT @ q * scale).detach(), dv)": "No gradient is needed.",
        "return dscores @ k * scale, dscores.mT @ q * scale, dv => "
        "return (dscores @ k * scale, dscores.mT @ q * scale, dv.detach())": "No gradient is needed.",
    },
}

# %% [markdown]
# # Attention
#
# **Goal of the section.** Understand the transformer down to its last matrix: what attention computes, why it is built
# that way, what it costs, and how the blocks made of it became encoders, decoders and language models. This notebook
# builds the one operation everything else in this course stands on.
#
# **You build** attention itself, the split into queries, keys and values, several heads at once, masks that decide who
# may look at whom, and two ways to tell a token where it stands. At the end your own code learns, in a second, which
# word *it* refers to in a sentence it has never seen.
#
# **Topics.** Self-attention; query, key and value; multi-head attention; positional encoding; masks of encoders and
# decoders.
#
# **Mathematics used.** Dot products as a measure of agreement; matrix multiplication; softmax; rotations of the plane;
# for the bonus, the chain rule through a softmax.
#
# **Time.** About 100 minutes, the bonus not counted. You need to be at home with `torch` tensors, their shapes, `@` and
# broadcasting. No exercise uses your answer to another one: if you get stuck, go on and come back.

# %%
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder import check

torch.set_num_threads(1)  # with tensors this small one thread is fastest

# %% [markdown]
# ## The story: a sentence does not fit through a keyhole
#
# In 2014 the best translating networks worked like this. One recurrent network, the *encoder*, read the English
# sentence word by word and kept a summary of it in a vector of, say, 1,000 numbers. When the sentence was over, a
# second network, the *decoder*, got this one vector and had to write the French sentence from it.
#
# Imagine doing that yourself: read a long sentence once, close the book, write the translation. You can do it for five
# words. At thirty you have forgotten who did what. The networks had the same trouble, and it showed in their figures:
# the longer the sentence, the worse the translation. The vector has a fixed size, the sentence has not.
#
# Bahdanau, Cho and Bengio let the decoder do what a human translator does: **look back**. The encoder keeps one vector
# for *every* word. For each French word the decoder asks: which English words matter now? It scores all of them, turns
# the scores into weights that sum to one, and takes the weighted average. Nothing is squeezed through a keyhole any
# more, and the scoring is made of smooth functions, so the network learns by gradient descent *where to look*.
#
# In 2017 a paper asked what happens if looking back is *all* a network does: no recurrence, every word looks
# at every other word, all at the same time. Its title was *Attention Is All You Need*, and its network is the
# transformer.

# %% demo
import attention_pictures as pictures

pictures.bottleneck()

# %% [markdown]
# *While it writes "fatigué", the decoder puts most of its weight on "tired", though the two stand at different places
# of their sentences. (These four weights are invented. The ones at the end of the notebook are learned.)*
#
# ## Queries, keys, values
#
# Think of a library that never says "not found". You come with a **query**: what you are looking for. Every book has
# a **key**: what it offers, printed on its back. And it has a **value**: what is inside. An ordinary dictionary
# compares your query with the keys, finds the *one* that is equal, and hands you its value. Attention is the soft
# version: *every* key agrees with your query to some degree, and you get a mixture of *all* values, most of it from
# the keys that agree best.
#
# Agreement is measured by the **dot product**: $q \cdot k = \sum_c q_c k_c$ is large when two vectors point the same
# way, zero when they are perpendicular, negative when they point apart. **Softmax** turns any scores into positive
# weights that sum to one: $p_j = e^{s_j} / \sum_i e^{s_i}$.


# %% demo
pictures.soft_lookup()

# %% [markdown]
# *The value of each key is its colour. The answer is none of the four colours but their blend: about two parts red, one
# part yellow, and next to nothing of the two keys that point elsewhere.*
#
# In **self-attention** the queries, the keys and the values all come from the same sentence: every word asks, and every
# word answers. So far nothing here knows the order of the words; we come to that.
#
# ### The letters used in this notebook
#
# | letter | what | typical size |
# |---|---|---|
# | $B$ | sequences in a batch | 8 |
# | $T$ | tokens that ask (queries) | up to 128,000 |
# | $S$ | tokens that answer (keys and values); $S = T$ in self-attention | the same |
# | $D$ | features of a token in the model | 768 |
# | $H$ | heads | 12 |
# | $d$ | features of a query and of a key, usually $D / H$ | 64 |
# | $e$ | features of a value, usually $d$ | 64 |
#
# `...` in a shape stands for any number of leading axes, including none.

# %% [markdown]
# ## Exercise 1: `attention`
#
# **★★ · about 20 minutes · needs: `@`, broadcasting, softmax · roadmap: self-attention, matrix multiplication, dot
# products, softmax**
#
# $$\text{out} = \underbrace{\operatorname{softmax}\!\Big(\frac{q\,k^\top}{\sqrt d}\Big)}_{\text{weights}}\; v$$
#
# ```
#    q (T, d)       k^T (d, S)         scores (T, S)         weights (T, S)       v (S, e)       out (T, e)
#   +-------+     +-----------+       +-----------+   soft  +-----------+       +-------+      +-------+
#   | what  |  @  | what each |  ->   | agreement |  -----> | each row  |   @   | what  |  ->  | one   |
#   | each  |     | key       |  /√d  | of i and j|   max   | sums to 1 |       | each  |      | blend |
#   | wants |     | offers    |       +-----------+  along  +-----------+       | holds |      | per   |
#   +-------+     +-----------+             ^         S                         +-------+      | query |
#                                         mask                                                 +-------+
# ```
#
# **Why it matters.** This line runs in every layer of every language model, dozens of times for every token you have
# ever got from one. It comes back in this course as the heart of the transformer block, as the thing FlashAttention
# makes fast, as the thing the KV cache saves, and as the bridge between pictures and words.
#
# **Why divide by $\sqrt d$?** If the $d$ features of $q$ and $k$ are independent with mean 0 and variance 1, the sum
# $q \cdot k$ has variance $d$: for $d = 64$ scores of $\pm 16$ are common. Softmax of such numbers puts all the
# weight on one key, and its gradient all but vanishes: the model can no longer learn to look elsewhere. Dividing by
# $\sqrt d$ brings the variance back to 1. The section *Break it* shows what happens without.
#
# **Why a mask?** Some keys must not be seen: padding behind the end of a short sentence, or the words a language model
# is about to predict. A mask says for each pair (query, key) whether looking is allowed.
#
# ### Contract
#
# `attention(q, k, v, mask=None)` gives the pair `(out, weights)`.
#
# - **R1** The score of query $i$ and key $j$ is $q_i \cdot k_j / \sqrt d$, where $d$ is the size of the last axis of
#   `q` and `k` (not of `v`).
# - **R2** The weights are the softmax of the scores over the keys: each row of `weights` sums to 1.
# - **R3** `out` is `weights @ v`. The result is `out` and `weights`, in this order.
# - **R4** Any number of leading axes, the same for `q`, `k` and `v`. $T$, $S$, $d$ and $e$ may all differ.
# - **R5** `mask` is a bool tensor, **True = may attend**. A key that may not be attended to gets weight exactly 0,
#   and the softmax runs over the keys that are left. The mask broadcasts to `(..., T, S)`: it may have fewer leading
#   axes, or axes of size 1, never more axes.
# - **R6** A query that may attend to nothing gets zeros, in `out` and in `weights`, never NaN. The gradients of `out`
#   stay finite everywhere, and this query's gradient is exactly zero.
# - **R7** Scores between −10,000 and 10,000 give finite and right results, with and without a mask: no score in this
#   range, however low, loses against a forbidden one.
# - **R8** float32 and float64 both work, and the results have the dtype of `q`.
# - **R9** `out` is differentiable with respect to `q`, `k` and `v`. No argument is changed.
# - **R10** If `q` and `k` have different last axes, raise `ValueError`.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result.
# - **F2** How you keep forbidden keys out (a low finite number, $-\infty$, leaving them out), as long as R5 to R7
#   hold.
#
# *Not specified, not tested:* NaN or infinities in the arguments, $S = 0$, gradients through `weights`.
#
# *Not allowed:* `scaled_dot_product_attention`, `MultiheadAttention`, `multi_head_attention_forward`, `flex_attention`.
# (`torch.softmax` is allowed.)
#
# ### Worked example
#
# ```python
# q = torch.tensor([[2., 0, 0, 0], [0, 0, 0, 0]])                 # T = 2 queries, d = 4, so sqrt(d) = 2
# k = torch.tensor([[math.log(3), 0, 0, 0], [0, 0, 0, 0]])        # S = 2 keys
# v = torch.tensor([[8., 0], [0, 4]])                             # e = 2
# out, weights = attention(q, k, v)
# # scores of query 0: log 3 and 0, so its weights are as 3 to 1; query 1 scores 0 and 0
# weights   # tensor([[0.7500, 0.2500],
#           #         [0.5000, 0.5000]])
# out       # tensor([[6.0000, 1.0000],
#           #         [4.0000, 2.0000]])
#
# mask = torch.tensor([[False, True], [False, False]])            # query 0 sees key 1 only, query 1 nothing
# attention(q, k, v, mask)[0]
#           # tensor([[0., 4.],
#           #         [0., 0.]])
# ```


# %%
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(q k^T / sqrt(d)) v.

    Args:
        q: (..., T, d) float. Queries.
        k: (..., S, d) float. Keys.
        v: (..., S, e) float. Values.
        mask: broadcasts to (..., T, S), bool, or None. True = may attend.

    Returns:
        out: (..., T, e), dtype of q. Each row is an average of rows of v; zeros if nothing may be attended to.
        weights: (..., T, S), dtype of q. Each row sums to 1, or is zero if nothing may be attended to.

    Raises:
        ValueError: q and k differ in d.

    Source: Vaswani et al. 2017, section 3.2.1, equation 1.
    """
    ### BEGIN SOLUTION
    d = q.shape[-1]
    if k.shape[-1] != d:
        raise ValueError(f"queries have {d} features, keys {k.shape[-1]}")
    scores = q @ k.mT / math.sqrt(d)  # (..., T, S)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        # -inf would make an empty row 0/0 = NaN. The lowest finite number loses against every score all the same,
        # and the second fill empties the rows that have nothing else.
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0.0)
    return weights @ v, weights
    ### END SOLUTION


# %% points=5 topics=S5.1,S5.6,S5.7,S5.8 forbid=scaled_dot_product_attention,MultiheadAttention,multi_head_attention_forward,flex_attention
check("attention")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Write down the shape after each step for $T = 2$, $S = 3$, $d = 4$, $e = 5$. Which axis of the scores belongs to the
# keys? And what is the softmax of a row that consists of $-\infty$ only?
# </details>
#
# <details><summary>Hint 2: the mathematics</summary>
#
# A forbidden key must leave the sum under the softmax, $p_j = e^{s_j} / \sum_i e^{s_i}$. Setting $s_j = -\infty$ does
# that, since $e^{-\infty} = 0$. But in an empty row it leaves $0/0$. A finite number so low that no allowed score
# ever comes near it does the same to a row with allowed keys, and an empty row then gives harmless, finite nonsense,
# which you may overwrite with zeros. Mind the way back as well: *adding* $-\infty$ to the scores lets a NaN through
# to `q` and `k`, *replacing* scores stops it, because a replaced number has no gradient.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse q and k of different d
# scores  = all dot products of queries and keys, over the root of d
# scores  = where forbidden: something lower than any promised score can be
# weights = softmax along the axis of the keys
# weights = where forbidden: zero
# out     = weights times values
# ```
# </details>

# %% [markdown]
# ### See it: a pronoun finds its noun
#
# Take two sentences that differ in the last word only:
#
# > The animal did not cross the street because **it** was too *tired*.
# >
# > The animal did not cross the street because **it** was too *wide*.
#
# In the first, *it* is the animal; in the second, the street. Below, the query of *it* and the keys of all words are
# made **by hand** from three features: is it a noun, is it alive, is it a way. *tired* makes *it* look for something
# alive, *wide* for a way. Your `attention` does the rest. At the end of the notebook a model finds such vectors by
# itself.

# %% demo
words = ["the", "animal", "did", "not", "cross", "the", "street", "because", "it", "was", "too"]
#                       noun alive way
features = {"animal": [1.0, 1, 0], "street": [1.0, 0, 1]}
keys = torch.tensor([features.get(word, [0.0, 0, 0]) for word in words])
queries = torch.tensor([[3.0, 5, 0], [3.0, 0, 5]])  # what "it" looks for after "tired", and after "wide"
out, weights = attention(queries, keys, keys)

pictures.heat(
    weights, words, ["it ... tired", "it ... wide"], "where the query of “it” looks (vectors made by hand)"
)
print("what it brings back (noun, alive, way):")
for end, row in zip(("tired", "wide"), out.tolist(), strict=True):
    print(f"  it ... {end:6}", "  ".join(f"{x:.2f}" for x in row))

# %% [markdown]
# ## A question: `why_sqrt_d`
#
# **★ · about 3 minutes · needs: the variance of a sum · roadmap: self-attention, dot products**
#
# A colleague copies the formula in a hurry and divides the scores by $d$ instead of $\sqrt d$. The heads have $d = 256$
# features; before training the features of queries and keys are about independent, with mean 0 and variance 1. What do
# the weights look like at the first step?
#
# - **A** As with $\sqrt d$. Softmax does not care about a factor that all scores share.
# - **B** As intended. A sum of $d$ such products has spread $d$, so the division brings it to 1.
# - **C** Nearly even. The scores differ by about 1/16, and every query gets close to the plain average of all values.
# - **D** Nearly one-hot. Scores of $\pm 16$ are common, and almost all the weight falls on one key.
#
# ### Contract
#
# - **R1** `why_sqrt_d` is the letter of the option that is right, as a string.
#
# *Up to you:*
#
# - **F1** A small or a capital letter.

# %%
why_sqrt_d = ""  # the letter of your answer, between the quotes
### BEGIN SOLUTION
why_sqrt_d = "C"
### END SOLUTION

# %% points=1 topics=S5.1,S5.7
check("why_sqrt_d")

# %% [markdown]
# ## Exercise 2: `qkv_project`
#
# **★ · about 12 minutes · needs: matrix multiplication, `view`, `transpose` · roadmap: query, key, value; matrix
# multiplication**
#
# A word has one vector, but three roles to play: it asks, it offers, it tells. So the model learns three matrices
# that make three vectors of it: $q = W_Q x$, $k = W_K x$, $v = W_V x$. And since one word may have several things to
# ask at once (*who did it? when? what does this adjective belong to?*), each of the three is cut into $H$ pieces, one
# for each **head**. A head works with its $d = D/H$ features only and knows nothing of the others.
#
# ```
#   x (B, T, D)  --- @ W^T --->  (B, T, 3D)  --- cut the last axis in three --->  Q, K, V, each (B, T, D)
#
#   then each of them:   one token:  [ 0 ... d-1 | d ... 2d-1 |  ...  ]       (B, T, D)
#                                       head 0       head 1
#
#                        cut the last axis into heads                         (B, T, H, d)
#                        swap the axes of tokens and heads                    (B, H, T, d)
# ```
#
# **Why it matters.** This reshape is the most frequent silent bug of home-made transformers. There is a wrong way
# that gives exactly the right shapes, trains, and even learns a little. The picture shows it: each cell is one number
# of `x`, written as *token.feature*, in the colour of its token.


# %% demo
pictures.split_into_heads()

# %% [markdown]
# ### Contract
#
# `qkv_project(x, W, n_heads)` gives the three tensors `q`, `k`, `v`.
#
# - **R1** $W$ has $3D$ rows: the first $D$ make the queries, the next $D$ the keys, the last $D$ the values. A row
#   makes one output feature, as in `nn.Linear`: $y = x\,W^\top$. There is no bias.
# - **R2** Head $h$ holds the block of features $h d, \dots, (h+1)d - 1$ of its token, with $d = D / n_\text{heads}$:
#   `q[b, h, t, j]` is feature `h*d + j` of the query of token `t` of sequence `b`. The same holds for `k` and `v`.
# - **R3** Three tensors of shape $(B, H, T, d)$ come back in the order `q, k, v`, in the dtype of `x` (float32 and
#   float64 both work).
# - **R4** If `n_heads` does not divide $D$, raise `ValueError`.
# - **R5** The result is differentiable with respect to `x` and `W`. No argument is changed.
#
# *Up to you:*
#
# - **F1** Anything that unpacks into three (a tuple, a list, one stacked tensor) as result.
# - **F2** Views or copies.
#
# *Not specified, not tested:* `n_heads` below 1, $W$ of another shape.
#
# ### Worked example
#
# ```python
# x = torch.tensor([[[1., 2, 3, 4], [5, 6, 7, 8]]])                        # B = 1, T = 2, D = 4
# W = torch.cat([torch.eye(4), 10 * torch.eye(4), 100 * torch.eye(4)])     # q = x, k = 10 x, v = 100 x
# q, k, v = qkv_project(x, W, n_heads=2)
# q[0, 0]   # tensor([[1., 2.],        head 0: the first two features of both tokens
#           #         [5., 6.]])
# q[0, 1]   # tensor([[3., 4.],        head 1: the last two
#           #         [7., 8.]])
# v[0, 1]   # tensor([[300., 400.],
#           #         [700., 800.]])
# ```


# %%
def qkv_project(x: Tensor, W: Tensor, n_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of all heads with one matrix product.

    Args:
        x: (B, T, D) float. Token vectors.
        W: (3D, D), dtype of x. Rows [Q; K; V], used as in nn.Linear.
        n_heads: H >= 1.

    Returns:
        q, k, v: three of (B, H, T, D/H), dtype of x. Head h holds features h*D/H to (h+1)*D/H - 1.

    Raises:
        ValueError: n_heads does not divide D.

    Source: Vaswani et al. 2017, section 3.2.2; the stacked matrix is PyTorch's in_proj_weight.
    """
    ### BEGIN SOLUTION
    D = x.shape[-1]
    if D % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {D} features")

    def split(y: Tensor) -> Tensor:
        return y.unflatten(-1, (n_heads, D // n_heads)).transpose(1, 2)  # (B, T, H, d) -> (B, H, T, d)

    q, k, v = (x @ W.T).chunk(3, dim=-1)  # each (B, T, D)
    return split(q), split(k), split(v)
    ### END SOLUTION


# %% points=3 topics=S5.2,S5.6
check("qkv_project")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `view` and `reshape` never move a number, they only read the same row of numbers in other portions. In the worked
# example memory holds 1 2 3 4 5 6 7 8. Which portions does `view(1, 2, 2, 2)` make of it? Which axis do they mean?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# The features are the *last* axis, so the cut must be made there: $D$ becomes $(H, d)$. Only then does the axis of the
# heads move in front of the axis of the tokens, and this step does move numbers (or rather strides): it is a
# `transpose`, not a `view`.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse if heads do not divide the features
# y = x times W transposed                      (B, T, 3D)
# cut the last axis of y into three             three times (B, T, D)
# for each: cut its last axis into heads        (B, T, H, d)
#           swap tokens and heads               (B, H, T, d)
# ```
# </details>

# %% [markdown]
# ## Exercise 3: `merge_heads`
#
# **★ · about 5 minutes · needs: exercise 2's picture · roadmap: multi-head attention**
#
# The way back. After every head has done its work, each token gets its pieces together again, head after head:
#
# ```
#   (B, H, T, d)                                (B, T, H*d)
#   head 0:  t0 [1 2]   t1 [5 6]      ->       t0 [1 2 3 4]
#   head 1:  t0 [3 4]   t1 [7 8]               t1 [5 6 7 8]
# ```
#
# **Why it matters.** Whoever splits wrongly and merges wrongly in the same way gets the input back, so the two errors
# hide each other in a round trip. Between the two, attention runs over rows that are no tokens.
#
# ### Contract
#
# `merge_heads(x)`
#
# - **R1** `result[b, t, h*d + j] == x[b, h, t, j]`: shape $(B, H, T, d)$ becomes $(B, T, H d)$.
# - **R2** `x` may be a view with any strides, for example a transposed tensor. It is not changed. The result has the
#   dtype of `x`.
# - **R3** The result is differentiable with respect to `x`.
#
# *Up to you:*
#
# - **F1** A view or a copy.
#
# ### Worked example
#
# ```python
# x = torch.tensor([[[[1., 2], [5, 6]],          # head 0: token 0, token 1
#                    [[3., 4], [7, 8]]]])        # head 1
# merge_heads(x)   # tensor([[[1., 2., 3., 4.],
#                  #          [5., 6., 7., 8.]]])
# ```


# %%
def merge_heads(x: Tensor) -> Tensor:
    """Puts the features of all heads of a token side by side again.

    Args:
        x: (B, H, T, d), any strides.

    Returns:
        (B, T, H*d), dtype of x. Features of head 0 first.

    Source: Vaswani et al. 2017, section 3.2.2: Concat(head_1, ..., head_h).
    """
    ### BEGIN SOLUTION
    return x.transpose(1, 2).flatten(2)  # (B, T, H, d) -> (B, T, H*d)
    ### END SOLUTION


# %% points=2 topics=S5.2,S5.3
check("merge_heads")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Undo the two steps of exercise 2. In which order does one undo two steps?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# First the axes: tokens must stand before heads, $(B, T, H, d)$. Then the last two axes become one. If `view` complains
# about strides, `reshape` and `flatten` copy where they must.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# swap the axes of heads and tokens
# join the last two axes
# ```
# </details>

# %% [markdown]
# ## Exercise 4: `MHA`
#
# **★★ · about 20 minutes · needs: `nn.Module`, `nn.Linear`; the idea of exercises 1 to 3 · roadmap: multi-head
# attention**
#
# One softmax makes one choice: a head that looks hard at the subject cannot look at the verb at the same time, it can
# only look half at each. **Multi-head attention** runs $H$ small attentions side by side, each in a space of its own
# with $d = D / H$ features, puts the answers side by side and mixes them with a last matrix:
#
# $$\operatorname{MHA}(x) = W_O \operatorname{concat}(\text{head}_0, \dots, \text{head}_{H-1}), \qquad
# \text{head}_h = \operatorname{attention}(q_h, k_h, v_h)$$
#
# ```
#          x (B, T, D)                kv (B, S, D), or x itself
#               |                        |            |
#              wq                       wk           wv                4 x nn.Linear(D, D)
#               |                        |            |
#            split                    split         split              (B, H, T, d)   (B, H, S, d)
#               +-----------+------------+            |
#                     scores / √d, mask, softmax      |                (B, H, T, S)
#                           +----------- @ -----------+
#                                        |                             (B, H, T, d)
#                                      merge                           (B, T, D)
#                                        |
#                                       wo                             (B, T, D)
# ```
#
# **Self-attention and cross-attention** are the same module. In self-attention a sentence looks at itself. In
# cross-attention the queries come from one sequence (`x`, say the French words written so far) and the keys and values
# from another (`kv`, the English sentence): this is the looking back of the story above.
#
# **Why it matters.** Eight, twelve or a hundred heads need no more parameters and multiplications than one, because
# each is smaller; and they specialise. In trained models people found heads that look at the previous word, at the
# object of a verb, at the noun of a pronoun. You will use this module for the transformer block in the next notebook.
#
# ### Contract
#
# `MHA(D, H, bias=True)` is an `nn.Module`; `MHA.forward(x, kv=None, mask=None)` gives one tensor.
#
# - **R1** It has four layers `nn.Linear(D, D, bias=bias)` as attributes `wq`, `wk`, `wv`, `wo`, and no other
#   parameters or buffers: the state dict has exactly `wq.weight`, `wk.weight`, `wv.weight`, `wo.weight` and, with
#   bias, the four `.bias`.
# - **R2** Head $h$ uses the block of features $h d, \dots, (h+1) d - 1$ of the projected queries, keys and values,
#   with $d = D/H$ and the scale $1/\sqrt d$. The heads are put side by side in this order, and `wo` is applied to the
#   result.
# - **R3** With `kv` of shape $(B, S, D)$ keys *and* values come from `kv`, the queries from `x`. Without it, all come
#   from `x`. The result has shape $(B, T, D)$.
# - **R4** `mask` is bool, True = may attend, and has one of these shapes: $(T, S)$, for all; $(B, T, S)$, one for
#   each sequence; $(B \text{ or } 1,\ H \text{ or } 1,\ T, S)$.
# - **R5** A query that may attend to nothing gets zeros from every head, so its result is `wo.bias` (or zeros,
#   without bias); all gradients stay finite.
# - **R6** Gradients reach every weight and bias, `x` and `kv`. After `.double()` the module works in float64.
# - **R7** Nothing is random (no dropout), in training mode or not, and no argument is changed.
#
# *Up to you:*
#
# - **F1** How the layers are initialised.
# - **F2** Whether the heads use code of your own or `F.scaled_dot_product_attention`: it is allowed here, so that
#   this exercise does not hang on the first one (its bool masks mean the same as ours, and empty rows give zeros).
#
# *Not specified, not tested:* $H$ that does not divide $D$.
#
# *Not allowed:* `MultiheadAttention`, `multi_head_attention_forward`.
#
# ### Worked example
#
# ```python
# m = MHA(2, 2, bias=False)                                   # D = 2, two heads of one feature
# m.load_state_dict({f"{name}.weight": torch.eye(2) for name in ("wq", "wk", "wv", "wo")})
# m(torch.eye(2)[None])     # tensor([[[0.7311, 0.5000],
#                           #          [0.5000, 0.7311]]], grad_fn=...)
# # Head 0 sees feature 0 only: token 0 scores 1 with itself and 0 with token 1,
# # and the softmax of (1, 0) is (0.7311, 0.2689).
# # Token 1 has a 0 there: scores (0, 0), weights (1/2, 1/2).
# # The same weights with ONE head, MHA(2, 1, bias=False), give [[0.6698, 0.3302], [0.3302, 0.6698]].
# ```


# %%
class MHA(nn.Module):
    """Multi-head attention, for one sequence that looks at itself or at another one.

    Args:
        D: features of a token, a multiple of H.
        H: heads.
        bias: whether the four projections have one.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, D: int, H: int, bias: bool = True):
        super().__init__()
        ### BEGIN SOLUTION
        self.heads = H
        self.wq = nn.Linear(D, D, bias=bias)
        self.wk = nn.Linear(D, D, bias=bias)
        self.wv = nn.Linear(D, D, bias=bias)
        self.wo = nn.Linear(D, D, bias=bias)
        ### END SOLUTION

    def forward(self, x: Tensor, kv: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Every token of x gathers what it needs from kv (or from x itself).

        Args:
            x: (B, T, D) float. What asks.
            kv: (B, S, D), dtype of x, or None for x itself. What answers.
            mask: (T, S), (B, T, S) or (B|1, H|1, T, S) bool, or None. True = may attend.

        Returns:
            (B, T, D), dtype of x.
        """
        ### BEGIN SOLUTION
        kv = x if kv is None else kv
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)  # one for each sequence: (B, 1, T, S)
        q, k, v = (
            w(source).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T or S, d)
            for w, source in ((self.wq, x), (self.wk, kv), (self.wv, kv))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(out.transpose(1, 2).flatten(2))
        ### END SOLUTION


# %% points=5 topics=S5.3 forbid=MultiheadAttention,multi_head_attention_forward
check("MHA")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# The scores have shape $(B, H, T, S)$. Against which of these axes does a mask of shape $(B, T, S)$ fall when it
# broadcasts as it is? What would you have to insert?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Broadcasting aligns shapes from the right. $(T, S)$ fits as it is; $(B, T, S)$ needs an axis of size 1 for the heads.
# With $B = H$ the mistake raises no error, it just gives each head the mask of another sequence.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: four linear layers; remember the number of heads
#
# forward:  answer from x if there is no kv
#           q from x, k and v from kv, each split into heads
#           a mask with three axes gets a fourth one, for the heads
#           attention in every head at once (heads are just another leading axis)
#           merge the heads, then the last projection
# ```
# </details>

# %% [markdown]
# ### See it: attention sees a bag of words
#
# Shuffle the words of a sentence, and the outputs of self-attention are shuffled in the same way, nothing else. For
# this module *dog bites man* and *man bites dog* are the same three words. That is why a transformer needs what the
# rest of this notebook builds: masks, which give it a direction, and positions.

# %% demo
torch.manual_seed(0)
layer, sentence, order = MHA(16, 4), torch.randn(1, 6, 16), torch.tensor([3, 0, 5, 1, 4, 2])
with torch.no_grad():
    plain, shuffled = layer(sentence), layer(sentence[:, order])
print(f"largest output:                                 {plain.abs().max():.3f}")
print(
    f"outputs of the shuffled words, put back in order: {(shuffled - plain[:, order]).abs().max():.1e} away"
)

# %% [markdown]
# ## Exercise 5: `make_mask`
#
# **★★ · about 15 minutes · needs: comparing `torch.arange` with itself by broadcasting · roadmap: encoder, decoder,
# encoder–decoder**
#
# What makes one transformer an encoder, the next a decoder and a third something in between? Hardly anything but the
# mask. Six of them cover nearly all models in use. Rows ask, columns answer; a dark cell at row $i$, column $j$
# means: token $i$ may look at token $j$.


# %% demo
pictures.six_masks()

# %% [markdown]
# - **causal**: each token sees the past and itself. Language models (GPT, Llama): what predicts the next word must
#   not see it.
# - **padding**: sentences of a batch have different lengths; behind the end of a sentence there is nothing to see.
#   Encoders (BERT).
# - **causal + padding**: both. Decoders trained on batches.
# - **sliding**: only the last few tokens. Cheap for long texts (Longformer, Mistral).
# - **prefix**: the question is read in both directions, the answer is written from left to right (T5's prefix language
#   model, many models that see images).
# - **packed**: several documents in one row of a batch to waste no padding; none may read the other.
#
# **Why it matters.** A mask that is off by one does not crash. One step too narrow, and a token cannot see itself.
# One step too wide, and a language model sees the word it has to predict: its training loss becomes fabulous, and it
# cannot write. The section *Break it* lets you watch this.
#
# ### Contract
#
# `make_mask(T, kind, lengths=None, window=None, prefix=None, doc_ids=None)`. Token $i$ may attend to token $j$
# ($0 \le i, j < T$) exactly when:
#
# - **R1** `"causal"`: $j \le i$.
# - **R2** `"padding"`: $j < \text{lengths}[b]$, for every $i$. It needs `lengths`, $(B,)$ int64, each from 0 to $T$. So padding
#   forbids *columns*; the rows of padded queries stay as open as the others (nobody reads their result).
# - **R3** `"causal_padding"`: $j \le i$ and $j < \text{lengths}[b]$. It needs `lengths`.
# - **R4** `"sliding"`: $i - \text{window} < j \le i$. It needs `window`, an int of at least 1. So the window counts the token
#   itself: `window=1` sees only itself, a window of $T$ or more is causal.
# - **R5** `"prefix"`: $j \le i$ or $j < \text{prefix}$. It needs `prefix`, an int from 0 to $T$.
# - **R6** `"packed"`: $j \le i$ and $\text{id}[i] = \text{id}[j]$. It needs `doc_ids`, int64 of shape $(T,)$ or $(B, T)$. Ids may be
#   any integers, in any order; a document may stop and come back later.
# - **R7** The result is a bool tensor of full shape: $(B, 1, T, T)$ for the two kinds with padding and for `doc_ids` of shape
#   $(B, T)$, otherwise $(1, 1, T, T)$. No argument is changed.
# - **R8** An unknown `kind`, or a kind without the argument it needs, raises `ValueError`. (0 is not missing: `prefix=0` is
#   the causal mask.)
#
# *Up to you:*
#
# - **F1** A new tensor, or a view made by `expand`.
#
# *Not specified, not tested:* $T = 0$, arguments that a kind does not use, values outside the ranges above.
#
# ### Worked example
#
# ```python
# make_mask(4, "sliding", window=2)
# # tensor([[[[ True, False, False, False],
# #           [ True,  True, False, False],
# #           [False,  True,  True, False],
# #           [False, False,  True,  True]]]])
# make_mask(3, "padding", lengths=torch.tensor([3, 1])).shape        # torch.Size([2, 1, 3, 3])
# make_mask(3, "padding", lengths=torch.tensor([3, 1]))[1, 0]
# # tensor([[ True, False, False],
# #         [ True, False, False],
# #         [ True, False, False]])
# ```


# %%
def make_mask(
    T: int,
    kind: str,
    lengths: Tensor | None = None,
    window: int | None = None,
    prefix: int | None = None,
    doc_ids: Tensor | None = None,
) -> Tensor:
    """Who may look at whom: True where token i (row) may attend to token j (column).

    Args:
        T: tokens in a sequence, at least 1.
        kind: "causal", "padding", "causal_padding", "sliding", "prefix" or "packed".
        lengths: (B,) int64, 0..T. Real tokens of each sequence, for the two kinds with padding.
        window: tokens that are seen, the current one included, for "sliding".
        prefix: tokens at the start that everybody sees, for "prefix".
        doc_ids: (T,) or (B, T) int64. The document each token belongs to, for "packed".

    Returns:
        (B, 1, T, T) bool where the kind depends on the sequence, else (1, 1, T, T).

    Raises:
        ValueError: unknown kind, or the argument it needs is None.

    Source: causal: Vaswani et al. 2017, section 3.2.3; sliding: Beltagy et al. 2020, section 3.1; prefix: Raffel et al.
    2020, section 3.2.1; packed: Krell et al. 2021.
    """
    ### BEGIN SOLUTION
    needs = {
        "padding": lengths,
        "causal_padding": lengths,
        "sliding": window,
        "prefix": prefix,
        "packed": doc_ids,
    }
    if kind != "causal" and needs.get(kind) is None:
        raise ValueError(f"the kind {kind!r} is unknown, or the argument it needs is missing")
    j = torch.arange(T)
    i = j[:, None]
    past = (j <= i)[None, None]  # (1, 1, T, T)
    if kind in ("padding", "causal_padding"):
        real = (j < lengths[:, None])[:, None, None, :].expand(-1, 1, T, T)
        return real if kind == "padding" else real & past
    if kind == "sliding":
        return past & (j > i - window)
    if kind == "prefix":
        return past | (j < prefix)
    if kind == "packed":
        ids = doc_ids.reshape(-1, 1, T)  # (B, 1, T)
        return past & (ids[..., :, None] == ids[..., None, :])
    return past
    ### END SOLUTION


# %% points=5 topics=S5.5
check("make_mask")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# If `j` is `torch.arange(T)` and `i` is the same as a column, what is `j <= i`? How would you write the other
# conditions of the table?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Every condition compares something that depends on the row with something that depends on the column: a column of
# shape $(T, 1)$ against a row of shape $(T)$ gives $(T, T)$. `lengths[b]` brings a third index: give it the shape
# $(B, 1, 1, 1)$, or $(B, 1)$ against the row first. Conditions are joined by `&` and `|`.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse unknown kinds and missing arguments (compare with None)
# row numbers i as a column, column numbers j as a row
# past = j is not later than i
# by kind: combine past with the condition of the table
# give it four axes: sequence, head, i, j (expand those of size 1 that must be full)
# ```
# </details>

# %% demo
gallery = {
    "causal": make_mask(24, "causal"),
    "padding": make_mask(24, "padding", lengths=torch.tensor([17])),
    "causal + padding": make_mask(24, "causal_padding", lengths=torch.tensor([17])),
    "sliding": make_mask(24, "sliding", window=6),
    "prefix": make_mask(24, "prefix", prefix=9),
    "packed": make_mask(24, "packed", doc_ids=torch.tensor([0] * 10 + [1] * 5 + [2] * 9)),
}
pictures.masks({name: mask[0, 0] for name, mask in gallery.items()})
print(
    "pairs that are computed:",
    ", ".join(f"{name} {mask.float().mean():.0%}" for name, mask in gallery.items()),
)

# %% [markdown]
# ## Where am I? Clocks
#
# A causal mask tells a token which words came before, but not *how long* before. The classic way to tell time is a
# clock: a fast hand for the seconds, a slow one for the hours. No hand alone says when it is; together they do, and
# moving on by a minute turns each hand by a fixed angle, whatever the time is. Position encodings are clocks with
# $D/2$ hands. Hand $i$ turns by
#
# $$\omega_i = \text{base}^{-2i/D} \quad \text{radians per token}, \qquad i = 0, \dots, D/2 - 1,$$
#
# so the first turns by one radian per token, the last takes ten thousands of tokens for one round (with the usual
# base of 10,000).


# %% demo
pictures.clocks()

# %% [markdown]
# *Each column is one position: three hands, six numbers (the two coordinates of each tip).*
#
# ## Exercise 6: `sinusoidal`
#
# **★ · about 8 minutes · needs: sine and cosine, broadcasting · roadmap: positional encoding**
#
# The first transformer *added* the clock to the word: token $t$ gets the vector of its word plus the tips of its hands.
#
# $$PE_{t,\,2i} = \sin(t\,\omega_i), \qquad PE_{t,\,2i+1} = \cos(t\,\omega_i), \qquad \omega_i = \text{base}^{-2i/D}$$
#
# ```
#            hand 0         hand 1               hand D/2-1
#         +-----+-----+  +-----+-----+        +-----+-----+
#   t = 0 |  0  |  1  |  |  0  |  1  |  ...   |  0  |  1  |        sin, cos, sin, cos, ...
#   t = 1 | .84 | .54 |  |     |     |        |     |     |        (T, D)
# ```
#
# **Why it matters.** The dot product of two rows is $\sum_i \cos((s - t)\,\omega_i)$: it depends on their distance
# only, so "three words ago" looks alike everywhere in the text. Nothing is learned, and positions never seen in
# training exist as well.
#
# ### Contract
#
# `sinusoidal(T, D, base=1e4)`
#
# - **R1** Row $t = 0, \dots, T-1$ holds the sines and cosines of the formula above, with the given `base`.
# - **R2** They alternate: column $2i$ is the sine and column $2i + 1$ the cosine of hand $i$. The shape is $(T, D)$,
#   the dtype float32.
# - **R3** Up to position 199 every entry is within $10^{-4}$ of the formula.
#
# *Up to you:*
#
# - **F1** Whether the angles are computed in float32 or float64.
#
# *Not specified, not tested:* odd $D$, $T < 1$.
#
# ### Worked example
#
# ```python
# sinusoidal(3, 4)      # hands: 1 and 0.01 radians per token
# # tensor([[ 0.0000,  1.0000,  0.0000,  1.0000],
# #         [ 0.8415,  0.5403,  0.0100,  0.9999],
# #         [ 0.9093, -0.4161,  0.0200,  0.9998]])
# ```


# %%
def sinusoidal(T: int, D: int, base: float = 1e4) -> Tensor:
    """The position encoding of the first transformer, to be added to the token vectors.

    Args:
        T: positions 0..T-1.
        D: features, even.
        base: the slowest hands turn by about 1/base radians per token.

    Returns:
        (T, D) float32. Columns alternate: sine, cosine.

    Source: Vaswani et al. 2017, section 3.5.
    """
    ### BEGIN SOLUTION
    frequency = base ** (-torch.arange(0, D, 2) / D)  # (D/2,)
    angle = torch.arange(T)[:, None] * frequency  # (T, D/2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    ### END SOLUTION


# %% points=2 topics=S5.4
check("sinusoidal")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# For $D = 6$, what are the exponents $2i/D$ of the three hands? How do you make them with one `arange`?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# All angles at once: a column of positions $(T, 1)$ times a row of frequencies $(D/2)$. Then sine and cosine must be
# dealt out in turn: stack them along a *new last* axis, $(T, D/2, 2)$, and join the last two axes.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# frequencies = base to the power of minus (0, 2, 4, ...) over D
# angles      = every position times every frequency
# result      = sines into the even columns, cosines into the odd ones
# ```
# </details>

# %% demo
pictures.position_encoding(sinusoidal(100, 64))

# %% [markdown]
# *On the right: the same curve three times. Every position is most like itself, less like its neighbours, and the curve
# does not care where in the text it stands.*
#
# ## Exercise 7: `rope`
#
# **★ · about 12 minutes · needs: rotation of the plane · roadmap: positional encoding**
#
# Adding the clock to the word has a flaw: content and position share one vector and must be told apart again. Rotary
# position embedding (RoPE) does something neater. It leaves the word vectors alone and **turns the queries and
# keys**: take the features in pairs, see each pair as a point of the plane, and turn pair $i$ at position $m$ by the
# angle $m\,\omega_i$:
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} = \begin{pmatrix} \cos m\omega_i & -\sin m\omega_i \\ \sin m\omega_i & \cos m\omega_i \end{pmatrix}
# \begin{pmatrix} a \\ b \end{pmatrix}, \qquad \omega_i = \text{base}^{-2i/D}$$
#
# Turning changes no length, so nothing of the content is lost. And if the query at position $m$ is turned by
# $m\omega$, the key at position $n$ by $n\omega$, then their dot product feels the *difference* of the angles only:
# $(m - n)\,\omega$. The score knows how far apart two words are and nothing else about where they stand.
#
# ```
#   layout "interleaved", D = 6                 layout "half", D = 6
#
#   [ a0  b0 | a1  b1 | a2  b2 ]                [ a0  a1  a2 | b0  b1  b2 ]
#      \__/     \__/     \__/                     |____________|                  hand 0
#     hand 0   hand 1   hand 2                        |____________|              hand 1
#                                                         |____________|          hand 2
# ```
#
# **Why it matters.** Most open language models since 2023 use RoPE, in one of *both* layouts: weights trained with
# one layout and run with the other give fluent nonsense. And `pos` is an argument for good reason: when a model
# writes word by word, the only token it gets is number 1,734 of the text, not number 0.
#
# ### Contract
#
# `rope(x, pos, base=1e4, layout="interleaved")`
#
# - **R1** Pair $i$ of the vector at position $m$ is turned by $+m\,\omega_i$ as in the formula, $\omega_i =
#   \text{base}^{-2i/D}$, $i = 0, \dots, D/2-1$.
# - **R2** In layout `"interleaved"` pair $i$ is features $(2i, 2i+1)$; in layout `"half"` it is $(i, i + D/2)$. The
#   frequencies are the same, and what is read from two features goes back to the same two.
# - **R3** `pos` is int64, of shape $(T,)$ or any shape that broadcasts with `x.shape[:-1]`, such as $(B, 1, T)$ for
#   `x` of shape $(B, H, T, D)$. Positions may come in any order, repeat and leave gaps.
# - **R4** The angles are computed in float64 if `x` is float64, otherwise in float32 or better, also for float16 `x`.
#   The result has the dtype and shape of `x`. (float32 is tested for positions up to 60, float16 up to 2,000, float64
#   up to a million.)
# - **R5** Any number of leading axes. `x` is not changed; the result is differentiable with respect to `x`.
#
# *Up to you:*
#
# - **F1** Angles more precise than R4 asks for.
# - **F2** Whether sine, cosine and products are then computed in the angles' precision or in that of `x`.
#
# *Not specified, not tested:* odd $D$, other layouts, negative positions.
#
# ### Worked example
#
# ```python
# x = torch.tensor([[1., 0, 1, 0]] * 3)               # D = 4: two pairs, both (1, 0)
# rope(x, torch.tensor([0, 1, 2]))                    # turned by 1 and by 0.01 radians per position
# # tensor([[ 1.0000,  0.0000,  1.0000,  0.0000],
# #         [ 0.5403,  0.8415,  0.9999,  0.0100],
# #         [-0.4161,  0.9093,  0.9998,  0.0200]])
#
# y = torch.tensor([[1., 1, 0, 0]])                   # the same two pairs in the other layout
# rope(y, torch.tensor([2]), layout="half")
# # tensor([[-0.4161,  0.9998,  0.9093,  0.0200]])
# ```


# %%
def rope(x: Tensor, pos: Tensor, base: float = 1e4, layout: str = "interleaved") -> Tensor:
    """Rotary position embedding: turns each pair of features by an angle proportional to the position.

    Args:
        x: (..., T, D) float, D even. Queries or keys.
        pos: (T,) int64, or broadcasts with (..., T). The position of each token.
        base: pair i turns by base^(-2i/D) radians per position.
        layout: "interleaved", pairs (2i, 2i+1), or "half", pairs (i, i + D/2).

    Returns:
        (..., T, D), dtype of x.

    Source: Su et al. 2021, section 3.2.2, equations 14 and 15; the layout "half" is GPT-NeoX's.
    """
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    precise = torch.promote_types(x.dtype, torch.float32)
    frequency = base ** (-torch.arange(half, dtype=precise) / half)  # (D/2,)
    angle = pos[..., None] * frequency  # (..., T, D/2)
    cos, sin = angle.cos(), angle.sin()
    if layout == "interleaved":
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = x[..., :half], x[..., half:]
    turned = a * cos - b * sin, a * sin + b * cos
    if layout == "interleaved":
        return torch.stack(turned, dim=-1).flatten(-2).to(x.dtype)
    return torch.cat(turned, dim=-1).to(x.dtype)
    ### END SOLUTION


# %% points=3 topics=S5.4
check("rope")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What shape must the angles have so that each token has its own and each pair has its own? What do you do to `pos` of
# shape $(T,)$, or $(B, 1, T)$, to multiply it with $D/2$ frequencies?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Take all first members of the pairs as one tensor $a$, all second members as another, $b$, both $(\dots, T, D/2)$.
# Then the rotation is two lines for all pairs at once: $a\cos - b\sin$ and $a\sin + b\cos$. The layout only decides
# how $a$ and $b$ are taken out of `x`, and how the two results are put back.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# precision   = float64 for float64, else float32
# frequencies = base to the power of minus i / (D/2), in that precision
# angles      = every position times every frequency
# a, b        = first and second members of the pairs (by layout)
# a', b'      = the rotation
# put a' and b' where a and b came from, in the dtype of x
# ```
# </details>

# %% demo
torch.manual_seed(0)
word = torch.randn(64) / 8
q = k = word.expand(64, 64)  # 64 times the same word, asking for its like
places = torch.arange(64)
turned = rope(q, places) @ rope(k, places).T
pictures.relative_scores(q @ k.T, turned, rows=(20, 50))

# %% [markdown]
# *The same word 64 times in a row, asking for its like. Without rotation it scores the same everywhere. With it, the
# score is constant along each diagonal: it depends on the distance only, nearest is best, and the rows of two queries
# lie on one curve.*

# %% [markdown]
# ## Bonus: `attention_backward`
#
# **★★★ · about 30 minutes · needs: the chain rule for matrices · roadmap: self-attention**
#
# Autograd has done this for you so far. Doing it once by hand shows what attention must remember for its backward
# pass, and why there is a better way (FlashAttention, later in the course, *computes the weights a second time*
# rather than storing them). The forward pass, step by step, with $A$ for the scores and $P$ for the weights, both
# $(T, S)$:
#
# $$A = \frac{q\,k^\top}{\sqrt d} \qquad\qquad P = \operatorname{softmax}(A) \qquad\qquad \text{out} = P\,v$$
#
# ```
#   q --+                                            dq <--+
#       +--> scores --> softmax --> P --+                  +-- dscores <-- softmax' <-- dP <--+
#   k --+                               +--> out     dk <--+                                  +-- dout
#   v ----------------------------------+            dv <-------------------------------------+
# ```
#
# Backwards from `dout`, the gradient of the loss with respect to `out`. For a matrix product $C = A B$ the chain rule
# is $dA = dC\,B^\top$ and $dB = A^\top dC$. The softmax is the interesting step: weights share a fixed sum of one, so
# a score that rises lowers all the *other* weights of its row. For a row $a$ of $A$ and the row $p$ of $P$ it
# becomes, $\partial p_j / \partial a_i = p_j\,(\delta_{ij} - p_i)$, with $\delta_{ij} = 1$ if $i = j$, else 0.
#
# **Why it matters.** Whoever writes a fast attention kernel writes this function. And the softmax step, $dA = P \circ
# (dP - \dots)$, explains at one glance why saturated weights stop learning: where $P$ is 0 or 1, nothing flows.
#
# ### Contract
#
# `attention_backward(dout, q, k, v, mask=None)` gives `dq, dk, dv`.
#
# - **R1** They are the gradients of `(out * dout).sum()` with respect to `q`, `k` and `v`, where `out` is what
#   `attention(q, k, v, mask)` of exercise 1 gives. The result is the three of them, in this order.
# - **R2** The mask means what it means in exercise 1 and broadcasts in the same way: nothing flows between a query
#   and a key that it may not attend to.
# - **R3** A query that may attend to nothing has $dq = 0$ and adds nothing to $dk$ and $dv$. Nothing becomes NaN.
# - **R4** Any number of leading axes, the same for `dout`, `q`, `k` and `v`; $T$, $S$, $d$, $e$ may all differ;
#   float32 and float64.
# - **R5** Scores between −10,000 and 10,000 give finite and right gradients.
# - **R6** No argument is changed. (The arguments are plain tensors, without `requires_grad`.)
#
# *Up to you:*
#
# - **F1** A tuple or a list as result.
#
# *Not allowed:* anything that differentiates for you: `torch.autograd`, `torch.func`, `.backward`, `requires_grad`
# (as attribute, argument or method `.requires_grad_`).
#
# ### Worked example
#
# ```python
# q = torch.tensor([[2., 0, 0, 0]])                               # query 0 of exercise 1: weights 3/4 and 1/4
# k = torch.tensor([[math.log(3), 0, 0, 0], [0, 0, 0, 0]])
# v = torch.tensor([[8., 0], [0, 4]])
# dout = torch.tensor([[1., 0]])                                  # the loss is the first feature of out: 6
# dq, dk, dv = attention_backward(dout, q, k, v)
# dv    # tensor([[0.7500, 0.0000],                               raise v[0, 0] by 1, and out rises by 3/4
#       #         [0.2500, 0.0000]])
# dk    # tensor([[ 1.5000,  0.0000,  0.0000,  0.0000],
#       #         [-1.5000, -0.0000, -0.0000, -0.0000]])
# dq    # tensor([[0.8240, 0.0000, 0.0000, 0.0000]])
# ```


# %%
def attention_backward(
    dout: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of attention by hand.

    Args:
        dout: (..., T, e) float. Gradient of the loss with respect to out.
        q: (..., T, d), dtype of dout. Queries.
        k: (..., S, d), dtype of dout. Keys.
        v: (..., S, e), dtype of dout. Values.
        mask: broadcasts to (..., T, S), bool, or None. True = may attend.

    Returns:
        dq, dk, dv: shapes and dtypes of q, k and v.

    Source: Dao et al. 2022, appendix B.2.
    """
    ### BEGIN SOLUTION
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.mT * scale  # (..., T, S)
    if mask is None:
        weights = scores.softmax(-1)
    else:
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(~mask, 0.0)
    dv = weights.mT @ dout
    dweights = dout @ v.mT
    dscores = weights * (dweights - (weights * dweights).sum(-1, keepdim=True))
    return dscores @ k * scale, dscores.mT @ q * scale, dv
    ### END SOLUTION


# %% bonus points=8 topics=S5.1 forbid=torch.autograd,torch.func,.backward,requires_grad,requires_grad_
check("attention_backward")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `out = P v` is an ordinary matrix product. What are $dP$ and $dv$, by the rule for $C = AB$? Which shape must each
# have?
# </details>
#
# <details><summary>Hint 2: the mathematical step</summary>
#
# One row at a time: $da_i = \sum_j dp_j\, \partial p_j / \partial a_i = \sum_j dp_j\, p_j (\delta_{ij} - p_i) = p_i
# \big(dp_i - \sum_j p_j\, dp_j\big)$. The sum is one number for the whole row: the average of $dp$ under the weights.
# So no Jacobian need be built.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# P       = the weights of the forward pass, zeros where forbidden
# dv      = P transposed times dout
# dP      = dout times v transposed
# dscores = P times (dP minus, for each row, the average of dP under P)
# dq      = dscores times k, over the root of d
# dk      = dscores transposed times q, over the root of d
# ```
# </details>

# %% demo
torch.manual_seed(0)
q, k, v, upstream = (torch.randn(2, 50, 16, dtype=torch.float64, requires_grad=True) for _ in range(4))
by_autograd = torch.autograd.grad(F.scaled_dot_product_attention(q, k, v), (q, k, v), upstream)
by_hand = attention_backward(*(x.detach() for x in (upstream, q, k, v)))
for name, mine, theirs in zip(("dq", "dk", "dv"), by_hand, by_autograd, strict=True):
    print(
        f"{name}: largest entry {theirs.abs().max():.3f}, largest difference from autograd {(mine - theirs).abs().max():.0e}"
    )

# %% [markdown]
# ## See it work: who is *it*?
#
# Back to the animal and the street, this time **without a single vector made by hand**. A small generator writes
# English sentences of one pattern, such as
#
# > yesterday the old dog did not cross the new bridge because it was too *shy*
#
# and knows which noun *it* stands for. A model of two attention layers, both of them **your** `MHA`, gets the
# sentence and must name that noun:
#
# ```
#   words --> embedding --> MHA 1: every word looks at the sentence --> the vector of "it"
#                 |                                                          | asks
#                 +------ keys and values: the bare words before "it" --> MHA 2 (cross-attention)
#                                                                            |
#                                                                            +--> which noun?
# ```
#
# The second layer may look only at the words *before* "it", in their bare form. So the adjective can reach the answer
# in one way only: the first layer must bring it to "it", and there it must change *where "it" looks*. That much is
# our design. What we do not tell the model: which words are nouns, what is alive, that "tired" goes with animals,
# where to look. It gets nothing but the right answer, 150 times 64 sentences. Some pairs of noun and adjective, among
# them *animal–tired* and *street–wide*, are **never shown in training**.

# %% demo
ANIMALS = ["animal", "dog", "horse", "child", "cat"]
WAYS = ["street", "river", "bridge", "field"]
FOODS = ["soup", "cake", "fish", "bread"]
FITS = {
    "animal": ["tired", "hungry", "shy", "sleepy"],
    "way": ["wide", "long", "icy", "busy"],
    "food": ["hot", "salty", "sweet", "stale"],
}
HELD_OUT = {"animal tired", "street wide", "dog shy", "river icy", "soup hot", "cake sweet"}


def write_sentence(draw):
    """(words, the noun that "it" stands for)"""

    def pick(options):
        return options[int(torch.randint(len(options), (), generator=draw))]

    kind, things, verb = pick([("way", WAYS, "cross"), ("food", FOODS, "eat")])
    living, thing = pick(ANIMALS), pick(things)
    one = [*pick([["the"], ["the", "little"], ["the", "old"]]), living]
    other = [*pick([["the"], ["the", "famous"], ["the", "new"]]), thing]
    middle = pick([[*one, "did", "not", verb, *other], [*other, "did", "not", "please", *one]])
    noun, adjective = pick([(living, pick(FITS["animal"])), (thing, pick(FITS[kind]))])
    start, end = pick([[], ["yesterday"], ["that", "day"]]), ["because", "it", "was", "too", adjective]
    return start + middle + end, noun


draw = torch.Generator().manual_seed(0)
sentences = [write_sentence(draw) for _ in range(3000)]
vocabulary = {
    word: i for i, word in enumerate(dict.fromkeys(["<pad>", *(w for s, _ in sentences for w in s)]))
}
LONGEST = max(len(s) for s, _ in sentences)


def encode(rows):
    """ids (B, T), where "it" stands (B,), lengths (B,), the right noun (B,)"""
    ids = torch.zeros(len(rows), LONGEST, dtype=torch.long)
    for i, (sentence, _) in enumerate(rows):
        ids[i, : len(sentence)] = torch.tensor([vocabulary[w] for w in sentence])
    it, lengths = ([s.index("it") for s, _ in rows], [len(s) for s, _ in rows])
    return ids, torch.tensor(it), torch.tensor(lengths), torch.tensor([vocabulary[noun] for _, noun in rows])


train = encode([(s, noun) for s, noun in sentences if f"{noun} {s[-1]}" not in HELD_OUT])
test = encode([(s, noun) for s, noun in sentences if f"{noun} {s[-1]}" in HELD_OUT])
print(
    f"{len(train[0])} sentences to learn from, {len(test[0])} with pairs never seen there. Two of them all:"
)
print(" ", " ".join(sentences[0][0]), "->", sentences[0][1])
print(" ", " ".join(sentences[1][0]), "->", sentences[1][1])


# %% demo
class Reader(nn.Module):
    """Two steps of attention: what does "it" need, and who has it?"""

    def __init__(self, D=32, first_step=True):
        super().__init__()
        self.embed = nn.Embedding(len(vocabulary), D)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.first, self.second, self.first_step = MHA(D, 2, bias=False), MHA(D, 1, bias=False), first_step

    def vectors(self, ids, it, lengths):
        """(the vectors of "it" (B, 1, D), the bare words (B, T, D), what "it" may look at (B, 1, T))"""
        words, places = self.embed(ids), torch.arange(LONGEST)
        heard = words
        if self.first_step:
            heard = words + self.first(words, mask=(places < lengths[:, None])[:, None, None])
        return heard[torch.arange(len(ids)), it][:, None], words, (places < it[:, None])[:, None]

    def forward(self, ids, it, lengths):
        asking, words, before = self.vectors(ids, it, lengths)
        return self.second(asking, words, before)[:, 0] @ self.embed.weight.T  # a score for each word


def learn(reader, steps=150):
    draw, losses = torch.Generator().manual_seed(1), []
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.01)
    for _ in range(steps):
        batch = torch.randint(len(train[0]), (64,), generator=draw)
        *inputs, noun = (part[batch] for part in train)
        loss = F.cross_entropy(reader(*inputs), noun)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        right = (reader(*test[:3]).argmax(-1) == test[3]).float().mean().item()
    return losses, right


torch.manual_seed(2)
reader, deaf = Reader(), Reader(first_step=False)
losses, right = learn(reader)
_, right_deaf = learn(deaf)
print(f"right on the pairs never seen: {right:.0%} with both steps, {right_deaf:.0%} without the first step")

# %% [markdown]
# Without the first step "it" is the same vector in every sentence, so it looks for the same thing whatever the
# adjective says: it guesses. With it, the pairs never seen are no problem: having met "the dog was tired" and "the
# animal was shy", the model has found out by itself that animals are the kind of thing that gets tired. Now look
# where it looks.


# %% demo
def where_it_looks(sentence):
    """The weights of the second layer, from its own matrices and your `attention`."""
    ids, it, lengths, _ = encode([(sentence, "it")])
    with torch.no_grad():
        asking, bare, before = reader.vectors(ids, it, lengths)
        _, weights = attention(
            reader.second.wq(asking), reader.second.wk(bare), reader.second.wv(bare), before
        )
        answer = reader(ids, it, lengths).argmax(-1).item()
    return weights[0, 0, : it.item()], list(vocabulary)[answer]


start = ["the", "animal", "did", "not", "cross", "the", "street", "because", "it", "was", "too"]
sentences = [[*start, "tired"], [*start, "wide"]]
pictures.looks([(sentence, *where_it_looks(sentence)) for sentence in sentences], asking="it")

# %% [markdown]
# One word at the far end of the sentence has turned the head. Nobody told the model where to look; looking in the
# right place was simply the best way to get the answer.
#
# Is the picture an *explanation*? One must be careful: weights show where information *may* flow, not that it is
# used. Here we can do the experiment. Take all sentences with unseen pairs, hide one of the two nouns from "it" with
# a mask, and ask again:

# %% demo
ids, it, lengths, noun = test
is_noun = torch.isin(ids, torch.tensor([vocabulary[word] for word in (*ANIMALS, *WAYS, *FOODS)]))
right_noun = ids == noun[:, None]
with torch.no_grad():
    asking, bare, before = reader.vectors(ids, it, lengths)
    for title, hidden in (
        ("nothing", ids < 0),
        ("the other noun", is_noun & ~right_noun),
        ("the right noun", right_noun),
    ):
        answers = (
            reader.second(asking, bare, before & ~hidden[:, None])[:, 0] @ reader.embed.weight.T
        ).argmax(-1)
        favourite = list(vocabulary)[answers.mode().values]
        share = (answers == noun).float().mean()
        print(f"hidden: {title:15} right answers: {share:4.0%}   most frequent answer: {favourite}")

# %% [markdown]
# Hiding the noun it does *not* mean changes nothing. Hiding the one it means leaves it guessing: it names the same
# favourite again and again, and is right when that happens to be the noun. So here the arrow is what it seems. It
# need not be: with some seeds (try `torch.manual_seed(3)` above) the model learns to say *dog* whenever it finds
# nothing at all, and then, in sentences about dogs, the arrow points at *the*. The answer is as good as before, the
# picture is not.

# %% [markdown]
# ## Break it
#
# Two of the mistakes that the tests look for, this time on purpose, to see what they do to a model.
#
# **1. Forget the $\sqrt d$.** Random queries and keys, 16 keys, more and more features.

# %% demo
torch.manual_seed(0)
sizes, curves = [4, 16, 64, 256, 1024], {"with √d": [], "without √d": []}
for d in sizes:
    q, k = torch.randn(300, 1, d), torch.randn(300, 16, d)
    for name, factor in (("with √d", 1.0), ("without √d", math.sqrt(d))):
        _, p = attention(q * factor, k, k)  # a query sqrt(d) times as long undoes the division
        entropy = -(p * p.clamp_min(1e-30).log()).sum(-1).mean().item()
        slope = (p * (1 - p)).sum(-1).mean().item()  # how much the weights move when their own scores move
        curves[name].append((entropy, slope, p[0, 0]))

pictures.without_the_root(sizes, curves)

# %% [markdown]
# Without the division the weights become one-hot as $d$ grows: the entropy falls towards 0 (one key gets everything)
# and so does the slope, through which all learning of $q$ and $k$ must pass. The model makes up its mind before it
# has seen any data. With the division nothing depends on $d$.
#
# **2. A causal mask that is one step too wide.** We train a small language model on *pure noise*: every token is
# drawn at random from 16, so the next one cannot be predicted, and no honest model can get below a loss of $\ln 16
# \approx 2.77$ nats, that of guessing.


# %% demo
def train_on_noise(mask, steps=200, V=16, T=12, D=32):
    """(training losses, loss of the trained model when it is used with the right mask)"""
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {"word": nn.Embedding(V, D), "place": nn.Embedding(T, D), "look": MHA(D, 2), "guess": nn.Linear(D, V)}
    )
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []

    def loss_of(tokens, mask):
        x = model["word"](tokens[:, :-1]) + model["place"].weight
        x = x + model["look"](x, mask=mask)
        return F.cross_entropy(model["guess"](x).flatten(0, 1), tokens[:, 1:].flatten())

    for _ in range(steps):
        loss = loss_of(torch.randint(V, (64, T + 1)), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, loss_of(torch.randint(V, (500, T + 1)), torch.ones(T, T).tril().bool()).item()


honest, leaky = torch.ones(12, 12).tril().bool(), torch.ones(12, 12).tril(1).bool()  # j <= i, and j <= i + 1
results = {"mask j ≤ i": train_on_noise(honest), "mask j ≤ i + 1": train_on_noise(leaky)}
for name, (losses, used) in results.items():
    print(
        f"{name:14}  loss at the end of training {losses[-1]:.2f}, when used to write (right mask) {used:.2f}"
    )
pictures.losses({name: losses for name, (losses, _) in results.items()}, guessing=math.log(16))

# %% [markdown]
# The leaky model does the impossible: it predicts noise. The input of position $i + 1$ *is* the token that position
# $i$ must predict, and the model has learned to copy it. (What is left of the loss is $\ln 16 / 12 \approx 0.23$:
# only the last of the 12 positions has nothing to peep at.) When it has to write, the next token does not exist yet,
# and it is worse than guessing. **A training loss that is too good to be true is a mask that leaks.** Keep the noise
# test in mind: it takes a second, and it works for any model.
#
# ## Real scale
#
# The weights have $T \times S$ entries per head. What that means for GPT-2 (the smallest: 12 layers, 12 heads, $D =
# 768$), computed:

# %% demo
layers, H, D, V, context = 12, 12, 768, 50257, 1024
per_layer = 4 * (D * D + D)
mlp, norms = 2 * 4 * D * D + 4 * D + D, 2 * 2 * D
total = V * D + context * D + layers * (per_layer + mlp + norms) + 2 * D
in_attention = layers * per_layer
print(f"parameters of all attention layers: {in_attention:,} of {total:,} ({in_attention / total:.0%})\n")
print("            weights of one layer   billions of multiply-adds of one layer")
print("    tokens            in 16 bits      projections     scores and blend")
for T in (1024, 8192, 131072):
    print(f"{T:10,} {2 * H * T * T / 1e9:18.2f} GB {4 * T * D * D / 1e9:15,.1f} {2 * T * T * D / 1e9:20,.1f}")
print(f"\nthe two kinds of work are equal at T = 2 D = {2 * D:,} tokens")

# %% [markdown]
# The parameters of attention do not depend on the length of the text at all; its work and memory grow with the
# *square* of it. At 128k tokens the weights of a single layer would need hundreds of gigabytes. Nobody stores them:
# FlashAttention computes them block by block and throws them away (notebook *inference*), sliding windows do not
# compute most of them, and the KV cache avoids computing anything twice.
#
# ## Check yourself
#
# **A colleague trains a language model. The training loss falls far below that of any published model of its size
# within an hour; the text it writes is gibberish. What do you look at first?**
#
# <details><summary>A. The division by √d</summary>
#
# No. Without it the weights are nearly one-hot and learning is slow or stuck: the training loss gets <em>worse</em>,
# not better.
# </details>
#
# <details><summary>B. The causal mask</summary>
#
# <b>Yes.</b> Too good in training, useless in writing: in training the model has something that is missing when it writes. The first
# suspect is the next token itself, seen through a mask that is one step too wide, or through a causal mask that is
# not applied at all. Feed it noise: a loss below that of guessing proves the leak.
# </details>
#
# <details><summary>C. The position encoding</summary>
#
# Hardly. A model without positions reads a bag of words; that hurts the training loss as well.
# </details>
#
# <details><summary>D. The padding mask masks rows instead of columns</summary>
#
# This makes real tokens read padding: noise, in training and in use alike. A loss that is <em>too good</em> does not
# come from it.
# </details>
#
# %% [markdown]
# **You double the number of heads $H$ of a model and keep $D$. What happens to the number of parameters of `MHA`?**
#
# <details><summary>A. It doubles</summary>
#
# No: the heads share the four $D \times D$ matrices. More heads cut the same $D$ features into smaller pieces.
# </details>
#
# <details><summary>B. It stays the same</summary>
#
# <b>Yes.</b> Four matrices of $D \times D$, whatever $H$ is. What changes is the size $d = D/H$ of each head, and the number of weight
# matrices $(T, S)$ to compute: twice as many.
# </details>
#
# <details><summary>C. It halves</summary>
#
# No. Each head has half the features, but there are twice as many of them.
# </details>
#
# ## Where it comes back
#
# The next notebook puts `MHA` between a normalisation and a small network, adds a shortcut around each, stacks the
# result, and has a transformer. The notebook *pretraining* trains one on text, *inference* makes attention fast and
# small, *experts and context* makes it long, and in section 8 pictures and sounds become tokens that attend to words.
#
# ## Reading list
#
# - Vaswani et al., *Attention Is All You Need*, 2017: section 3.2.1 (equation 1: your `attention`), 3.2.2 (`MHA`),
#   3.2.3 (where it is used), 3.5 (`sinusoidal`).
# - Bahdanau, Cho, Bengio, *Neural Machine Translation by Jointly Learning to Align and Translate*, 2015: section 3.1,
#   and the alignment pictures of figure 3.
# - Tunstall, von Werra, Wolf, *Natural Language Processing with Transformers*: chapter 3.
# - Goodfellow, Bengio, Courville, *Deep Learning*: section 12.4.5.1, on attention before the transformer.
# - Zhang et al., *Dive into Deep Learning*: chapter 11, sections 11.1 to 11.6.
# - Phuong, Hutter, *Formal Algorithms for Transformers*, 2022: algorithms 3 to 5, the same in exact pseudo-code.
# - Su et al., *RoFormer*, 2021: sections 3.2 and 3.3 (`rope`).
# - Raffel et al., *Exploring the Limits of Transfer Learning* (T5), 2020: section 3.2.1 and figure 3 (masks).
# - Dao et al., *FlashAttention*, 2022: section 3, and appendix B.2 (`attention_backward`).
# - Clark et al., *What Does BERT Look At?*, 2019, on what heads specialise in; Jain and Wallace, *Attention is not
#   Explanation*, 2019, on what one may conclude from it.

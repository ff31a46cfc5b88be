# %% [markdown]
# # CLIP: pictures and words in one space
#
# **Goal of the section.** Text, pictures, sound and time, read by one kind of network. This notebook joins the first
# two: it turns a picture into a sequence a transformer can read, and then teaches a picture reader and a text reader
# to agree.
#
# **You build** the cut of a picture into patches and back, a vision transformer, the loss that made CLIP, a
# classifier that needs no training for its classes, and a search that finds pictures for words. At the end your own
# CLIP has learned from a thousand emoji and their names, in seconds, and you can type words at it.
#
# **Topics.** Vision transformers; contrastive learning of pictures and text (CLIP); embeddings of two kinds in one
# space; zero-shot classification; retrieval.
#
# **Mathematics used.** Axes and their order; the cosine of two vectors; softmax and cross-entropy; for resizing,
# interpolation between grid points.
#
# **Time.** About 100 minutes, the bonus not counted. You need to be at home with `torch` tensors and `nn.Module`, and
# to have met attention with several heads. No exercise uses your answer to another one: if you get stuck, go on and
# come back.

# %%
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder import check

torch.set_num_threads(1)  # with tensors this small one thread is fastest

# %% [markdown]
# ## The story: nobody labels four hundred million pictures
#
# For ten years, teaching a computer to see meant *labels*. Somebody looks at 1.28 million photographs and writes one of
# 1,000 names on each. A network learns these names and nothing else: it knows some 120 breeds of dogs and has no word for
# "birthday". Want "birthday"? Collect pictures, pay people, train again.
#
# But the web is full of pictures that somebody has already described, for other people: captions, titles, the text
# around a photo. The descriptions are sloppy, in no fixed set of words, and often beside the point. They are also free,
# in any number, and about everything.
#
# How do you learn from a sentence? Predicting it word by word is hard, and mostly not about the picture. In 2021
# Radford and colleagues set an easier puzzle: here are $B$ pictures and $B$ captions, **which belongs to which?** Two
# networks, one for pictures and one for text, each make a vector; pairs that belong together must point the same way.
# This is CLIP, *contrastive language-image pre-training*. When it is trained, pictures and sentences live in one
# space, and a question about pictures becomes a question about directions: sort by similarity to "a birthday party".
#
# In this notebook you build all of it, and train it on pictures that everybody has at hand: emoji. Each has an official
# name, which is its caption, and a few keywords.

# %% demo
from pathlib import Path

import clip_pictures as pictures
import numpy as np

with np.load(Path("data") / "emoji.npz") as stored:
    emoji = {name: stored[name] for name in stored.files}
drawings, names = emoji["images"], emoji["captions"].tolist()  # (1114, 32, 32, 3), 0 to 255
images = torch.tensor(drawings).permute(0, 3, 1, 2) / 127.5 - 1  # (1114, 3, 32, 32), -1 to 1
LEARN, EXAM = ((torch.tensor(emoji["held_out"]) == held).nonzero()[:, 0] for held in (False, True))
print(f"{len(LEARN)} pictures to learn from, {len(EXAM)} kept back")

SHOWN = "red apple, cat face, sun, guitar, rocket, pizza, t shirt, smiling face with sunglasses, palm tree, racing car"
SHOWN += ", house, violin, octopus, birthday cake, green heart, soccer ball"
some = [names.index(name) for name in SHOWN.split(", ")]
pictures.gallery(drawings[some], [names[i] for i in some])

# %% [markdown]
# *Sixteen of them, $32 \times 32$ pixels each, with their captions.*
#
# The two networks, drawn:

# %% demo
pictures.two_towers(drawings[some[0]], names[some[0]])

# %% [markdown]
# *The upper one is new, and the larger part of this notebook. The lower one is as simple as can be here: an average of
# word vectors. What joins them is the loss, exercise 5.*
#
# ### The letters used in this notebook
#
# | letter | what | typical size |
# |---|---|---|
# | $B$ | pictures (or pairs) in a batch | 32,768 |
# | $C$ | channels of a picture: red, green, blue | 3 |
# | $H, W$ | height and width of a picture, in pixels (in `ViT`, where pictures are square, $H$ is the number of heads) | 224 |
# | $p$ | side of a patch, in pixels | 16 |
# | $N$ | patches of a picture | 196 |
# | $D$ | features of a token, or of an embedding | 768 |
# | $K$ | classes | 1,000 |

# %% [markdown]
# ## Exercise 1: `patchify`
#
# **★ · about 12 minutes · needs: `reshape`, `permute` · roadmap: vision transformers**
#
# A transformer reads a sequence of vectors. A picture is a grid of pixels, each with $C$ colours. The vision
# transformer closes this gap in the plainest way there is: **cut the picture into square patches and read them like
# words**, row by row, as you read a page.
#
# ```
#   picture (C, H, W), here 4 x 6, p = 2          the sequence (N, p*p*C), N = H/p * W/p = 6
#
#        +----+----+----+                          patch 0   [ row 0: pixel, pixel | row 1: pixel, pixel ]
#        | 0  | 1  | 2  |                          patch 1   [ ...                                       ]
#        +----+----+----+              ->          ...
#        | 3  | 4  | 5  |                          patch 5   [ ...                                       ]
#        +----+----+----+                                      each pixel: its C colours side by side
# ```
#
# **Why it matters.** It decides what a token *is*. No attention layer ever sees two pixels of a patch apart; all it
# gets is this one vector. In this course the same cut comes back for pictures in a chat model, for spectrograms of
# sound and, with a time axis, for video.

# %% [markdown]
# ### Contract
#
# `patchify(x, p)` gives the patches of a batch of pictures.
#
# - **R1** $x$ of shape $(B, C, H, W)$ becomes $(B, N, p \cdot p \cdot C)$ with $N = \frac{H}{p} \cdot \frac{W}{p}$. The
#   patches come row by row: the first row of patches from left to right, then the second. $H$ and $W$ may differ.
# - **R2** Inside a patch the order is **row, column, channel**: number `(r*p + c)*C + ch` of a patch is channel `ch` of
#   its pixel in row `r` and column `c`.
# - **R3** If $p$ does not divide $H$ or does not divide $W$, raise `ValueError`.
# - **R4** The result has the dtype of `x` (float32 and float64) and is differentiable with respect to `x`. `x` may be
#   a view with any strides; it is not changed.
#
# *Up to you:*
#
# - **F1** A view or a copy.
# - **F2** Any way to cut: axes moved by hand, loops, `unfold`.
#
# *Not specified, not tested:* $p$ below 1, an empty batch.
#
# ### Worked example
#
# ```python
# x = torch.arange(8.).view(1, 1, 2, 4)      # one channel:   0. 1. 2. 3.
#                                            #                4. 5. 6. 7.
# patchify(x, 2)                             # tensor([[[0., 1., 4., 5.],      the left half, row after row
#                                            #          [2., 3., 6., 7.]]])    the right half
#
# two = torch.cat([x, x + 10], dim=1)        # two channels: every pixel now has two numbers
# patchify(two, 2)[0, 0]                     # tensor([ 0., 10.,  1., 11.,  4., 14.,  5., 15.])
# ```


# %%
def patchify(x: Tensor, p: int) -> Tensor:
    """Cuts pictures into square patches and lays each out as one vector.

    Args:
        x: (B, C, H, W) float. Pictures.
        p: side of a patch, in pixels.

    Returns:
        (B, H/p * W/p, p*p*C), dtype of x. Patches row by row; inside a patch row, column, channel.

    Raises:
        ValueError: p does not divide H, or does not divide W.

    Source: Dosovitskiy et al. 2021, section 3.1.
    """
    ### BEGIN SOLUTION
    B, C, H, W = x.shape
    if H % p or W % p:
        raise ValueError(f"patches of {p} x {p} do not fill a picture of {H} x {W}")
    x = x.reshape(B, C, H // p, p, W // p, p)  # a grid of patches; in each, p rows and p columns
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    ### END SOLUTION


# %% points=2 topics=S8.1
check("patchify")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# The row $y$ of a pixel tells you two things: in which row of *patches* it lies, and in which row *of its patch*. Which
# two numbers are these, for $y = 5$ and $p = 2$? Can one `reshape` make two axes out of the axis of $H$ that count
# exactly these?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# $y = i\,p + r$, so the axis of length $H$ is really $(H/p, p)$: the slow one counts patches, the fast one rows inside.
# The same for $W$. That gives six axes, and none of them is wrong, they only stand in the wrong order. A `permute`
# puts them into the order in which the contract reads them out; only then may neighbours be joined.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse what p does not divide
# split H into (patch row, row inside) and W into (patch column, column inside)       six axes
# order them: batch, patch row, patch column, row inside, column inside, channel
# join the two patch axes; join the last three
# ```
# </details>

# %% [markdown]
# ## Exercise 2: `unpatchify`
#
# **★ · about 6 minutes · needs: the picture of exercise 1 · roadmap: vision transformers**
#
# The way back: from the sequence of patches to the picture. A model that *makes* pictures ends with this step, a masked
# autoencoder that guesses hidden patches does, and every picture of patches in this notebook is drawn with it.
#
# ### Contract
#
# `unpatchify(y, p, H, W)` gives the pictures whose patches are `y`.
#
# - **R1** $y$ of shape $(B, N, p \cdot p \cdot C)$ becomes $(B, C, H, W)$. Patch $n$ fills rows $i p, \dots, (i+1)p - 1$
#   and columns $j p, \dots, (j+1)p - 1$, where $i$ and $j$ are the quotient and the rest of $n$ divided by $W/p$: the
#   patches fill the picture row by row.
# - **R2** Number `(r*p + c)*C + ch` of a patch is channel `ch` of its pixel in row `r` and column `c`. How many channels
#   there are follows from the shape of `y`.
# - **R3** If $p$ does not divide $H$ or does not divide $W$, raise `ValueError`.
# - **R4** The result has the dtype of `y` (float32 and float64) and is differentiable with respect to `y`. `y` may be
#   a view with any strides; it is not changed.
#
# *Up to you:*
#
# - **F1** A view or a copy.
#
# *Not specified, not tested:* `y` with another number of patches than $H$ and $W$ ask for.
#
# ### Worked example
#
# ```python
# y = torch.tensor([[[0., 1., 4., 5.],
#                    [2., 3., 6., 7.]]])      # two patches of 2 x 2, one channel
# unpatchify(y, 2, H=2, W=4)                  # tensor([[[[0., 1., 2., 3.],
#                                             #           [4., 5., 6., 7.]]]])
# unpatchify(y, 2, H=4, W=2)                  # tensor([[[[0., 1.],        the same patches, stacked
#                                             #           [4., 5.],
#                                             #           [2., 3.],
#                                             #           [6., 7.]]]])
# ```


# %%
def unpatchify(y: Tensor, p: int, H: int, W: int) -> Tensor:
    """Puts patches together to pictures again.

    Args:
        y: (B, H/p * W/p, p*p*C) float. Patches row by row; inside a patch row, column, channel.
        p: side of a patch, in pixels.
        H: height of the pictures, in pixels.
        W: width of the pictures, in pixels.

    Returns:
        (B, C, H, W), dtype of y.

    Raises:
        ValueError: p does not divide H, or does not divide W.

    Source: He et al. 2022 (masked autoencoders), section 3, "reconstruction target".
    """
    ### BEGIN SOLUTION
    if H % p or W % p:
        raise ValueError(f"patches of {p} x {p} do not fill a picture of {H} x {W}")
    y = y.unflatten(2, (p, p, -1)).unflatten(1, (H // p, W // p))  # (B, H/p, W/p, p, p, C)
    return y.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)
    ### END SOLUTION


# %% points=1 topics=S8.1
check("unpatchify")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Which six axes hide in the three of `y`, and in what order do they stand there? In what order must they stand so that
# joining neighbours gives $(B, C, H, W)$?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# In `y` they stand as: batch, patch row, patch column, row inside, column inside, channel. A row of the *picture* is
# patch row and row inside, so these two must become neighbours, the patch row first. The same for columns.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse what p does not divide
# split the patches into (patch row, patch column), the numbers into (row inside, column inside, channel)
# order: batch, channel, patch row, row inside, patch column, column inside
# join each pair
# ```
# </details>

# %% [markdown]
# ### See it: to patches and back
#
# Your two functions on an emoji. From left to right: the picture; cut and put together again; put together with the
# patches in reverse order; and what you get from the *wrong* cut, a plain `reshape` to the right shape, put together
# as if it were right.


# %% demo
def to_paper(x):
    """(C, H, W), -1 to 1 -> (H, W, C), 0 to 1, for drawing."""
    return ((x.detach() + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()


picture = images[some[:1]]  # (1, 3, 32, 32)
patches = patchify(picture, 8)  # (1, 16, 192)
back = unpatchify(patches, 8, 32, 32)
turned = unpatchify(patches.flip(1), 8, 32, 32)
stripes = unpatchify(picture.reshape(1, 16, 192), 8, 32, 32)
pictures.gallery(
    [to_paper(x[0]) for x in (picture, back, turned, stripes)],
    ["the picture", "cut and joined", "in reverse order", "cut by reshape"],
    columns=4,
)

# %% [markdown]
# The right-hand one is no bug of drawing: each "patch" is a stripe, six rows of pixels in one colour. All 3,072 numbers are
# there and the shape is right, so a network will train on it, without an error. It just never gets to see a patch.

# %% [markdown]
# ## Exercise 3: `ViT`
#
# **★★★ · about 30 minutes · needs: `nn.Module`, attention with several heads · roadmap: vision transformers; the
# mathematics of transformers**
#
# Now the rest is a transformer encoder, with two additions.
#
# **A class token.** The network makes one vector of each patch, but you want one for the whole picture. So an extra
# token, a vector that is *learned* and the same for every picture, is put in front. It has nothing to tell, it only
# listens: layer after layer it gathers from the patches what is needed, and the answer is read from it.
#
# **Positions.** Attention does not know the order of its tokens. Each of the $1 + N$ places has a vector of its own,
# learned as well, which is added to the token. That the places form a *grid* nobody tells the network; it has to find
# out from pictures.
#
# ```
#   pictures (B, C, S, S) --cut--> (B, N, p*p*C) --proj--> (B, N, D)
#                                                             |
#   cls (1, 1, D), the same for all pictures ---------- in front of them        (B, 1+N, D)
#                                                             |
#   pos (1, 1+N, D) ------------------------------------------+
#                                                             |
#                 +---- block, L times -----------------------|-----------------------------------+
#                 |   x = x + attn.proj( heads( attn.qkv( norm1(x) ) ) )     tokens talk          |
#                 |   x = x + mlp.fc2( GELU( mlp.fc1( norm2(x) ) ) )         each thinks alone    |
#                 +-----------------------------------------------------------|-------------------+
#                                                             |
#                              token 0 of norm(x) --head--> (B, classes)
# ```
#
# **Why it matters.** There is no convolution here, nothing that knows what a neighbour is. With little data that is a
# handicap: a convolutional network gets for nothing what a ViT must learn. With very much data it stopped mattering,
# and the same network, weights and kernels now serve pictures and text. Almost every model that "sees" today sees
# through one of these.
#
# ### Contract
#
# `ViT(img, patch, C, D, L, H, classes)` is an `nn.Module` for square pictures of side `img`; `ViT.forward(x)` maps
# $(B, C, \text{img}, \text{img})$ to $(B, \text{classes})$. In this class $H$ is the number of heads. Below, $N =
# (\text{img} / \text{patch})^2$ and $d = D / H$.
#
# - **R1** Its parameters have these names and shapes, and there are no others and no buffers. All matrices are used as
#   in `nn.Linear`, and every `nn.Linear` has a bias. `i` runs from 0 to $L - 1$.
#
# | name | what | weight | bias |
# |---|---|---|---|
# | `proj` | `nn.Linear`, patch to token | (D, patch·patch·C) | (D) |
# | `cls` | `nn.Parameter`, the class token | (1, 1, D) | |
# | `pos` | `nn.Parameter`, the positions | (1, 1+N, D) | |
# | `blocks.i.norm1`, `blocks.i.norm2` | `nn.LayerNorm` | (D) | (D) |
# | `blocks.i.attn.qkv` | `nn.Linear`: queries, keys, values | (3D, D) | (3D) |
# | `blocks.i.attn.proj` | `nn.Linear`: mixes the heads | (D, D) | (D) |
# | `blocks.i.mlp.fc1` | `nn.Linear` | (4D, D) | (4D) |
# | `blocks.i.mlp.fc2` | `nn.Linear` | (D, 4D) | (D) |
# | `norm` | `nn.LayerNorm`, after the last block | (D) | (D) |
# | `head` | `nn.Linear`, token to classes | (classes, D) | (classes) |
#
# - **R2** The patches are cut and laid out as in exercise 1: row by row; inside a patch row, column, channel. `proj`
#   makes a token of each.
# - **R3** The class token stands **first**, before the patches. Then `pos` is added to all $1 + N$ tokens, the class
#   token included.
# - **R4** A block does, in this order, `x = x + attention(norm1(x))`, then `x = x + mlp(norm2(x))`: normalised
#   before, added after. `mlp` is `fc2(GELU(fc1(.)))`, with GELU as `F.gelu` computes it when not told otherwise. Every
#   `nn.LayerNorm` has PyTorch's own settings (eps = 1e-5).
# - **R5** `attention`: the rows of `qkv` are the queries, then the keys, then the values; head $h$ has the features $h
#   d, \dots, (h+1)d - 1$ of each; scores are divided by $\sqrt d$; every token sees all tokens of its own picture, and
#   no other picture. The heads are put side by side in their order, and `attn.proj` is applied.
# - **R6** The result is `head` of the class token after `norm`.
# - **R7** Gradients reach every parameter and `x`. After `.double()` the module works in float64.
# - **R8** Nothing is random once it is made (no dropout), in training mode or not, and `x` is not changed.
#
# *Up to you:*
#
# - **F1** How the parameters are initialised.
# - **F2** How patches are cut and heads are run: your own code, `F.unfold`, `F.scaled_dot_product_attention`.
# - **F3** How the names of R1 come about: further classes in the same cell, or `nn.ModuleDict`, whose entries have the
#   names of its keys.
#
# *Not specified, not tested:* `patch` that does not divide `img`, $H$ that does not divide $D$, pictures of another
# size than `img`.
#
# ### Worked example
#
# ```python
# vit = ViT(img=2, patch=1, C=1, D=2, L=0, H=1, classes=2)     # no blocks: only what stands around them
# vit.load_state_dict({
#     "proj.weight": torch.tensor([[1.], [1.]]), "proj.bias": torch.zeros(2),
#     "cls": torch.tensor([[[5., 0.]]]), "pos": torch.tensor([[[0., 3.], [0., 0.], [0., 0.], [0., 0.], [0., 0.]]]),
#     "norm.weight": torch.ones(2), "norm.bias": torch.zeros(2),
#     "head.weight": torch.eye(2), "head.bias": torch.tensor([0., 10.]),
# })
# vit(torch.ones(1, 1, 2, 2))      # tensor([[1.0000, 9.0000]], grad_fn=...)
# # The class token (5, 0) plus its position (0, 3) is (5, 3). Normalised: (1, -1). The head adds (0, 10).
#
# vit = ViT(img=32, patch=8, C=3, D=64, L=2, H=4, classes=10)
# sum(w.numel() for w in vit.parameters())                     # 114250
# ```


# %%
class ViT(nn.Module):
    """A vision transformer: patches, class token, learned positions, pre-norm blocks.

    Args:
        img: side of the square pictures, in pixels, a multiple of patch.
        patch: side of a patch, in pixels.
        C: channels of a picture.
        D: features of a token, a multiple of H.
        L: blocks.
        H: heads.
        classes: size of the result.

    Source: Dosovitskiy et al. 2021, section 3.1, equations 1 to 4.
    """

    def __init__(self, img: int, patch: int, C: int, D: int, L: int, H: int, classes: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.patch, self.heads = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(0.02 * torch.randn(1, 1 + (img // patch) ** 2, D))
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            norms = {"norm1": nn.LayerNorm(D), "norm2": nn.LayerNorm(D)}
            self.blocks.append(nn.ModuleDict({"attn": attn, "mlp": mlp, **norms}))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """The class scores (or, for CLIP, the embedding) of each picture.

        Args:
            x: (B, C, img, img) float.

        Returns:
            (B, classes), dtype of x.
        """
        ### BEGIN SOLUTION
        p = self.patch
        cut = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)  # (B, rows, columns, p, p, C)
        x = self.proj(cut.flatten(3).flatten(1, 2))  # (B, N, D)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.pos  # (B, 1+N, D)
        for block in self.blocks:
            attn, mlp = block["attn"], block["mlp"]
            q, k, v = (
                part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, 1+N, d)
                for part in attn["qkv"](block["norm1"](x)).chunk(3, dim=-1)
            )
            out = F.scaled_dot_product_attention(q, k, v)
            x = x + attn["proj"](out.transpose(1, 2).flatten(2))
            x = x + mlp["fc2"](F.gelu(mlp["fc1"](block["norm2"](x))))
        return self.head(self.norm(x)[:, 0])
        ### END SOLUTION


# %% points=4 topics=S8.1,S8.6
check("ViT")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Write down the shape after each arrow of the drawing for $B = 2$, `img` = 4, `patch` = 2, $C = 3$, $D = 8$. The class
# token has a batch axis of size 1: what must happen to it before it can be put in front of $B$ sequences?
# </details>
#
# <details><summary>Hint 2: the steps</summary>
#
# `expand` gives the class token its batch axis, `torch.cat` along the axis of *tokens* puts it in front. `pos`
# broadcasts over the batch. In the attention cut the last axis of `qkv(...)` into three, each of these into $(H, d)$,
# and move the heads in front of the tokens: attention must run along tokens, never along pictures. On the way back
# the heads go behind the tokens again before they are joined.
#
# For the patches: `F.unfold` gives the channel before row and column; the contract wants it last. `x.unfold(2, p,
# p).unfold(3, p, p)` gives $(B, C, H/p, W/p, p, p)$, ready to be permuted.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: the layers of the table; for each block a ModuleDict with the entries norm1, attn, norm2, mlp,
#           where attn and mlp are ModuleDicts again; collect the blocks in a ModuleList
# forward:  tokens = proj(patches)
#           tokens = class token in front, positions added
#           for each block: tokens += attention of normalised tokens
#                           tokens += small network of normalised tokens
#           head of token 0 of the normalised tokens
# ```
# </details>

# %% [markdown]
# ### See it: what the positions are for
#
# An untrained ViT of yours, with random positions, reads a picture and the same picture with its patches shuffled.
# Then once more with all positions set to zero.

# %% demo
torch.manual_seed(0)
vit = ViT(32, 8, 3, 64, 2, 4, 10)
nn.init.normal_(vit.pos)
order = torch.randperm(16)
shuffled = unpatchify(patchify(picture, 8)[:, order], 8, 32, 32)
pictures.gallery([to_paper(picture[0]), to_paper(shuffled[0])], ["the picture", "shuffled"], columns=2)
with torch.no_grad():
    for label in ("with positions", "without positions"):
        change = (vit(picture) - vit(shuffled)).norm() / vit(picture).norm()
        print(f"{label:18} shuffling the patches changes the result by {change:.1%}")
        vit.pos.zero_()

# %% [markdown]
# Without positions a picture is a bag of patches: the two are *the same* to the network, down to rounding. With them
# there is a difference. It is small, as nothing has been trained yet: all that the network will ever know about above
# and below, it must learn through `pos`.

# %% [markdown]
# ## Exercise 4: `interpolate_pos`
#
# **★ · about 12 minutes · needs: `F.interpolate`, axes · roadmap: vision transformers**
#
# A ViT trained on small pictures has a position vector for each cell of a small grid. Feed it a larger picture and it
# has more patches than positions. But the learned vectors form a *map*: neighbours look alike, so what belongs between
# two of them can be guessed, exactly as one enlarges a photograph. Each of the $D$ features is one grey picture of $h
# \times w$ pixels; resize them all, and keep the one vector that belongs to no place: that of the class token.
#
# ```
#   pos (1, 1+h*w, D):  [ class | patch 0, patch 1, ... ]
#                          |              |
#                          |       as a picture of D channels, h x w   --bicubic-->   h2 x w2
#                       as it is          |
#                       [ class | patch 0, patch 1, ...      ]   (1, 1+h2*w2, D)
# ```
#
# **Why it matters.** Pretraining on small pictures and fine-tuning on larger ones was part of the recipe of the first
# ViT, and models that read documents depend on it: at low resolution nobody can read small print. Feeding the class
# token into the resizing shifts every position by one place; nothing crashes, the model just gets worse.
#
# ### Contract
#
# `interpolate_pos(pos, old, new)` gives the positions for another grid of patches.
#
# - **R1** `old` and `new` are grids: an int $s$ for $s \times s$ patches, or a pair (rows, columns). `pos` has shape
#   $(1, 1 + h w, D)$ for the old grid $(h, w)$; the result has shape $(1, 1 + h_2 w_2, D)$ for the new one.
# - **R2** Row 0, the class token's, is returned unchanged.
# - **R3** The other rows are the cells of the old grid, row by row. Each feature is resized as a picture, as
#   `F.interpolate(..., mode="bicubic", align_corners=False)` does it when given the new size, and the cells are laid
#   out row by row again.
# - **R4** The result has the dtype of `pos` (float32 and float64) and is differentiable with respect to it. `pos` may
#   be a view with any strides; it is not changed.
#
# *Up to you:*
#
# - **F1** `F.interpolate`, or sums of your own.
#
# *Not specified, not tested:* `pos` with another number of rows than `old` asks for.
#
# ### Worked example
#
# ```python
# pos = torch.tensor([[[9.], [0.], [8.]]])        # D = 1: class token 9, then 1 row of 2 cells: 0, 8
# interpolate_pos(pos, (1, 2), (1, 4))            # tensor([[[ 9.0000],
#                                                 #          [-0.8438],       bicubic may overshoot a little
#                                                 #          [ 1.8125],
#                                                 #          [ 6.1875],
#                                                 #          [ 8.8438]]])
# ```


# %%
def interpolate_pos(pos: Tensor, old: int | tuple[int, int], new: int | tuple[int, int]) -> Tensor:
    """Learned positions of a ViT, resized to another grid of patches.

    Args:
        pos: (1, 1 + h*w, D) float. The class token's row, then the grid row by row.
        old: grid (h, w) of pos; an int for a square.
        new: grid (h2, w2) wanted; an int for a square.

    Returns:
        (1, 1 + h2*w2, D), dtype of pos.

    Source: Dosovitskiy et al. 2021, section 3.2.
    """
    ### BEGIN SOLUTION
    old, new = (((side, side) if isinstance(side, int) else side) for side in (old, new))
    first, cells = pos[:, :1], pos[:, 1:]
    grid = cells.unflatten(1, old).permute(0, 3, 1, 2)  # (1, D, h, w): D grey pictures
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([first, grid.flatten(2).mT], dim=1)
    ### END SOLUTION


# %% points=1 topics=S8.1
check("interpolate_pos")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `F.interpolate` resizes the last two axes of a tensor of shape (batch, channels, rows, columns). Which of these four
# is $D$? And which row of `pos` has no place in the picture?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# After taking row 0 off, cut the axis of places into (rows, columns). Then $D$ is the last axis and must come second:
# that is a `permute`. A `reshape` to the right shape would mix the features, without any error.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# make pairs of old and new
# set row 0 aside
# the rest as (1, h, w, D), then as (1, D, h, w)
# resize
# back to (1, h2*w2, D); row 0 in front again
# ```
# </details>

# %% [markdown]
# ### See it: a map of colours
#
# Positions with three features can be drawn as colours: here red grows downwards, green to the right, and blue towards
# the upper left corner. The class token is black.

# %% demo
down, right = torch.meshgrid(torch.linspace(0.1, 0.9, 4), torch.linspace(0.1, 0.9, 4), indexing="ij")
pos = torch.cat([torch.zeros(1, 3), torch.stack([down, right, 1 - (down + right) / 2], -1).view(16, 3)])[None]
larger = interpolate_pos(pos, 4, 12)
as_a_line = F.interpolate(pos.mT, size=1 + 144, mode="linear").mT  # the class token goes in with the others
grids = [rows[0, 1:].unflatten(0, (side, side)) for rows, side in ((pos, 4), (larger, 12), (as_a_line, 12))]
pictures.gallery(
    [grid.clamp(0, 1).numpy() for grid in grids], ["4 x 4", "12 x 12, yours", "12 x 12, as a line"], columns=3
)

# %% [markdown]
# The right-hand one comes from resizing the *sequence*, class token and all. Neighbours in the sequence are neighbours
# in a row, but nothing in it knows of columns, and the black of the class token runs into the corner.

# %% [markdown]
# ## Exercise 5: `clip_loss`
#
# **★★ · about 15 minutes · needs: `F.cross_entropy`, cosine · roadmap: CLIP**
#
# Take a batch of $B$ pictures with their captions. One network makes a vector of each picture, another one of each
# caption. Which caption belongs to which picture? Nobody tells the networks what is *in* a picture; they only have to
# solve this puzzle, $B$ captions for $B$ pictures, over and over with other batches.
#
# ```
#                    caption 0   caption 1   caption 2
#                  +-----------+-----------+-----------+
#      picture 0   |   HIGH    |    low    |    low    |   <- softmax along the row: which caption is mine?
#      picture 1   |    low    |   HIGH    |    low    |
#      picture 2   |    low    |    low    |   HIGH    |
#                  +-----------+-----------+-----------+
#                        ^
#                        softmax along the column: which picture is mine?
# ```
#
# The entries are cosines, between −1 and 1. As scores for a softmax they are far too tame: even a perfect match
# against a thousand opposites would get little of the weight. So they are multiplied by a scale, the inverse of a
# *temperature*. Which scale is right changes during training, so it is **learned**: the parameter is its logarithm, so
# that the scale is always positive and a step changes it by a *factor*. The cap at 100 keeps the training stable.
#
# $$\ell = \frac12 \Big( \underbrace{-\frac1B \sum_i \log p(\text{caption } i \mid \text{picture } i)}_{\text{along
# rows}} \; \underbrace{- \frac1B \sum_j \log p(\text{picture } j \mid \text{caption } j)}_{\text{along columns}} \Big)$$
#
# **Why it matters.** This loss needs no labels, only pairs, and the web is full of pictures with text beside them: CLIP
# was trained on 400 million. Its text encoder steers image generators, its image encoder is the eye of many chat
# models, and the same loss trains the text embeddings behind search.
#
# ### Contract
#
# `clip_loss(img, txt, logit_scale)` gives the loss of a batch of pairs: row $i$ of `img` belongs to row $i$ of `txt`.
#
# - **R1** Every row of `img` and of `txt` is divided by its length first: only directions count.
# - **R2** The logits are the cosines of all pictures with all captions times a scale, and the scale is
#   $e^{\text{logit\_scale}}$, but never more than 100.
# - **R3** The loss is the mean of two cross-entropies, in nats: over captions for each picture and over pictures for
#   each caption. Each of them is an average over the $B$ pairs.
# - **R4** Nothing overflows: with the scale at 100 the loss is finite and right, in float32, too.
# - **R5** The loss is differentiable with respect to `img`, `txt` and `logit_scale`. Where the cap is active ($e^{\text{logit\_scale}} > 100$)
#   the gradient of `logit_scale` is 0.
# - **R6** Two pairs of a batch may have equal captions. Nothing special happens: each picture still has its own row as
#   its partner.
# - **R7** A tensor without axes comes back, in the dtype of `img` (float32 and float64). No argument is changed.
#
# *Up to you:*
#
# - **F1** `F.cross_entropy`, or logarithms and sums of your own.
# - **F2** Where the cap is put: on the logarithm or on the scale.
#
# *Not specified, not tested:* rows of zeros, an empty batch, a scale of exactly 100, `logit_scale` above 20.
#
# ### Worked example
#
# ```python
# img = torch.tensor([[3., 0.], [0., 2.]])
# txt = torch.tensor([[5., 0.], [3., 4.]])                     # directions (1, 0) and (0.6, 0.8)
# # cosines: [[1.0, 0.6],     times 5: [[5, 3],
# #           [0.0, 0.8]]               [0, 4]]
# # along rows: -log p = 0.1269 and 0.0181, mean 0.0725; along columns: 0.0067 and 0.3133, mean 0.1600
# clip_loss(img, txt, torch.tensor(5.).log())                  # tensor(0.1163)
# clip_loss(img, img, torch.tensor(0.))                        # tensor(0.3133)      scale 1: even a perfect match
#                                                              #                     stays at log(1 + 1/e)
# ```


# %%
def clip_loss(img: Tensor, txt: Tensor, logit_scale: Tensor) -> Tensor:
    """The symmetric contrastive loss of CLIP, in nats.

    Args:
        img: (B, D) float. Embeddings of pictures, of any length.
        txt: (B, D), dtype of img. Embeddings of their captions, of any length.
        logit_scale: (), dtype of img. Logarithm of the scale; the scale is capped at 100.

    Returns:
        (), dtype of img.

    Source: Radford et al. 2021, figure 3 and section 2.5.
    """
    ### BEGIN SOLUTION
    img, txt = F.normalize(img, dim=1), F.normalize(txt, dim=1)
    logits = logit_scale.exp().clamp(max=100) * img @ txt.T  # (B, B): a row for each picture
    partner = torch.arange(len(img))
    return (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2
    ### END SOLUTION


# %% points=5 topics=S8.2,P7.1
check("clip_loss")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Seen as a classifier: picture $i$ chooses among $B$ captions, and captions are the classes. What is its correct class?
# What is the correct class of caption $j$, which chooses among pictures?
# </details>
#
# <details><summary>Hint 2: the mathematics</summary>
#
# The correct class of row $i$ is $i$, and of column $j$ it is $j$: the diagonal. `F.cross_entropy(logits, target)`
# takes the softmax along the *last* axis; for the columns, hand it the transposed matrix. Inside, it works with
# logarithms and subtracts the largest logit, so that $e^{100}$ is never computed.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# divide each row by its length
# scale  = exp of logit_scale, at most 100
# logits = scale times all dot products
# target = 0, 1, 2, ..., B - 1
# half of (cross-entropy along rows + cross-entropy along columns)
# ```
# </details>

# %% [markdown]
# ### See it: why there is a scale
#
# How low can the loss of a batch get? Suppose the networks are as good as one may wish: every picture points exactly
# where its caption points, and perpendicular to all others. Your `clip_loss`, for batches of 8, 64 and 512:

# %% demo
print("                     loss of such a batch")
print("scale        B = 8          B = 64         B = 512")
for scale in (1, 5, 14, 100):
    row = [clip_loss(torch.eye(B), torch.eye(B), torch.tensor(float(scale)).log()) for B in (8, 64, 512)]
    print(f"{scale:5}", *(f"{loss:14.4f}" for loss in row))
print("guess", *(f"{torch.tensor(float(B)).log():14.4f}" for B in (8, 64, 512)))

# %% [markdown]
# With a scale of 1 even such networks stay within one nat of guessing, and the gradient pushes them towards
# something that cannot be reached. (Vectors can be a little more than perpendicular, all at once; with many pairs that
# changes next to nothing.) CLIP starts at $1 / 0.07 \approx 14$ and lets the scale find its place: as the networks
# get better, a larger one pays, until it meets the cap at 100.

# %% [markdown]
# ## Exercise 6: `zero_shot`
#
# **★★ · about 15 minutes · needs: cosine, `str.format` · roadmap: CLIP; text and multimodal embeddings**
#
# A trained CLIP can sort pictures into classes it was never trained for. Write a sentence for each class, "a picture
# of a *dog*", "a picture of a *cake*", embed the sentences, and see which of them the picture is nearest to. The
# sentences *are* the classifier. Want another class? Write another sentence.
#
# One sentence is a matter of luck, so one writes several, from **templates** like `"a photo of a {}"` and `"a
# drawing of a {}"`, and uses the average direction of their embeddings.
#
# ```
#   "dog"  --templates-->  "a photo of a dog"    --encode--> (D) --length 1--> \
#                          "a drawing of a dog"  --encode--> (D) --length 1-->  > mean --length 1--> class
#                          "dog"                 --encode--> (D) --length 1--> /                     vector
# ```
#
# **Why it matters.** Classifiers used to be bought with labels. With CLIP, the accuracy of a ResNet-50 on ImageNet
# was reached without one of its 1.28 million labelled pictures, and averaging 80 templates alone was worth 3.5
# percentage points. The order of averaging and normalising is a detail many re-implementations get wrong.
#
# ### Contract
#
# `zero_shot(img_emb, names, templates, encode)` gives a score for each picture and each class.
#
# - **R1** The sentences of a class are `template.format(name)` for each template. `encode` maps a list of $n$ strings
#   to a tensor $(n, D)$, row $i$ for string $i$, in the dtype of `img_emb`.
# - **R2** Each sentence's row is divided by its length; these are averaged over the templates; the average is divided
#   by its length again. This is the vector of the class.
# - **R3** `scores[b, k]` is the cosine of picture $b$ with the vector of class $k$, in the order of `names`: shape
#   $(B, K)$, dtype of `img_emb` (float32 and float64). The rows of `img_emb` may have any length.
# - **R4** `img_emb` is not changed.
#
# *Up to you:*
#
# - **F1** How often `encode` is called, with how many strings at a time, in which order.
# - **F2** Gradients: none are needed.
#
# *Not specified, not tested:* empty lists; templates without `{}` or with more than one; rows of zeros.
#
# ### Worked example
#
# ```python
# rows = {"cat": [1., 0.], "a cat": [0., 4.], "dog": [0., 1.], "a dog": [0., 1.]}
# encode = lambda texts: torch.tensor([rows[text] for text in texts])
# img_emb = torch.tensor([[2., 0.], [3., 3.]])
# zero_shot(img_emb, ["cat", "dog"], ["{}", "a {}"], encode)
# # tensor([[0.7071, 0.0000],       "cat" is the mean of (1, 0) and (0, 1), made length 1: (0.7071, 0.7071)
# #         [1.0000, 0.7071]])      the second picture points in exactly this direction
# ```


# %%
def zero_shot(
    img_emb: Tensor, names: list[str], templates: list[str], encode: Callable[[list[str]], Tensor]
) -> Tensor:
    """Scores of pictures for classes that are given by their names.

    Args:
        img_emb: (B, D) float. Embeddings of pictures, of any length.
        names: K names of classes.
        templates: sentences with one "{}" for the name.
        encode: list of n strings -> (n, D), dtype of img_emb.

    Returns:
        (B, K), dtype of img_emb. Cosines.

    Source: Radford et al. 2021, section 3.1.4.
    """
    ### BEGIN SOLUTION
    classes = []
    for name in names:
        sentences = F.normalize(encode([template.format(name) for template in templates]), dim=1)
        classes.append(sentences.mean(0))
    return F.normalize(img_emb, dim=1) @ F.normalize(torch.stack(classes), dim=1).T
    ### END SOLUTION


# %% points=3 topics=S8.2,P7.1,S7.1
check("zero_shot")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# In the worked example "a cat" has a row four times as long as "cat". What would the average be if you did not
# normalise first? Should one template have more to say than another because its row happens to be long?
# </details>
#
# <details><summary>Hint 2: the mathematics</summary>
#
# The average of unit vectors is shorter than 1, the shorter the less they agree. A cosine divides by lengths; if the
# class vector keeps its shorter length, classes whose templates disagree get lower scores for every picture.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for each name: rows   = encode all its sentences, each row to length 1
#                vector = mean of the rows, to length 1
# pictures to length 1, times the vectors of the classes
# ```
# </details>

# %% [markdown]
# ## Exercise 7: `mm_retrieve`
#
# **★ · about 8 minutes · needs: cosine, sorting · roadmap: CLIP; text and multimodal embeddings**
#
# The other way round: here is a sentence, find the pictures. Since both live in one space, search is nothing but
# sorting by cosine, and the same function finds pictures for words, words for pictures, and pictures for pictures.
#
# **Why it matters.** This is image search, and the first half of retrieval with pictures. With millions of pictures
# the sorting is replaced by an index (notebook *vector search*); what it approximates is this function.
#
# ### Contract
#
# `mm_retrieve(query_emb, gallery, k)` gives the places of the best $k$ rows of the gallery.
#
# - **R1** Rows are compared by cosine; queries and gallery rows may have any length. The result is sorted, the best
#   first.
# - **R2** Queries $(Q, D)$ give $(Q, k)$; a single query $(D,)$ gives $(k,)$.
# - **R3** The result holds indices into the rows of `gallery`, as an int64 tensor.
# - **R4** Rows with equal cosine come in the order of their index, the lower first. (So divide by the length itself:
#   a small number added to it, as a guard against zero, makes equal cosines unequal.)
# - **R5** If $k$ is larger than the number $N$ of rows, all $N$ come back.
# - **R6** float32 and float64 work; no argument is changed.
#
# *Not specified, not tested:* rows of zeros, $k$ below 1, an empty gallery; the order of cosines that are equal on
# paper and differ by rounding.
#
# ### Worked example
#
# ```python
# gallery = torch.tensor([[9., 9.], [1., 0.], [0., 2.], [3., 0.]])
# mm_retrieve(torch.tensor([2., 0.]), gallery, 3)     # tensor([1, 3, 0])     1 and 3 tie with cosine 1;
#                                                     #                       the longest row has only 0.7071
# mm_retrieve(torch.tensor([[2., 0.], [0., 1.]]), gallery, 2)
#                                                     # tensor([[1, 3],
#                                                     #         [2, 0]])
# ```


# %%
def mm_retrieve(query_emb: Tensor, gallery: Tensor, k: int) -> Tensor:
    """The k rows of the gallery nearest to each query, by cosine.

    Args:
        query_emb: (Q, D) or (D,) float. Of pictures or of texts.
        gallery: (N, D), dtype of query_emb. Of pictures or of texts.
        k: how many, at least 1.

    Returns:
        (Q, min(k, N)) or (min(k, N),) int64. The best first; of equals the lower index first.

    Source: Radford et al. 2021, the appendix on image and text retrieval.
    """
    ### BEGIN SOLUTION
    cosines = F.normalize(query_emb, dim=-1) @ F.normalize(gallery, dim=1).T
    return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k]
    ### END SOLUTION


# %% points=2 topics=S8.2,P7.1,S7.1
check("mm_retrieve")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `torch.topk` has an opinion on how many there must be, and none on which of two equals comes first. What does R4 need?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# A *stable* sort keeps equal elements in the order in which they came, also when it sorts downwards. Reversing an
# ascending sort turns equals round as well.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# all rows to length 1
# cosines = queries times gallery transposed
# stable sort of the places, downwards, along the last axis
# keep the first k
# ```
# </details>

# %% [markdown]
# ## See it work: type a word, find a picture
#
# Everything is there. The picture tower is your `ViT` with one block and patches of $8 \times 8$ pixels; `classes` is now
# the size of the embedding. The text tower averages the vectors of the words it knows from training. A pair is a picture
# and the words of its name and keywords. Leaving some words out, and moving and zooming the picture a little each time,
# keeps the towers from learning a thousand pairs by heart.

# %% demo
import random

words = [
    [*dict.fromkeys(f"{name} {more}".split())]
    for name, more in zip(names, emoji["keywords"].tolist(), strict=True)
]


class AverageOfWords(nn.Module):
    """The text tower: the mean of the vectors of the known words; words it does not know are skipped."""

    def __init__(self, known, D):
        super().__init__()
        self.place = {word: i for i, word in enumerate(dict.fromkeys(known))}
        self.vectors = nn.Parameter(0.02 * torch.randn(len(self.place), D))

    def forward(self, sentences):
        rows = [[self.place[w] for w in sentence.split() if w in self.place] for sentence in sentences]
        starts = torch.tensor([0, *map(len, rows)]).cumsum(0)[:-1]
        flat = torch.tensor([place for row in rows for place in row], dtype=torch.long)
        return F.embedding_bag(flat, self.vectors, starts)


class CLIP(nn.Module):
    def __init__(self, D=64):
        super().__init__()
        self.see = ViT(32, 8, 3, D, 1, 4, classes=D)
        nn.init.normal_(self.see.pos, std=0.02)
        nn.init.normal_(self.see.cls, std=0.02)
        self.read = AverageOfWords([word for i in LEARN.tolist() for word in words[i]], D)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())


def moved(x, draw):
    """Each picture moved by up to two pixels and zoomed by up to 12 %; what comes in from outside is white."""
    change = torch.eye(2, 3).repeat(len(x), 1, 1)
    change[:, :, 2] = (torch.rand(len(x), 2, generator=draw) - 0.5) / 4
    change[:, :, :2] *= 1 + 0.24 * (torch.rand(len(x), 1, 1, generator=draw) - 0.5)
    grid = F.affine_grid(change, x.shape, align_corners=False)
    return F.grid_sample(x - 1, grid, align_corners=False) + 1


def train(model, loss_of, steps=420, B=128):
    """AdamW with a rate that rises, then falls; gives the loss of every step."""
    draw, pick, losses = torch.Generator().manual_seed(0), random.Random(0), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.1)
    for _ in range(steps):
        batch = LEARN[torch.randint(len(LEARN), (B,), generator=draw)]
        texts = []
        for i in batch.tolist():
            left = [word for word in words[i] if pick.random() < 0.6] or [names[i]]
            texts.append(" ".join(left))
        loss = loss_of(model.see(moved(images[batch], draw)), model.read(texts), model.logit_scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(0)
model = CLIP()
with torch.no_grad():
    untrained = model.see(images), model.read(names)
losses = train(model, clip_loss)
guessing = torch.tensor(128.0).log().item()
pictures.losses({"yours": losses}, guessing)
count = sum(w.numel() for w in model.parameters())
print(f"{count:,} numbers learned; the scale is now {model.logit_scale.exp():.1f}")

# %% [markdown]
# That took some eleven seconds of computing. The loss starts *above* that of guessing: the vectors of an untrained
# network are not all alike, and with a scale of 14 a chance resemblance counts for much. The scale began at 14.3; on
# five seeds it ended between 13.0 and 13.7, far from the cap: so short a training has no use for more.
#
# Now the pictures it has **never seen**: 140 emoji were kept back. For each of their names, your `mm_retrieve` sorts all
# 140 pictures. How often is the right one first, or among the first 5 or 10?


# %% demo
def recall(texts, gallery, k):
    """How often row i of the gallery is among the first k for row i of the texts."""
    found = mm_retrieve(texts, gallery, k)
    return (found == torch.arange(len(gallery))[:, None]).any(1).float().mean().item()


with torch.no_grad():
    seen, read = model.see(images), model.read(names)  # (1114, 64) each
ks = [1, 5, 10]
pictures.recalls({"never seen": [recall(read[EXAM], seen[EXAM], k) for k in ks]}, ks, [k / 140 for k in ks])

# %% [markdown]
# On five seeds the right picture is first for 9 to 15 % of the names, and among the first five for 39 to 47 %; by chance
# it would be 0.7 % and 3.6 %. For the pictures it has learned from, searched among all 974 of them, 75 to 80 % are
# first. So a good part of what it knows is learned by heart, and some of it holds for pictures it has never seen. That is
# what a thousand pairs buy. CLIP had four hundred thousand times as many.
#
# Six of these pairs, with the two choices that the loss compares: the cosines times the learned scale, through a
# softmax along the rows and along the columns.

# %% demo
SIX = ["red circle", "cat face", "video game", "building construction", "crying face", "blue book"]
six = [names.index(name) for name in SIX]
cosines = F.normalize(seen[six], dim=1) @ F.normalize(read[six], dim=1).T
pictures.two_directions((model.logit_scale.exp() * cosines).detach().numpy(), drawings[six], SIX)

# %% [markdown]
# ### Ask it in words of your own
#
# The gallery is now all 1,114 pictures. Green frames mark the pictures that have one of the asked words in their name
# or keywords. **Change the questions**: any word will do that stands in the name or the keywords of a picture it has
# learned from (other words are skipped).

# %% demo
questions = ["red fruit", "wild animal", "green plant", "night sky", "angry face", "music"]
with torch.no_grad():
    found = mm_retrieve(model.read(questions), seen, 8).tolist()
fits = [
    [any(w in words[i] for w in question.split()) for i in row]
    for question, row in zip(questions, found, strict=True)
]
pictures.retrieval(questions, [[drawings[i] for i in row] for row in found], fits)

# %% [markdown]
# Look at the wrong answers, they are instructive. Asked for red fruit it also brings things that are red and no fruit: a
# thousand small pictures teach a colour far sooner than a thing. And where no picture in training made the connection,
# the answer is noise, presented with the same confidence. A search always returns *something*.
#
# ### Zero-shot: sixteen kinds it was never trained to tell apart
#
# No classifier was trained. The names of sixteen kinds, put into sentences, *are* the classifier; the pictures are those
# kept back. The sixteen words did occur in names and keywords, like any other word; sentences like these never did.

# %% demo
kinds, kind = emoji["kind_names"].tolist(), torch.tensor(emoji["kind"]).long()
exam = EXAM[kind[EXAM] >= 0]
SENTENCES = "look at this {}|my favourite {}|a big {}|the best {} of all|a nice {}|one more {}|here is the {}"
SENTENCES += "|a {} for you|this is a small {}|a {} in a corner|a bright picture of the {}"
SENTENCES = SENTENCES.split("|")


def accuracy(templates):
    with torch.no_grad():
        scores = zero_shot(seen[exam], kinds, templates, model.read)
    return (scores.argmax(1) == kind[exam]).float().mean().item()


single = [accuracy([template]) for template in SENTENCES]
print(f"right of {len(exam)} pictures, 16 kinds")
print(f"  bare names: {accuracy(['{}']):.0%}")
print(f"  one sentence: {min(single):.0%} to {max(single):.0%}, on average {sum(single) / len(single):.0%}")
print(f"  all {len(SENTENCES)} sentences, averaged: {accuracy(SENTENCES):.0%}")
print(
    f"  always the most frequent kind: {kind[exam].bincount().max() / len(exam):.0%}, guessing: {1 / 16:.0%}"
)

FIVE = ["crying face", "cat face", "oncoming bus", "hotel", "tennis"]
five = [names.index(name) for name in FIVE]
with torch.no_grad():
    chances = (model.logit_scale.exp() * zero_shot(seen[five], kinds, SENTENCES, model.read)).softmax(1)
pictures.zero_shot_bars(drawings[five], chances.numpy(), kinds, kind[five].tolist())

# %% [markdown]
# Most answers are wrong, but without one labelled picture it is well above "always say *face*". In six trainings the
# bare names gave 39 to 46 %, the eleven sentences averaged 33 to 40 %, and single ones 28 to 46 %. So here the sentences do
# not help, averaged or not, and you can see why: this text tower averages words, so "look at this" adds the same
# vector to every class. CLIP's text tower is a transformer, where a sentence changes what a word *means*; there averaging
# pays.

# %% [markdown]
# ## Bonus exercise 8: `joint_index`
#
# **★★ · about 10 minutes · needs: exercise 7 · roadmap: text and multimodal embeddings**
#
# One store for everything: put the embeddings of pictures and of texts into the same index, and any query finds both.
# It sounds as if the loss had made it possible. But with the published CLIP a text finds next to nothing but texts: the
# two kinds of embeddings lie in two separate clouds, and two texts about different things are nearer to each other than
# a text to its own picture. The loss never asked for anything else: it only compares pictures *with captions*.
#
# The simplest remedy: subtract from each kind its own average, so that both clouds lie around the origin.
#
# ### Contract
#
# `joint_index(images, texts, center=False)` gives the pair `(store, kind)`.
#
# - **R1** `store` has the rows of `images` in their order, then those of `texts`: shape $(N + M, D)$, dtype of
#   `images`. Every row is divided by its length.
# - **R2** `kind` is an int64 tensor $(N + M,)$: 0 for a picture, 1 for a text.
# - **R3** With `center=True`, for pictures and texts separately: each row is divided by its length, the mean of these
#   rows is subtracted from each, and each row is divided by its length again.
# - **R4** $N$ and $M$ may differ. float32 and float64 work; no argument is changed.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result.
#
# *Not specified, not tested:* rows of zeros, rows that are equal to the mean, gradients.
#
# ### Worked example
#
# ```python
# images = torch.tensor([[2., 0.], [0., 5.]])
# texts = torch.tensor([[3., 4.]])
# joint_index(images, texts)                 # (tensor([[1.0000, 0.0000],
#                                            #          [0.0000, 1.0000],
#                                            #          [0.6000, 0.8000]]), tensor([0, 0, 1]))
# joint_index(images, torch.tensor([[3., 4.], [3., -4.]]), center=True)[0]
#                                            # tensor([[ 0.7071, -0.7071],      mean of the pictures:
#                                            #         [-0.7071,  0.7071],      (0.5, 0.5)
#                                            #         [ 0.0000,  1.0000],      of the texts: (0.6, 0)
#                                            #         [ 0.0000, -1.0000]])
# ```


# %%
def joint_index(images: Tensor, texts: Tensor, center: bool = False) -> tuple[Tensor, Tensor]:
    """One store of unit rows for pictures and texts.

    Args:
        images: (N, D) float. Embeddings of pictures, of any length.
        texts: (M, D), dtype of images. Embeddings of texts, of any length.
        center: whether each kind is moved so that its mean is at the origin, and made length 1 again.

    Returns:
        store: (N + M, D), dtype of images. Unit rows, pictures first.
        kind: (N + M,) int64. 0 for a picture, 1 for a text.

    Source: Liang et al. 2022, on moving the two clouds towards each other.
    """
    ### BEGIN SOLUTION
    clouds = [F.normalize(rows, dim=1) for rows in (images, texts)]
    if center:
        clouds = [F.normalize(rows - rows.mean(0), dim=1) for rows in clouds]
    return torch.cat(clouds), (torch.arange(len(images) + len(texts)) >= len(images)).long()
    ### END SOLUTION


# %% bonus points=3 topics=S7.1,S8.2
check("joint_index")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# After subtracting the mean, are the rows still of length 1?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Three steps per kind, in this order: to length 1, minus the mean of *this* kind, to length 1 again. One mean over both
# kinds together would move both clouds by the same amount, and the gap would stay.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for pictures and for texts: rows to length 1
#                             if center: minus their mean, to length 1
# put them one after the other; remember which is which
# ```
# </details>

# %% [markdown]
# ## Bonus exercise 9: `modality_gap`
#
# **★ · about 5 minutes · needs: exercise 8's idea · roadmap: text and multimodal embeddings**
#
# How far apart are the two clouds? Take the centre of each and measure the distance.
#
# ### Contract
#
# `modality_gap(a, b)` gives one number.
#
# - **R1** It is $\lVert \bar a - \bar b \rVert$: the length of the difference of the two means, where each mean is
#   taken over rows that were divided by their length first.
# - **R2** $a$ has shape $(N, D)$ and $b$ has $(M, D)$; $N$ and $M$ may differ. float32 and float64 work; no argument is
#   changed.
# - **R3** The result is a Python float or a tensor without axes.
#
# *Not specified, not tested:* rows of zeros, gradients.
#
# ### Worked example
#
# ```python
# a = torch.tensor([[2., 0.], [0., 1.]])          # directions (1, 0) and (0, 1), centre (0.5, 0.5)
# b = torch.tensor([[-3., 0.]])                   # centre (-1, 0)
# modality_gap(a, b)                              # 1.5811...       the length of (1.5, 0.5)
# ```


# %%
def modality_gap(a: Tensor, b: Tensor) -> float:
    """The distance of the centres of two clouds of embeddings, on the unit sphere.

    Args:
        a: (N, D) float. Embeddings of one kind, of any length.
        b: (M, D), dtype of a. Embeddings of the other kind.

    Returns:
        The distance, from 0 to 2.

    Source: Liang et al. 2022, the definition of the modality gap.
    """
    ### BEGIN SOLUTION
    return (F.normalize(a, dim=1).mean(0) - F.normalize(b, dim=1).mean(0)).norm().item()
    ### END SOLUTION


# %% bonus points=2 topics=S7.1,S8.2
check("modality_gap")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# If all rows of `a` were twice as long, would the gap be another one?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# The mean of unit rows lies *inside* the sphere, the nearer to the origin the wider the cloud. It is used as it is, not
# made length 1 again.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# rows of a and of b to length 1
# the mean of each
# the length of their difference
# ```
# </details>

# %% [markdown]
# ### See it: the gap, before and after
#
# The clouds of the 140 pictures kept back and of their names: of the untrained towers, of the trained ones, and
# centred by your `joint_index`.

# %% demo
before = (untrained[0][EXAM], untrained[1][EXAM])
after = (seen[EXAM], read[EXAM])
store, which = joint_index(*after, center=True)
centred = (store[which == 0], store[which == 1])
clouds = {"untrained": before, "trained": after, "trained, centred": centred}
for title, pair in clouds.items():
    print(f"{title:17} gap {modality_gap(*pair):.2f}")
pictures.clouds({title: tuple(cloud.numpy() for cloud in pair) for title, pair in clouds.items()})

print("\na name asks the joint store of 140 pictures and 140 names:")
for center in (False, True):
    store, which = joint_index(*after, center=center)
    nearest = mm_retrieve(store[which == 1], store, 6)
    others = torch.stack([row[row != 140 + i][:5] for i, row in enumerate(nearest)])  # not the name itself
    share = (which[others] == 0).float().mean()
    own = (others == torch.arange(140)[:, None]).any(1).float().mean()
    label = "centred" if center else "as it is"
    print(f"  {label:9} pictures among the first five: {share:.0%}, its own among them: {own:.0%}")

# %% [markdown]
# Training has brought the clouds together, from a gap of about 0.9 to one of 0.24 to 0.26 (five seeds), without
# closing it. Centring closes what is left, and a few more of the neighbours are pictures. Finding its *own* picture
# hardly changes: a gap this small was not what kept a name from its picture. In the published CLIP the gap stays
# large, and there it matters.
#
# ## Break it
#
# Two of the mistakes that the tests look for, on purpose.
#
# **1. Attention along the wrong axis.** The tokens have shape $(B, 1 + N, D)$, but PyTorch's own
# `nn.MultiheadAttention` expects $(1 + N, B, D)$ unless you tell it otherwise. Mix the two up, and attention runs
# along the batch: each token looks at the tokens *at the same place in the other pictures*. All shapes fit.


# %% demo
class AcrossPictures(ViT):  # the parameters are those of your ViT
    def forward(self, x):
        x = self.proj(patchify(x, 8))
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.pos
        for block in self.blocks:
            qkv = block.attn.qkv(block.norm1(x)).transpose(0, 1)  # (1+N, B, 3D): here it happens
            q, k, v = (y.unflatten(-1, (4, -1)).transpose(1, 2) for y in qkv.chunk(3, dim=-1))
            heads = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + block.attn.proj(heads.transpose(0, 1))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        return self.head(self.norm(x)[:, 0])


torch.manual_seed(0)
mixed = CLIP()
mixed.see = AcrossPictures(32, 8, 3, 64, 1, 4, 64)
pictures.losses({"yours": losses, "attention across pictures": train(mixed, clip_loss, steps=150)}, guessing)
with torch.no_grad():
    one, other = mixed.see(images[six])[:2]
print(f"cosine of the vectors of a {SIX[0]} and a {SIX[1]}: {F.cosine_similarity(one, other, dim=0):.6f}")

# %% [markdown]
# The loss comes down to that of guessing, and stays. The class token is the same vector for every picture, and it now
# sees nothing but the class tokens of the other pictures. No pixel ever reaches it: all pictures get one and the same
# vector. **A contrastive loss that settles at $\ln B$ means that the vectors do not depend on the input.** More blocks do
# not help: no path leads from a patch to the class token's place.
#
# **2. Search by dot product.** Pictures ask for their names, once with your `mm_retrieve`, once without dividing by the
# lengths. The lengths of the 140 names differ, because nothing in the loss ever asked them not to.

# %% demo
lengths = read[EXAM].norm(dim=1)
print(f"lengths of the names: {lengths.min():.2f} to {lengths.max():.2f}")
by_cosine = mm_retrieve(seen[EXAM], read[EXAM], 5)
by_dot = (seen[EXAM] @ read[EXAM].T).topk(5).indices
for label, found in (("cosine", by_cosine), ("dot product", by_dot)):
    favourites = found[:, 0].bincount(minlength=140).argsort(descending=True, stable=True)[:3].tolist()
    right = (found == torch.arange(140)[:, None]).any(1).float().mean()
    print(
        f"\n{label}: right name among the first five {right:.0%}; {len(found[:, 0].unique())} different names come first,"
    )
    print(
        "  the most frequent:",
        ", ".join(f"{names[EXAM[i]]} ({(found[:, 0] == i).sum()} times)" for i in favourites),
    )

# %% [markdown]
# With the dot product a few names with long vectors are the answer again and again. On five seeds the right name was
# among the first five for 41 to 46 % of the pictures with the cosine, and for 27 to 34 % without.

# %% [markdown]
# ## Real scale
#
# Your class is not a toy version: with other numbers it *is* the published network (up to the eps of the layer norms,
# which is 1e-6 there). On the device `meta` PyTorch builds a model without storing a single number of it. The three
# sizes of the ViT paper, with patches of 16 pixels and one of 14, and what it costs to read one picture:

# %% demo
print("                                 parameters   tokens   billion multiply-adds")
for name, img, patch, D, L, H in (
    ("ViT-B/16", 224, 16, 768, 12, 12),
    ("ViT-L/16", 224, 16, 1024, 24, 16),
    ("ViT-H/14", 224, 14, 1280, 32, 16),
    ("ViT-B/16, picture of 448", 448, 16, 768, 12, 12),
):
    with torch.device("meta"):
        n = sum(w.numel() for w in ViT(img, patch, 3, D, L, H, 1000).parameters())
    T = 1 + (img // patch) ** 2
    work = L * (12 * T * D * D + 2 * T * T * D) + (T - 1) * patch * patch * 3 * D
    print(f"{name:26} {n:16,} {T:8} {work / 1e9:15.1f}")

pairs, B, D = 400e6, 32768, 768
print(f"\nCLIP's batch: {B:,} pairs, so {B * B:,} cosines; stored in 32 bits, {B * B * 4 / 1e9:.1f} GB")
print(
    f"the vectors themselves: {2 * B * D * 4 / 1e6:.0f} MB; seen in training: {32 * pairs / 1e9:.1f} billion pairs"
)

# %% [markdown]
# Two things to take along. The *table of cosines* is larger than everything that goes into it; so each machine keeps
# its own rows of it, and only the vectors travel. And a picture of twice the side has four times the tokens: here
# attention's own share of the work is still small, the rest grows in proportion to the tokens. This is why models that
# read pages of text are so much slower than models that look at photographs.
#
# ## Check yourself
#
# **You train CLIP with batches of 64 pairs. A colleague trains the same model on the same data with batches of 4,096, and
# her loss is much higher than yours at every step. What do you conclude?**
#
# <details><summary>A. Her learning rate is wrong</summary>
#
# It may be, but this is no sign of it. Compare with guessing first: $\ln 64 \approx 4.2$ and $\ln 4096 \approx 8.3$.
# </details>
#
# <details><summary>B. Nothing yet: her puzzle is harder</summary>
#
# <b>Yes.</b> The loss is that of picking one of $B$. With 4,096 candidates there are more near misses, so the same
# model has a higher loss. Compare recall on one and the same gallery instead. (Her model will probably be the better
# one: more near misses are what it learns from.)
# </details>
#
# <details><summary>C. Large batches average the gradient too much, use small ones</summary>
#
# For other losses one may discuss it. Here a larger batch changes the <em>question</em>: every pair is compared with more
# others.
# </details>
#
# <details><summary>D. Her scale has not been learned</summary>
#
# That would show in the value of the scale, and it would hurt at any batch size.
# </details>
#
# %% [markdown]
# **You want zero-shot classes for "bank" the building, but pictures of river banks come up as well. What is the cheapest
# remedy?**
#
# <details><summary>A. Train the image tower on more buildings</summary>
#
# It costs a training run, and the picture is not what is ambiguous: the word is.
# </details>
#
# <details><summary>B. Better templates, such as "a bank, a building in a city"</summary>
#
# <b>Yes.</b> The sentence is the classifier. Words around the name settle what it means, without touching a weight. The
# authors of CLIP did this for many of the data sets they tested: "a type of pet", "a type of food".
# </details>
#
# <details><summary>C. Raise the scale</summary>
#
# That sharpens the softmax and does not change the order: the same class stays first.
# </details>
#
# <details><summary>D. Normalise the average of the templates once more</summary>
#
# It has length 1 already. And a length cannot change what a direction means.
# </details>
#
# ## Where it comes back
#
# The next notebook lets a language model *look*: the tokens of your ViT, all of them and not only the class token, become
# words of a prompt. *Audio and video* cuts spectrograms and films into patches. The loss comes back wherever two things
# must be found for each other, among them the text embeddings of section 7.
#
# ## Reading list
#
# - Dosovitskiy et al., *An Image Is Worth 16x16 Words*, 2021: section 3.1 (equations 1 to 4: your `ViT`), section 3.2
#   (`interpolate_pos`), figure 7 (what the learned positions look like).
# - Radford et al., *Learning Transferable Visual Models From Natural Language Supervision* (CLIP), 2021: figure 1 and
#   figure 3 (the loss in nine lines), section 2 (how it was trained), section 3.1.4 (templates), section 6 (limits).
# - Liang et al., *Mind the Gap*, 2022: why there are two clouds, and what moving them does.
# - van den Oord, Li, Vinyals, *Representation Learning with Contrastive Predictive Coding*, 2018: section 2.3, the loss
#   before CLIP.
# - Zhai et al., *Sigmoid Loss for Language Image Pre-Training* (SigLIP), 2023: section 3, a loss that needs no softmax.
# - He et al., *Masked Autoencoders Are Scalable Vision Learners*, 2022: section 3 (`unpatchify` at work).
# - Baltrusaitis, Ahuja, Morency, *Multimodal Machine Learning: A Survey and Taxonomy*, 2019: section 1, and
#   the part on representations ("coordinated" ones are CLIP's kind).
# - Elgendy, *Deep Learning for Vision Systems*: chapters 3 and 10 (convolutional networks; visual embeddings).
#
# The emoji are from Noto Emoji (Google, Apache License 2.0); their names and keywords from the Unicode Consortium, in the
# form of the package emojibase-data. The licences lie beside the data.

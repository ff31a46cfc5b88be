"""Hidden tests of the CLIP notebook: the same promises on other shapes, dtypes, seeds and edges.

golden_clip.npz holds what tiny random models of the library transformers gave once; golden_clip.py makes it.
"""

from __future__ import annotations

import itertools
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.testing import close, exercise, gradients, pure, rule

F32, F64 = torch.float32, torch.float64


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("golden_clip.npz")) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def unit(x: Tensor) -> Tensor:
    """Rows divided by their length."""
    return x / x.square().sum(-1, keepdim=True).sqrt()


def places(B: int, C: int, H: int, W: int, p: int):
    """For every number of a picture: its place there, and its place among the patches."""
    for b, ch, row, col in itertools.product(range(B), range(C), range(H), range(W)):
        patch = (row // p) * (W // p) + col // p
        yield (b, ch, row, col), (b, patch, ((row % p) * p + col % p) * C + ch)


def cut_by_loop(x: Tensor, p: int) -> Tensor:
    """The definition, one number at a time."""
    B, C, H, W = x.shape
    y = torch.zeros(B, (H // p) * (W // p), p * p * C, dtype=x.dtype)
    for there, here in places(B, C, H, W, p):
        y[here] = x[there]
    return y


def join_by_loop(y: Tensor, p: int, H: int, W: int) -> Tensor:
    """The definition the other way round."""
    B, C = y.shape[0], y.shape[2] // p**2
    x = torch.zeros(B, C, H, W, dtype=y.dtype)
    for there, here in places(B, C, H, W, p):
        x[there] = y[here]
    return x


SIZES = [
    pytest.param((2, 3, 4, 8), 2, F32, id="wide"),
    pytest.param((1, 2, 9, 3), 3, F64, id="high"),
    pytest.param((2, 1, 4, 4), 4, F64, id="one patch"),
    pytest.param((1, 4, 2, 3), 1, F32, id="patches of one pixel"),
    pytest.param((3, 2, 6, 6), 2, F32, id="square"),
]


@exercise("patchify")
class TestPatchify:
    @rule("R1", "R2", "R4")
    @pytest.mark.parametrize(("size", "p", "dtype"), SIZES)
    def test_every_number_in_its_place(self, submission, rng, size, p, dtype):
        """Every number stands where the contract says: wide and high pictures, any channels and patches."""
        x = rng.normal(*size, dtype=dtype)
        close(submission.patchify(x, p), cut_by_loop(x, p))

    @rule("R1")
    def test_patches_come_row_by_row(self, submission):
        """In a picture whose pixels hold the number of their patch, patch n consists of the number n."""
        x = torch.arange(6.0).view(2, 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
        close(submission.patchify(x.expand(1, 2, 4, 6), 2), torch.arange(6.0)[None, :, None].expand(1, 6, 8))

    @rule("R4")
    def test_leaves_its_argument_alone(self, submission, rng):
        """The pictures may be a view, here with channels last in memory; they are the same after the call."""
        x = rng.normal(2, 4, 6, 3).permute(0, 3, 1, 2)
        close(pure(submission.patchify, x, 2), cut_by_loop(x, 2))

    @rule("R4")
    def test_gradient(self, submission, rng):
        """The gradient of every pixel is that of its place among the patches."""
        x, dout = rng.normal(2, 2, 4, 6, dtype=F64).requires_grad_(), rng.normal(2, 6, 8, dtype=F64)
        (got,) = gradients(submission.patchify(x, 2), (x,), dout)
        close(got, join_by_loop(dout, 2, 4, 6), what="the gradient of x")

    @rule("R3")
    @pytest.mark.parametrize("size", [(5, 4), (4, 5), (3, 3)], ids=["height", "width", "both"])
    def test_refuses_what_does_not_fit(self, submission, rng, size):
        """A patch that does not divide the height or the width is a ValueError; one that does is fine."""
        x = rng.normal(1, 2, 4, 4)
        close(submission.patchify(x, 2), cut_by_loop(x, 2))
        with pytest.raises(ValueError):
            submission.patchify(rng.normal(1, 2, *size), 2)


@exercise("unpatchify")
class TestUnpatchify:
    @rule("R1", "R2", "R4")
    @pytest.mark.parametrize(("size", "p", "dtype"), SIZES)
    def test_every_number_in_its_place(self, submission, rng, size, p, dtype):
        """Every number stands where the contract says: wide and high pictures, any channels and patches."""
        B, C, H, W = size
        y = rng.normal(B, (H // p) * (W // p), p * p * C, dtype=dtype)
        close(submission.unpatchify(y, p, H, W), join_by_loop(y, p, H, W))

    @rule("R1")
    def test_patches_fill_the_picture_row_by_row(self, submission):
        """Patches that consist of their own number make a picture of numbered squares."""
        y = torch.arange(6.0)[None, :, None].expand(1, 6, 8)
        want = torch.arange(6.0).view(2, 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
        close(submission.unpatchify(y, 2, 4, 6), want.expand(1, 2, 4, 6))

    @rule("R4")
    def test_leaves_its_argument_alone(self, submission, rng):
        """The patches may be a view with any strides; they are the same after the call."""
        y = rng.normal(2, 12, 6).mT
        close(pure(submission.unpatchify, y, 2, 4, 6), join_by_loop(y, 2, 4, 6))

    @rule("R4")
    def test_gradient(self, submission, rng):
        """The gradient of every number of a patch is that of its pixel."""
        y, dout = rng.normal(2, 6, 8, dtype=F64).requires_grad_(), rng.normal(2, 2, 4, 6, dtype=F64)
        (got,) = gradients(submission.unpatchify(y, 2, 4, 6), (y,), dout)
        close(got, cut_by_loop(dout, 2), what="the gradient of y")

    @rule("R3")
    @pytest.mark.parametrize("size", [(5, 4), (4, 5), (2, 9)], ids=["height", "width", "width of 9"])
    def test_refuses_what_does_not_fit(self, submission, rng, size):
        """A patch that does not divide the height or the width is a ValueError; one that does is fine."""
        y = rng.normal(1, 4, 8)
        close(submission.unpatchify(y, 2, 4, 4), join_by_loop(y, 2, 4, 4))
        with pytest.raises(ValueError):
            submission.unpatchify(y, 2, *size)


def vit_shapes(img: int, patch: int, C: int, D: int, L: int, classes: int) -> dict[str, tuple[int, ...]]:
    """The table of rule R1."""
    matrices = {"proj": (D, patch * patch * C), "head": (classes, D)}
    norms = ["norm"]
    for i in range(L):
        matrices |= {f"blocks.{i}.attn.qkv": (3 * D, D), f"blocks.{i}.attn.proj": (D, D)}
        matrices |= {f"blocks.{i}.mlp.fc1": (4 * D, D), f"blocks.{i}.mlp.fc2": (D, 4 * D)}
        norms += [f"blocks.{i}.norm1", f"blocks.{i}.norm2"]
    shapes = {"cls": (1, 1, D), "pos": (1, 1 + (img // patch) ** 2, D)}
    for name, shape in matrices.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (D,), f"{name}.bias": (D,)}
    return shapes


def vit_weights(rng, *sizes: int, dtype: torch.dtype = F64) -> dict[str, Tensor]:
    """Random numbers for all parameters; matrices scaled so that tokens keep their size."""
    weights = {}
    for name, shape in vit_shapes(*sizes).items():
        w = rng.normal(*shape, dtype=dtype)
        weights[name] = w / shape[1] ** 0.5 if name.endswith("weight") and len(shape) == 2 else w / 2
        if "norm" in name and name.endswith("weight"):
            weights[name] = 1 + w / 4
    return weights


def normalised(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """Layer norm by hand."""
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]


def applied(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """A linear layer by hand."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def cut(x: Tensor, p: int) -> Tensor:
    """Patches by PyTorch's unfold, which gives channel, row, column; reordered."""
    return F.unfold(x, p, stride=p).unflatten(1, (x.shape[1], p * p)).permute(0, 3, 2, 1).flatten(2)


def vit_by_hand(w: dict[str, Tensor], patch: int, heads: int, pictures: Tensor) -> Tensor:
    """From the definition, one head at a time."""
    D, L = w["cls"].shape[-1], sum(name.endswith("qkv.bias") for name in w)
    tokens = applied(cut(pictures.detach(), patch), w, "proj")
    x = torch.cat([w["cls"].repeat(len(pictures), 1, 1), tokens], dim=1) + w["pos"]  # (B, 1+N, D)
    for i in range(L):
        q, k, v = applied(normalised(x, w, f"blocks.{i}.norm1"), w, f"blocks.{i}.attn.qkv").split(D, -1)
        outs = []
        for h in range(heads):
            own = slice(h * D // heads, (h + 1) * D // heads)
            scores = q[..., own] @ k[..., own].mT / math.sqrt(D / heads)
            outs.append(scores.softmax(-1) @ v[..., own])
        x = x + applied(torch.cat(outs, -1), w, f"blocks.{i}.attn.proj")
        inner = applied(normalised(x, w, f"blocks.{i}.norm2"), w, f"blocks.{i}.mlp.fc1")
        x = x + applied(inner * (1 + (inner / 2**0.5).erf()) / 2, w, f"blocks.{i}.mlp.fc2")
    return applied(normalised(x[:, 0], w, "norm"), w, "head")


def loaded(submission, weights: dict[str, Tensor], img: int, patch: int, C: int, heads: int):
    """The learner's module with these weights."""
    D, L = weights["cls"].shape[-1], sum(name.endswith("qkv.bias") for name in weights)
    vit = submission.ViT(img, patch, C, D, L, heads, weights["head.bias"].shape[0])
    if weights["cls"].dtype == F64:
        vit = vit.double()
    vit.load_state_dict(weights)
    return vit


@exercise("ViT")
class TestViT:
    @rule("R2", "R3", "R4", "R5", "R6", "R7")
    @pytest.mark.parametrize(
        ("img", "patch", "C", "D", "L", "H", "classes"),
        [(4, 2, 3, 12, 2, 3, 5), (3, 1, 2, 8, 1, 4, 2), (6, 3, 1, 6, 3, 1, 4), (4, 4, 2, 4, 1, 4, 3)],
        ids=["3 heads", "patches of one pixel", "1 head", "one patch"],
    )
    def test_definition(self, submission, rng, img, patch, C, D, L, H, classes):
        """With copied weights, in float64, the network is the one of the contract, for any sizes."""
        weights = vit_weights(rng, img, patch, C, D, L, classes)
        x = rng.normal(3, C, img, img, dtype=F64)
        close(loaded(submission, weights, img, patch, C, H)(x), vit_by_hand(weights, patch, H, x))

    @rule("R2", "R3", "R4", "R5", "R6", "R7")
    @pytest.mark.parametrize("which", ["a", "b"])
    def test_agrees_with_transformers(self, submission, golden, which):
        """With the weights of a ViT of the library transformers it gives that model's answers."""
        start = f"{which}_weights."
        weights = {name.removeprefix(start): w for name, w in golden.items() if name.startswith(start)}
        img, patch, C, _, _, heads, _ = golden[f"{which}_config"].tolist()
        vit = loaded(submission, weights, img, patch, C, heads)
        close(vit(golden[f"{which}_images"]), golden[f"{which}_logits"])

    @rule("R1")
    @pytest.mark.parametrize("sizes", [(8, 2, 3, 8, 3, 4), (2, 1, 1, 4, 0, 2)], ids=["3 blocks", "no block"])
    def test_parameters_of_other_sizes(self, submission, rng, sizes):
        """Names and shapes are those of the table, with no other parameter or buffer, and all are used."""
        img, patch, C, D, L, classes = sizes
        weights, x = vit_weights(rng, *sizes, dtype=F32), rng.normal(2, C, img, img)
        vit = submission.ViT(img, patch, C, D, L, 2, classes)
        got = {name: tuple(w.shape) for name, w in vit.state_dict().items()}
        close(got, vit_shapes(*sizes), what="the shapes in the state dict")
        trained = sorted(name for name, w in vit.named_parameters() if w.requires_grad)
        close(trained, sorted(weights), what="the names of the parameters that can be trained")
        vit.load_state_dict(weights)
        close(vit(x), vit_by_hand(weights, patch, 2, x), atol=1e-3)

    @rule("R5")
    def test_every_picture_alone(self, submission, rng):
        """A picture's result does not depend on the other pictures of the batch."""
        weights, x = vit_weights(rng, 4, 2, 2, 8, 2, 3), rng.normal(4, 2, 4, 4, dtype=F64)
        vit = loaded(submission, weights, 4, 2, 2, 2)
        together = vit(x)
        for i in range(4):
            close(vit(x[i : i + 1]), vit_by_hand(weights, 2, 2, x[i : i + 1]), what=f"picture {i} alone")
        close(together, vit_by_hand(weights, 2, 2, x), what="all four together")
        close(vit(x.flip(0)), together.detach().flip(0), what="all four in reverse order")

    @rule("R2", "R3")
    def test_patches_move_with_their_positions(self, submission, rng):
        """Permuting the patches together with their positions changes nothing; without, it does."""
        weights, x = vit_weights(rng, 6, 2, 1, 8, 2, 3), rng.normal(2, 1, 6, 6, dtype=F64)
        order = torch.arange(9).roll(rng.integer(1, 9))
        moved = join_by_loop(cut_by_loop(x, 2)[:, order], 2, 6, 6)
        moving = torch.cat([torch.zeros(1, dtype=torch.long), 1 + order])
        want = vit_by_hand(weights, 2, 2, x)
        vit = loaded(submission, weights, 6, 2, 1, 2)
        close(vit(x), want, what="the result")
        close(vit(moved), vit_by_hand(weights, 2, 2, moved), what="the result for permuted patches")
        vit.load_state_dict(weights | {"pos": weights["pos"][:, moving]})
        close(vit(moved), want, what="the result for permuted patches and positions")

    @rule("R4")
    def test_faint_tokens(self, submission, rng):
        """Where tokens hardly vary, the eps of the layer norms shows: it is 1e-5."""
        weights = vit_weights(rng, 4, 2, 1, 8, 1, 3)
        for name in ("proj.weight", "proj.bias", "cls", "pos", "blocks.0.attn.proj.weight"):
            weights[name] = weights[name] * 3e-3
        for name in ("blocks.0.attn.proj.bias", "blocks.0.mlp.fc2.weight", "blocks.0.mlp.fc2.bias"):
            weights[name] = weights[name] * 3e-3
        x = rng.normal(2, 1, 4, 4, dtype=F64)
        close(loaded(submission, weights, 4, 2, 1, 2)(x), vit_by_hand(weights, 2, 2, x))

    @rule("R7")
    def test_gradients_of_every_parameter(self, submission, rng):
        """Every parameter gets the right gradient."""
        weights = vit_weights(rng, 4, 2, 2, 4, 2, 3)
        vit = loaded(submission, weights, 4, 2, 2, 2)
        mine = {name: w.clone().requires_grad_() for name, w in weights.items()}
        x, dout = rng.normal(2, 2, 4, 4, dtype=F64), rng.normal(2, 3, dtype=F64)
        (vit(x) * dout).sum().backward()
        want = gradients(vit_by_hand(mine, 2, 2, x), tuple(mine.values()), dout)
        for name, w in zip(mine, want, strict=True):
            close(vit.get_parameter(name).grad, w, what=f"the gradient of {name}")

    @rule("R7")
    def test_gradient_of_the_picture(self, submission, rng):
        """The gradient that reaches the picture is that of finite differences."""
        weights, x = vit_weights(rng, 2, 1, 1, 4, 1, 2), rng.normal(1, 1, 2, 2, dtype=F64).requires_grad_()
        dout, h = rng.normal(1, 2, dtype=F64), 1e-5
        (got,) = gradients(loaded(submission, weights, 2, 1, 1, 2)(x), (x,), dout)
        steps = torch.eye(4, dtype=F64).view(4, 1, 2, 2) * h
        ahead, behind = (vit_by_hand(weights, 1, 2, x.detach() + sign * steps) for sign in (1, -1))
        want = ((ahead - behind) @ dout[0]) / (2 * h)
        close(got, want.view(1, 1, 2, 2), rtol=1e-5, atol=1e-7, what="the gradient of x")

    @rule("R8")
    def test_same_answer_twice(self, submission, rng):
        """Nothing is random in training mode either; the pictures may be a view and are left alone."""
        weights, x = vit_weights(rng, 4, 2, 3, 8, 1, 3), rng.normal(2, 4, 4, 3, dtype=F64).permute(0, 3, 1, 2)
        vit, want = loaded(submission, weights, 4, 2, 3, 2), vit_by_hand(weights, 2, 2, x)
        for mode in (True, False):
            vit.train(mode)
            close(pure(vit, x), want, what=f"the result in {'training' if mode else 'evaluation'} mode")


def cubic(t: float) -> float:
    """The weight of a neighbour at distance t (Keys 1981, with PyTorch's a = -0.75)."""
    t, a = abs(t), -0.75
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return (((t - 5) * t + 8) * t - 4) * a if t < 2 else 0.0


def resizer(old: int, new: int, dtype: torch.dtype) -> Tensor:
    """(new, old): row i says how the old cells make the new cell i along one axis."""
    weights = torch.zeros(new, old, dtype=F64)
    for i in range(new):
        at = (i + 0.5) * old / new - 0.5
        for j in range(math.floor(at) - 1, math.floor(at) + 3):
            weights[i, min(max(j, 0), old - 1)] += cubic(at - j)
    return weights.to(dtype)


def resized(pos: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Class token apart, every feature resized along rows, then along columns."""
    rows, columns = resizer(old[0], new[0], pos.dtype), resizer(old[1], new[1], pos.dtype)
    grid = pos[0, 1:].unflatten(0, old)
    large = torch.einsum("ih,jw,hwd->ijd", rows, columns, grid)
    return torch.cat([pos[0, :1], large.flatten(0, 1)])[None]


@exercise("interpolate_pos")
class TestInterpolatePos:
    @rule("R1", "R2", "R3", "R4")
    @pytest.mark.parametrize(
        ("old", "new", "dtype"),
        [((3, 3), (5, 5), F64), ((5, 5), (3, 3), F64), ((2, 3), (4, 5), F32), ((4, 2), (3, 6), F64),
         ((3, 4), (3, 8), F64), ((1, 1), (2, 3), F64), ((1, 11), (2, 15), F64)],
        ids=["larger", "smaller", "2x3 to 4x5", "4x2 to 3x6", "wider", "from one patch", "11 to 15 columns"],
    )  # fmt: skip
    def test_bicubic_by_hand(self, submission, rng, old, new, dtype):
        """Larger, smaller and oblong grids: every feature is resized by cubic interpolation, as defined."""
        pos = rng.normal(1, 1 + old[0] * old[1], 6, dtype=dtype)
        close(
            submission.interpolate_pos(pos, old, new),
            resized(pos, old, new),
            atol=1e-3 if dtype == F32 else None,
        )

    @rule("R2", "R3")
    def test_agrees_with_transformers(self, submission, golden):
        """Larger, oblong and smaller grids come out as in the library transformers."""
        for i, size in enumerate(golden["pos_sizes"].tolist()):
            got = submission.interpolate_pos(golden["pos_old"], 4, tuple(size))
            close(got, golden[f"pos_new_{i}"], what=f"4 x 4 to {size[0]} x {size[1]}")

    @rule("R1")
    def test_an_int_is_a_square(self, submission, rng):
        """A grid may be given as an int or as a pair, each of the two on its own."""
        pos = rng.normal(1, 5, 3, dtype=F64)
        for old, new in ((2, 4), (2, (4, 4)), ((2, 2), 4)):
            got = submission.interpolate_pos(pos, old, new)
            close(got, resized(pos, (2, 2), (4, 4)), what=f"the result for old={old}, new={new}")

    @rule("R2", "R3")
    def test_same_grid_changes_nothing(self, submission, rng):
        """To the same grid nothing changes, and to another one the class token is exactly what it was."""
        pos = rng.normal(1, 7, 5, dtype=F64)
        close(submission.interpolate_pos(pos, (2, 3), (2, 3)), pos, what="the same grid")
        got = submission.interpolate_pos(pos, (2, 3), (4, 6))
        close(got[:, :1], pos[:, :1], rtol=0, atol=0, what="the class token")
        close(got, resized(pos, (2, 3), (4, 6)), what="the larger grid")

    @rule("R4")
    def test_gradient(self, submission, rng):
        """The gradient reaches the class token and the cells of the old grid."""
        pos, dout = rng.normal(1, 7, 3, dtype=F64).requires_grad_(), rng.normal(1, 13, 3, dtype=F64)
        (got,) = gradients(submission.interpolate_pos(pos, (3, 2), (4, 3)), (pos,), dout)
        (want,) = gradients(resized(pos, (3, 2), (4, 3)), (pos,), dout)
        close(got, want, what="the gradient of pos")

    @rule("R4")
    def test_leaves_its_argument_alone(self, submission, rng):
        """The positions may be a view with any strides; they are the same after the call."""
        pos = rng.normal(1, 4, 5, dtype=F64).mT
        close(pure(submission.interpolate_pos, pos, 2, 3), resized(pos, (2, 2), (3, 3)))


def loss_by_loop(img: Tensor, txt: Tensor, log_scale: Tensor) -> Tensor:
    """One pair at a time, in double precision and with log-sum-exp; the dtype of img."""
    dtype = img.dtype
    img, txt, log_scale = unit(img.double()), unit(txt.double()), log_scale.double()
    scale = log_scale.exp() if log_scale.item() < math.log(100) else torch.tensor(100.0, dtype=F64)
    total = torch.zeros((), dtype=F64)
    for i in range(len(img)):
        row = scale * (img[i] * txt).sum(-1)  # picture i with all captions
        column = scale * (img * txt[i]).sum(-1)  # caption i with all pictures
        total = total + row.logsumexp(0) - row[i] + column.logsumexp(0) - column[i]
    return (total / (2 * len(img))).to(dtype)


@exercise("clip_loss")
class TestClipLoss:
    @rule("R1", "R2", "R3", "R7")
    @pytest.mark.parametrize(
        ("B", "D", "log_scale", "dtype"),
        [(2, 3, 0.0, F64), (7, 4, 2.5, F64), (5, 9, -1.0, F64), (6, 5, 1.5, F32)],
        ids=["scale 1", "scale 12", "scale 0.37", "float32"],
    )
    def test_definition(self, submission, rng, B, D, log_scale, dtype):
        """Pair by pair the loss is as defined, for rows of any length, in float32 and float64."""
        img = rng.normal(B, D, dtype=dtype) * rng.uniform(B, 1, low=0.2, high=9, dtype=dtype)
        txt = rng.normal(B, D, dtype=dtype) * rng.uniform(B, 1, low=0.2, high=9, dtype=dtype)
        log_scale = torch.tensor(log_scale, dtype=dtype)
        want = loss_by_loop(img, txt, log_scale)
        close(submission.clip_loss(img, txt, log_scale), want, atol=1e-3 if dtype == F32 else None)

    @rule("R1", "R2", "R3")
    def test_agrees_with_transformers(self, submission, golden):
        """The loss is that of the CLIP of the library transformers, with the scale at most 100."""
        for log_scale, want in zip(golden["clip_scales"], golden["clip_losses"], strict=True):
            got = submission.clip_loss(golden["clip_img"], golden["clip_txt"], log_scale)
            close(got, want, what=f"the loss for logit_scale {log_scale:.2f}")

    @rule("R3")
    def test_both_directions_count(self, submission, rng):
        """When one caption suits all pictures, choosing captions is harder than choosing pictures."""
        txt = torch.eye(4, dtype=F64)
        img = torch.eye(4, dtype=F64) + torch.tensor([3.0, 0, 0, 0], dtype=F64)
        scale = torch.tensor(1.0, dtype=F64)
        close(submission.clip_loss(img, txt, scale), loss_by_loop(img, txt, scale), what="the loss")
        close(
            submission.clip_loss(txt, img, scale), loss_by_loop(img, txt, scale), what="the loss, exchanged"
        )

    @rule("R2")
    @pytest.mark.parametrize("scale", [60.0, 99.0, 110.0, 1e4])
    def test_scale_is_capped(self, submission, rng, scale):
        """Up to 100 the scale is the exponential of logit_scale; from there on it is 100."""
        img = rng.normal(6, 3, dtype=F64)
        txt, log_scale = img + 0.4 * rng.normal(6, 3, dtype=F64), torch.tensor(scale, dtype=F64).log()
        close(submission.clip_loss(img, txt, log_scale), loss_by_loop(img, txt, log_scale))

    @rule("R4")
    def test_survives_the_largest_scale(self, submission, rng):
        """With the scale at 100 a float32 batch of near matches gives a finite, right loss."""
        img = torch.eye(5) * 3 + 0.05 * rng.normal(5, 5)
        txt = torch.eye(5).roll(rng.integer(0, 2), 0) * 2 + 0.05 * rng.normal(5, 5)
        log_scale = torch.tensor(100.0).log() + 0.01
        close(
            submission.clip_loss(img, txt, log_scale), loss_by_loop(img, txt, log_scale), rtol=1e-3, atol=1e-3
        )

    @rule("R5")
    def test_gradients(self, submission, rng):
        """The gradients of img, txt and logit_scale are right."""
        img, txt = (rng.normal(5, 3, dtype=F64).requires_grad_() for _ in range(2))
        log_scale = torch.tensor(1.3, dtype=F64, requires_grad=True)
        one = torch.ones((), dtype=F64)
        got = gradients(submission.clip_loss(img, txt, log_scale), (img, txt, log_scale), one)
        want = gradients(loss_by_loop(img, txt, log_scale), (img, txt, log_scale), one)
        for name, g, w in zip(("img", "txt", "logit_scale"), got, want, strict=True):
            close(g, w, what=f"the gradient of {name}")

    @rule("R5")
    def test_no_gradient_above_the_cap(self, submission, rng):
        """Above the cap logit_scale gets gradient 0, and img and txt get theirs with the scale 100."""
        img = rng.normal(5, 3, dtype=F64).requires_grad_()
        txt = (img.detach() + 0.3 * rng.normal(5, 3, dtype=F64)).requires_grad_()
        log_scale, one = torch.tensor(5.0, dtype=F64, requires_grad=True), torch.ones((), dtype=F64)
        got = gradients(submission.clip_loss(img, txt, log_scale), (img, txt, log_scale), one)
        want = gradients(loss_by_loop(img, txt, torch.tensor(5.0, dtype=F64)), (img, txt), one)
        close(got[:2], want, what="the gradients of img and txt")
        close(got[2], torch.zeros((), dtype=F64), atol=0, what="the gradient of logit_scale")

    @rule("R6")
    def test_equal_captions(self, submission, rng):
        """Equal captions compete like any others: each picture's partner is its own row."""
        img, txt = rng.normal(5, 4, dtype=F64), rng.normal(5, 4, dtype=F64)
        txt[3], log_scale = txt[1], torch.tensor(2.0, dtype=F64)
        close(submission.clip_loss(img, txt, log_scale), loss_by_loop(img, txt, log_scale))

    @rule("R3")
    def test_batch_of_one(self, submission, rng):
        """With a single pair there is nothing to confuse, and the loss is 0; with two there is."""
        img, txt = rng.normal(2, 4, dtype=F64), rng.normal(2, 4, dtype=F64)
        log_scale = torch.tensor(1.0, dtype=F64)
        close(submission.clip_loss(img, txt, log_scale), loss_by_loop(img, txt, log_scale), what="two pairs")
        got = submission.clip_loss(img[:1], txt[:1], log_scale)
        close(got, torch.zeros((), dtype=F64), what="one pair")

    @rule("R7")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views and a scale above the cap, are the same after the call."""
        img, txt = rng.normal(4, 6, dtype=F64).T, rng.normal(4, 6, dtype=F64).T
        log_scale = torch.tensor(6.0, dtype=F64)
        close(pure(submission.clip_loss, img, txt, log_scale), loss_by_loop(img, txt, log_scale))


def encoder(size: int, dtype: torch.dtype):
    """A text encoder that gives every sentence a direction and a length of its own."""

    def encode(texts):
        rows = []
        for text in texts:
            draw = torch.Generator().manual_seed(zlib.crc32(text.encode()))
            row = torch.randn(size, generator=draw, dtype=F64)
            rows.append(row * 10 ** (2 * torch.rand((), generator=draw, dtype=F64) - 1))
        return torch.stack(rows).to(dtype)

    return encode


def scores_by_loop(img: Tensor, names: list[str], templates: list[str], encode) -> Tensor:
    """The definition, one class and one sentence at a time."""
    columns = []
    for name in names:
        rows = [unit(encode([template.replace("{}", name)])[0]) for template in templates]
        columns.append(unit(img) @ unit(sum(rows) / len(rows)))
    return torch.stack(columns, dim=1)


NAMES = ["dog", "red apple", "train", "sun"]
TEMPLATES = ["a photo of a {}", "{}", "a drawing of the {} at night"]


@exercise("zero_shot")
class TestZeroShot:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize(
        ("K", "T", "dtype"),
        [(4, 3, F64), (2, 3, F64), (3, 3, F32), (4, 1, F64), (1, 2, F64)],
        ids=["4 classes", "2 classes", "as many classes as templates", "1 template", "1 class"],
    )
    def test_definition(self, submission, rng, K, T, dtype):
        """Sentence by sentence the scores are as defined, however long the rows of the encoder are."""
        img, encode = rng.normal(3, 6, dtype=dtype) * 4, encoder(6, dtype)
        got = submission.zero_shot(img, NAMES[:K], TEMPLATES[:T], encode)
        close(got, scores_by_loop(img, NAMES[:K], TEMPLATES[:T], encode), atol=1e-4 if dtype == F32 else None)

    @rule("R2")
    def test_templates_that_disagree(self, submission):
        """A class whose sentences point apart has a vector as long as that of any other class."""
        rows = {"a cat": [1.0, 0, 0], "the cat": [0.0, 3, 0], "a dog": [0.0, 0, 2], "the dog": [0.0, 0, 5]}

        def encode(texts):
            return torch.tensor([rows[text] for text in texts], dtype=F64)

        img = torch.tensor([[2.0, 2, 0], [0, 0, 1]], dtype=F64)
        got = submission.zero_shot(img, ["cat", "dog"], ["a {}", "the {}"], encode)
        close(got, torch.eye(2, dtype=F64), what="the scores")

    @rule("R3")
    def test_length_of_a_picture_does_not_matter(self, submission, rng):
        """Two pictures that differ in length only get the same scores."""
        img, encode = rng.normal(1, 5, dtype=F64), encoder(5, F64)
        got = submission.zero_shot(torch.cat([img, 7 * img, img / 9]), NAMES[:3], TEMPLATES, encode)
        close(got, scores_by_loop(img, NAMES[:3], TEMPLATES, encode).expand(3, 3), what="the scores")

    @rule("R4")
    def test_leaves_the_pictures_alone(self, submission, rng):
        """The embeddings of the pictures, here a view, are the same after the call."""
        img, encode = rng.normal(5, 3, dtype=F64).T, encoder(5, F64)
        got = pure(submission.zero_shot, img, NAMES, TEMPLATES, encode)
        close(got, scores_by_loop(img, NAMES, TEMPLATES, encode))


def best_by_sorting(query: Tensor, gallery: Tensor, k: int) -> Tensor:
    """The definition: all places sorted by (cosine downwards, index upwards)."""
    rows = []
    for q in query.reshape(-1, gallery.shape[1]):
        cosines = (unit(q) * unit(gallery)).sum(-1).tolist()
        rows.append(sorted(range(len(gallery)), key=lambda i: (-cosines[i], i))[:k])
    return torch.tensor(rows).reshape(*query.shape[:-1], -1)


def signs(rng, *shape: int, dtype: torch.dtype) -> Tensor:
    """Rows of +-1 in 4 dimensions, times powers of two: all cosines are exact multiples of 1/2."""
    rows = rng.integers(0, 2, *shape, 4).to(dtype) * 2 - 1
    return rows * 2.0 ** rng.integers(-2, 4, *shape, 1).to(dtype)


@exercise("mm_retrieve")
class TestMMRetrieve:
    @rule("R1", "R2", "R3", "R6")
    @pytest.mark.parametrize(
        ("Q", "N", "D", "k"), [(3, 8, 5, 4), (1, 6, 3, 1), (4, 5, 2, 5)], ids=["4 of 8", "1 of 6", "all 5"]
    )
    def test_definition(self, submission, rng, Q, N, D, k):
        """The best k places for each query come sorted by cosine, for rows of any length."""
        query = rng.normal(Q, D, dtype=F64)
        gallery = rng.normal(N, D, dtype=F64) * rng.uniform(N, 1, low=0.1, high=10, dtype=F64)
        close(submission.mm_retrieve(query, gallery, k), best_by_sorting(query, gallery, k))

    @rule("R4", "R6")
    @pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
    def test_ties_by_index(self, submission, rng, dtype):
        """Among rows with the same cosine the lower index comes first, however many there are."""
        query, gallery = signs(rng, 3, dtype=dtype), signs(rng, 60, dtype=dtype)
        close(submission.mm_retrieve(query, gallery, 40), best_by_sorting(query, gallery, 40))

    @rule("R2", "R3")
    def test_one_query_without_a_batch(self, submission, rng):
        """A single query of shape (D,) gives k places, without a batch axis."""
        query, gallery = rng.normal(4, dtype=F64), rng.normal(9, 4, dtype=F64)
        close(submission.mm_retrieve(query, gallery, 5), best_by_sorting(query, gallery, 5))
        close(submission.mm_retrieve(query[None], gallery, 5), best_by_sorting(query[None], gallery, 5))

    @rule("R5")
    def test_more_than_there_are(self, submission, rng):
        """If k is larger than the gallery, all places come back, sorted; for one query and for many."""
        query, gallery = rng.normal(2, 3, dtype=F64), rng.normal(4, 3, dtype=F64)
        close(submission.mm_retrieve(query, gallery, 9), best_by_sorting(query, gallery, 4))
        close(submission.mm_retrieve(query[0], gallery, 5), best_by_sorting(query[0], gallery, 4))

    @rule("R1")
    def test_long_rows_do_not_win(self, submission, rng):
        """A row that is a hundred times as long as the others is found for its direction only."""
        query, gallery = rng.normal(3, 4, dtype=F64), rng.normal(7, 4, dtype=F64)
        gallery[2] *= 100
        gallery[5] /= 100
        close(submission.mm_retrieve(query, gallery, 7), best_by_sorting(query, gallery, 7))

    @rule("R6")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views, are the same after the call."""
        query, gallery = rng.normal(4, 2, dtype=F64).T, rng.normal(4, 6, dtype=F64).T
        close(pure(submission.mm_retrieve, query, gallery, 3), best_by_sorting(query, gallery, 3))


def store_by_loop(images: Tensor, texts: Tensor, *, center: bool) -> Tensor:
    """The definition, row by row."""
    store = []
    for cloud in (images, texts):
        rows = [row / row.norm() for row in cloud]
        if center:
            middle = sum(rows) / len(rows)
            rows = [(row - middle) / (row - middle).norm() for row in rows]
        store += rows
    return torch.stack(store)


@exercise("joint_index")
class TestJointIndex:
    @rule("R1", "R2", "R3", "R4")
    @pytest.mark.parametrize("center", [False, True], ids=["as it is", "centred"])
    @pytest.mark.parametrize(
        ("N", "M", "dtype"), [(4, 6, F64), (5, 2, F64), (3, 3, F32)], ids=["4 + 6", "5 + 2", "3 + 3"]
    )
    def test_definition(self, submission, rng, N, M, dtype, center):
        """Row by row the store is as defined, for clouds of different size, length and place."""
        images = (rng.normal(N, 5, dtype=dtype) + 2) * rng.uniform(N, 1, low=0.2, high=9, dtype=dtype)
        texts = (rng.normal(M, 5, dtype=dtype) - 1) * rng.uniform(M, 1, low=0.2, high=9, dtype=dtype)
        store, kind = submission.joint_index(images, texts, center=center)
        want = store_by_loop(images, texts, center=center)
        close(store, want, atol=1e-3 if dtype == F32 else None, what="store")
        close(kind, torch.tensor([0] * N + [1] * M), what="kind")

    @rule("R1", "R3")
    def test_centring_brings_the_partner_to_the_front(self, submission, rng):
        """Two clouds far apart: as it is, a text finds texts only; centred, it finds its own picture."""
        things = torch.linalg.qr(rng.normal(8, 8, dtype=F64))[0][:6]
        apart = torch.linalg.qr(rng.normal(8, 8, dtype=F64))[0][0]
        images, texts = things + 3 * apart, things - 3 * apart
        store = submission.joint_index(images, texts)[0]
        close(store, store_by_loop(images, texts, center=False), what="store")
        store = submission.joint_index(images, texts, center=True)[0]
        close(store, store_by_loop(images, texts, center=True), what="store with center=True")

    @rule("R4")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views, are the same after the call."""
        images, texts = rng.normal(3, 4, dtype=F64).T, rng.normal(3, 5, dtype=F64).T
        store, kind = pure(submission.joint_index, images, texts, center=True)
        close(store, store_by_loop(images, texts, center=True), what="store")
        close(kind, torch.tensor([0] * 4 + [1] * 5), what="kind")


def gap_by_loop(a: Tensor, b: Tensor) -> float:
    """The definition, in plain numbers."""
    centres = []
    for cloud in (a, b):
        rows = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in cloud.tolist()]
        centres.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    return math.dist(*centres)


@exercise("modality_gap")
class TestModalityGap:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize(
        ("N", "M", "D", "dtype"),
        [(4, 7, 5, F64), (6, 1, 3, F64), (3, 3, 3, F32)],
        ids=["4, 7", "6, 1", "float32"],
    )
    def test_definition(self, submission, rng, N, M, D, dtype):
        """The distance of the two centres, for clouds of different size and rows of any length."""
        a = (rng.normal(N, D, dtype=dtype) + 1) * rng.uniform(N, 1, low=0.2, high=9, dtype=dtype)
        b = rng.normal(M, D, dtype=dtype) * rng.uniform(M, 1, low=0.2, high=9, dtype=dtype)
        close(submission.modality_gap(a, b), gap_by_loop(a, b), rtol=1e-4 if dtype == F32 else 1e-7)

    @rule("R1")
    def test_length_of_a_row_does_not_matter(self, submission, rng):
        """Making single rows longer or shorter changes nothing."""
        a, b = rng.normal(4, 3, dtype=F64), rng.normal(5, 3, dtype=F64)
        longer = a * torch.tensor([[1.0], [20], [0.1], [3]], dtype=F64)
        close(submission.modality_gap(longer, b), gap_by_loop(a, b))

    @rule("R2")
    def test_leaves_its_arguments_alone(self, submission, rng):
        """The arguments, here views, are the same after the call; the order of the two does not matter."""
        a, b = rng.normal(3, 4, dtype=F64).T, rng.normal(3, 6, dtype=F64).T
        close(pure(submission.modality_gap, a, b), gap_by_loop(a, b))
        close(submission.modality_gap(b, a), gap_by_loop(a, b), what="the gap the other way round")

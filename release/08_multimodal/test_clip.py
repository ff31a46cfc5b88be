"""Visible tests of the CLIP notebook: the definitions and the worked examples."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.testing import close, exercise, rule


def unit(x: Tensor) -> Tensor:
    """Rows divided by their length."""
    return x / x.square().sum(-1, keepdim=True).sqrt()


def cut(x: Tensor, p: int) -> Tensor:
    """Patches in the notebook's order, by PyTorch's unfold (which gives channel, row, column)."""
    columns = F.unfold(x, p, stride=p)  # (B, C*p*p, N)
    return columns.unflatten(1, (x.shape[1], p * p)).permute(0, 3, 2, 1).flatten(2)


@exercise("patchify")
class TestPatchify:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: two patches, row after row, and the channels of a pixel together."""
        x = torch.arange(8.0).view(1, 1, 2, 4)
        close(submission.patchify(x, 2), torch.tensor([[[0.0, 1, 4, 5], [2, 3, 6, 7]]]))
        two = torch.cat([x, x + 10], dim=1)
        want = torch.tensor([[[0.0, 10, 1, 11, 4, 14, 5, 15], [2.0, 12, 3, 13, 6, 16, 7, 17]]])
        close(submission.patchify(two, 2), want, what="the result with two channels")

    @rule("R1", "R2")
    def test_agrees_with_unfold(self, submission, rng):
        """On a random colour picture the patches are those that PyTorch's F.unfold cuts, reordered."""
        x = rng.normal(2, 3, 4, 6)
        close(submission.patchify(x, 2), cut(x, 2))


@exercise("unpatchify")
class TestUnpatchify:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the same two patches side by side, and one above the other."""
        y = torch.tensor([[[0.0, 1, 4, 5], [2, 3, 6, 7]]])
        close(submission.unpatchify(y, 2, 2, 4), torch.arange(8.0).view(1, 1, 2, 4), what="the wide picture")
        want = torch.tensor([[[[0.0, 1], [4, 5], [2, 3], [6, 7]]]])
        close(submission.unpatchify(y, 2, 4, 2), want, what="the high picture")

    @rule("R1", "R2")
    def test_undoes_the_cut(self, submission, rng):
        """The patches of a random colour picture give the picture back."""
        x = rng.normal(2, 3, 4, 6)
        close(submission.unpatchify(cut(x, 2), 2, 4, 6), x)


def vit_shapes(img: int, patch: int, C: int, D: int, L: int, classes: int) -> dict[str, tuple[int, ...]]:
    """The table of rule R1."""
    layers = {"proj": (D, patch * patch * C)}
    norms = []
    for i in range(L):
        layers |= {f"blocks.{i}.attn.qkv": (3 * D, D), f"blocks.{i}.attn.proj": (D, D)}
        layers |= {f"blocks.{i}.mlp.fc1": (4 * D, D), f"blocks.{i}.mlp.fc2": (D, 4 * D)}
        norms += [f"blocks.{i}.norm1", f"blocks.{i}.norm2"]
    layers["head"] = (classes, D)
    shapes = {"cls": (1, 1, D), "pos": (1, 1 + (img // patch) ** 2, D)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in [*norms, "norm"]:
        shapes |= {f"{name}.weight": (D,), f"{name}.bias": (D,)}
    return shapes


def vit_weights(rng, *sizes: int) -> dict[str, Tensor]:
    """Random numbers for all parameters; matrices scaled so that tokens keep their size."""
    weights = {}
    for name, shape in vit_shapes(*sizes).items():
        w = rng.normal(*shape)
        weights[name] = w / shape[1] ** 0.5 if name.endswith("weight") and len(shape) == 2 else w / 2
        if "norm" in name and name.endswith("weight"):
            weights[name] = 1 + w / 4
    return weights


def torch_vit(weights: dict[str, Tensor], patch: int, heads: int, x: Tensor) -> Tensor:
    """The same network from PyTorch's own encoder layer."""
    D = weights["cls"].shape[-1]
    layer = nn.TransformerEncoderLayer(D, heads, 4 * D, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    theirs = {
        "self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj.", "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.", "norm1.": "norm1.", "norm2.": "norm2.",
    }  # fmt: skip
    tokens = F.linear(cut(x, patch), weights["proj.weight"], weights["proj.bias"])
    tokens = torch.cat([weights["cls"].repeat(len(x), 1, 1), tokens], dim=1) + weights["pos"]
    for i in range(sum(name.endswith("qkv.bias") for name in weights)):
        state = {t + w: weights[f"blocks.{i}.{o}{w}"] for t, o in theirs.items() for w in ("weight", "bias")}
        layer.load_state_dict(state)
        tokens = layer(tokens).detach()
    first = F.layer_norm(tokens[:, 0], (D,), weights["norm.weight"], weights["norm.bias"])
    return F.linear(first, weights["head.weight"], weights["head.bias"])


@exercise("ViT")
class TestViT:
    @rule("R3", "R6")
    def test_worked_example(self, submission):
        """The worked example comes out: without blocks the class token gives (1, 9)."""
        vit = submission.ViT(img=2, patch=1, C=1, D=2, L=0, H=1, classes=2)
        vit.load_state_dict({
            "proj.weight": torch.ones(2, 1),
            "proj.bias": torch.zeros(2),
            "cls": torch.tensor([[[5.0, 0]]]),
            "pos": torch.tensor([[[0.0, 3], [0, 0], [0, 0], [0, 0], [0, 0]]]),
            "norm.weight": torch.ones(2),
            "norm.bias": torch.zeros(2),
            "head.weight": torch.eye(2),
            "head.bias": torch.tensor([0.0, 10]),
        })  # fmt: skip
        close(vit(torch.ones(1, 1, 2, 2)), torch.tensor([[1.0, 9.0]]), atol=1e-4)

    @rule("R1", "R8")
    def test_has_the_named_parameters(self, submission, rng):
        """Its parameters have the names and shapes of the table; what is loaded is used, and nothing is random."""
        sizes, vit = (4, 2, 3, 8, 2, 5), submission.ViT(4, 2, 3, 8, 2, 2, 5)
        weights = vit_weights(rng, *sizes)
        got = {name: tuple(w.shape) for name, w in vit.state_dict().items()}
        close(got, vit_shapes(*sizes), what="the shapes in the state dict")
        vit.load_state_dict(weights)
        x = rng.normal(2, 3, 4, 4)
        close(vit(x), vit(x).detach(), what="the answer to the same pictures at another call")
        close(vit(x), torch_vit(weights, 2, 2, x), atol=1e-4)

    @rule("R2", "R3", "R4", "R5", "R6")
    def test_agrees_with_torch_layers(self, submission, rng):
        """With copied weights it gives what a network of PyTorch's own encoder layers gives."""
        vit = submission.ViT(6, 2, 2, 6, 1, 3, 4)
        weights, x = vit_weights(rng, 6, 2, 2, 6, 1, 4), rng.normal(3, 2, 6, 6)
        vit.load_state_dict(weights)
        close(vit(x), torch_vit(weights, 2, 3, x), atol=1e-4)


@exercise("interpolate_pos")
class TestInterpolatePos:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: two cells become four, the class token stays 9."""
        want = torch.tensor([[[9.0], [-0.84375], [1.8125], [6.1875], [8.84375]]])
        close(submission.interpolate_pos(torch.tensor([[[9.0], [0], [8]]]), (1, 2), (1, 4)), want)

    @rule("R1", "R2", "R3")
    def test_agrees_with_interpolate(self, submission, rng):
        """Each feature alone, resized as a picture by F.interpolate, gives the same column."""
        pos = rng.normal(1, 10, 4)
        grids = [pos[:, 1:, c].view(1, 1, 3, 3) for c in range(4)]
        large = [
            F.interpolate(g, size=(5, 5), mode="bicubic", align_corners=False).view(1, 25) for g in grids
        ]
        want = torch.cat([pos[:, :1], torch.stack(large, dim=-1)], dim=1)
        close(submission.interpolate_pos(pos, 3, 5), want, atol=1e-4)


@exercise("clip_loss")
class TestClipLoss:
    IMG = torch.tensor([[3.0, 0], [0, 2]])
    TXT = torch.tensor([[5.0, 0], [3, 4]])

    @rule("R1", "R2", "R3", "R7")
    def test_worked_example(self, submission):
        """The worked example comes out: 0.1163 with a scale of 5, and 0.3133 with a scale of 1."""
        rows = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-4))) / 2
        columns = (math.log1p(math.exp(-5)) + math.log1p(math.exp(-1))) / 2
        got = submission.clip_loss(self.IMG, self.TXT, torch.tensor(math.log(5.0)))
        close(got, torch.tensor((rows + columns) / 2), what="the loss with a scale of 5")
        got = submission.clip_loss(self.IMG, self.IMG, torch.tensor(0.0))
        close(
            got, torch.tensor(math.log1p(math.exp(-1))), what="the loss of a perfect match with a scale of 1"
        )

    @rule("R1", "R2", "R3")
    def test_agrees_with_the_definition(self, submission, rng):
        """On random rows of any length it is the mean of the two cross-entropies."""
        img, txt, log_scale = rng.normal(5, 3) * 2, rng.normal(5, 3) * 3, torch.tensor(1.2)
        e = (log_scale.exp() * unit(img) @ unit(txt).T).exp()
        right = e.diagonal()
        want = -((right / e.sum(1)).log() + (right / e.sum(0)).log()).mean() / 2
        close(submission.clip_loss(img, txt, log_scale), want, atol=1e-4)


@exercise("zero_shot")
class TestZeroShot:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: "cat" points between its two sentences."""
        rows = {"cat": [1.0, 0], "a cat": [0.0, 4], "dog": [0.0, 1], "a dog": [0.0, 1]}
        got = submission.zero_shot(
            torch.tensor([[2.0, 0], [3, 3]]),
            ["cat", "dog"],
            ["{}", "a {}"],
            lambda texts: torch.tensor([rows[text] for text in texts]),
        )
        half = math.sqrt(0.5)
        close(got, torch.tensor([[half, 0.0], [1.0, half]]), what="the scores")

    @rule("R2", "R3")
    def test_one_template_gives_cosines(self, submission, rng):
        """With a single template the scores are the cosines of pictures and sentences."""
        img, rows = rng.normal(4, 5), rng.normal(3, 5) * 2
        places = {"a red fox": 0, "a red car": 1, "a red cup": 2}

        def encode(texts):
            return rows[[places[text] for text in texts]]

        got = submission.zero_shot(img, ["fox", "car", "cup"], ["a red {}"], encode)
        close(got, F.cosine_similarity(img[:, None], rows[None], dim=-1), what="the scores")


@exercise("mm_retrieve")
class TestMMRetrieve:
    @rule("R1", "R2", "R3", "R4")
    def test_worked_example(self, submission):
        """The worked example comes out: equal rows by index, the long row that points elsewhere last."""
        gallery = torch.tensor([[9.0, 9], [1, 0], [0, 2], [3, 0]])
        close(submission.mm_retrieve(torch.tensor([2.0, 0]), gallery, 3), torch.tensor([1, 3, 0]))
        got = submission.mm_retrieve(torch.tensor([[2.0, 0], [0, 1]]), gallery, 2)
        close(got, torch.tensor([[1, 3], [2, 0]]), what="the result for two queries")

    @rule("R1", "R2")
    def test_nearest_direction_first(self, submission, rng):
        """Rows that turn away from the query step by step come back in this order, whatever their lengths."""
        angle = rng.permutation(8) * 0.3 + 0.1
        gallery = torch.stack([angle.cos(), angle.sin()], dim=1) * rng.uniform(8, 1, low=0.5, high=9.0)
        close(submission.mm_retrieve(torch.tensor([4.0, 0.0]), gallery, 5), angle.argsort()[:5])


@exercise("joint_index")
class TestJointIndex:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out, as it is and with centred clouds."""
        images = torch.tensor([[2.0, 0], [0, 5]])
        store, kind = submission.joint_index(images, torch.tensor([[3.0, 4]]))
        close(store, torch.tensor([[1.0, 0], [0, 1], [0.6, 0.8]]), what="store")
        close(kind, torch.tensor([0, 0, 1]), what="kind")
        h = math.sqrt(0.5)
        store, kind = submission.joint_index(images, torch.tensor([[3.0, 4], [3, -4]]), center=True)
        close(store, torch.tensor([[h, -h], [-h, h], [0.0, 1], [0, -1]]), what="store with center=True")
        close(kind, torch.tensor([0, 0, 1, 1]), what="kind with center=True")


@exercise("modality_gap")
class TestModalityGap:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: the length of (1.5, 0.5)."""
        got = submission.modality_gap(torch.tensor([[2.0, 0], [0, 1]]), torch.tensor([[-3.0, 0]]))
        close(got, math.hypot(1.5, 0.5), rtol=1e-4)

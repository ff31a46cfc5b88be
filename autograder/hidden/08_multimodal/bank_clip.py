"""Known wrong and known right variants of the CLIP notebook."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from autograder.bank import right, wrong

# --- patchify --------------------------------------------------------------------------------------


@wrong(
    "patchify",
    "Your patches hold all numbers of the first channel, then all of the second. Here the "
    "channels of one pixel stand side by side: row, column, channel. Look at rule R2.",
)
def channels_first_inside(x, p):
    B, C, H, W = x.shape
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return x.reshape(B, C, H // p, p, W // p, p).permute(0, 2, 4, 1, 3, 5).reshape(B, -1, p * p * C)


@wrong(
    "patchify",
    "The shape is right, but your patches are stripes: a reshape reads the numbers in the order "
    "of memory, row by row through the whole picture. Split H and W into two axes each and "
    "permute before you join. Look at rule R1.",
)
def stripes(x, p):
    B, C, H, W = x.shape
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return x.reshape(B, (H // p) * (W // p), p * p * C)


@wrong(
    "patchify",
    "Your patches come column by column: first all of the left edge, from top to bottom. Read "
    "like a page: left to right, then the next row of patches. Look at rule R1.",
)
def patches_column_by_column(x, p):
    B, C, H, W = x.shape
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return x.reshape(B, C, H // p, p, W // p, p).permute(0, 4, 2, 3, 5, 1).reshape(B, -1, p * p * C)


@wrong(
    "patchify",
    "Each of your patches is mirrored at its diagonal: inside you read column by column. Inside a "
    "patch the row comes first, then the column, then the channel. Look at rule R2.",
)
def columns_before_rows_inside(x, p):
    B, C, H, W = x.shape
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return x.reshape(B, C, H // p, p, W // p, p).permute(0, 2, 4, 5, 3, 1).reshape(B, -1, p * p * C)


@wrong(
    "patchify",
    "A picture that patches cannot fill goes through, and its edge is lost. Raise ValueError if p "
    "does not divide H, or does not divide W. Look at rule R3.",
)
def crops_what_is_left_over(x, p):
    B, C, H, W = x.shape
    h, w = H // p, W // p
    x = x[:, :, : h * p, : w * p].reshape(B, C, h, p, w, p)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(B, h * w, p * p * C)


@wrong(
    "patchify",
    "You refuse pictures whose height does not fit, but not those whose width does not. Raise "
    "ValueError for either. Look at rule R3.",
)
def looks_at_the_height_only(x, p):
    B, C, H, W = x.shape
    if H % p:
        raise ValueError("p does not divide H")
    h, w = H // p, W // p
    x = x[..., : w * p].reshape(B, C, h, p, w, p)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(B, h * w, p * p * C)


@right("patchify", uses="F1 F2")
def by_unfold(x, p):
    """F.unfold, whose columns hold channel, row, column, reordered."""
    B, C, H, W = x.shape
    if H % p != 0 or W % p != 0:
        raise ValueError("size")
    columns = F.unfold(x, kernel_size=p, stride=p)
    return columns.transpose(1, 2).unflatten(2, (C, p * p)).transpose(2, 3).reshape(B, -1, p * p * C)


@right("patchify", uses="F1 F2")
def patch_after_patch(x, p):
    """Two loops over the places of the patches."""
    H, W = x.shape[2:]
    if H % p or W % p:
        raise ValueError("size")
    patches = []
    for top in range(0, H, p):
        for left in range(0, W, p):
            patches.append(x[:, :, top : top + p, left : left + p].permute(0, 2, 3, 1).flatten(1))
    return torch.stack(patches, dim=1)


@right("patchify", uses="F1")
def one_einsum(x, p):
    """einsum as a permutation of the six axes."""
    B, _, H, W = x.shape
    if (H % p) + (W % p) > 0:
        raise ValueError(f"{H} x {W}")
    six = x.unflatten(3, (W // p, p)).unflatten(2, (H // p, p))
    return torch.einsum("bcirjs->bijrsc", six).reshape(B, H * W // p**2, -1)


# --- unpatchify ------------------------------------------------------------------------------------


@wrong(
    "unpatchify",
    "The shape is right, but the picture is scrambled: a reshape leaves every number at its place "
    "in memory. Split the axes, permute, then join. Look at rule R1.",
)
def reshape_only(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return y.reshape(len(y), -1, H, W)


@wrong(
    "unpatchify",
    "You read the channels as the slowest axis of a patch. They are the fastest: row, column, "
    "channel. Look at rule R2.",
)
def reads_channels_first(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return y.reshape(len(y), H // p, W // p, -1, p, p).permute(0, 3, 1, 4, 2, 5).reshape(len(y), -1, H, W)


@wrong(
    "unpatchify",
    "Your patches fill the picture column by column. They come row by row, as you read a page. "
    "Look at rule R1.",
)
def fills_column_by_column(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return y.reshape(len(y), W // p, H // p, p, p, -1).permute(0, 5, 2, 3, 1, 4).reshape(len(y), -1, H, W)


@wrong(
    "unpatchify",
    "Every patch is mirrored at its diagonal: inside a patch, rows and columns have changed "
    "places. Look at rule R2.",
)
def patches_mirrored(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return y.reshape(len(y), H // p, W // p, p, p, -1).permute(0, 5, 1, 4, 2, 3).reshape(len(y), -1, H, W)


@wrong(
    "unpatchify",
    "The rows inside a patch and the rows of patches stand the wrong way round when you join "
    "them: a row of the picture is patch row times p plus row inside. Look at rule R1.",
)
def pairs_not_joined(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    return y.reshape(len(y), H // p, W // p, p, p, -1).permute(0, 5, 3, 1, 4, 2).reshape(len(y), -1, H, W)


@wrong(
    "unpatchify",
    "A size that patches cannot fill goes through, or stops with another error. Raise ValueError "
    "if p does not divide H, or does not divide W. Look at rule R3.",
)
def rounds_the_size_down(y, p, H, W):
    h, w = H // p, W // p
    y = y[:, : h * w].reshape(len(y), h, w, p, p, -1)
    return y.permute(0, 5, 1, 3, 2, 4).reshape(len(y), -1, h * p, w * p)


@wrong(
    "unpatchify",
    "You take the root of the number of patches for the side of the grid, which fits square pictures "
    "only. There are H / p rows of W / p patches. Look at rule R1.",
)
def grid_taken_for_a_square(y, p, H, W):
    if H % p or W % p:
        raise ValueError("p does not divide the picture")
    side = int(y.shape[1] ** 0.5)
    return y.reshape(len(y), side, side, p, p, -1).permute(0, 5, 1, 3, 2, 4).reshape(len(y), -1, H, W)


@right("unpatchify", uses="F1")
def places_patch_after_patch(y, p, H, W):
    """A loop that puts each patch into an empty picture."""
    if H % p or W % p:
        raise ValueError("size")
    patches = y.unflatten(2, (p, p, -1)).permute(0, 1, 4, 2, 3)
    x = y.new_zeros(len(y), patches.shape[2], H, W)
    for n in range(y.shape[1]):
        top, left = n // (W // p) * p, n % (W // p) * p
        x[:, :, top : top + p, left : left + p] = patches[:, n]
    return x


@right("unpatchify", uses="F1")
def by_fold(y, p, H, W):
    """F.fold, after bringing the channels to the front of each patch."""
    if H % p != 0 or W % p != 0:
        raise ValueError("size")
    C = y.shape[2] // (p * p)
    columns = y.unflatten(2, (p * p, C)).transpose(2, 3).flatten(2).transpose(1, 2)
    return F.fold(columns, (H, W), kernel_size=p, stride=p)


@right("unpatchify", uses="F1")
def joins_rows_of_patches(y, p, H, W):
    """Concatenates patches to rows of patches, and those to the picture."""
    if H % p or W % p:
        raise ValueError("size")
    patches = [patch.unflatten(1, (p, p, -1)) for patch in y.unbind(1)]
    w = W // p
    rows = [torch.cat(patches[i : i + w], dim=2) for i in range(0, len(patches), w)]
    return torch.cat(rows, dim=1).movedim(3, 1)


# --- ViT -------------------------------------------------------------------------------------------


@wrong(
    "ViT",
    "Your class token stands behind the patches. It comes first, so the first position is its "
    "own, and the answer is read from place 0. Look at rule R3.",
)
class class_token_last(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([x, self.cls.expand(B, -1, -1)], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, -1])


@wrong(
    "ViT",
    "Your positions are never added: shuffle the patches of a picture and the result is the same. "
    "Attention alone does not know where a patch stands. Look at rule R3.",
)
class without_positions(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1)
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "The patches get their positions, but the class token does not get its own. Put the class "
    "token in front first, then add `pos` to all 1 + N tokens. Look at rule R3.",
)
class class_token_without_position(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x + self.pos[:, 1:]], dim=1)
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "You average all tokens. The answer is read from the class token alone, which has gathered "
    "what it needs from the others. Look at rule R6.",
)
class mean_of_all_tokens(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x).mean(1))


@wrong(
    "ViT",
    "You average the patches and leave the class token aside. The answer is read from the class token "
    "alone, the first of the tokens. Look at rule R6.",
)
class mean_of_the_patches(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 1:].mean(1))


@wrong(
    "ViT",
    "With dropout in it your network gives another answer at every call, until somebody calls `eval()`. "
    "Nothing in this one is random. Look at rule R8.",
)
class drops_out_while_training(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(F.dropout(self.norm(x)[:, 0], 0.1, self.training))


@wrong(
    "ViT",
    "The class token goes into the head without the last normalisation. Apply `norm` after the "
    "last block. Look at rule R6.",
)
class no_last_norm(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(x[:, 0])


@wrong(
    "ViT",
    "You normalise after adding, as the first transformer did. Here the tokens are normalised "
    "before attention and before the small network, and the sum itself is not touched. Look at "
    "rule R4.",
)
class post_norm(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](x)
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = b["norm1"](x + b["attn"]["proj"](y))
            x = b["norm2"](x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "The result of a picture depends on the others in its batch: your attention runs along the "
    "axis of the pictures instead of the axis of the tokens. Look at rule R5.",
)
class attends_across_pictures(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x)).transpose(0, 1)
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).transpose(0, 1)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "You read the rows of `qkv` as head after head, each with its q, k and v. All queries come "
    "first, then all keys, then all values; each of the three is then cut into heads. Look at "
    "rule R5.",
)
class rows_of_qkv_head_by_head(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = y.unflatten(-1, (self.H, 3, -1)).permute(3, 0, 2, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "Your attention scores are not divided by the root of d, the number of features of a head. "
    "Look at rule R5.",
)
class scores_not_scaled(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "You divide the scores by the root of D. A score is a sum over the features of one head: "
    "divide by the root of d = D / H. Look at rule R5.",
)
class scaled_by_the_whole_width(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v, scale=x.shape[-1] ** -0.5).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "The shape is right, but one token gets pieces of several: bring the tokens in front of the "
    "heads before you join the heads. Look at rule R5.",
)
class heads_joined_without_moving(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).reshape(x.shape)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "Your patches are laid out channel by channel, as a convolution has them. `proj` expects row, "
    "column, channel, as in exercise 1. Look at rule R2.",
)
class patches_channel_first(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 1, 4, 5)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "The second shortcut is missing: what the small network makes is added to the tokens, it does "
    "not replace them. Look at rule R4.",
)
class no_shortcut_around_the_mlp(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "The small network of your blocks uses ReLU. Here it is GELU, which is smooth and lets a "
    "little of the negative side through. Look at rule R4.",
)
class relu_instead_of_gelu(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.relu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "You use the tanh approximation of GELU. It is close, but with copied weights the difference "
    "shows: use F.gelu as it is. Look at rule R4.",
)
class gelu_approximated(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            block = {"norm1": nn.LayerNorm(D), "attn": attn, "norm2": nn.LayerNorm(D), "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x)), approximate="tanh"))
        return self.head(self.norm(x)[:, 0])


@wrong(
    "ViT",
    "Your layer norms have another eps than PyTorch's 1e-5. Where tokens hardly vary it decides "
    "the result. Look at rule R4.",
)
class small_eps(nn.Module):
    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.p, self.H = patch, H
        self.proj = nn.Linear(patch * patch * C, D)
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D) / 50)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            attn = nn.ModuleDict({"qkv": nn.Linear(D, 3 * D), "proj": nn.Linear(D, D)})
            mlp = nn.ModuleDict({"fc1": nn.Linear(D, 4 * D), "fc2": nn.Linear(4 * D, D)})
            norms = [nn.LayerNorm(D, eps=1e-6) for _ in range(2)]
            block = {"norm1": norms[0], "attn": attn, "norm2": norms[1], "mlp": mlp}
            self.blocks.append(nn.ModuleDict(block))
        self.norm = nn.LayerNorm(D, eps=1e-6)
        self.head = nn.Linear(D, classes)

    def forward(self, x):
        B, p = len(x), self.p
        x = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1)
        x = self.proj(x.reshape(B, -1, self.proj.in_features))
        x = torch.cat([self.cls.expand(B, -1, -1), x], dim=1) + self.pos
        for b in self.blocks:
            y = b["attn"]["qkv"](b["norm1"](x))
            q, k, v = (z.unflatten(-1, (self.H, -1)).transpose(1, 2) for z in y.chunk(3, dim=-1))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + b["attn"]["proj"](y)
            x = x + b["mlp"]["fc2"](F.gelu(b["mlp"]["fc1"](b["norm2"](x))))
        return self.head(self.norm(x)[:, 0])


@right("ViT", uses="F1 F2 F3")
class WithClassesInside(nn.Module):
    """Blocks as classes, attention written out, patches by a convolution with proj's weight."""

    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()

        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.qkv = nn.Linear(D, 3 * D)
                self.proj = nn.Linear(D, D)

            def forward(self, x):
                B, T, _ = x.shape
                q, k, v = self.qkv(x).view(B, T, 3, H, D // H).permute(2, 0, 3, 1, 4)
                weights = torch.softmax(q @ k.transpose(-1, -2) * (D // H) ** -0.5, dim=-1)
                return self.proj((weights @ v).permute(0, 2, 1, 3).reshape(B, T, D))

        class MLP(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc1, self.act, self.fc2 = nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D)

            def forward(self, x):
                return self.fc2(self.act(self.fc1(x)))

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
                self.attn, self.mlp = Attention(), MLP()

            def forward(self, x):
                x = x + self.attn(self.norm1(x))
                return x + self.mlp(self.norm2(x))

        self.size = (D, patch, C)
        self.proj = nn.Linear(patch**2 * C, D)
        self.cls = nn.Parameter(torch.randn(1, 1, D))
        self.pos = nn.Parameter(torch.zeros(1, (img // patch) ** 2 + 1, D))
        self.blocks = nn.Sequential(*(Block() for _ in range(L)))
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, classes)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        D, p, C = self.size
        kernel = self.proj.weight.view(D, p, p, C).permute(0, 3, 1, 2)
        tokens = F.conv2d(x, kernel, self.proj.bias, stride=p).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls.repeat(x.shape[0], 1, 1), tokens), dim=1)
        return self.head(self.norm(self.blocks(tokens + self.pos)[:, 0]))


@right("ViT", uses="F2 F3")
class PictureByPicture(nn.Module):
    """Patches cut by loops, the class token's position added before joining, one head at a time."""

    def __init__(self, img, patch, C, D, L, H, classes):
        super().__init__()
        self.cuts = [(i, j, patch) for i in range(0, img, patch) for j in range(0, img, patch)]
        self.width, self.H = D // H, H
        self.head = nn.Linear(D, classes)
        self.norm = nn.LayerNorm(D)
        self.pos = nn.Parameter(torch.zeros(1, 1 + len(self.cuts), D).uniform_(-0.1, 0.1))
        self.cls = nn.Parameter(torch.zeros(1, 1, D))
        self.proj = nn.Linear(patch * C * patch, D)
        self.blocks = nn.ModuleList()
        for _ in range(L):
            block = nn.Module()
            block.attn, block.mlp = nn.Module(), nn.Module()
            block.attn.qkv, block.attn.proj = nn.Linear(D, D * 3), nn.Linear(D, D)
            block.mlp.fc1, block.mlp.fc2 = nn.Linear(D, D * 4), nn.Linear(D * 4, D)
            block.norm1, block.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
            self.blocks.append(block)

    def forward(self, x):
        patches = [x[:, :, i : i + p, j : j + p].permute(0, 2, 3, 1).flatten(1) for i, j, p in self.cuts]
        tokens = self.proj(torch.stack(patches, 1)) + self.pos[:, 1:]
        x = torch.cat([(self.cls + self.pos[:, :1]).expand(len(x), 1, -1), tokens], 1)
        for block in self.blocks:
            q, k, v = torch.tensor_split(block.attn.qkv(block.norm1(x)), 3, dim=-1)
            heads = []
            for a, b, c in zip(*(z.split(self.width, dim=-1) for z in (q, k, v)), strict=True):
                scores = torch.einsum("btd,bsd->bts", a * self.width**-0.5, b)
                heads.append(scores.softmax(-1) @ c)
            x = x + block.attn.proj(torch.cat(heads, -1))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        return self.head(self.norm(x))[:, 0]


# --- interpolate_pos -------------------------------------------------------------------------------


@wrong(
    "interpolate_pos",
    "You resize the whole sequence as a line, class token included. The class token has no place "
    "in the picture: set it aside, and do not interpolate it; the other rows form a grid, not a "
    "line. Look at rules R2 and R3.",
)
def resizes_the_sequence(pos, old, new):
    h, w = (new, new) if isinstance(new, int) else new
    return F.interpolate(pos.transpose(1, 2), size=1 + h * w, mode="linear").transpose(1, 2)


@wrong(
    "interpolate_pos",
    "Your positions are interpolated linearly, with sharp bends at the old cells. Rule R3 asks for bicubic.",
)
def bilinear(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bilinear", align_corners=False)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "You put the outermost old cells onto the outermost new ones (align_corners=True). Here a "
    "cell is a small square, not a point, and the outer edges of the grids coincide: "
    "align_corners=False. Look at rule R3.",
)
def corners_aligned(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=True)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "The shapes are right, but features and places are mixed: (1, N, D) was reshaped to (1, D, h, "
    "w) without moving D to the front. Permute instead. Look at rule R3.",
)
def features_mixed_by_reshape(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, -1, *old)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "The grid is resized well, but on the way back features and places are mixed: (1, D, h2, w2) was "
    "reshaped to rows without moving D to the end. Permute first. Look at rule R3.",
)
def features_mixed_on_the_way_back(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([pos[:, :1], grid.reshape(1, new[0] * new[1], -1)], dim=1)


@wrong(
    "interpolate_pos",
    "For some sizes your new grid is a row or a column short: a factor such as 15 / 11 is rounded, and 11 "
    "times it is cut off to 14. Give F.interpolate the new size, not a factor. Look at rules R1 and R3.",
)
def resized_by_a_factor(pos, old, new):
    h, w = (old, old) if isinstance(old, int) else old
    h2, w2 = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, h, w, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=(h2 / h, w2 / w), mode="bicubic", align_corners=False)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "Your function takes whole numbers only. A grid that is not square comes as a pair (rows, columns): make "
    "a pair of an int first, then use pairs throughout. Look at rule R1.",
)
def squares_only(pos, old, new):
    grid = pos[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "You read the old grid as (columns, rows). The patches come row by row, and a grid is (rows, "
    "columns). With squares nobody notices. Look at rules R1 and R3.",
)
def rows_and_columns_swapped(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old[::-1], -1).permute(0, 3, 2, 1)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@wrong(
    "interpolate_pos",
    "The class token's row is missing from your result. Put it in front again, unchanged. Look at rule R2.",
)
def class_token_lost(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return grid.flatten(2).transpose(1, 2)


@wrong(
    "interpolate_pos",
    "You smooth the grid before making it smaller (antialias=True). F.interpolate does not when "
    "not told to. Look at rule R3.",
)
def smoothed_before_shrinking(pos, old, new):
    old = (old, old) if isinstance(old, int) else old
    new = (new, new) if isinstance(new, int) else new
    grid = pos[:, 1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


@right("interpolate_pos", uses="F1")
def by_two_matrices(pos, old, new):
    """Cubic weights in two small matrices, one for rows and one for columns."""
    old, new = ((s, s) if isinstance(s, int) else tuple(s) for s in (old, new))

    def matrix(n, m):
        at = (torch.arange(m, dtype=torch.float64) + 0.5) * n / m - 0.5
        base = at.floor()
        weights = torch.zeros(m, n, dtype=torch.float64)
        for step in (-1, 0, 1, 2):
            t = (at - base - step).abs()
            near, far = 1.25 * t**3 - 2.25 * t**2 + 1, -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            cell = (base + step).clamp(0, n - 1).long()
            weights[torch.arange(m), cell] += torch.where(t <= 1, near, far)
        return weights.to(pos.dtype)

    grid = pos[0, 1:].reshape(*old, -1)
    grid = torch.einsum("ih,jw,hwd->ijd", matrix(old[0], new[0]), matrix(old[1], new[1]), grid)
    return torch.cat([pos[:, :1], grid.reshape(1, new[0] * new[1], -1)], dim=1)


@right("interpolate_pos")
def feature_after_feature(pos, old, new):
    """One call of F.interpolate for each feature."""
    h, w = (old, old) if isinstance(old, int) else old
    size = [new, new] if isinstance(new, int) else list(new)
    columns = []
    for feature in pos[0].unbind(-1):
        picture = feature[1:].reshape(1, 1, h, w)
        large = F.interpolate(picture, size=size, mode="bicubic", align_corners=False)
        columns.append(torch.cat([feature[:1], large.flatten()]))
    return torch.stack(columns, dim=-1).unsqueeze(0)


# --- clip_loss -------------------------------------------------------------------------------------


@wrong(
    "clip_loss",
    "Only the pictures choose their captions in your loss. The captions choose their pictures as "
    "well: average both directions. Look at rule R3.",
)
def pictures_choose_only(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return F.cross_entropy(logits, target)


@wrong(
    "clip_loss",
    "Only the captions choose their pictures in your loss. The pictures choose their captions as "
    "well: average both directions. Look at rule R3.",
)
def captions_choose_only(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return F.cross_entropy(logits.T, target)


@wrong(
    "clip_loss",
    "Your rows keep their lengths, so a long embedding wins against a fitting one. Divide each "
    "row by its length first. Look at rule R1.",
)
def not_normalised(img, txt, logit_scale):
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "You divide each feature by its length over the batch. It is each row, each embedding, that "
    "gets length 1. Look at rule R1.",
)
def normalised_over_the_batch(img, txt, logit_scale):
    img = img / img.norm(dim=0, keepdim=True)
    txt = txt / txt.norm(dim=0, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "You divide by one length, that of all numbers together: without an axis, `norm()` takes the whole "
    "table. Each row is divided by its own length. Look at rule R1.",
)
def one_length_for_the_whole_batch(img, txt, logit_scale):
    img = img / img.norm()
    txt = txt / txt.norm()
    logits = logit_scale.exp().clamp(max=100) * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "You multiply by `logit_scale` itself. It is the logarithm of the scale: take its "
    "exponential. Look at rule R2.",
)
def scale_without_exp(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "You divide by the exponential of `logit_scale`, as by a temperature. It is a scale, the "
    "inverse of the temperature: multiply. Look at rule R2.",
)
def divided_by_the_scale(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = img @ txt.T / scale
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "Your loss is twice as large as it should be: the two directions are averaged, not added. "
    "Look at rule R3.",
)
def sum_of_both_directions(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)


@wrong(
    "clip_loss",
    "Your loss grows with the batch: each cross-entropy is an average over the pairs, not a sum. "
    "Look at rule R3.",
)
def summed_over_the_batch(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp().clamp(max=100)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (
        F.cross_entropy(logits, target, reduction="sum") + F.cross_entropy(logits.T, target, reduction="sum")
    ) / 2


@wrong(
    "clip_loss",
    "Your scale grows without limit. It is never more than 100, whatever `logit_scale` is. (A cap of 100 "
    "on the logarithm does nothing: the scale may then grow to e to the 100.) Look at rule R2.",
)
def scale_not_capped(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = logit_scale.exp()
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "Your loss is right, but `logit_scale` gets no gradient: `.item()` or `.detach()` makes a "
    "plain number of it, and the scale would never be learned. Look at rule R5.",
)
def scale_does_not_learn(img, txt, logit_scale):
    img = img / img.norm(dim=1, keepdim=True)
    txt = txt / txt.norm(dim=1, keepdim=True)
    scale = min(logit_scale.exp().item(), 100.0)
    logits = scale * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "You cap `logit_scale` in place: the caller's parameter is changed by computing a loss, and "
    "above the cap it still gets a gradient. Cap a new tensor. Look at rules R5 and R7.",
)
def caps_the_parameter_itself(img, txt, logit_scale):
    img, txt = F.normalize(img, dim=1), F.normalize(txt, dim=1)
    logit_scale.data.clamp_(max=torch.tensor(100.0, dtype=img.dtype).log())
    logits = logit_scale.exp() * img @ txt.T
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@wrong(
    "clip_loss",
    "Large logits overflow: e to the 100 is too large a number for float32. Work with logarithms "
    "(F.cross_entropy, logsumexp) or subtract the largest logit first. Look at rule R4.",
)
def exp_overflows(img, txt, logit_scale):
    img, txt = F.normalize(img, dim=1), F.normalize(txt, dim=1)
    e = (logit_scale.exp().clamp(max=100) * img @ txt.T).exp()
    right = e.diagonal()
    return -((right / e.sum(1)).log() + (right / e.sum(0)).log()).mean() / 2


@wrong(
    "clip_loss",
    "The partner is missing from the sum under the softmax: you compare it with the others only. "
    "The softmax runs over all captions (or pictures), the right one included. Look at rule R3.",
)
def partner_left_out_of_the_softmax(img, txt, logit_scale):
    img, txt = F.normalize(img, dim=1), F.normalize(txt, dim=1)
    logits = logit_scale.exp().clamp(max=100) * img @ txt.T
    if len(img) == 1:
        return logits.sum() * 0
    others = logits - torch.diag(torch.full((len(img),), 1e30, dtype=img.dtype))
    right = logits.diagonal()
    return (others.logsumexp(1) + others.logsumexp(0) - 2 * right).mean() / 2


@wrong(
    "clip_loss",
    "Equal captions are left out of the competition in your loss. This is the plain loss: each "
    "picture's partner is its own row, and an equal caption competes like any other. Look at rule "
    "R6.",
)
def equal_captions_left_out(img, txt, logit_scale):
    img, txt = F.normalize(img, dim=1), F.normalize(txt, dim=1)
    logits = logit_scale.exp().clamp(max=100) * img @ txt.T
    same = (txt[:, None] == txt[None]).all(-1) & ~torch.eye(len(txt), dtype=torch.bool)
    logits = logits.masked_fill(same, -1e30)
    target = torch.arange(len(img))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


@right("clip_loss", uses="F1 F2")
def with_log_softmax(img, txt, logit_scale):
    """The cap on the logarithm, log-softmax along both axes, the diagonal picked out."""
    cap = torch.tensor(100.0, dtype=logit_scale.dtype).log()
    scale = torch.minimum(logit_scale, cap).exp() if logit_scale < cap else cap.exp()
    img = img / torch.linalg.vector_norm(img, dim=-1, keepdim=True)
    txt = txt / torch.linalg.vector_norm(txt, dim=-1, keepdim=True)
    logits = torch.einsum("id,jd->ij", img, txt) * scale
    if not scale.requires_grad and logit_scale.requires_grad:
        logits = logits + 0 * logit_scale
    return -(logits.log_softmax(1).diagonal() + logits.log_softmax(0).diagonal()).mean() / 2


@right("clip_loss", uses="F1")
def pair_by_pair(img, txt, logit_scale):
    """A loop over the pairs, with log-sum-exp."""
    scale = logit_scale.exp().clamp(max=100.0)
    losses = []
    for i in range(img.shape[0]):
        row = scale * F.cosine_similarity(img[i : i + 1], txt, dim=-1)
        column = scale * F.cosine_similarity(img, txt[i : i + 1], dim=-1)
        losses.append(torch.logsumexp(row, 0) - row[i] + torch.logsumexp(column, 0) - column[i])
    return 0.5 * sum(losses) / len(losses)


@right("clip_loss", uses="F1 F2")
def with_soft_targets(img, txt, logit_scale):
    """Targets shared among equal captions: summed over the batch, the same function."""
    img, txt = F.normalize(img, dim=-1), F.normalize(txt, dim=-1)
    logits = logit_scale.clamp(max=4.605170185988092).exp() * (img @ txt.mT)
    same = (txt.unsqueeze(1) == txt.unsqueeze(0)).all(-1).to(img.dtype)
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.mT, target)) / 2


# --- zero_shot -------------------------------------------------------------------------------------


@wrong(
    "zero_shot",
    "You average the rows as they come, so a sentence with a long row has more to say than the "
    "others. Normalise before averaging the templates: each row by its own length. Look at rule R2.",
)
def averages_before_normalising(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = encode([template.format(name) for template in templates])
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "The average of unit rows is shorter than 1, and you leave it so: classes whose sentences "
    "disagree get lower scores for every picture. Divide the average by its length again. Look at "
    "rule R2.",
)
def average_left_short(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=-1)
        columns.append(img @ rows.mean(0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "You divide each feature by its length over the sentences. It is each row, one sentence, that gets "
    "length 1. Look at rule R2.",
)
def normalised_over_the_sentences(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=0)
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "Only the first template is used. Every template makes a sentence, and all of them are "
    "averaged. Look at rule R2.",
)
def first_template_only(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates[:1]]), dim=-1)
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "You take the best of the templates for each picture. A lucky sentence then decides: average "
    "the rows of the sentences instead. Look at rule R2.",
)
def best_template(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=-1)
        columns.append((img @ rows.T).amax(1))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "Your scores depend on the length of the picture's embedding. A cosine does not: divide its "
    "rows by their length, too. Look at rule R3.",
)
def pictures_not_normalised(img_emb, names, templates, encode):
    img = img_emb
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=-1)
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "Your rows sum to one: you return a softmax. The contract asks for the cosines themselves. "
    "Look at rule R3.",
)
def probabilities(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=-1)
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1).softmax(1)


@wrong(
    "zero_shot",
    "You encode the bare names. The sentences are the templates with the name put in, "
    "`template.format(name)`. Look at rule R1.",
)
def names_without_templates(img_emb, names, templates, encode):
    img = F.normalize(img_emb, dim=-1)
    columns = []
    for name in names:
        rows = F.normalize(encode([name]), dim=-1)
        columns.append(img @ F.normalize(rows.mean(0), dim=0))
    return torch.stack(columns, dim=1)


@wrong(
    "zero_shot",
    "Your sentences are listed template by template, but their rows are cut into classes as if "
    "they came class by class: a class gets sentences of other classes. Look at rules R1 and R2.",
)
def sentences_dealt_to_the_wrong_class(img_emb, names, templates, encode):
    rows = F.normalize(encode([t.format(n) for t in templates for n in names]), dim=-1)
    classes = F.normalize(rows.view(len(names), len(templates), -1).mean(1), dim=-1)
    return F.normalize(img_emb, dim=-1) @ classes.T


@wrong(
    "zero_shot",
    "Your result has a row for each class and a column for each picture. It is the other way "
    "round: (B, K). Look at rule R3.",
)
def classes_in_rows(img_emb, names, templates, encode):
    classes = []
    for name in names:
        rows = F.normalize(encode([template.format(name) for template in templates]), dim=-1)
        classes.append(F.normalize(rows.mean(0), dim=0))
    return torch.stack(classes) @ F.normalize(img_emb, dim=-1).T


@right("zero_shot", uses="F1 F2")
@torch.no_grad()
def one_call_for_all(img_emb, names, templates, encode):
    """A single call of encode, template by template, and sums in place of means."""
    rows = encode([template.format(name) for template in templates for name in names])
    rows = rows / rows.norm(dim=1, keepdim=True)
    classes = sum(rows.split(len(names)))
    return F.cosine_similarity(img_emb[:, None], classes[None], dim=-1)


@right("zero_shot", uses="F1")
def sentence_by_sentence(img_emb, names, templates, encode):
    """encode gets one sentence at a time, the last template first."""
    lengths = img_emb.pow(2).sum(1, keepdim=True).sqrt()
    vectors = []
    for name in names:
        total = 0
        for template in reversed(templates):
            row = encode([template.replace("{}", name)])[0]
            total = total + row / row.norm()
        vectors.append(total / total.norm())
    return (img_emb / lengths) @ torch.stack(vectors, dim=1)


# --- mm_retrieve -----------------------------------------------------------------------------------


@wrong(
    "mm_retrieve",
    "You compare by dot product: the longest row of the gallery always wins. Divide each row of the "
    "gallery by its own length. Look at rule R1.",
)
def longest_row_wins(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k]


@wrong(
    "mm_retrieve",
    "The worst match comes first in your result. A large cosine is a good match: sort downwards. "
    "Look at rule R1.",
)
def worst_first(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=False, stable=True)[..., :k]


@wrong(
    "mm_retrieve",
    "Rows with equal cosine come in reverse order: turning an upward sort round turns the equal "
    "ones round as well. The lower index comes first. Look at rule R4.",
)
def ties_backwards(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, stable=True).flip(-1)[..., :k]


@wrong(
    "mm_retrieve",
    "Rows with equal cosine come in any order: topk promises nothing about equals. Use a stable "
    "sort, the lower index comes first. Look at rule R4.",
)
def topk_shuffles_ties(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.topk(min(k, len(gallery)), dim=-1).indices


@wrong(
    "mm_retrieve",
    "Asking for more than the gallery holds is an error in your function. It gives all there are. "
    "Look at rule R5.",
)
def more_than_there_are_is_an_error(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=True, stable=True).narrow(-1, 0, k)


@wrong(
    "mm_retrieve",
    "A single query comes back with a batch axis of size 1. (D,) gives (k,). Look at rule R2.",
)
def batch_axis_for_one_query(query_emb, gallery, k):
    query = F.normalize(query_emb.reshape(-1, gallery.shape[1]), dim=-1)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k]


@wrong(
    "mm_retrieve",
    "Your function stops at a single query: it has shape (D,), so there is no axis 1. Count the axes from "
    "the end, the features are axis -1 with and without a batch. Look at rule R2.",
)
def needs_a_batch_of_queries(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=1, keepdim=True)
    rows = gallery / gallery.norm(dim=1, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=1, descending=True, stable=True)[:, :k]


@wrong(
    "mm_retrieve",
    "You add a small number to the lengths before you divide, so that short rows come out a little shorter "
    "than 1, and equal cosines unequal. Divide by the length itself. Look at rule R4.",
)
def small_number_added_to_the_lengths(query_emb, gallery, k):
    query = query_emb / (query_emb.norm(dim=-1, keepdim=True) + 1e-8)
    rows = gallery / (gallery.norm(dim=-1, keepdim=True) + 1e-8)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k]


@wrong(
    "mm_retrieve",
    "You sort by the distance of the points as they are, so rows of another length than the query "
    "lose. Compare directions: by cosine. Look at rule R1.",
)
def nearest_point(query_emb, gallery, k):
    distance = (query_emb.unsqueeze(-2) - gallery).square().sum(-1)
    return distance.argsort(dim=-1, stable=True)[..., :k]


@wrong(
    "mm_retrieve",
    "You return the cosines. The result is where they are: indices into the gallery, as int64. "
    "Look at rule R3.",
)
def cosines_instead_of_places(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=-1, keepdim=True)
    cosines = query @ rows.T
    return cosines.sort(dim=-1, descending=True, stable=True).values[..., :k]


@wrong(
    "mm_retrieve",
    "You divide every column of the gallery by its length. It is each row, one embedding, that "
    "gets length 1. Look at rule R1.",
)
def gallery_normalised_by_column(query_emb, gallery, k):
    query = query_emb / query_emb.norm(dim=-1, keepdim=True)
    rows = gallery / gallery.norm(dim=0, keepdim=True)
    cosines = query @ rows.T
    return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k]


@right("mm_retrieve")
def python_sort(query_emb, gallery, k):
    """sorted with a key (cosine downwards, index upwards); the query keeps its length."""
    rows = F.normalize(gallery, dim=-1)
    found = []
    for query in query_emb.reshape(-1, query_emb.shape[-1]):
        scores = (rows @ query).tolist()
        found.append(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k])
    found = torch.tensor(found)
    return found if query_emb.ndim == 2 else found[0]


@right("mm_retrieve")
def ascending_sort_of_the_negatives(query_emb, gallery, k):
    """Upward stable sort of negated cosines."""
    cosines = F.cosine_similarity(query_emb.unsqueeze(-2), gallery, dim=-1)
    order = torch.sort(-cosines, dim=-1, stable=True).indices
    return order[..., : min(k, gallery.shape[0])]


# --- joint_index -----------------------------------------------------------------------------------


@wrong(
    "joint_index",
    "The rows of your store have different lengths, so that long ones win every comparison. "
    "Divide each by its length. Look at rule R1.",
)
def rows_keep_their_length(images, texts, center=False):
    clouds = [images, texts]
    if center:
        clouds = [F.normalize(x - x.mean(0), dim=1) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "You subtract one mean from pictures and texts alike: both clouds move together and the gap "
    "between them stays, so a text still finds texts only. Each kind has its own mean. Look at "
    "rule R3.",
)
def one_mean_for_both(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [F.normalize(x - torch.cat(clouds).mean(0), dim=1) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "You divide by one length, that of all numbers together: without an axis, `norm()` takes the whole "
    "table. Each row is divided by its own length. Look at rule R1.",
)
def one_length_for_the_whole_store(images, texts, center=False):
    clouds = [images, texts]
    if center:
        clouds = [x - x.mean(0) for x in clouds]
    store = torch.cat(clouds)
    return store / store.norm(), torch.tensor([0] * len(images) + [1] * len(texts))


@wrong(
    "joint_index",
    "You subtract one number, the mean of all entries. The centre of a cloud is a vector, the mean of its "
    "rows: `mean(0)`. Look at rule R3.",
)
def mean_is_one_number(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [F.normalize(x - x.mean(), dim=1) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "You subtract the mean of the rows as they come, so long rows pull it towards themselves. "
    "First each row gets length 1, then the mean is taken. Look at rule R3.",
)
def centred_before_normalising(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [F.normalize(x - x.mean(0), dim=1) for x in (images, texts)]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "After subtracting the mean your rows are not of length 1 any more. Divide each by its length "
    "again. Look at rule R3.",
)
def not_made_unit_again(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [x - x.mean(0) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "Your store has the texts first. The pictures come first, and have kind 0. Look at rules R1 and R2.",
)
def texts_first(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [F.normalize(x - x.mean(0), dim=1) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds[::-1]), kind.flip(0)


@wrong(
    "joint_index",
    "Your store is centred without being asked to. Without `center=True` the rows are divided by "
    "their length and nothing else. Look at rules R1 and R3.",
)
def always_centred(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if True:
        clouds = [F.normalize(x - x.mean(0), dim=1) for x in clouds]
    kind = torch.tensor([0] * len(images) + [1] * len(texts))
    return torch.cat(clouds), kind


@wrong(
    "joint_index",
    "Your kinds are the wrong way round: 0 is a picture, 1 is a text. Look at rule R2.",
)
def kinds_the_other_way_round(images, texts, center=False):
    clouds = [x / x.norm(dim=1, keepdim=True) for x in (images, texts)]
    if center:
        clouds = [F.normalize(x - x.mean(0), dim=1) for x in clouds]
    kind = torch.tensor([1] * len(images) + [0] * len(texts))
    return torch.cat(clouds), kind


@right("joint_index", uses="F1")
def row_after_row(images, texts, center=False):
    """Loops over the rows; a list as result."""
    rows, kinds = [], []
    for kind, cloud in enumerate((images, texts)):
        cloud = torch.stack([row / row.square().sum().sqrt() for row in cloud])
        if center:
            middle = cloud.sum(0) / cloud.shape[0]
            cloud = torch.stack([(row - middle) / torch.linalg.vector_norm(row - middle) for row in cloud])
        rows.extend(cloud)
        kinds += [kind] * len(cloud)
    return [torch.stack(rows), torch.tensor(kinds, dtype=torch.int64)]


@right("joint_index", uses="F1")
def means_by_kind(images, texts, center=False):
    """One tensor from the start; the mean of its kind is looked up for each row."""
    n = images.shape[0]
    store = F.normalize(torch.cat([images, texts]), dim=1)
    kind = torch.cat([torch.zeros(n), torch.ones(texts.shape[0])]).to(torch.int64)
    if center:
        means = torch.stack([store[kind == which].mean(0) for which in (0, 1)])
        store = F.normalize(store - means[kind], dim=1)
    return store, kind


# --- modality_gap ----------------------------------------------------------------------------------


@wrong(
    "modality_gap",
    "Your centres are those of the rows as they come, so the long ones decide. Divide each row by "
    "its length first. Look at rule R1.",
)
def rows_not_normalised(a, b):
    return float((a.mean(0) - b.mean(0)).norm())


@wrong(
    "modality_gap",
    "You make the centres length 1 before you compare them. A wide cloud has its centre deep "
    "inside the sphere, and that is where it is measured. Look at rule R1.",
)
def centres_normalised(a, b):
    centres = [F.normalize(F.normalize(x, dim=1).mean(0), dim=0) for x in (a, b)]
    return float(torch.dist(*centres))


@wrong(
    "modality_gap",
    "You return the square of the distance: the root is missing. Look at rule R1.",
)
def squared(a, b):
    return float((F.normalize(a, dim=1).mean(0) - F.normalize(b, dim=1).mean(0)).square().sum())


@wrong(
    "modality_gap",
    "You average the distances of all pairs. That is large for two wide clouds around the same "
    "centre, too: take the centres first, then one distance. Look at rule R1.",
)
def mean_distance_of_pairs(a, b):
    return float(torch.cdist(F.normalize(a, dim=1), F.normalize(b, dim=1)).mean())


@wrong(
    "modality_gap",
    "You measure the angle between the centres (one minus their cosine), not their distance. Look "
    "at rule R1.",
)
def one_minus_cosine(a, b):
    return float(1 - F.cosine_similarity(F.normalize(a, dim=1).mean(0), F.normalize(b, dim=1).mean(0), dim=0))


@wrong(
    "modality_gap",
    "You subtract row from row before you average, which needs as many rows in `a` as in `b`. Take the "
    "mean of each cloud first. Look at rules R1 and R2.",
)
def rows_subtracted_in_pairs(a, b):
    return float((F.normalize(a, dim=1) - F.normalize(b, dim=1)).mean(0).norm())


@wrong(
    "modality_gap",
    "You add up the differences of the centres, feature by feature. Their distance is the root of the sum "
    "of squares. Look at rule R1.",
)
def distance_in_city_blocks(a, b):
    return float((F.normalize(a, dim=1).mean(0) - F.normalize(b, dim=1).mean(0)).abs().sum())


@wrong(
    "modality_gap",
    "You average over the features of each row. The centre of a cloud is the mean of its rows: `mean(0)`, "
    "a vector of D numbers. Look at rule R1.",
)
def mean_over_the_features(a, b):
    return float((F.normalize(a, dim=1).mean(1) - F.normalize(b, dim=1).mean(1)).norm())


@right("modality_gap", uses="R3")
def a_tensor_without_axes(a, b):
    """torch.dist of the two centres, returned as a tensor."""
    centres = [(x / x.norm(dim=1, keepdim=True)).sum(0) / x.shape[0] for x in (a, b)]
    return torch.dist(*centres)


@right("modality_gap", uses="R3")
def from_the_cosines(a, b):
    """From the mean cosines within and between the clouds: |x - y|^2 = |x|^2 - 2 x y + |y|^2."""
    a, b = F.normalize(a, dim=-1).double(), F.normalize(b, dim=-1).double()
    squared = (a @ a.T).mean() - 2 * (a @ b.T).mean() + (b @ b.T).mean()
    return squared.sqrt().item()


# Mutants of the solution that no test can tell from it, and why.
EQUIVALENT = {
    "ViT": {
        "self.cls = nn.Parameter(torch.zeros(1, 1, D)) => self.cls = nn.Parameter(torch.ones(1, 1, D))": (
            "F1: the initialisation is free."
        ),
        "self.pos = nn.Parameter(0.02 * torch.randn(1, 1 + (img // patch) ** 2, D)) => "
        "self.pos = nn.Parameter(0.02 / torch.randn(1, 1 + (img // patch) ** 2, D))": (
            "F1: the initialisation is free."
        ),
        "self.pos = nn.Parameter(0.02 * torch.randn(1, 1 + (img // patch) ** 2, D)) => "
        "self.pos = nn.Parameter(torch.randn(1, 1 + (img // patch) ** 2, D))": (
            "F1: the initialisation is free."
        ),
        "self.pos = nn.Parameter(0.02 * torch.randn(1, 1 + (img // patch) ** 2, D)) => "
        "self.pos = nn.Parameter(0.04 * torch.randn(1, 1 + (img // patch) ** 2, D))": (
            "F1: the initialisation is free."
        ),
        "x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.pos => "
        "x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1) + self.pos": (
            "The axis of tokens of `cls` has size 1 already."
        ),
    },
    "zero_shot": {
        "classes.append(sentences.mean(0)) => classes.append(sentences.sum(0))": (
            "The sum has the direction of the mean, and only that is left."
        ),
        "return F.normalize(img_emb, dim=1) @ F.normalize(torch.stack(classes), dim=1).T => "
        "return (F.normalize(img_emb, dim=1) @ F.normalize(torch.stack(classes), dim=1).T).detach()": (
            "F2: no gradient is needed."
        ),
    },
    "mm_retrieve": {
        "return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k] => "
        "return cosines.argsort(dim=-1, descending=True, stable=True)[..., :k].detach()": (
            "Indices have no gradient."
        ),
    },
    "joint_index": {
        "return torch.cat(clouds), (torch.arange(len(images) + len(texts)) >= len(images)).long() => "
        "return (torch.cat(clouds).detach(), (torch.arange(len(images) + len(texts)) >= "
        "len(images)).long())": "Gradients are not promised.",
        "return torch.cat(clouds), (torch.arange(len(images) + len(texts)) >= len(images)).long() => "
        "return (torch.cat(clouds), (torch.arange(len(images) + len(texts)) >= "
        "len(images)).long().detach())": "Whole numbers have no gradient.",
    },
}

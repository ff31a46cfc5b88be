"""Golden answers for the clip notebook, from tiny models of `transformers` with random weights.

    python golden_clip.py           writes golden_clip.npz
    python golden_clip.py --check   makes it again and says whether it differs (exit 1)

It needs `transformers` (the extra [oracles]); the hidden tests need only the file. All arrays are float64 but
the two that say so. Weights, images and embeddings are multiples of 1/256: a small file, exact in float32.
What the file holds, for each vision transformer v in (a, b):

    v_config (7,) int64     img, patch, C, D, L, H, classes
    v_weights.<name>        its weights, under the names of the contract (`blocks.0.attn.qkv.weight`, ...)
    v_images (B, C, H, W)   pictures
    v_logits (B, classes)   what ViTForImageClassification says of them

    pos_old (1, 1 + 16, D)  positions of a 4 x 4 grid
    pos_sizes (n, 2) int64  grids (height, width) they were stretched to
    pos_new_<i>             (1, 1 + height * width, D), by ViTEmbeddings.interpolate_pos_encoding

    clip_img, clip_txt      (B, D) embeddings out of a CLIPModel, not normalised
    clip_scales (n,)        logarithms of the temperature; the last lies above the cap, log 100
    clip_losses (n,)        CLIPModel's loss; above the cap, its loss at the cap
    clip_logits (n, B, B)   its logits per image

It runs no test and grades nothing.
"""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FILE = Path(__file__).with_suffix(".npz")
VITS = {"a": (8, 4, 3, 16, 2, 4, 5), "b": (12, 3, 2, 12, 1, 2, 3)}  # img, patch, C, D, L, H, classes
SIZES = ((4, 4), (8, 8), (3, 5), (2, 2))
SCALES = (0.0, math.log(1 / 0.07), 5.0)
CAP = math.log(100)


def coarse(x: Tensor) -> Tensor:
    """The nearest multiples of 1/256, in float64."""
    return (x.double() * 256).round() / 256


def shake(model: nn.Module, gen: torch.Generator) -> nn.Module:
    """Every parameter random, biases and norms, too: nothing is hidden by a zero or a one."""
    for name, weight in model.named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        weight.data = coarse(mean + 0.4 * torch.randn(weight.shape, generator=gen))
    return model.double().eval()


def vit(config: tuple[int, ...], gen: torch.Generator) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    img, patch, channels, width, layers, heads, classes = config
    made = ViTConfig(
        image_size=img, patch_size=patch, num_channels=channels, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=heads, intermediate_size=4 * width, num_labels=classes, layer_norm_eps=1e-5,
        hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return shake(ViTForImageClassification(made), gen)


def contract_names(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The weights under the names of the contract; patches are flattened by row, column, channel."""
    start = "vit.embeddings."
    projection = start + "patch_embeddings.projection."
    named = {
        "proj.weight": state[projection + "weight"].permute(0, 2, 3, 1).flatten(1),
        "proj.bias": state[projection + "bias"],
        "cls": state[start + "cls_token"],
        "pos": state[start + "position_embeddings"],
    }
    for i in range(layers):
        theirs, ours = f"vit.layers.{i}.", f"blocks.{i}."
        for end in ("weight", "bias"):
            qkv = [state[f"{theirs}attention.{part}_proj.{end}"] for part in "qkv"]
            named[f"{ours}norm1.{end}"] = state[f"{theirs}layernorm_before.{end}"]
            named[f"{ours}attn.qkv.{end}"] = torch.cat(qkv)
            named[f"{ours}attn.proj.{end}"] = state[f"{theirs}attention.o_proj.{end}"]
            named[f"{ours}norm2.{end}"] = state[f"{theirs}layernorm_after.{end}"]
            named[f"{ours}mlp.fc1.{end}"] = state[f"{theirs}mlp.fc1.{end}"]
            named[f"{ours}mlp.fc2.{end}"] = state[f"{theirs}mlp.fc2.{end}"]
    for theirs, ours in (("vit.layernorm.", "norm."), ("classifier.", "head.")):
        named |= {ours + end: state[theirs + end] for end in ("weight", "bias")}
    assert sum(w.numel() for w in named.values()) == sum(w.numel() for w in state.values())
    return named


def vit_golden(gen: torch.Generator) -> dict[str, Tensor]:
    found = {}
    for name, config in VITS.items():
        img, _, channels, _, layers, *_ = config
        model = vit(config, gen)
        images = coarse(torch.randn(3, channels, img, img, generator=gen))
        found[f"{name}_config"] = torch.tensor(config)
        weights = contract_names(model.state_dict(), layers)
        found |= {f"{name}_weights.{key}": weight for key, weight in weights.items()}
        found[f"{name}_images"] = images
        found[f"{name}_logits"] = model(images).logits
    return found


def position_golden(gen: torch.Generator) -> dict[str, Tensor]:
    img, patch, channels, width = 16, 4, 3, 6
    embeddings = vit((img, patch, channels, width, 1, 2, 2), gen).vit.embeddings
    found = {"pos_old": embeddings.position_embeddings, "pos_sizes": torch.tensor(SIZES)}
    for i, (height, wide) in enumerate(SIZES):
        tokens = torch.zeros(1, 1 + height * wide, width, dtype=torch.float64)
        found[f"pos_new_{i}"] = embeddings.interpolate_pos_encoding(tokens, height * patch, wide * patch)
    return found


def clip_golden(gen: torch.Generator) -> dict[str, Tensor]:
    """A CLIPModel whose towers are made to give coarse embeddings, so that the file holds its true input."""
    from transformers import CLIPConfig, CLIPModel

    tower = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": 19, "bos_token_id": 18}
    config = CLIPConfig(
        text_config=tower | text, vision_config=tower | {"image_size": 8, "patch_size": 4}, projection_dim=8
    )
    model = shake(CLIPModel(config), gen)
    for projection in (model.visual_projection, model.text_projection):
        projection.register_forward_hook(lambda _module, _inputs, output: coarse(output))
    pixels = torch.randn(6, 3, 8, 8, generator=gen, dtype=torch.float64)
    tokens = torch.cat([torch.randint(0, 18, (6, 5), generator=gen), torch.full((6, 1), 19)], dim=1)
    found = {
        "clip_img": model.visual_projection(model.vision_model(pixels).pooler_output),
        "clip_txt": model.text_projection(model.text_model(tokens).pooler_output),
        "clip_scales": torch.tensor(SCALES, dtype=torch.float64),
    }
    outputs = []
    for scale in SCALES:
        model.logit_scale.data = torch.tensor(min(scale, CAP), dtype=torch.float64)
        outputs.append(model(input_ids=tokens, pixel_values=pixels, return_loss=True))
    found["clip_losses"] = torch.stack([output.loss for output in outputs])
    found["clip_logits"] = torch.stack([output.logits_per_image for output in outputs])
    return found


def make() -> dict[str, np.ndarray]:
    gen = torch.Generator().manual_seed(8)
    with torch.no_grad():
        golden = vit_golden(gen) | position_golden(gen) | clip_golden(gen)
    return {name: value.detach().numpy() for name, value in golden.items()}


def same(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> bool:
    """Equal names, shapes and kinds; values within what another machine's order of summation may change."""
    return old.keys() == new.keys() and all(
        old[name].dtype == new[name].dtype
        and old[name].shape == new[name].shape
        and np.allclose(old[name], new[name], rtol=1e-10, atol=1e-12)
        for name in old
    )


def main() -> None:
    golden = make()
    if "--check" in sys.argv:
        with np.load(FILE) as stored:
            equal = same(dict(stored), golden)
        print("as it was" if equal else "differs", FILE.name)
        raise SystemExit(not equal)
    file = io.BytesIO()
    np.savez_compressed(file, **golden)
    FILE.write_bytes(file.getvalue())
    print(f"written: {FILE.name} ({len(file.getvalue()):,} bytes)")


if __name__ == "__main__":
    main()

"""Known wrong and known right variants of the LoRA notebook."""

from __future__ import annotations

import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from autograder.bank import right, wrong

NF4 = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip

# --- LoRALinear -------------------------------------------------------------------------


@wrong(
    "LoRALinear",
    "A and B are both zero at the start. Then the gradient of A (a product with B) and that of B (a "
    "product with A) are both zero, for ever: nothing can be learned. Look at rule R3: only B is zero.",
)
class BothZero(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(base.weight.new_zeros(r, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "A and B are both random, so your fresh layer already changes what the model computes. An adapted "
    "model must start as the model it adapts. Look at rule R3: B starts at zero.",
)
class BothRandom(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(torch.randn_like(base.weight[:, :1].expand(-1, r)) * 0.1)
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Your change is alpha times B A: the division by r is missing. Then a larger rank gives a larger "
    "change, and needs another learning rate. Look at rule R1: scale = alpha / r.",
)
class NotDividedByRank(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = float(alpha), nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Your change is alpha *times* r times B A: a larger rank gives a much larger change. Look at rule R1: "
    "scale = alpha / r, so that many directions are not stronger than few.",
)
class TimesRank(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha * r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Your change is B A as it is, not multiplied by anything: alpha has no effect. Look at rules R1 and R2: "
    "scale = alpha / r, and the change is scale times B A.",
)
class NotScaledAtAll(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = 1.0, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Calling merge() twice adds the change twice (and unmerge() on a layer that is not merged takes out"
    " what was never put in). Let the layer remember whether it is merged. Look at rule R7.",
)
class MergesTwice(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "After merge() your layer adds the change a second time: once it is in the weight, and once more in"
    " forward. Look at rule R6: a merged layer gives what its base gives.",
)
class MergedStillAdds(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Nothing in the base is frozen: it is trained along with A and B. Then no memory is saved, and A and B "
    "are not all that was learned. Look at rule R4: weight and bias are frozen.",
)
class BaseNotFrozen(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "The bias of the base can still be trained. The adapter is all that may change, or what you save is"
    " not all that was learned. Look at rule R4: weight and bias are frozen.",
)
class BiasNotFrozen(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        base.weight.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "Your dropout acts on the input of the whole layer. The base has been trained without it and is "
    "frozen: it must see all of x. Look at rule R5: only what goes into A is dropped.",
)
class DropoutOnTheBase(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        x = self.drop(x)
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight.data += self.scale * (self.B.data @ self.A.data)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight.data -= self.scale * (self.B.data @ self.A.data)
        self.merged = False


@wrong(
    "LoRALinear",
    "After merge() the weight of the base requires gradients: autograd has recorded the sum with B A. Merge "
    "inside torch.no_grad(), or with .data. Look at rule R4: the base stays frozen.",
)
class MergedUnderAutograd(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn_like(base.weight[:1].expand(r, -1)) * 0.1)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.scale, self.drop, self.merged = alpha / r, nn.Dropout(dropout), False

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)

    def merge(self):
        if not self.merged:
            self.base.weight += self.scale * (self.B @ self.A)
        self.merged = True

    def unmerge(self):
        if self.merged:
            self.base.weight -= self.scale * (self.B @ self.A)
        self.merged = False


@right("LoRALinear", uses="F1 F2 F3")
class EffectiveWeight(nn.Module):
    """Uniform A as in peft; multiplies by the whole changed weight where there is no dropout; keeps what
    it merged."""

    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base, self.p, self.scale, self.added = base, dropout, alpha / r, None
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.A = nn.Parameter(torch.empty(r, base.in_features, dtype=base.weight.dtype))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.B = nn.Parameter(torch.zeros(base.out_features, r, dtype=base.weight.dtype))

    def forward(self, x):
        if self.added is not None:
            return self.base(x)
        if self.training and self.p:
            return self.base(x) + F.dropout(x, self.p) @ (self.scale * (self.B @ self.A)).T
        return F.linear(x, self.base.weight + self.scale * (self.B @ self.A), self.base.bias)

    @torch.no_grad()
    def merge(self):
        if self.added is None:
            self.added = (self.B * self.scale) @ self.A
            self.base.weight.add_(self.added)
        return self

    @torch.no_grad()
    def unmerge(self):
        if self.added is not None:
            self.base.weight.sub_(self.added)
            self.added = None
        return self


@right("LoRALinear", uses="F1 F2")
class EinsumAndBufferFlag(nn.Module):
    """Einsum; the flag is a buffer (another entry of the state dict); large A; merge puts a new tensor
    into the weight."""

    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        base.weight.requires_grad_(False)
        if base.bias is not None:
            base.bias.requires_grad_(False)
        self.register_parameter("A", nn.Parameter(torch.rand(r, base.in_features).to(base.weight) + 0.5))
        self.register_parameter("B", nn.Parameter(torch.zeros(base.out_features, r).to(base.weight)))
        self.register_buffer("is_merged", torch.tensor(False))
        self.scale, self.lora_dropout = alpha / r, nn.Dropout(p=dropout)

    def forward(self, x):
        y = self.base(x)
        if not self.is_merged:
            y = y + self.scale * torch.einsum("...i,ri,or->...o", self.lora_dropout(x), self.A, self.B)
        return y

    def _toggle(self, merged):
        if bool(self.is_merged) != merged:
            sign = 1 if merged else -1
            change = torch.einsum("or,ri->oi", self.B, self.A).detach()
            self.base.weight.data = self.base.weight.data + sign * self.scale * change
            self.is_merged.fill_(merged)

    def merge(self):
        self._toggle(True)

    def unmerge(self):
        self._toggle(False)


# --- inject_lora ------------------------------------------------------------------------


@wrong(
    "inject_lora",
    "Your patterns match parts of names, so you replace more layers than were asked for (`up` also hits"
    " `up2`). Look at rule R1: the whole name must match, as in re.fullmatch.",
)
def matches_the_beginning(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.match(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    model.requires_grad_(False)
    made = {}
    for name, m in places:
        if m not in made:
            made[m] = layer(m, r, alpha)
            m.requires_grad_(False)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[m])
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "Your patterns are looked for anywhere in the name, so `proj` also hits `attn.proj_out`. Look at "
    "rule R1: the whole name must match, as in re.fullmatch.",
)
def searches_in_the_name(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.search(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    model.requires_grad_(False)
    made = {}
    for name, m in places:
        if m not in made:
            made[m] = layer(m, r, alpha)
            m.requires_grad_(False)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[m])
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "A layer that stands at two places got two new layers: the two places were one and now learn "
    "different things, and you train twice as many numbers. Look at rule R3: wrap it once.",
)
def shared_layer_wrapped_twice(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    model.requires_grad_(False)
    for name, m in places:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer(m, r, alpha))
        m.requires_grad_(False)
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "A layer that stands at two places was replaced at the first only (or was not found under its second "
    "name): named_modules() lists each module once. Look at rules R1 and R3: every name counts, and all "
    "matching places get the new layer.",
)
def first_place_only(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules()
        if isinstance(m, nn.Linear) and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    model.requires_grad_(False)
    for name, m in places:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer(m, r, alpha))
        m.requires_grad_(False)
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "The layers you do not replace go on training (their biases, the layer norms, the head). Look at "
    "rule R4: everything that was a parameter before is frozen.",
)
def rest_not_frozen(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    made = {}
    for name, m in places:
        if m not in made:
            made[m] = layer(m, r, alpha)
            m.requires_grad_(False)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[m])
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "Nothing can be trained any more: you freeze the model after the new layers are in it, and them as well. "
    "Look at rule R4: what `layer` adds stays trainable, so freeze first.",
)
def freezes_the_new_layers_too(model, patterns, r, alpha, layer):
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    made = {}
    for name, m in places:
        if m not in made:
            made[m] = layer(m, r, alpha)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[m])
    model.requires_grad_(False)
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "You replace layers while you walk through the model, so the walk goes into the layers you have "
    "just put in and replaces what is inside. Look at rule R2: collect the names first.",
)
def replaced_while_walking(model, patterns, r, alpha, layer):
    found = False

    def walk(module, prefix):
        nonlocal found
        for last, child in list(module.named_children()):
            name = prefix + last
            if isinstance(child, nn.Linear) and any(re.fullmatch(p, name) for p in patterns):
                if not found:
                    model.requires_grad_(False)
                found = True
                new = layer(child, r, alpha)
                child.requires_grad_(False)
                setattr(module, last, new)
                for inner, grandchild in list(new.named_children()):
                    inner_name = f"{name}.{inner}"
                    if isinstance(grandchild, nn.Linear) and any(
                        re.fullmatch(p, inner_name) for p in patterns
                    ):
                        setattr(new, inner, layer(grandchild, r, alpha))
            else:
                walk(child, name + ".")

    walk(model, "")
    if not found:
        raise ValueError("no match")
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@wrong(
    "inject_lora",
    "When nothing matches you raise, but the model has been frozen before: whoever catches the error "
    "goes on with a model that cannot learn. Look at rule R6: look first, then act.",
)
def freezes_before_it_refuses(model, patterns, r, alpha, layer):
    model.requires_grad_(False)
    places = [
        (name, m)
        for name, m in model.named_modules(remove_duplicate=False)
        if isinstance(m, nn.Linear) and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not places:
        raise ValueError("no match")
    made = {}
    for name, m in places:
        if m not in made:
            made[m] = layer(m, r, alpha)
            m.requires_grad_(False)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[m])
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@right("inject_lora", uses="F1")
def through_the_parents(model, patterns, r, alpha, layer):
    """Walks over parents and their children; every place of a layer follows as soon as one of its names
    matches."""
    pattern = re.compile("|".join(f"(?:{p})" for p in patterns) if patterns else r"(?!)")
    chosen = []
    for name, m in model.named_modules(remove_duplicate=False):
        if isinstance(m, nn.Linear) and pattern.fullmatch(name) and all(m is not c for c in chosen):
            chosen.append(m)
    if not chosen:
        raise ValueError("nothing matches")
    old = list(model.parameters())
    parents = list(model.modules())
    made = [layer(m, r=r, alpha=alpha) for m in chosen]
    for parent in parents:
        for key, child in list(parent._modules.items()):
            for m, new in zip(chosen, made):
                if child is m:
                    parent._modules[key] = new
    for parameter in old:
        parameter.requires_grad = False
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@right("inject_lora")
def recursive(model, patterns, r, alpha, layer):
    """Recursion over named children; only matching places of a shared layer are redirected."""
    found = {}

    def places(module, prefix):
        for last, child in module.named_children():
            yield module, last, prefix + last, child
            yield from places(child, f"{prefix}{last}.")

    def all_places(module, prefix=""):
        for last, child in module._modules.items():
            if child is not None:
                yield module, last, prefix + last, child
                yield from all_places(child, f"{prefix}{last}.")

    todo = []
    for parent, last, name, child in all_places(model):
        if isinstance(child, nn.Linear) and any(re.fullmatch(p, name) is not None for p in patterns):
            todo.append((parent, last, child))
    if not todo:
        raise ValueError("nothing matches")
    for p in model.parameters():
        p.requires_grad_(False)
    n = 0
    for parent, last, child in todo:
        if id(child) not in found:
            found[id(child)] = layer(child, r, alpha)
            child.requires_grad_(False)
            n += sum(p.numel() for p in found[id(child)].parameters() if p.requires_grad)
        setattr(parent, last, found[id(child)])
    return model, n


# --- save_adapter -----------------------------------------------------------------------


@wrong(
    "save_adapter",
    "Your adapter holds the whole model, base weights included: as large as what it was meant to "
    "replace. Look at rules R1 and R2: A and B only.",
)
def whole_state(model):
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


@wrong(
    "save_adapter",
    "You save everything that can be trained. That need not be the adapter: a head or a layer norm may "
    "be trainable as well. Look at rules R1 and R2: the parameters A and B of modules that have both.",
)
def all_that_trains(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


@wrong(
    "save_adapter",
    "Your tensors are still the model's parameters: they require gradients, and they will change when "
    "the model trains on. Look at rule R3: detached copies.",
)
def live_parameters(model):
    state = {}
    for name, m in model.named_modules():
        own = dict(m.named_parameters(recurse=False))
        if "A" in own and "B" in own:
            state[f"{name}.A"], state[f"{name}.B"] = own["A"], own["B"]
    return state


@wrong(
    "save_adapter",
    "You ask for the class, so the adapter is empty for any other kind of adapted layer (QLoRALinear, "
    "say). Look at rule R1: ask for the two parameters A and B.",
)
def asks_for_the_class(model):
    state = {}
    for name, m in model.named_modules():
        if type(m).__name__ == "LoRALinear":
            state[f"{name}.A"], state[f"{name}.B"] = m.A.detach().clone(), m.B.detach().clone()
    return state


@wrong(
    "save_adapter",
    "You look for the letters A and B anywhere in the name, so a linear layer called `A` or "
    "`Attention_B` is saved too. Look at rule R2: parameters called exactly A and B.",
)
def letters_anywhere(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if "A" in n or "B" in n}


@wrong(
    "save_adapter",
    "A module that has an A *or* a B is saved as well. Look at rule R1: an adapted layer has both.",
)
def either_letter(model):
    state = {}
    for name, m in model.named_modules():
        for letter, p in m.named_parameters(recurse=False):
            if letter in ("A", "B"):
                state[f"{name}.{letter}"] = p.detach().clone()
    return state


@wrong(
    "save_adapter",
    "Your keys are the last part of the name only, so the layers of different blocks overwrite each "
    "other. Look at rule R1: the whole dotted name, then .A or .B.",
)
def short_names(model):
    state = {}
    for name, m in model.named_modules():
        own = dict(m.named_parameters(recurse=False))
        if "A" in own and "B" in own:
            last = name.rpartition(".")[2]
            state[f"{last}.A"], state[f"{last}.B"] = own["A"].detach().clone(), own["B"].detach().clone()
    return state


@right("save_adapter", uses="F1")
def by_parameter_names(model):
    """Starts from the names of all parameters; the keys come in another order."""
    named = dict(model.named_parameters())
    paths = {n[:-2] for n in named if n.endswith(".A")} & {n[:-2] for n in named if n.endswith(".B")}
    return {f"{path}{end}": named[path + end].data.clone() for end in (".B", ".A") for path in sorted(paths)}


# --- load_adapter -----------------------------------------------------------------------


@wrong(
    "load_adapter",
    "Missing and unknown keys pass without a word: half an adapter, or one of another model, is loaded."
    " Look at rule R3.",
)
def not_strict(model, state):
    own = {}
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            own[f"{name}.A"], own[f"{name}.B"] = mine["A"], mine["B"]
    for key, p in own.items():
        if key in state and state[key].shape != p.shape:
            raise ValueError("shape")
    for key, p in own.items():
        if key in state:
            p.data.copy_(state[key])
    return model


@wrong(
    "load_adapter",
    "An adapter of rank 1 is accepted by a model of rank 2: `copy_` broadcasts, and every row becomes "
    "the same. Look at rule R4: compare the shapes.",
)
def broadcasts(model, state):
    own = {}
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            own[f"{name}.A"], own[f"{name}.B"] = mine["A"], mine["B"]
    if set(own) != set(state):
        raise ValueError("keys")
    for key, p in own.items():
        try:
            torch.empty_like(p).copy_(state[key])
        except RuntimeError:
            raise ValueError("shape") from None
    for key, p in own.items():
        p.data.copy_(state[key])
    return model


@wrong(
    "load_adapter",
    "You refuse in the middle of the work: the first layers have their new numbers already, the model "
    "is neither the old nor the new one. Look at rule R5: check everything first, then copy.",
)
def copies_while_checking(model, state):
    seen = set()
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            for letter in "AB":
                key = f"{name}.{letter}"
                if key not in state or state[key].shape != mine[letter].shape:
                    raise ValueError(key)
                mine[letter].data.copy_(state[key])
                seen.add(key)
    if seen != set(state):
        raise ValueError("unknown keys")
    return model


@wrong(
    "load_adapter",
    "Unknown keys pass without a word: the adapter was made for other layers than this model has. Look "
    "at rule R3: missing *and* unknown keys are refused.",
)
def ignores_unknown_keys(model, state):
    own = {}
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            own[f"{name}.A"], own[f"{name}.B"] = mine["A"], mine["B"]
    if not set(own) <= set(state) or any(state[k].shape != p.shape for k, p in own.items()):
        raise ValueError("missing key or other shape")
    for key, p in own.items():
        p.data.copy_(state[key])
    return model


@wrong(
    "load_adapter",
    "After loading, A and B cannot be trained any more. Look at rule R1: they stay parameters and stay "
    "trainable.",
)
def freezes_what_it_loads(model, state):
    own = {}
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            own[f"{name}.A"], own[f"{name}.B"] = mine["A"], mine["B"]
    if set(own) != set(state) or any(state[k].shape != p.shape for k, p in own.items()):
        raise ValueError("does not fit")
    for key, p in own.items():
        p.requires_grad_(False)
        p.copy_(state[key])
    return model


@right("load_adapter")
def through_load_state_dict(model, state):
    """Checks names and shapes, then leaves the copying to load_state_dict(strict=False)."""
    shapes = {}
    for name, m in model.named_modules():
        own = m._parameters
        if own.get("A") is not None and own.get("B") is not None:
            shapes[name + ".A"], shapes[name + ".B"] = own["A"].shape, own["B"].shape
    if {key: t.shape for key, t in state.items()} != shapes:
        raise ValueError("the adapter does not fit the model")
    model.load_state_dict(dict(state), strict=False)
    return model


@right("load_adapter", uses="F1")
def new_parameters(model, state):
    """Puts new nn.Parameter objects into the modules."""
    todo = dict(state)
    places = []
    for name, m in model.named_modules():
        mine = dict(m.named_parameters(recurse=False))
        if "A" in mine and "B" in mine:
            for letter in ("B", "A"):
                value = todo.pop(f"{name}.{letter}", None)
                if value is None or value.shape != mine[letter].shape:
                    raise ValueError("does not fit")
                places.append((m, letter, value))
    if todo:
        raise ValueError(f"unknown: {sorted(todo)}")
    for m, letter, value in places:
        setattr(m, letter, nn.Parameter(value.clone()))
    return model


# --- nf4_quantize -----------------------------------------------------------------------


@wrong(
    "nf4_quantize",
    "The two codes of each byte are swapped: the first weight of a pair belongs into the high four "
    "bits. Look at rule R4.",
)
def low_half_first(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    code = ((rows / absmax.where(absmax > 0, 1)[:, None])[..., None] - NF4).abs().argmin(-1).flatten()
    return (code[1::2] * 16 + code[0::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "One absmax is used for all the weights: a single large one pushes all the others into the levels "
    "around zero. Look at rule R1: each block has its own.",
)
def one_absmax_for_all(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    absmax = w.abs().max() if w.numel() else w.new_zeros(())
    code = ((w / (absmax if absmax > 0 else 1))[..., None] - NF4).abs().argmin(-1)
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float().expand(w.numel() // block).clone()


@wrong(
    "nf4_quantize",
    "Your blocks are divided by their largest value, not their largest absolute value: where the "
    "largest weight is negative, the block is stretched beyond the levels. Look at rule R1.",
)
def largest_without_sign(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.amax(1)
    code = ((rows / absmax.where(absmax != 0, 1)[:, None])[..., None] - NF4).abs().argmin(-1).flatten()
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "A block of zeros is divided by its absmax of 0, and NaN has no nearest level. Look at rule R5: "
    "absmax 0, code 7 everywhere.",
)
def zero_block_divides_by_zero(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    code = ((rows / absmax[:, None])[..., None] - NF4).abs().argmin(-1).flatten()
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "Your levels lie at equal distances: you round to a grid. The 16 levels of NF4 are the given ones, "
    "closer together near zero. Look at rule R2.",
)
def equal_distances(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    code = ((rows / absmax.where(absmax > 0, 1)[:, None]) * 7.5 + 7.5 - 1e-6).round().long().flatten()
    code = torch.where((rows == 0).flatten(), 7, code)
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "Where a weight lies exactly between two levels you take the upper one. Look at rule R3: the lower.",
)
def ties_go_up(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    scaled = (rows / absmax.where(absmax > 0, 1)[:, None]).flatten()
    code = 15 - (scaled[:, None] - NF4.flip(0)).abs().argmin(-1)
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "You take the last level that is not above the weight, not the nearest one. Look at rule R2.",
)
def rounds_down(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    scaled = (rows / absmax.where(absmax > 0, 1)[:, None]).flatten().float()
    code = torch.searchsorted(NF4, scaled, right=True) - 1
    return (code[0::2] * 16 + code[1::2]).to(torch.uint8), absmax.float()


@wrong(
    "nf4_quantize",
    "Your bytes join the first half of the weights with the second half. Look at rule R4: the two codes of a "
    "byte are *neighbours*, weights 2i and 2i + 1.",
)
def halves_joined(w, block=64):
    if w.numel() % block:
        raise ValueError("block")
    rows = w.reshape(-1, block)
    absmax = rows.abs().amax(1)
    code = ((rows / absmax.where(absmax > 0, 1)[:, None])[..., None] - NF4).abs().argmin(-1).flatten()
    half = len(code) // 2
    return (code[:half] * 16 + code[half:]).to(torch.uint8), absmax.float()


@right("nf4_quantize", uses="F1")
def one_weight_at_a_time(w, block=64):
    """Plain Python: for each weight the first of the nearest levels."""
    values = w.tolist()
    if len(values) % block:
        raise ValueError("block does not divide the number of weights")
    levels, codes, scales = NF4.tolist(), [], []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        scale = max(abs(v) for v in part)
        scales.append(scale)
        for v in part:
            x = v / scale if scale else 0.0
            codes.append(min(range(16), key=lambda c: abs(levels[c] - x)))
    packed = [16 * a + b for a, b in zip(codes[0::2], codes[1::2])]
    return torch.tensor(packed, dtype=torch.uint8), torch.tensor(scales, dtype=torch.float32)


@right("nf4_quantize", uses="F1")
def all_distances(w, block=64):
    """All distances at once in float64; a list comes back."""
    n = len(w)
    if n % block != 0:
        raise ValueError(f"{n} is no multiple of {block}")
    rows = w.double().reshape(n // block, block)
    absmax = rows.abs().max(dim=1).values if n else rows.new_zeros(0)
    safe = absmax.clone()
    safe[safe == 0] = 1
    code = (rows[:, :, None] / safe[:, None, None] - NF4.double()).abs().argmin(dim=2).to(torch.uint8)
    pairs = code.reshape(-1, 2)
    return [pairs[:, 0] * 16 | pairs[:, 1], absmax.to(torch.float32)]


# --- nf4_dequantize ---------------------------------------------------------------------


@wrong(
    "nf4_dequantize",
    "The two weights of each byte come out in the wrong order: the high four bits are the earlier "
    "weight. Look at rule R1.",
)
def low_half_is_first(codes, absmax, block=64):
    pairs = torch.stack([codes & 15, codes >> 4], 1).flatten().long()
    return NF4[pairs] * absmax.repeat_interleave(block)


@wrong(
    "nf4_dequantize",
    "First come all the high halves, then all the low ones: they must be dealt out in turn. Look at "
    "rule R1: each byte holds two *neighbours*.",
)
def halves_one_after_the_other(codes, absmax, block=64):
    return NF4[torch.cat([codes >> 4, codes & 15]).long()] * absmax.repeat_interleave(block)


@wrong(
    "nf4_dequantize",
    "Your scales change too late: `block` counts weights, but you count bytes, two weights each. Look "
    "at rule R2: weight i has absmax[i // block].",
)
def block_counted_in_bytes(codes, absmax, block=64):
    level = NF4[torch.stack([codes >> 4, codes & 15], 1).flatten().long()]
    return level * absmax.repeat_interleave(2 * block)[: len(level)]


@wrong(
    "nf4_dequantize",
    "You read the codes as whole numbers from -8 to 7. They are indices of the 16 given levels. Look at"
    " rule R2.",
)
def codes_as_integers(codes, absmax, block=64):
    code = torch.stack([codes >> 4, codes & 15], 1).flatten().float()
    return (code - 7) / 8 * absmax.repeat_interleave(block)


@wrong(
    "nf4_dequantize",
    "One scale is used for all the weights. Look at rule R2: each block has its own absmax.",
)
def first_scale_for_all(codes, absmax, block=64):
    level = NF4[torch.stack([codes >> 4, codes & 15], 1).flatten().long()]
    return level * (absmax.max() if len(absmax) else 1.0)


@wrong(
    "nf4_dequantize",
    "A uint8 tensor in square brackets is read as a mask (0 = no, else = yes), not as numbers. Convert the "
    "codes to int64 (.long()) before you look up the levels. Look at rule R2.",
)
def codes_as_a_mask(codes, absmax, block=64):
    return torch.stack([NF4[codes >> 4], NF4[codes & 15]], 1).flatten() * absmax.repeat_interleave(block)


@wrong(
    "nf4_dequantize",
    "Your result has two columns, one row per byte: the numbers are right, their shape is not. Look at rule "
    "R2: (n,), so flatten.",
)
def two_columns(codes, absmax, block=64):
    level = NF4[torch.stack([codes >> 4, codes & 15], 1).long()]
    return level * absmax.repeat_interleave(block).view(-1, 2)


@right("nf4_dequantize", uses="F1")
def byte_by_byte(codes, absmax, block=64):
    """Plain Python; float64."""
    levels, out = NF4.tolist(), []
    for byte in codes.tolist():
        for code in divmod(byte, 16):
            out.append(levels[code] * absmax[len(out) // block].item())
    return torch.tensor(out, dtype=torch.float64)


@right("nf4_dequantize")
def table_of_bytes(codes, absmax, block=64):
    """Looks up both weights of a byte in a table of 256 pairs."""
    table = torch.stack([NF4.repeat_interleave(16), NF4.repeat(16)], dim=1)
    weights = table[codes.int()].view(-1, block)
    return (weights * absmax[:, None]).view(-1)


# --- double_quant -----------------------------------------------------------------------


@wrong(
    "double_quant",
    "The mean is not taken off: all your values are positive, so half of the codes are never used and "
    "the steps are twice as wide as they need be. Look at rule R1.",
)
def mean_not_removed(absmax, block=256):
    parts = absmax.split(block)
    scales = torch.stack([p.abs().max() / 127 for p in parts])
    codes = torch.cat([(p / (s if s > 0 else 1)).round() for p, s in zip(parts, scales)])
    return codes.to(torch.int8), scales, absmax.mean().item()


@wrong(
    "double_quant",
    "Each block has its own mean, but only one mean is kept. Look at rule R1: one mean over all values.",
)
def mean_of_each_block(absmax, block=256):
    parts = [p - p.mean() for p in absmax.split(block)]
    scales = torch.stack([p.abs().max() / 127 for p in parts])
    codes = torch.cat([(p / (s if s > 0 else 1)).round() for p, s in zip(parts, scales)])
    return codes.to(torch.int8), scales, absmax.mean().item()


@wrong(
    "double_quant",
    "Your codes are cut off, not rounded: converting 41.9 to an integer gives 41. Look at rule R3: "
    "round first.",
)
def cut_off(absmax, block=256):
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([p.abs().max() / 127 for p in parts])
    codes = torch.cat([p / (s if s > 0 else 1) * 1.000001 for p, s in zip(parts, scales)])
    return codes.to(torch.int8), scales, mean


@wrong(
    "double_quant",
    "A block in which everything equals the mean is divided by a scale of 0 and becomes NaN. Look at "
    "rule R4.",
)
def constant_block_divides_by_zero(absmax, block=256):
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([p.abs().max() / 127 for p in parts])
    codes = torch.cat(
        [torch.full_like(p, torch.nan) if s == 0 else (p / s).round() for p, s in zip(parts, scales)]
    )
    return torch.where(codes.isnan(), 127, codes).to(torch.int8), scales.where(scales > 0, torch.nan), mean


@wrong(
    "double_quant",
    "Your scale is max / 128. Then the largest value gets the code 128, which an int8 does not have: it"
    " wraps around to -128. Look at rule R2: 127.",
)
def scale_over_128(absmax, block=256):
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([p.abs().max() / 128 for p in parts])
    codes = torch.cat([(p / (s if s > 0 else 1)).round() for p, s in zip(parts, scales)])
    return codes.to(torch.int16).to(torch.int8), scales, mean


@wrong(
    "double_quant",
    "One scale is used for all the values. Look at rule R2: each block of `block` values has its own.",
)
def one_scale_for_all(absmax, block=256):
    mean = absmax.mean().item()
    c = absmax - mean
    scale = c.abs().max() / 127
    codes = (c / (scale if scale > 0 else 1)).round().to(torch.int8)
    return codes, scale.expand(-(-len(c) // block)).clone(), mean


@wrong(
    "double_quant",
    "Halves are rounded up (0.5 becomes 1, -0.5 becomes 0). Look at rule R3: to the even integer, as "
    "torch.round does.",
)
def halves_up(absmax, block=256):
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([p.abs().max() / 127 for p in parts])
    codes = torch.cat([(p / (s if s > 0 else 1) + 0.5).floor() for p, s in zip(parts, scales)])
    return codes.to(torch.int8), scales, mean


@wrong(
    "double_quant",
    "Your scale is the largest c, not the largest |c|: after the mean is taken off, half of the values are "
    "negative. Look at rule R2.",
)
def largest_without_its_sign(absmax, block=256):
    mean = absmax.mean().item()
    parts = (absmax - mean).split(block)
    scales = torch.stack([p.max() / 127 for p in parts])
    codes = torch.cat([(p / (s if s != 0 else 1)).round() for p, s in zip(parts, scales)])
    return codes.to(torch.int8), scales, mean


@right("double_quant", uses="F1 F2 F3")
def padded_table(absmax, block=256):
    """Float64, the last block padded with zeros; the mean is a 0-d tensor; a constant block gets the
    scale 1."""
    mean = absmax.double().mean()
    c = absmax.double() - mean
    rows = F.pad(c, (0, -len(c) % block)).view(-1, block)
    scales = rows.abs().amax(1) / 127
    scales = torch.where(scales > 0, scales, 1.0)
    codes = torch.round(rows / scales[:, None]).flatten()[: len(c)]
    return codes.to(torch.int8), scales.float(), mean.float()


@right("double_quant", uses="F1")
def plain_python(absmax, block=256):
    """Lists and Python's round, which also takes the even one; a list comes back."""
    values = absmax.tolist()
    mean = sum(values) / len(values)
    codes, scales = [], []
    for start in range(0, len(values), block):
        part = [v - mean for v in values[start : start + block]]
        scale = max(map(abs, part)) / 127
        scales.append(scale)
        codes += [round(v / scale) if scale else 0 for v in part]
    return [torch.tensor(codes, dtype=torch.int8), torch.tensor(scales), mean]


# --- QLoRALinear ------------------------------------------------------------------------


@wrong(
    "QLoRALinear",
    "The base layer is kept, and with it the weight in full precision: the four bits save nothing. Look"
    " at rule R2.",
)
class KeepsTheBase(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        self.base = base.requires_grad_(False)
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block, self.dequantize = alpha / r, nn.Dropout(dropout), block, dequantize

    def forward(self, x):
        W = self.dequantize(self.codes, self.absmax, self.block).view(self.base.weight.shape)
        return F.linear(x, W, self.base.bias) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "You dequantise once, in the constructor, and keep the result: a float copy of the weight, as large"
    " as before. Look at rule R2: keep codes and absmax, dequantise in forward.",
)
class DequantisedInTheConstructor(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("weight", dequantize(codes, absmax, block).view(base.weight.shape))
        self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop = alpha / r, nn.Dropout(dropout)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "You quantise again in every forward pass, from a weight you should not have any more: slow, and "
    "nothing is saved. Look at rules R1 and R2: once, in the constructor.",
)
class QuantisesEveryTime(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        self.linear = [base]  # hidden from parameters()
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block = alpha / r, nn.Dropout(dropout), block
        self.quantize, self.dequantize = quantize, dequantize

    def forward(self, x):
        base = self.linear[0]
        codes, absmax = self.quantize(base.weight.detach().flatten(), self.block)
        W = self.dequantize(codes, absmax, self.block).view(base.weight.shape)
        bias = None if base.bias is None else base.bias.detach()
        return F.linear(x, W, bias) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "No gradient gets through the 4-bit path to x: the layers below would learn from the change alone, "
    "that is from next to nothing. The weight is frozen, the product is not. Look at rule R5.",
)
class GradientBlocked(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block, self.dequantize = alpha / r, nn.Dropout(dropout), block, dequantize

    def forward(self, x):
        with torch.no_grad():
            W = self.dequantize(self.codes, self.absmax, self.block).view(len(self.B), -1)
            y = F.linear(x, W, self.bias)
        return y + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "Your weight is flattened column by column and read back row by row, so its entries are mixed up. "
    "Look at rule R1: row by row, both ways.",
)
class ColumnByColumn(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        codes, absmax = quantize(base.weight.detach().T.flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block, self.dequantize = alpha / r, nn.Dropout(dropout), block, dequantize

    def forward(self, x):
        W = self.dequantize(self.codes, self.absmax, self.block).view(len(self.B), -1)
        return F.linear(x, W, self.bias) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "The bias has got lost: only the weight is quantised, the bias is small and stays as it is. Look at"
    " rule R3.",
)
class BiasLost(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block, self.dequantize = alpha / r, nn.Dropout(dropout), block, dequantize

    def forward(self, x):
        W = self.dequantize(self.codes, self.absmax, self.block).view(len(self.B), -1)
        return F.linear(x, W) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@wrong(
    "QLoRALinear",
    "The weight is used in the dtype in which `dequantize` gives it. If that is float64 and x is float32, "
    "PyTorch refuses to multiply them. Look at rule R3: bring it into the dtype of x.",
)
class DtypeOfTheFormat(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if base.weight.numel() % block:
            raise ValueError("block")
        codes, absmax = quantize(base.weight.detach().flatten(), block)
        self.register_buffer("codes", codes)
        self.register_buffer("absmax", absmax)
        self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(torch.randn(r, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale, self.drop, self.block, self.dequantize = alpha / r, nn.Dropout(dropout), block, dequantize

    def forward(self, x):
        W = self.dequantize(self.codes, self.absmax, self.block).view(len(self.B), -1)
        return F.linear(x, W, self.bias) + self.scale * (self.drop(x) @ self.A.T @ self.B.T)


@right("QLoRALinear", uses="F1 F2")
class OneProduct(nn.Module):
    """Adds the change to the dequantised weight where there is no dropout; the bias is a frozen parameter
    of the base."""

    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        self.shape, self.block, self.p, self.scale = base.weight.shape, block, dropout, alpha / r
        if self.shape.numel() % block != 0:
            raise ValueError("the block does not divide the weight")
        with torch.no_grad():
            packed, scales = quantize(base.weight.reshape(-1).detach(), block)
        self.register_buffer("packed_weight", packed)
        self.register_buffer("block_scales", scales)
        self.bias = None if base.bias is None else base.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, self.shape[1], dtype=base.weight.dtype))
        self.B = nn.Parameter(torch.zeros(self.shape[0], r, dtype=base.weight.dtype))
        self.unpack = dequantize

    def forward(self, x):
        with torch.no_grad():
            W = self.unpack(self.packed_weight, self.block_scales, self.block).reshape(self.shape).to(x)
        if self.training and self.p > 0:
            return F.linear(x, W, self.bias) + F.dropout(x, self.p) @ (self.scale * self.B @ self.A).T
        return F.linear(x, W + self.scale * self.B @ self.A, self.bias)


@right("QLoRALinear", uses="F1 F2 F3")
class TwoDequantisations(nn.Module):
    """Its own autograd function dequantises once more in the backward pass, so nothing large is kept for
    it."""

    def __init__(self, base, r, alpha, dropout=0.0, block=64, *, quantize, dequantize):
        super().__init__()
        if (base.in_features * base.out_features) % block:
            raise ValueError("the block does not divide the weight")
        out = base.out_features
        codes, absmax = quantize(base.weight.detach().reshape(-1), block)
        self.register_buffer("q", codes)
        self.register_buffer("s", absmax)
        if base.bias is not None:
            self.register_buffer("b", base.bias.detach().clone())
        self.A = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(r, base.in_features), a=math.sqrt(5)))
        self.B = nn.Parameter(torch.zeros(out, r))
        self.scale, self.drop = alpha / r, nn.Dropout(dropout)

        class Frozen(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, codes, absmax):
                ctx.save_for_backward(codes, absmax)
                return x @ dequantize(codes, absmax, block).view(out, -1).T.to(x.dtype)

            @staticmethod
            def backward(ctx, dy):
                codes, absmax = ctx.saved_tensors
                return dy @ dequantize(codes, absmax, block).view(out, -1).to(dy.dtype), None, None

        self.frozen = Frozen

    def forward(self, x):
        y = self.frozen.apply(x, self.q, self.s)
        if hasattr(self, "b"):
            y = y + self.b
        return y + (self.drop(x) @ self.A.T) @ self.B.T * self.scale


# --- peft_memory ------------------------------------------------------------------------


@wrong(
    "peft_memory",
    "You count the weights alone where everything is trained. Each trained number also has a gradient and "
    "Adam's two averages: 16 bytes in all. Look at rule R1.",
)
def only_weights_in_full(n_params, n_lora, method):
    if method == "full":
        return 4 * n_params
    if method == "lora":
        return 2 * n_params + 16 * n_lora
    if method == "qlora":
        return (n_params + 1) // 2 + 4 * ((n_params + 63) // 64) + 16 * n_lora
    raise ValueError(method)


@wrong(
    "peft_memory",
    "You count gradients and Adam's averages for the frozen base as well. Who is not trained needs "
    "neither. Look at rule R2.",
)
def averages_for_the_frozen(n_params, n_lora, method):
    if method == "full":
        return 16 * n_params
    if method == "lora":
        return 14 * n_params + 16 * n_lora
    if method == "qlora":
        return 12 * n_params + (n_params + 1) // 2 + 4 * ((n_params + 63) // 64) + 16 * n_lora
    raise ValueError(method)


@wrong(
    "peft_memory",
    "The absmax values of the blocks are missing: 4 bytes for every 64 numbers. Look at rule R3.",
)
def absmax_forgotten(n_params, n_lora, method):
    if method == "full":
        return 16 * n_params
    if method == "lora":
        return 2 * n_params + 16 * n_lora
    if method == "qlora":
        return (n_params + 1) // 2 + 16 * n_lora
    raise ValueError(method)


@wrong(
    "peft_memory",
    "Your result is a float, or was one on the way: for large models it is off by some bytes. Look at "
    "the contract: an exact int.",
)
def through_floats(n_params, n_lora, method):
    if method == "full":
        return int(16.0 * n_params)
    if method == "lora":
        return int(2.0 * n_params + 16 * n_lora)
    if method == "qlora":
        return int(math.ceil(n_params / 2) + 4 * math.ceil(n_params / 64) + 16 * n_lora)
    raise ValueError(method)


@wrong(
    "peft_memory",
    "A started byte or block is not counted. Look at rule R3: half a byte left over counts as a whole "
    "one, and part of 64 numbers needs an absmax too.",
)
def rounds_down_blocks(n_params, n_lora, method):
    if method == "full":
        return 16 * n_params
    if method == "lora":
        return 2 * n_params + 16 * n_lora
    if method == "qlora":
        return n_params // 2 + 4 * (n_params // 64) + 16 * n_lora
    raise ValueError(method)


@wrong(
    "peft_memory",
    "The frozen base of LoRA takes 4 bytes per number with you. It is only read: bfloat16, 2 bytes. "
    "Look at rule R2.",
)
def base_in_float32(n_params, n_lora, method):
    if method == "full":
        return 16 * n_params
    if method == "lora":
        return 4 * n_params + 16 * n_lora
    if method == "qlora":
        return (n_params + 1) // 2 + 4 * ((n_params + 63) // 64) + 16 * n_lora
    raise ValueError(method)


@wrong(
    "peft_memory",
    "You count an adapter in full fine-tuning. There is none: the model itself is trained. Look at rule R1.",
)
def adapter_in_full(n_params, n_lora, method):
    if method == "full":
        return 16 * n_params + 16 * n_lora
    if method == "lora":
        return 2 * n_params + 16 * n_lora
    if method == "qlora":
        return (n_params + 1) // 2 + 4 * ((n_params + 63) // 64) + 16 * n_lora
    raise ValueError(method)


@right("peft_memory")
def in_half_bytes(n_params, n_lora, method):
    """Counts in half bytes, and looks the method up in a table."""
    blocks, rest = divmod(n_params, 64)
    table = {
        "full": 32 * n_params,
        "lora": 4 * n_params + 32 * n_lora,
        "qlora": n_params + n_params % 2 + 8 * (blocks + bool(rest)) + 32 * n_lora,
    }
    if method not in table:
        raise ValueError(f"unknown method: {method}")
    return table[method] >> 1


# --- PrefixTuning -----------------------------------------------------------------------


@wrong(
    "PrefixTuning",
    "Your prefix stands behind the tokens, so every token has kept its column but the mask's new ones "
    "are on the wrong side. Look at rule R2: the prefix comes first.",
)
class PrefixBehind(nn.Module):
    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B, p = k.shape[0], self.k.shape[2]
        k = torch.cat([k, self.k[layer].expand(B, -1, -1, -1)], 2)
        v = torch.cat([v, self.v[layer].expand(B, -1, -1, -1)], 2)
        if mask is not None:
            mask = F.pad(mask, (0, p), value=True)
        return k, v, mask


@wrong(
    "PrefixTuning",
    "The mask is not extended: it has S columns for p + S keys. Look at rule R3.",
)
class MaskNotExtended(nn.Module):
    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B = k.shape[0]
        return (
            torch.cat([self.k[layer].expand(B, -1, -1, -1), k], 2),
            torch.cat([self.v[layer].expand(B, -1, -1, -1), v], 2),
            mask,
        )


@wrong(
    "PrefixTuning",
    "Your mask forbids the prefix: the new columns are False, so nobody looks at what is learned. Look "
    "at rule R3: True.",
)
class PrefixForbidden(nn.Module):
    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B, p = k.shape[0], self.k.shape[2]
        k = torch.cat([self.k[layer].expand(B, -1, -1, -1), k], 2)
        v = torch.cat([self.v[layer].expand(B, -1, -1, -1), v], 2)
        if mask is not None:
            mask = F.pad(mask, (p, 0), value=False)
        return k, v, mask


@wrong(
    "PrefixTuning",
    "A new causal mask over p + S positions takes the place of the given one: real tokens have moved by"
    " p positions, and the given mask is lost. Look at rule R3: columns are added on the left, the rest"
    " stays.",
)
class MaskMadeAnew(nn.Module):
    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B, p = k.shape[0], self.k.shape[2]
        k = torch.cat([self.k[layer].expand(B, -1, -1, -1), k], 2)
        v = torch.cat([self.v[layer].expand(B, -1, -1, -1), v], 2)
        if mask is not None:
            T, S = mask.shape[-2:]
            mask = torch.ones(T, p + S).tril(0).bool().expand(*mask.shape[:-2], T, p + S)
        return k, v, mask


@wrong(
    "PrefixTuning",
    "Every layer gets the prefix of layer 0. Look at rule R2: the one of this layer.",
)
class AlwaysLayerZero(nn.Module):
    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))
        self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B, p = k.shape[0], self.k.shape[2]
        k = torch.cat([self.k[0].expand(B, -1, -1, -1), k], 2)
        v = torch.cat([self.v[0].expand(B, -1, -1, -1), v], 2)
        if mask is not None:
            mask = F.pad(mask, (p, 0), value=True)
        return k, v, mask


@right("PrefixTuning", uses="F1 F2")
class FilledByHand(nn.Module):
    """Fills new tensors piece by piece; a list comes back; starts with small keys and zero values."""

    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.p = p
        self.k = nn.Parameter(torch.rand(n_layers, n_heads, p, d_head) / 100)
        self.v = nn.Parameter(torch.zeros(n_layers, n_heads, p, d_head))

    def extend(self, layer, k, v, mask=None):
        B, H, S, d = k.shape
        long_k, long_v = k.new_empty(B, H, self.p + S, d), v.new_empty(B, H, self.p + S, d)
        long_k[:, :, : self.p], long_v[:, :, : self.p] = self.k[layer], self.v[layer]
        long_k[:, :, self.p :], long_v[:, :, self.p :] = k, v
        if mask is not None:
            free = mask.new_ones(*mask.shape[:-1], self.p)
            mask = torch.cat([free, mask], -1)
        return [long_k, long_v, mask]


@right("PrefixTuning", uses="F1 F3")
class WithABuffer(nn.Module):
    """The columns for the mask lie ready in a buffer; constant keys; repeat instead of expand."""

    def __init__(self, n_layers, n_heads, d_head, p):
        super().__init__()
        self.k = nn.Parameter(torch.full((n_layers, n_heads, p, d_head), 0.1))
        self.v = nn.Parameter(torch.full((n_layers, n_heads, p, d_head), -0.1))
        self.register_buffer("free", torch.ones(p, dtype=torch.bool))

    def extend(self, layer, k, v, mask=None):
        k = torch.cat([self.k[layer][None].repeat(len(k), 1, 1, 1), k], dim=-2)
        v = torch.cat([self.v[layer][None].repeat(len(v), 1, 1, 1), v], dim=-2)
        if mask is not None:
            mask = torch.cat([self.free.expand(*mask.shape[:-1], -1), mask], dim=-1)
        return k, v, mask


# --- IA3 --------------------------------------------------------------------------------


@wrong(
    "IA3",
    "Your vectors start at zero: the fresh module silences every key, value and hidden feature. Look at"
    " rule R1: ones.",
)
class StartsAtZero(nn.Module):
    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.l_k, self.l_v, self.l_ff = (nn.Parameter(torch.zeros(d)) for d in (d_k, d_v, d_ff))

    def forward(self, k, v, h):
        return k * self.l_k, v * self.l_v, h * self.l_ff


@wrong(
    "IA3",
    "Your vectors are added, not multiplied: that is a bias, not a volume knob. Look at rule R2.",
)
class AddsInsteadOfScaling(nn.Module):
    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.l_k, self.l_v, self.l_ff = (nn.Parameter(torch.ones(d)) for d in (d_k, d_v, d_ff))

    def forward(self, k, v, h):
        return k + self.l_k, v + self.l_v, h + self.l_ff


@wrong(
    "IA3",
    "The values are scaled by the vector of the keys. Look at rule R2: each has its own.",
)
class ValuesByTheKeysVector(nn.Module):
    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.l_k, self.l_v, self.l_ff = (nn.Parameter(torch.ones(d)) for d in (d_k, d_v, d_ff))

    def forward(self, k, v, h):
        return k * self.l_k, v * (self.l_k if v.shape[-1] == len(self.l_k) else self.l_v), h * self.l_ff


@wrong(
    "IA3",
    "Your vectors are plain tensors or buffers: nothing can be trained. Look at rule R1: parameters.",
)
class NotParameters(nn.Module):
    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        for name, d in (("l_k", d_k), ("l_v", d_v), ("l_ff", d_ff)):
            self.register_buffer(name, torch.ones(d))

    def forward(self, k, v, h):
        return k * self.l_k, v * self.l_v, h * self.l_ff


@wrong(
    "IA3",
    "Your factor is 1 + l, so with l at ones everything is doubled. Look at rules R1 and R2: the factor"
    " is l, and starts at one.",
)
class OnePlus(nn.Module):
    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.l_k, self.l_v, self.l_ff = (nn.Parameter(torch.ones(d)) for d in (d_k, d_v, d_ff))

    def forward(self, k, v, h):
        return k * (1 + self.l_k), v * (1 + self.l_v), h * (1 + self.l_ff)


@right("IA3", uses="F1")
class DiagonalMatrices(nn.Module):
    """Products with diagonal matrices and einsum; a list comes back."""

    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.l_ff = nn.Parameter(torch.full((d_ff,), 1.0))
        self.l_v = nn.Parameter(torch.full((d_v,), 1.0))
        self.l_k = nn.Parameter(torch.full((d_k,), 1.0))

    def forward(self, k, v, h):
        return [k @ torch.diag(self.l_k), torch.einsum("...d,d->...d", v, self.l_v), self.l_ff.mul(h)]


@right("IA3", uses="F2")
class RemembersItsSizes(nn.Module):
    """A buffer and a list of names beside the three vectors."""

    def __init__(self, d_k, d_v, d_ff):
        super().__init__()
        self.names = ["l_k", "l_v", "l_ff"]
        self.register_buffer("sizes", torch.tensor([d_k, d_v, d_ff]))
        for name, d in zip(self.names, (d_k, d_v, d_ff)):
            setattr(self, name, nn.Parameter(torch.ones(d)))

    def forward(self, *inputs):
        return tuple(getattr(self, name) * x for name, x in zip(self.names, inputs))


# --- Adapter ----------------------------------------------------------------------------


@wrong(
    "Adapter",
    "Both layers start as PyTorch makes them, so your fresh adapter disturbs the model. Look at rule "
    "R3: `up` starts at zero, weight and bias.",
)
class UpNotZero(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)

    def forward(self, x):
        return x + self.up(F.gelu(self.down(x)))


@wrong(
    "Adapter",
    "The way around is missing: your fresh adapter gives zeros, and the frozen model behind it sees "
    "nothing. Look at rule R2: x is added.",
)
class NoWayAround(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x):
        return self.up(F.gelu(self.down(x)))


@wrong(
    "Adapter",
    "There is no nonlinearity between down and up: the two are one matrix of low rank, and nothing is "
    "bent. Look at rule R2.",
)
class NothingBent(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x):
        return x + self.up(self.down(x))


@wrong(
    "Adapter",
    "Both layers start at zero. Then (with an activation that is 0 at 0) the middle is zero, and "
    "`up.weight` never gets a gradient. Look at rule R3: `down` is random.",
)
class DownZeroAsWell(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x):
        return x + self.up(F.gelu(self.down(x)))


@wrong(
    "Adapter",
    "Only the weight of `up` is zero, its bias is random: your fresh adapter shifts everything a "
    "little. Look at rule R3: weight *and* bias.",
)
class UpBiasNotZero(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return x + self.up(F.gelu(self.down(x)))


@wrong(
    "Adapter",
    "The activation stands at the end, after `up`: the change is bent outside the bottleneck, and (with"
    " ReLU) can only be positive. Look at rule R2: down, act, up.",
)
class ActivationAtTheEnd(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x):
        return x + F.relu(self.up(self.down(x)))


@wrong(
    "Adapter",
    "You have started `down` at zero, not `up`: your fresh adapter adds the random bias of `up` to "
    "everything. Look at rule R3: `up` is zero, weight and bias, and `down` random.",
)
class DownInsteadOfUp(nn.Module):
    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x):
        return x + self.up(F.relu(self.down(x)))


@right("Adapter", uses="F1 F2")
class Tanh(nn.Module):
    """tanh, an odd function, and a small normal `down`; matrices by hand."""

    def __init__(self, d, bottleneck):
        super().__init__()
        self.up = nn.Linear(bottleneck, d)
        self.down = nn.Linear(d, bottleneck)
        nn.init.normal_(self.down.weight, std=0.02)
        for parameter in self.up.parameters():
            parameter.data.fill_(0)

    def forward(self, x):
        middle = torch.tanh(x @ self.down.weight.T + self.down.bias)
        return x + middle @ self.up.weight.T + self.up.bias


@right("Adapter", uses="F1")
class Relu(nn.Module):
    """ReLU, which is straight on either side of zero, in a ModuleDict-free Sequential made on the fly."""

    def __init__(self, d, bottleneck):
        super().__init__()
        self.down, self.up = nn.Linear(d, bottleneck), nn.Linear(bottleneck, d)
        with torch.no_grad():
            self.up.weight *= 0
            self.up.bias *= 0

    def forward(self, x):
        return torch.add(x, self.up(self.down(x).relu()))


@right("Adapter", uses="F1")
class Sigmoid(nn.Module):
    """The logistic function, which is 1/2 at zero."""

    def __init__(self, d, bottleneck):
        super().__init__()
        self.down = nn.Linear(d, bottleneck)
        self.up = nn.Linear(bottleneck, d)
        self.up.load_state_dict({"weight": torch.zeros(d, bottleneck), "bias": torch.zeros(d)})

    def forward(self, x):
        return x + self.up(self.down(x).sigmoid())


@right("Adapter", uses="F1 F3")
class HeldTwice(nn.Module):
    """The two layers stand in a Sequential as well, before they get their names; a leaky ReLU."""

    def __init__(self, d, bottleneck):
        super().__init__()
        self.change = nn.Sequential(nn.Linear(d, bottleneck), nn.LeakyReLU(0.5), nn.Linear(bottleneck, d))
        self.down, self.up = self.change[0], self.change[2]
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x):
        return self.change(x) + x


# Mutants of the solution that no test can tell from it, and why.
EQUIVALENT = {
    "LoRALinear": {
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A)": "F1: the distribution of A is free.",
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features)": ("F1: the distribution of A is free."),
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features**0.5)": "F1: the distribution of A is free.",
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features**-1.0)": "F1: the distribution of A is free.",
    },
    "save_adapter": {
        "own = dict(module.named_parameters(recurse=False)) => "
        "own = dict(module.named_parameters(recurse=True))": (
            "The names of deeper parameters have a dot in them: none of them is A or B."
        ),
        'state |= {f"{path}.{letter}": own[letter].detach().clone() for letter in "AB"} => '
        'state |= {f"{path}.{letter}": own[letter].detach() for letter in "AB"}': (
            "Tests see values only; the contract says that this is not tested."
        ),
    },
    "load_adapter": {
        "mine = dict(module.named_parameters(recurse=False)) => "
        "mine = dict(module.named_parameters(recurse=True))": (
            "The names of deeper parameters have a dot in them: none of them is A or B."
        ),
    },
    "nf4_quantize": {
        "scaled = blocks / absmax.where(absmax > 0, 1.0)[:, None] => "
        "scaled = blocks / absmax.where(absmax > 0, 2.0)[:, None]": (
            "Only blocks of zeros are divided by this number: 0 / 2 is 0 / 1."
        ),
        "return code[0::2] << 4 | code[1::2], absmax.float() => "
        "return ((code[0::2] << 4 | code[1::2]).detach(), absmax.float())": "Integers have no gradient.",
        "return code[0::2] << 4 | code[1::2], absmax.float() => "
        "return (code[0::2] << 4 | code[1::2], absmax.float().detach())": (
            "The contract promises no gradient: what is quantised is frozen."
        ),
    },
    "nf4_dequantize": {
        "return NF4[pairs.flatten().long()] * absmax.repeat_interleave(block) => "
        "return (NF4[pairs.flatten().long()] * absmax.repeat_interleave(block)).detach()": (
            "The contract promises no gradient: codes are integers, absmax is frozen."
        ),
    },
    "double_quant": {
        "codes = [(part / scale.clamp_min(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)] => "
        "codes = [(part / scale).round() for part, scale in zip(parts, scales, strict=True)]": (
            "F2: the NaN of 0 / 0 becomes some int8, and times the scale 0 that is 0."
        ),
        "codes = [(part / scale.clamp_min(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)] => "
        "codes = [(part / scale.clamp_min_(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)]": (
            "F2: the scale of a constant block becomes 1e-30, and its codes are 0."
        ),
        "codes = [(part / scale.clamp_min(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)] => "
        "codes = [(part / scale.clamp_min(2e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)]": (
            "Only a constant block is divided by this number, and there everything is 0."
        ),
        "codes = [(part / scale.clamp_min(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=True)] => "
        "codes = [(part / scale.clamp_min(1e-30)).round() "
        "for part, scale in zip(parts, scales, strict=False)]": ("There are as many parts as scales."),
        "return torch.cat(codes).to(torch.int8), scales, mean => "
        "return (torch.cat(codes).to(torch.int8).detach(), scales, mean)": "Integers have no gradient.",
        "return torch.cat(codes).to(torch.int8), scales, mean => "
        "return (torch.cat(codes).to(torch.int8), scales.detach(), mean)": "No gradient is promised.",
    },
    "QLoRALinear": {
        'self.register_buffer("bias", None if base.bias is None else base.bias.detach().clone()) => '
        'self.register_buffer("bias", None if base.bias is None else base.bias.detach())': (
            "F1: the bias may be the base's own; only of the weight R2 promises that it is not needed."
        ),
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A)": "F3: the distribution of A is free.",
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features)": ("F3: the distribution of A is free."),
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features**0.5)": "F3: the distribution of A is free.",
        "nn.init.normal_(self.A, std=base.in_features**-0.5) => "
        "nn.init.normal_(self.A, std=base.in_features**-1.0)": "F3: the distribution of A is free.",
    },
    "PrefixTuning": {
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) * 0.1) => "
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) / 0.1)": "F1: the start is free.",
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) * 0.1) => "
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head))": "F1: the start is free.",
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) * 0.1) => "
        "self.v = nn.Parameter(torch.randn(n_layers, n_heads, p, d_head) * 0.2)": "F1: the start is free.",
    },
}

"""Forbidden names: every way to write one is found, and nothing else is."""

from __future__ import annotations

import pytest

from autograder.forbid import violations

SOFTMAX = ["F.softmax", "torch.softmax"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("y = F.softmax(x, -1)", "`F.softmax` (line 1)"),
        ("import torch.nn.functional as Q\ny = Q.softmax(x)", "`F.softmax` (line 2)"),
        ("from torch.nn import functional\ny = functional.softmax(x)", "`F.softmax` (line 2)"),
        ("from torch.nn.functional import softmax as s", "`F.softmax` (line 1)"),
        ("import torch\ny = torch.nn.functional.softmax(x)", "`F.softmax` (line 2)"),
        ("y = nn.functional.softmax(x)", "`F.softmax` (line 1)"),
        ("from torch.nn.functional import *\ny = softmax(x)", "`F.softmax` (line 2)"),
        ("def f(x):\n    import torch as t\n    return t.softmax(x, 0)", "`torch.softmax` (line 3)"),
        ("import torch\nt = torch\ny = t.softmax(x, 0)", "`torch.softmax` (line 3)"),
        ("import torch\ns = torch.softmax\ny = s(x)", "`torch.softmax` (line 2)"),
        ("y = getattr(torch, 'softmax')(x, 0)", "`torch.softmax` (line 1)"),
        ("y = vars(torch)['softmax'](x, 0)", "`torch.softmax` (line 1)"),
        ("y = torch.__dict__['softmax'](x, 0)", "`torch.softmax` (line 1)"),
        ("y = __import__('torch').softmax(x, 0)", "`torch.softmax` (line 1)"),
        ("import importlib\ny = importlib.import_module('torch').softmax(x, 0)", "`torch.softmax` (line 2)"),
    ],
)
def test_every_spelling_of_a_function_is_found(source: str, found: str) -> None:
    assert violations(source, SOFTMAX) == [found]


@pytest.mark.parametrize(
    "source",
    [
        "def softmax(x):\n    return x\ny = softmax(x)",
        "y = scores.softmax(-1)",
        "# torch.softmax\ns = 'torch.softmax'",
        "y = torch.log_softmax(x, 0)",
        "y = torch.softmax_like(x)",
        "import torch\nfrom . import x",
    ],
)
def test_other_names_are_not_found(source: str) -> None:
    assert violations(source, SOFTMAX) == []


def test_leading_dot_means_an_attribute_of_anything() -> None:
    source = "a.sort()\nb = (x + y).sort\nc = getattr(f(), 'sort')\nsort(d)"
    assert violations(source, [".sort"]) == ["`.sort` (line 1)"]
    assert violations("sort(d)", [".sort"]) == []
    assert violations("f()().sort(1)", [".sort"]) == ["`.sort` (line 1)"]


@pytest.mark.parametrize("source", ["sorted(x)", "import builtins\nbuiltins.sorted(x)", "f(sorted=True)"])
def test_one_word_means_every_use_of_it(source: str) -> None:
    assert violations(source, ["sorted"]) == [f"`sorted` (line {source.count(chr(10)) + 1})"]


def test_keyword_argument_is_a_use() -> None:
    assert violations("torch.ones(3, requires_grad=True)", ["requires_grad"]) == ["`requires_grad` (line 1)"]


@pytest.mark.parametrize(
    "source",
    [
        "torch.autograd.grad(y, x)",
        "from torch.autograd import grad",
        "import torch.autograd as ag",
        "import torch.autograd.functional",
        "from torch import autograd",
    ],
)
def test_a_module_stands_for_all_that_is_in_it(source: str) -> None:
    assert violations(source, ["torch.autograd"]) == ["`torch.autograd` (line 1)"]
    assert violations(source, ["torch.auto"]) == []


def test_imports_of_other_cells_tell_what_a_name_means() -> None:
    assert violations("Z.softmax(x)", SOFTMAX) == []
    assert violations("Z.softmax(x)", SOFTMAX, context=["import torch.nn.functional as Z"]) == [
        "`F.softmax` (line 1)"
    ]


def test_each_name_is_told_once_in_the_order_of_lines() -> None:
    source = "torch.softmax(x, 0)\nF.softmax(x)\ntorch.softmax(x, 1)"
    assert violations(source, SOFTMAX) == ["`torch.softmax` (line 1)", "`F.softmax` (line 2)"]


@pytest.mark.parametrize("source", ["def f(:", "\0", "(" * 500, ""])
def test_code_that_cannot_be_parsed_violates_nothing(source: str) -> None:
    assert violations(source, SOFTMAX) == []


def test_code_too_deep_to_be_read_is_not_accepted() -> None:
    assert violations("a" + ".b" * 3000, SOFTMAX) in ([], ["code too deeply nested to be read"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autograder.forbid._uses", lambda *_: (_ for _ in ()).throw(RecursionError))
        assert violations("a.b", SOFTMAX) == ["code too deeply nested to be read"]


def test_warnings_of_the_learners_code_are_not_ours() -> None:
    assert violations("s = '\\d'\ntorch.softmax(s, 0)", SOFTMAX) == ["`torch.softmax` (line 2)"]


def test_circular_assignments_end() -> None:
    source = "\n".join(["a = b", "b = a", "a = a.x"] * 20) + "\na.softmax"
    assert violations(source, [".softmax"]) == ["`.softmax` (line 61)"]

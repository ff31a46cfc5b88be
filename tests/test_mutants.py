"""The edits of a solution: which are made, how they read, and that they leave the rest alone."""

from __future__ import annotations

import ast
import textwrap

import pytest

from autograder.verify.mutants import Mutant, mutants, solution_lines


def edits(body: str) -> dict[str, set[str]]:
    """Operator -> the new lines, for a function with this body."""
    source = f"def f(x, y, mask, eps):\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
    found: dict[str, set[str]] = {}
    for mutant in mutants(source, range(1, 50)):
        found.setdefault(mutant.operator, set()).add(mutant.edit.partition(" => ")[2])
    return found


@pytest.mark.parametrize(
    ("line", "operator", "new"),
    [
        ("z = x.softmax(-1)", "axis", "z = x.softmax(-2)"),
        ("z = torch.softmax(x, 0)", "axis", "z = torch.softmax(x, 1)"),
        ("z = x.sum(dim=1)", "axis", "z = x.sum(dim=0)"),
        ("z = np.mean(x, axis=-1)", "axis", "z = np.mean(x, axis=-2)"),
        ("z = torch.cat([x, y], -1)", "axis", "z = torch.cat([x, y], -2)"),
        ("z = x.shape[-1]", "axis", "z = x.shape[-2]"),
        ("z = x.chunk(3, dim=-1)", "off by one", "z = x.chunk(4, dim=-1)"),
        ("z = x[1:]", "off by one", "z = x[0:]"),
        ("z = x[:y]", "off by one", "z = x[:y - 1]"),
        ("z = -x", "sign", "z = x"),
        ("z = x - y", "sign", "z = x + y"),
        ("z = x / (y + 1e-5)", "eps", "z = x / (y)"),
        ("z = x / (y + eps)", "eps", "z = x / (y)"),
        ("z = x / y.clamp_min(1e-5)", "eps", "z = x / y"),
        ("return x * y", "detach", "return (x * y).detach()"),
        ("return x, y", "detach", "return (x, y.detach())"),
        ("z = x.detach()", "detach", "z = x"),
        ("z = x @ y.mT", "transpose", "z = x @ y"),
        ("z = x @ y", "transpose", "z = y @ x"),
        ("z = x.transpose(1, 2).flatten(2)", "transpose", "z = x.flatten(2)"),
        ("z = x / math.sqrt(y)", "scale", "z = x / y"),
        ("z = x / math.sqrt(y)", "scale", "z = x"),
        ("z = x * y + 1", "scale", "z = (x / y) + 1"),
        ("z = x ** 2", "scale", "z = x"),
        ("z = x.mean()", "reduction", "z = x.sum()"),
        ("z = max(x, y)", "reduction", "z = min(x, y)"),
        ("z = torch.zeros(3)", "reduction", "z = torch.ones(3)"),
        ("z = x.clone()", "alias", "z = x"),
        ("x = x + y", "alias", "x += y"),
        ("z = x.masked_fill(mask, 0.0)", "alias", "z = x.masked_fill_(mask, 0.0)"),
        ("z = x.masked_fill(mask, 0.0)", "mask", "z = x"),
        ("z = torch.where(mask, x, y)", "mask", "z = y"),
        ("z = ~mask", "mask", "z = mask"),
        ("z = mask & x", "mask", "z = mask | x"),
        ("z = x < y", "inequality", "z = x <= y"),
        ("z = x < y", "inequality", "z = y < x"),
        ("z = x is None", "inequality", "z = x is not None"),
        ("z = x != 'a'", "inequality", "z = x > 'a'"),
        ("z = x == 1", "inequality", "z = x >= 1"),
        ("z = 0.5 * x", "constant", "z = 1.0 * x"),
        ("z = x.sum(keepdim=True)", "constant", "z = x.sum(keepdim=False)"),
        ("if mask: x += 1", "branch", "if False: x += 1"),
        ("z = x if mask else y", "branch", "z = y"),
        ("z = mask and x", "branch", "z = mask or x"),
        ("x[0] = y", "dropped", "pass"),
        ("raise ValueError('no')", "dropped", "pass"),
        ("z = g(x, bias=y)", "dropped", "z = g(x)"),
        ("z = x + y", "dropped", "z = y"),
        ("return x, y", "order", "return (y, x)"),
        ("z = x.to(torch.float64)", "dtype", "z = x"),
        ("z = (x + y).sum(0) * y", "scale", "z = (x + y).sum(0)"),
    ],
)
def test_the_mistakes_of_the_field_are_made(line: str, operator: str, new: str) -> None:
    assert new in edits(line).get(operator, set())


def test_words_for_people_signatures_and_annotations_are_left_alone() -> None:
    source = textwrap.dedent('''
        def f(x: int = 3) -> float:
            """Adds 1."""
            y: list[int] = g(f"{x + 1} things")
            if x > 0:
                raise ValueError("not " + str(x - 1))
            assert y, "no " + str(2)
            return y
    ''').strip()
    found = {m.edit for m in mutants(source, range(3, 9))}
    assert found == {
        "if x > 0: => if True:",
        "if x > 0: => if False:",
        "if x > 0: => if x >= 0:",
        "if x > 0: => if 0 > x:",
        "if x > 0: => if x > 1:",
        'raise ValueError("not " + str(x - 1)) => pass',
        'assert y, "no " + str(2) => pass',
        "return y => return y.detach()",
    }


def test_a_mutant_changes_its_lines_only_and_each_is_another_program() -> None:
    source = "def f(x):\n    y = x + 1  # one more\n\n    return y\n"
    found = mutants(source, {2})
    assert {m.source.splitlines()[3] for m in found} == {"    return y"}
    assert all("# one more" in m.source for m in found)
    assert len({ast.dump(ast.parse(m.source)) for m in found}) == len(found)
    assert all(m.edit.startswith("y = x + 1 => ") for m in found)
    assert mutants(source, {3}) == ()


def test_letters_beyond_ascii_do_not_shift_an_edit() -> None:
    (first, *_) = mutants("def f(x):\n    return 'ü' * 0, -x\n", {2})
    assert all("ü" in m.source for m in mutants("def f(x):\n    return 'ü', -x\n", {2}))
    assert isinstance(first, Mutant)


def test_the_lines_of_the_solution_are_those_the_learner_is_not_given() -> None:
    stub = "def f(x):\n    y = 1\n    # YOUR CODE HERE\n    raise NotImplementedError()\n    return y"
    solved = "def f(x):\n    y = 1\n    y += x\n    y *= 2\n    return y"
    assert solution_lines(solved, stub) == {3, 4}


def test_a_diff_names_the_operator() -> None:
    source = "def f(x):\n    return x.sum(0)\n"
    mutant = next(m for m in mutants(source, {2}) if m.operator == "axis")
    assert mutant.diff(source).splitlines()[:2] == ["--- solution", "+++ axis"]
    assert "+    return x.sum(1)" in mutant.diff(source)

"""Jupyter's syntax becomes plain Python, and plain Python is never touched."""

from __future__ import annotations

import pytest

from autograder.magics import without_magics


@pytest.mark.parametrize(
    ("source", "plain", "taken"),
    [
        ("%matplotlib inline\nx = 1", "# %matplotlib inline\nx = 1", ("%matplotlib inline",)),
        ("!pip install x\ny = 1", "# !pip install x\ny = 1", ("!pip install x",)),
        ("pip install x", "# pip install x", ("pip install x",)),
        ("x = !ls\ny = 1", "# x = !ls\ny = 1", ("x = !ls",)),
        ("help?", "# help?", ("help?",)),
        ("?help", "# ?help", ("?help",)),
        ("%time x = f(1)", "x = f(1)", ("%time x = f(1)",)),
        ("%%time\nx = 1", "# %%time\nx = 1", ("%%time",)),
        ("\n%%capture out\nx = 1", "\n# %%capture out\nx = 1", ("%%capture out",)),
        ("%%bash\nrm -r *", "", ("%%bash",)),
        ("%%html\n<b>x</b>", "", ("%%html",)),
        ("if a:\n    !ls\nb = 1", "if a:\n    pass  # !ls\nb = 1", ("!ls",)),
        ("!echo \"it's\nx = (1,\n2)\n%y", "# !echo \"it's\nx = (1,\n2)\n# %y", ("!echo \"it's", "%y")),
    ],
)
def test_magics_are_taken_out_and_told(source: str, plain: str, taken: tuple[str, ...]) -> None:
    assert without_magics(source) == (plain, taken)


@pytest.mark.parametrize(
    "source",
    [
        "x = (a\n% b)",
        "s = '''\n%time\n!ls\n'''",
        "x = a \\\n% b",
        "def f(:\n    pass",
        "'''never closed\n%time",
        "\0",
    ],
)
def test_python_and_broken_python_are_left_alone(source: str) -> None:
    assert without_magics(source) == (source, ())


def test_strings_and_brackets_are_left_alone_beside_a_magic() -> None:
    kept = "s = '''\n%time\n'''\nx = (a\n% b)\ny = a \\\n% b\n"
    assert without_magics(kept + "%magic") == (kept + "# %magic", ("%magic",))

"""The rules for authored notebooks: each broken rule is said with file, line and what to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.regions import solved, stub
from autograder.source import load_authored, load_section

TITLE = "# %% [markdown]\n# # Title\n\n"
IMPORTS = "# %%\nfrom autograder import check\n\n"
ANSWER = "# %%\ndef f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n\n"
CHECK = '# %% points=1\ncheck("f")\n'
GOOD = TITLE + IMPORTS + ANSWER + CHECK


def notebook(tmp_path: Path, text: str, name: str = "a.py") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_cell_gets_its_role(course: Course) -> None:
    (tiny,) = load_section(course, "01_warmup")
    assert [cell.role for cell in tiny.cells] == [
        "text", "given", "text", "answer", "check", "demo",
        "text", "answer", "check", "text", "answer", "check", "text",
    ]  # fmt: skip
    assert [(e.name, e.points, e.bonus, e.limit) for e, _ in tiny.checks] == [
        ("double", 2.0, False, 3.0),
        ("Counter", 3.0, False, 3.0),
        ("scale", 1.0, True, 10.0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        TITLE,
        GOOD + "\n# %% demo limit=60\nprint(1)\n",
        GOOD.replace("points=1", "bonus points=2.5 limit=0.5 topics=S1,S2 forbid=F.softmax,.sort"),
        GOOD.replace('"f"', "'f'"),
        GOOD.replace("def f", "@staticmethod\ndef f"),
    ],
)
def test_what_follows_the_rules_is_read(tmp_path: Path, text: str) -> None:
    assert load_authored(notebook(tmp_path, text), "s").name == "a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a.py:1: the first cell is the title"),
        (IMPORTS, "a.py:1: the first cell is the title"),
        (TITLE.replace("# # Title", "# Title"), "a.py:1: the first cell is the title"),
        (
            TITLE + "# %%\nimport os\n",
            "a.py:4: the first code cell holds the imports and `from autograder import",
        ),
        (
            GOOD.replace(CHECK, ""),
            "a.py:7: a solution without a check; the next cell must be `# %% points=3`",
        ),
        (GOOD.replace(CHECK, "# %%\nx = 1\n\n" + CHECK), "a.py:7: a solution without a check"),
        (GOOD.replace(CHECK, "# %% [markdown]\n# x\n\n" + CHECK), "a.py:7: a solution without a check"),
        (
            GOOD.replace(ANSWER, ""),
            'a.py:7: `check."f".` without a solution; the cell before it must define `f`',
        ),
        (GOOD + "\n" + CHECK, 'a.py:16: `check."f".` without a solution'),
        (GOOD.replace("points=1", ""), 'a.py:13: `check."f".` without points; write `# %% points=3`'),
        (GOOD.replace('check("f")', 'check("f", 2)'), "a.py:13: a check cell holds one line"),
        (GOOD.replace('check("f")', 'check("f")\nx = 1'), "a.py:13: a check cell holds one line"),
        (GOOD.replace("points=1", "demo points=1"), "a.py:13: a cell is either a check or a demo"),
        (
            GOOD.replace('("f")', '("g")'),
            "a.py:7: the answer cell must define the function or class `g` .* has `f`",
        ),
        (
            GOOD.replace("# %%\ndef f", "# %%\nimport os\ndef f"),
            "must define .* and nothing else; it has `import os`, `f`",
        ),
        (
            GOOD.replace("def f(x):", "f = lambda x: (").replace("x\n    ### END", "x)\n    ### END"),
            "a.py:.*not plain",
        ),
        (
            TITLE + IMPORTS + "# %%\n### BEGIN SOLUTION\ndef f():\n    pass\n### END SOLUTION\n\n" + CHECK,
            "a.py:7: the answer cell must define .*; it has nothing outside its solution",
        ),
        (
            GOOD.replace("    ### END SOLUTION\n", ""),
            "a.py:9: `### BEGIN SOLUTION` without `### END SOLUTION`",
        ),
        (
            GOOD.replace("### END SOLUTION", "### BEGIN SOLUTION"),
            "a.py:11: `### BEGIN SOLUTION`: markers are .* in pairs",
        ),
        (GOOD.replace("    ### BEGIN SOLUTION\n", ""), "a.py:10: `### END SOLUTION`: markers are"),
        (GOOD.replace("### BEGIN SOLUTION", "# BEGIN SOLUTION"), "a.py:9: `# BEGIN SOLUTION`: markers are"),
        (
            GOOD + "\n# %% [markdown]\n# ### BEGIN SOLUTION\n",
            "a.py:16: a solution marker outside a code cell",
        ),
        (
            GOOD.replace("points=1", "points=1 colour=red"),
            "a.py:13: `colour=red` in a cell's header; it may hold points=",
        ),
        (
            GOOD.replace("points=1", "points=1 points=2"),
            "a.py:13: `points=2` in a cell's header; .*each once",
        ),
        (GOOD.replace("points=1", "points="), "a.py:13: `points=` in a cell's header"),
        (
            GOOD.replace("points=1", "points=1 topics=S1, S2"),
            "a.py:13: `S2` in a cell's header; .*without spaces",
        ),
        (
            GOOD.replace("points=1", "points=0"),
            "a.py:13: points=0: expected a positive number, as in points=5",
        ),
        (GOOD.replace("points=1", "points=-1"), "a.py:13: points=-1: expected a positive number"),
        (GOOD.replace("points=1", "points=nan"), "a.py:13: points=nan: expected a positive number"),
        (
            GOOD.replace("points=1", "points=1 limit=x"),
            "a.py:13: limit=x: expected a positive number, as in limit=5",
        ),
        (
            GOOD.replace("# %%\nfrom", "# %% limit=3\nfrom"),
            "a.py:4: settings of an exercise belong into the header of its",
        ),
        (GOOD.replace("# %%\ndef", "# %% bonus\ndef"), "a.py:7: settings of an exercise belong"),
        (GOOD + "\n# %% demo topics=S1\nx = 1\n", "a.py:16: settings of an exercise belong"),
        (GOOD + "\n# %% [markdown] points=3\n# x\n", "a.py:16: a markdown cell with settings"),
        (GOOD + "\n# %% [raw]\n# x\n", r"a.py:16: `\[raw\]` in a cell's header"),
        (GOOD + "\n# %%\n!ls\n", "a.py:17: not plain Python: .*no magics"),
        (GOOD + "\n# %% demo\nx = = 1\n", "a.py:17: not plain Python"),
        (GOOD.replace("return x", "return )"), "a.py:10: not plain Python"),
        (
            GOOD.replace("def f", "def _f").replace('"f"', '"_f"'),
            "a.py:13: exercise `_f`: a name has at most 50",
        ),
        (GOOD.replace("def f", "def " + "f" * 51).replace('"f"', f'"{"f" * 51}"'), "at most 50 characters"),
    ],
)
def test_each_broken_rule_is_said_where_it_is(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(CourseError, match=why):
        load_authored(notebook(tmp_path, text), "s")


def test_notebooks_have_plain_names(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"My-notes\.py: name a notebook with small letters"):
        load_authored(notebook(tmp_path, GOOD, "My-notes.py"), "s")


def test_exercise_names_are_unique_in_a_section(course_copy: Course) -> None:
    path = course_copy.source_file("01_warmup", "tiny")
    shutil.copy(path, path.with_name("other.py"))
    with pytest.raises(
        CourseError, match=r"tiny\.py:37: a second exercise `double`; the first is at other\.py:37"
    ):
        load_section(course_copy, "01_warmup")


def test_a_section_without_notebooks_is_said(course_copy: Course) -> None:
    course_copy.source_file("01_warmup", "tiny").unlink()
    with pytest.raises(CourseError, match=r"no notebook in this section; sections are: 01_warmup"):
        load_section(course_copy, "01_warmup")


def test_stub_and_solution_of_an_answer_with_two_regions() -> None:
    source = (
        "class A:\n    a = 1\n    ### BEGIN SOLUTION\n    b = 2\n    ### END SOLUTION\n"
        "    def f(self):\n        ### BEGIN SOLUTION\n        return 3\n        ### END SOLUTION"
    )
    assert solved(source) == "class A:\n    a = 1\n    b = 2\n    def f(self):\n        return 3"
    assert stub(source) == (
        "class A:\n    a = 1\n    # YOUR CODE HERE\n    raise NotImplementedError()\n"
        "    def f(self):\n        # YOUR CODE HERE\n        raise NotImplementedError()"
    )

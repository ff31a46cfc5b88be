"""A sound exercise is shown to be sound, and every way to be unsound is named."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.grader import Grader
from autograder.layout import Course
from autograder.notebooks import Cell, write_notebook
from autograder.regions import solved, stub
from autograder.source import AuthoredCell, load_authored
from autograder.verify import NotebookProof, NotebookRun, Settings
from autograder.verify.contract import contract_problems
from autograder.verify.leaks import leaks
from autograder.verify.material import Sources
from autograder.verify.page import COLUMNS, page, row
from autograder.verify.proof import ExerciseProof, Survivor

SECTION, NOTEBOOK = "03_small", "small"

SOURCE = '''
    # %% [markdown]
    # # Small
    #
    # A notebook for the tests of `verify`.

    # %%
    import torch
    from torch import Tensor

    from autograder import check

    # %% [markdown]
    # ## `centre`
    #
    # - **R1** Each column has the mean 0 afterwards, and
    #   its differences are kept.
    # - **R2** A vector is a `ValueError`.
    # - **F1** The result may be a view.

    # %%
    def centre(x: Tensor) -> Tensor:
        """Columns with mean 0."""
        ### BEGIN SOLUTION
        if x.ndim < 2:
            raise ValueError(f"{x.ndim} axes")
        return x - x.mean(0)
        ### END SOLUTION

    # %% points=2 forbid=torch.var_mean,.std
    check("centre")

    # %% [markdown]
    # ## `Tally`
    #
    # - **R1** `add` adds to the sum and gives it.

    # %%
    class Tally:
        """Sums up."""

        def __init__(self) -> None:
            self.total = 0

        def add(self, x: int) -> int:
            ### BEGIN SOLUTION
            self.total += x
            return self.total
            ### END SOLUTION

    # %% points=1
    check("Tally")
'''

VISIBLE = '''
    import torch
    from autograder.testing import close, exercise, rule

    @exercise("centre")
    class TestCentre:
        @rule("R1")
        def test_worked_example(self, submission):
            """The worked example comes out."""
            close(submission.centre(torch.tensor([[1.0, 2], [3, 6]])), torch.tensor([[-1.0, -2], [1, 2]]))

    @exercise("Tally")
    class TestTally:
        @rule("R1")
        def test_adds(self, submission, rng):
            """Two numbers are added."""
            tally, x = submission.Tally(), rng.integer(2, 9)
            assert [tally.add(x), tally.add(1)] == [x, x + 1], f"expected {x} and {x + 1}"
'''

HIDDEN = '''
    import pytest
    import torch
    from autograder.testing import close, exercise, pure, rule

    @exercise("centre")
    @rule("R1")
    class TestCentre:
        @pytest.mark.parametrize("n", [2, 5])
        def test_any_matrix(self, submission, rng, n):
            """The columns of any matrix."""
            x = 3 + rng.normal(n, 4)
            close(pure(submission.centre, x), x - x.sum(0) / n)

        def test_gradient(self, submission, rng):
            """The gradient is centred as well."""
            x, up = rng.normal(4, 2).requires_grad_(), rng.normal(4, 2)
            (got,) = torch.autograd.grad(submission.centre(x), x, up)
            close(got, up - up.mean(0))

        @rule("R2")
        def test_refuses_vectors(self, submission, rng):
            """A vector is refused, a matrix with one column is not."""
            x = rng.normal(3, 1)
            close(submission.centre(x), x - x.mean(0))
            with pytest.raises(ValueError):
                submission.centre(x[:, 0])

    @exercise("Tally")
    class TestTally:
        @rule("R1")
        def test_two_tallies(self, submission, rng):
            """Two tallies know nothing of each other."""
            one, two, x = submission.Tally(), submission.Tally(), rng.integer(2, 9)
            one.add(x)
            got = [two.add(1), one.add(-1)]
            assert got == [1, x - 1], f"expected {[1, x - 1]}, got {got}"
'''

BANK = '''
    import torch
    from autograder.bank import right, wrong

    @wrong("centre", "The mean of the rows.")
    def over_rows(x):
        if x.ndim < 2:
            raise ValueError
        return x - x.mean(1, keepdim=True)

    @wrong("centre", "One mean for all.")
    def one_mean(x):
        if x.ndim < 2:
            raise ValueError
        return x - x.mean()

    @wrong("centre", "Vectors go through.")
    def takes_vectors(x):
        return x - x.mean(0)

    @right("centre", uses="F1")
    def by_sum(x):
        """A sum, and a view."""
        if x.ndim == 1:
            raise ValueError
        return (x - x.sum(0) / len(x))[:]

    @wrong("Tally", "All tallies share one sum.")
    class Shared:
        sums = {"": 0}

        def __init__(self):
            self.sums[""] = 0

        def add(self, x):
            self.sums[""] += x
            return self.sums[""]

    @wrong("Tally", "You forget the sum.")
    class Forgets:
        def add(self, x):
            return x

    @wrong("Tally", "You subtract.")
    class Subtracts:
        total = 0

        def add(self, x):
            self.total -= x
            return self.total

    @right("Tally")
    class Remembers:
        """Keeps all numbers."""

        def __init__(self):
            self.numbers = []

        def add(self, x):
            self.numbers.append(x)
            return sum(self.numbers)
'''

EXPLAINED = """
    EQUIVALENT = {
        "centre": {
            "if x.ndim < 2: => if x.ndim <= 2:": "no: this is noticed",
            "if x.ndim < 9: => if x.ndim <= 9:": "of a line that is gone",
        }
    }
"""


def write(root: Path, **edits: tuple[str, str]) -> Course:
    """The little course, with `new` in the place of `old` in the named texts."""
    course = Course(root)
    texts = {"source": SOURCE, "visible": VISIBLE, "hidden": HIDDEN, "bank": BANK}
    for name, (old, new) in edits.items():
        assert old in texts[name]
        texts[name] = texts[name].replace(old, new)
    places = {
        "source": course.source_file(SECTION, NOTEBOOK),
        "visible": course.visible_tests(SECTION, NOTEBOOK),
        "hidden": course.hidden_tests(SECTION, NOTEBOOK),
        "bank": course.bank_file(SECTION, NOTEBOOK),
    }
    for name, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(texts[name]).strip() + "\n")
    (root / "nbgrader_config.py").write_text("")
    cells = load_authored(places["source"], SECTION).cells
    for path, form in ((course.solved, solved), (course.released, stub)):
        target = path(SECTION, NOTEBOOK)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(write_notebook([built(i, c, form) for i, c in enumerate(cells)], {}))
    return course


def built(number: int, cell: AuthoredCell, form: object) -> Cell:
    """What `build` makes of a cell, as far as it matters here."""
    if cell.exercise is None:
        kind, ours = (
            ("markdown", {}) if cell.role == "text" else ("code", {"autograder": {"role": cell.role}})
        )
        return Cell(f"cell-{number}", kind, cell.source, ours)
    e = cell.exercise
    facts = {"role": cell.role, "exercise": e.name, "points": e.points, "bonus": e.bonus, "limit": e.limit}
    facts |= {"topics": [], "forbid": list(e.forbid)}
    source = form(cell.source) if cell.role == "answer" else cell.source  # type: ignore[operator]
    identity = e.name if cell.role == "check" else f"{e.name}-answer"
    return Cell(identity, "code", source, {"autograder": facts})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("course")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(jobs=2) as grader:
        yield grader


def start(course: Course, grader: Grader, **settings: object) -> NotebookRun:
    return NotebookRun.start(course, SECTION, NOTEBOOK, grader, Settings(**{"seeds": 3, **settings}))  # type: ignore[arg-type]


def prove(course: Course, grader: Grader, **settings: object) -> NotebookProof:
    run = start(course, grader, **settings)
    for claim in run.claims:
        claim.settle()
    return run.finish()


def all_problems(proof: NotebookProof) -> str:
    return "\n".join([*proof.problems, *(p for e in proof.exercises.values() for p in e.problems)])


def test_a_sound_notebook_is_shown_to_be_sound_and_then_remembered(root: Path, grader: Grader) -> None:
    course = write(root)
    proof = prove(course, grader, mutants=True)
    assert all_problems(proof) == ""
    assert proof.sound
    centre, tally = proof.exercises.values()
    assert (centre.visible, centre.hidden, centre.rules, centre.covered) == (1, 4, 2, 2)
    assert (centre.wrong, centre.caught, centre.named, centre.right, centre.accepted) == (3, 3, 3, 1, 1)
    assert (centre.freedoms, centre.used, centre.refused, centre.cheats) == (1, 1, 11, 11)
    assert centre.mutants == centre.killed
    assert centre.killed > 5
    assert centre.nearest is not None
    assert centre.margin is not None
    assert centre.margin > 100
    assert tally.margin is None
    assert tally.refused == tally.cheats == 9
    again = start(course, grader, mutants=True)
    assert again.claims == []
    assert again.finish().to_json() == proof.to_json()


def test_only_what_has_changed_is_shown_again(root: Path, grader: Grader) -> None:
    write(root)
    course = write(root, bank=("You forget the sum.", "You forget what was before."))
    run = start(course, grader)
    assert {claim.exercise for claim in run.claims} == {"Tally"}
    more = start(course, grader, seeds=4)
    assert {claim.exercise for claim in more.claims} == {"centre", "Tally"}
    for claim in [*run.claims, *more.claims]:
        claim.settle()


WEAK = '    def test_shape(self, submission):\n            """The shape is kept."""\n'
SHAPE = "close(tuple(submission.centre(torch.ones(2, 3)).shape), (2, 3))"
UNSOUND = {
    "the bank has 2 wrong and 1 right variants; it needs at least 3 and 1": {
        "bank": ('@wrong("Tally", "You subtract.")', "")
    },
    "the wrong variant `takes_vectors` gets full marks with seed 1": {
        "hidden": ("with pytest.raises(ValueError):\n                submission.centre(x[:, 0])", "")
    },
    "the wrong variant `one_mean` is answered by: The mean of the rows. Or: One mean for all.; add a test": {
        "bank": ("return x - x.mean()", "return x - x.mean(1, keepdim=True)")
    },
    "the right variant `by_sum` fails test_any_matrix[2]": {"bank": ("/ len(x))[:]", "/ (len(x) + 1))[:]")},
    "the solution fails test_any_matrix[2]": {"hidden": ("x.sum(0) / n", "x.sum(0) / (n + 1)")},
    "the solution fails test_any_matrix[5] with 1 of 3 seeds": {
        "hidden": ("x = 3 + rng.normal(n, 4)", "x = rng.normal(n, 4); assert rng.numpy.random() < 0.9")
    },
    "a cheat (the untouched stub) passes test_shape; let these tests ask for a right value": {
        "hidden": ("    @rule(\"R2\")", f"{WEAK}\n        @rule(\"R2\")")
    },
    "a cheat (zeros of the right shape) passes test_shape": {
        "hidden": ("    @rule(\"R2\")", f"{WEAK}            {SHAPE}\n\n        @rule(\"R2\")")
    },
    "a right answer needs 25% of a tolerance": {
        "hidden": ("x - x.sum(0) / n)", "x - x.sum(0) / n + 0.25, rtol=0, atol=1.0)")
    },
    "the wrong variant `one_mean` is only": {
        "hidden": (
            "close, exercise, pure, rule\n",
            "exercise, pure, rule\n    from autograder import testing\n\n"
            "    def close(got, want):\n        testing.close(got, want, atol=0.2, rtol=0)\n",
        ),
        "visible": ("torch.tensor([[-1.0, -2], [1, 2]]))", "torch.tensor([[-1.0, -2], [1, 2]]), atol=0.2)"),
    },
    "no test rests on rule R2: write `@rule(\"R2\")`": {"hidden": ('@rule("R2")', "")},
    "the wrong variant `takes_vectors` does not run": {"bank": ("return x - x.mean(0)\n", "return y\n")},
    "the bank has something for `centrum`, which is no exercise here": {
        "bank": ('@wrong("centre", "One mean for all.")', '@wrong("centrum", "One mean for all.")')
    },
    "fails test_worked_example with simpler inputs": {
        "visible": (
            'test_worked_example(self, submission):\n            """The worked example comes out."""',
            'test_worked_example(self, submission, rng):\n            """It comes out."""\n'
            "            assert rng.normal(1).item() * 100 % 10 > 1e-3",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("problem", UNSOUND)
def test_what_is_unsound_is_named(root: Path, grader: Grader, problem: str) -> None:
    course = write(root, **UNSOUND[problem])
    proof = prove(course, grader)
    assert problem in all_problems(proof)
    assert not proof.sound


def test_a_surviving_mutant_is_shown_with_its_edit_and_explanations_must_hold(
    root: Path, grader: Grader
) -> None:
    weak = ("            with pytest.raises(ValueError):\n                submission.centre(x[:, 0])\n", "")
    course = write(root, hidden=weak, bank=("\n    import torch\n", f"\n    import torch\n{EXPLAINED}"))
    proof = prove(course, grader, mutants=True)
    centre = proof.exercises["centre"]
    assert "if x.ndim < 2: => if False:" in [s.edit for s in centre.survivors]
    survivor = next(s for s in centre.survivors if s.edit.endswith("if False:"))
    assert "-    if x.ndim < 2:\n+    if False:" in survivor.diff
    problems = all_problems(proof)
    assert (
        "EQUIVALENT explains a mutant that the tests do notice: if x.ndim < 2: => if x.ndim <= 2:" in problems
    )
    assert (
        "EQUIVALENT explains a mutant that is not made any more: if x.ndim < 9: => if x.ndim <= 9:"
        in problems
    )
    html = page([proof])
    assert "A mutant survives" in html
    assert "<b>R2</b> A vector is a <code>ValueError</code>." in html


def test_mutants_can_be_added_to_what_is_known(root: Path, grader: Grader) -> None:
    course = write(root)
    first = prove(course, grader)
    assert first.exercises["centre"].mutants is None
    run = start(course, grader, mutants=True)
    assert len(run.claims) < 40
    for claim in run.claims:
        claim.settle()
    both = run.finish().exercises["centre"]
    assert both.mutants == both.killed
    assert both.caught == 3


def test_what_could_not_run_is_a_problem_and_is_not_remembered(root: Path, grader: Grader) -> None:
    course = write(root, hidden=("import pytest", "import pytest, no_such_module"))
    run = start(course, grader)
    for claim in run.claims:
        claim.settle()
    before = run.kept.read_bytes()
    proof = run.finish()
    assert proof.unproven
    assert "the tests can't be imported" in proof.problems[0]
    assert run.kept.read_bytes() == before


def sources(root: Path, **edits: tuple[str, str]) -> Sources:
    return Sources.load(write(root, **edits), SECTION, NOTEBOOK)


def test_rules_are_read_from_the_contract_and_from_the_tests(tmp_path: Path) -> None:
    centre = sources(tmp_path).materials()["centre"]
    assert centre.contract == {
        "R1": "Each column has the mean 0 afterwards, and its differences are kept.",
        "R2": "A vector is a `ValueError`.",
        "F1": "The result may be a view.",
    }
    assert [(t.name, t.visible, t.rules) for t in centre.tests] == [
        ("test_worked_example", True, ("R1",)),
        ("test_any_matrix", False, ("R1",)),
        ("test_gradient", False, ("R1",)),
        ("test_refuses_vectors", False, ("R1", "R2")),
    ]


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"source": ("- **R1** `add`", "`add`")}, "its contract has no rules"),
        (
            {"hidden": ('class TestTally:\n        @rule("R1")', "class TestTally:")},
            "test_two_tallies names no rule",
        ),
        (
            {"hidden": ('@rule("R2")', '@rule("R2", "R12")')},
            "test_refuses_vectors names R12, which the contract",
        ),
        ({"bank": (', uses="F1"', "")}, "no right variant makes use of freedom F1"),
        ({"bank": ('uses="F1"', 'uses="F1 F7"')}, "`by_sum` uses F7, which the contract does not have"),
    ],
)
def test_rules_tests_and_variants_are_tied(
    tmp_path: Path, edits: dict[str, tuple[str, str]], problem: str
) -> None:
    from autograder.bank import load_bank

    found = sources(tmp_path, **edits)
    variants = load_bank(found.bank)
    problems = [
        text
        for name, material in found.materials().items()
        for text in contract_problems(material, [v for v in variants if v.exercise == name])
    ]
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_rule_stands_once(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="the contract of `centre` has two rules R1"):
        sources(tmp_path, source=("**R2**", "**R1**")).materials()


def test_the_digest_of_an_exercise_follows_what_concerns_it(tmp_path: Path) -> None:
    def digests(**edits: tuple[str, str]) -> list[str]:
        return [m.digest for m in sources(tmp_path, **edits).materials().values()]

    centre, tally = digests()
    assert digests(source=("# A notebook for", "# Another notebook for")) == [centre, tally]
    assert digests(bank=("import torch", "# a remark\n    import torch")) == [centre, tally]
    assert digests(bank=("You subtract.", "You take away."))[0] == centre
    assert digests(bank=("You subtract.", "You take away."))[1] != tally
    assert digests(source=("A vector is", "A list is"))[1] == tally
    assert digests(source=("A vector is", "A list is"))[0] != centre
    both = digests(hidden=("import pytest", "import math, pytest"))
    assert both[0] != centre
    assert both[1] != tally


def test_files_that_are_missing_or_not_python_are_named(tmp_path: Path) -> None:
    course = write(tmp_path, bank=("import torch", "import torch ("))
    with pytest.raises(CourseError, match=r"bank_small.py:\d+: not Python"):
        Sources.load(course, SECTION, NOTEBOOK).materials()
    course.solved(SECTION, NOTEBOOK).unlink()
    with pytest.raises(CourseError, match="no such notebook; run `autograder build 03_small`"):
        Sources.load(course, SECTION, NOTEBOOK)


def test_leaks_are_found_wherever_they_lie(tmp_path: Path) -> None:
    assert leaks(sources(tmp_path)) == []
    folder = tmp_path / "release" / SECTION
    (folder / "data").mkdir()
    (folder / "data" / "notes.txt").write_text("it ends in return x - x.mean(0)\nsee test_any_matrix")
    (folder / "bank_small.py").write_text("")
    assert leaks(Sources.load(Course(tmp_path), SECTION, NOTEBOOK)) == [
        "bank_small.py must not ship: run `autograder build 03_small`",
        "a line of the solution is in notes.txt: return x - x.mean(0)",
        "the hidden test `test_any_matrix` is named in notes.txt",
    ]


def test_a_solution_line_in_the_released_answer_is_a_leak(tmp_path: Path) -> None:
    course = write(tmp_path)
    released = course.released(SECTION, NOTEBOOK)
    text = released.read_text().replace("raise NotImplementedError()", "return x - x.mean(0)", 1)
    released.write_text(text)
    assert leaks(Sources.load(course, SECTION, NOTEBOOK)) == [
        "a line of the solution is in small.ipynb: return x - x.mean(0)"
    ]


PROOF = ExerciseProof(
    "centre", visible=1, hidden=4, rules=2, covered=2, wrong=3, caught=3, named=3, right=1, accepted=1,
    cheats=9, refused=9, mutants=12, killed=10, equivalent=1, spread=0.002, nearest=40.0, seeds=20,
    survivors=[Survivor("axis", "a => b", "-a\n+b")], contract={"R1": "x < y & z"},
)  # fmt: skip


def test_a_proof_survives_its_json_form() -> None:
    assert ExerciseProof.from_json(json.loads(json.dumps(PROOF.to_json()))) == PROOF


@pytest.mark.parametrize(
    ("spread", "nearest", "problems", "margin"),
    [
        (0.002, 40.0, [], "2e4x"),
        (0.09, 11.0, [], "122x"),
        (0.3, 40.0, ["a right answer needs 30% of a tolerance; allowed are 10%"], "133x"),
        (0.01, 3.0, ["`near` is only 3.0 tolerances away; wanted are 10"], "300x"),
        (None, None, [], "exact"),
        (0.0, 50.0, [], "5e7x"),
    ],
)
def test_margins(spread: float | None, nearest: float | None, problems: list[str], margin: str) -> None:
    proof = replace(PROOF, survivors=[], spread=spread, nearest=nearest, nearest_name="near")
    assert len(proof.problems) == len(problems)
    assert all(part in text for part, text in zip(problems, proof.problems, strict=True))
    assert dict(zip(COLUMNS, row(proof), strict=True))["margin"] == margin


def test_the_page_is_complete_in_itself_and_escapes_what_it_shows() -> None:
    proof = NotebookProof(SECTION, NOTEBOOK, {"centre": PROOF}, ["a <b> problem"])
    html = page([proof])
    assert "0 of 1 exercises are sound; 1 of 1 notebooks has problems as a whole" in html
    assert "a &lt;b&gt; problem" in html
    assert "<b>R1</b> x &lt; y &amp; z" in html
    assert "10/12 (+1)" in html
    assert "<script" not in html
    assert "http" not in html


def test_currency_is_asked_of_the_builder_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autograder import build
    from autograder.verify.currency import outdated

    course = write(tmp_path)
    asked: list[list[str]] = []
    old = [course.released(SECTION, NOTEBOOK)]

    def stale(_course: Course, sections: list[str]) -> list[Path]:
        asked.append(list(sections))
        return old if len(asked) == 1 else []

    monkeypatch.setattr(build, "stale", stale)
    assert outdated(course, [SECTION]) == old
    assert outdated(course, [SECTION]) == []  # asked again: it was not current
    assert outdated(course, [SECTION]) == []
    assert asked == [[SECTION]] * 2
    course.released(SECTION, NOTEBOOK).write_bytes(b"{}")
    assert outdated(course, [SECTION]) == []
    assert len(asked) == 3
    (course.build / "verify" / "current.json").write_text("damaged")
    assert outdated(course, [SECTION]) == []
    assert len(asked) == 4


def test_the_command_prints_the_table_writes_the_page_and_remembers(course: Course, tmp_path: Path) -> None:
    import shutil
    import subprocess
    import sys

    root = tmp_path / "course"
    shutil.copytree(course.root, root, ignore=shutil.ignore_patterns("build", "__pycache__"))
    command = [sys.executable, "-m", "autograder", "verify", "01_warmup/tiny", "--quick"]
    first = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 1
    assert "caught  message" in first.stdout
    assert "Counter: the bank has 2 wrong and 1 right variants" in " ".join(first.stdout.split())
    assert "0 of 3 exercises are sound" in first.stdout
    assert "0 of 3 exercises are sound" in (root / "build" / "verify" / "index.html").read_text()
    again = subprocess.run(
        [*command, "--json"], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    (line,) = again.stdout.splitlines()
    data = json.loads(line)
    assert (data["assignment"], data["notebook"], data["sound"]) == ("01_warmup", "tiny", False)
    assert [e["name"] for e in data["exercises"]] == ["double", "Counter", "scale"]
    assert "its contract has no rules" in " ".join(data["exercises"][0]["problems"])

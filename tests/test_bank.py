"""Reading banks: variants, their texts, explained mutants, and an author's mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.bank import load_bank, load_equivalent
from autograder.errors import CourseError

BANK = '''
import math
from autograder.bank import right, wrong

@wrong("area", "You forget pi.")
def without_pi(r):
    return r ** 2

@right("area", uses="F1, R2")
class Area:
    """A class."""
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank_x.py"


def test_variants_come_in_order_with_text_message_and_the_names_around_them(path: Path) -> None:
    path.write_text(BANK)
    first, second = load_bank(path)
    assert (first.exercise, first.name, first.kind, first.message) == (
        "area",
        "without_pi",
        "wrong",
        "You forget pi.",
    )
    assert first.source == "def area(r):\n    return r ** 2\n"
    assert first.object(3) == 9
    assert "math" in first.given
    assert second.source.startswith("class area:")
    assert second.uses == ("F1", "R2")
    assert load_bank(path.with_name("none.py")) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BANK.replace("You forget pi.", " "),
            "the wrong variant `without_pi` needs a message for the learner",
        ),
        (BANK.replace("import math", "import no_such_module"), "can't be imported: ModuleNotFoundError"),
    ],
)
def test_a_bank_that_does_not_work_is_named(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(CourseError, match=message):
        load_bank(path)


def test_explained_mutants_are_read_without_running_the_bank(path: Path) -> None:
    path.write_text("import no_such_module\nEQUIVALENT = {'area': {'a => b': 'the same', 'c => d': 'too'}}\n")
    assert load_equivalent(path) == {"area": {"a => b": "the same", "c => d": "too"}}
    path.write_text("")
    assert load_equivalent(path) == load_equivalent(path.with_name("none.py")) == {}


@pytest.mark.parametrize("value", ["{'area': {'a => b': ''}}", "{'area': ['a => b']}", "[1]", "f()"])
def test_every_explained_mutant_has_a_reason(path: Path, value: str) -> None:
    path.write_text(f"\nEQUIVALENT = {value}\n")
    with pytest.raises(
        CourseError, match=r"bank_x.py:2: EQUIVALENT gives each mutant a reason, in plain text"
    ):
        load_equivalent(path)

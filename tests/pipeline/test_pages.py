"""nbgrader's feedback page: what people decided and wrote stands on it; without a report there is none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from autograder.nbgrader.marks import Marks, Row

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of nbgrader and its libraries

SECTION, NOTEBOOK = "01_warmup", "tiny"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def marked(clone: Any, cases: dict[str, Any]) -> Any:
    """Two submissions, one with everything a person may add."""
    content = json.loads(cases["squares"].files[f"{NOTEBOOK}.ipynb"])
    own = {"cell_type": "code", "id": "mine", "metadata": {}, "execution_count": 1, "source": "mine = 5"}
    own["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": PNG}}]
    content["cells"].append(own)
    clone.hand_in("marked", {f"{NOTEBOOK}.ipynb": json.dumps(content).encode()})
    clone.hand_in("plain", cases["squares"].files)
    for student in ("marked", "plain"):
        code, log = clone.autograde(f"--student={student}")
        assert code == 0, log
    with clone.gradebook() as gradebook:
        place = (NOTEBOOK, SECTION, "marked")
        gradebook.find_grade("double", *place).manual_score = 1.5
        gradebook.find_comment("double-answer", *place).manual_comment = "Nearly: *square* is not double."
        gradebook.find_submission_notebook(*place).late_submission_penalty = 0.5
        gradebook.db.commit()
    return clone


def page_of(clone: Any, student: str) -> str:
    code, log = clone.run("GenerateFeedbackApp", SECTION, f"--student={student}", "--force")
    assert code == 0, log
    return str((clone.course.root / "feedback" / student / SECTION / f"{NOTEBOOK}.html").read_text())


def words(page: str) -> str:
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).split())


def test_what_people_decided_stands_on_the_page(marked: Any) -> None:
    page = page_of(marked, "marked")
    text = words(page)
    with marked.gradebook() as gradebook:
        due = gradebook.find_submission_notebook(NOTEBOOK, SECTION, "marked").score - 0.5
    assert f"{due:g} of 5 points" in text
    assert f"Handed in late: 0.5 points are taken off the {due + 0.5:g} you reached." in text
    assert "1.5 / 2 by hand" in text
    assert "1.5 of 2 points, by hand (tests:" in text
    assert "Your instructor writes:" in text
    assert "<em>square</em> is not double." in page
    assert f"data:image/png;base64,{PNG}" in page


def test_what_no_person_wrote_is_no_persons_word(marked: Any) -> None:
    page = page_of(marked, "plain")
    text = words(page)
    assert "Your instructor writes" not in text
    assert "by hand" not in text
    assert "late" not in text
    assert "4 of 5 points" in text
    assert "1 / 1 bonus" in text


def test_the_learners_own_cells_can_be_read_and_no_locked_one(marked: Any) -> None:
    text = words(page_of(marked, "marked"))
    own = text.partition("What you wrote, from top to bottom")[2]
    assert "mine = 5" in own
    assert "return x * x" in own
    assert own.index("1. double") < own.index("return x * x") < own.index("2. Counter")
    assert "check(" not in own
    assert "import numpy" not in own


def test_it_needs_nothing_from_elsewhere_and_says_its_language(marked: Any) -> None:
    page = page_of(marked, "marked")
    assert '<html lang="en">' in page
    assert "mathjax" not in page.casefold()
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!#|data:image/(?:png|jpeg);|https://)', page)
    assert len(re.findall("<h1>", page)) == 1


@pytest.mark.parametrize("content", [None, "{}", "not json", '{"assignment": 1}'])
def test_without_a_report_there_is_no_page_and_the_others_have_theirs(marked: Any, content: Any) -> None:
    path = marked.graded("plain")
    before = path.read_bytes()
    notebook = json.loads(before)
    notebook["metadata"]["autograder"] = {} if content is None else {"report": content}
    path.chmod(0o644)
    path.write_text(json.dumps(notebook))
    try:
        code, log = marked.run("GenerateFeedbackApp", SECTION, "--student=[mp]*", "--force")
    finally:
        path.write_bytes(before)
    assert code == 1
    assert "no feedback on tiny for plain: the graded notebook holds no report of ours" in log
    assert "run `nbgrader autograde 01_warmup --student=plain --force`, then this command again" in log
    feedback = marked.course.root / "feedback"
    assert not (feedback / "plain" / SECTION).exists()
    assert (feedback / "marked" / SECTION / f"{NOTEBOOK}.html").exists()


def test_a_report_in_a_submission_is_not_the_graders(marked: Any, cases: dict[str, Any]) -> None:
    """Metadata of the notebook that is handed in goes no further."""
    content = json.loads(cases["squares"].files[f"{NOTEBOOK}.ipynb"])
    content["metadata"]["autograder"] = {"report": '{"score": 999}'}
    marked.hand_in("forger", {f"{NOTEBOOK}.ipynb": json.dumps(content).encode()})
    code, log = marked.autograde("--student=forger")
    assert code == 0, log
    assert "999" not in marked.graded("forger").read_text()
    assert "4 of 5 points" in words(page_of(marked, "forger"))


def test_answers_that_people_grade() -> None:
    """As an instructor adds them with nbgrader's own tools: an essay, code, a task with its mark scheme."""
    import nbformat

    from autograder.nbgrader.pages import _written

    def own(name: str, **settings: Any) -> dict[str, Any]:
        kind = {"grade": True, "solution": True, "task": False, "locked": False, **settings}
        return {"nbgrader": {**kind, "grade_id": name, "points": 4}}

    new = nbformat.v4
    task = "Draw it.\n=== BEGIN MARK SCHEME ===\n- 2: axes\n=== END MARK SCHEME ==="
    cells = [
        new.new_markdown_cell("Why is it so?"),
        new.new_markdown_cell("Because.", metadata=own("essay")),
        new.new_code_cell("x = 1", metadata=own("code")),
        new.new_markdown_cell(task, metadata=own("draw", grade=False, solution=False, task=True)),
        new.new_code_cell("check('f')", metadata=own("f", solution=False)),
    ]
    rows = {"essay": Row(3.0, 4), "code": Row(None, 4), "draw": Row(0.0, 4), "f": Row(1.0, 4)}
    marks = Marks(4, 16, 0, rows, {"essay": "Good."}, {"code": "No response.", "essay": "x"})
    essay, code, draw = _written(new.new_notebook(cells=cells), marks)
    assert (essay.asked, essay.answer) == ("Why is it so?", "Because.")
    assert (essay.score, essay.comment) == (3.0, "Good.")
    assert (code.answer, code.is_code, code.score) == ("x = 1", True, None)
    assert (code.comment, code.remark) == ("", "No response.")
    assert "**How it is marked**" in draw.asked
    assert "MARK SCHEME" not in draw.asked
    assert draw.answer == ""

"""The extension in JupyterLab: button, shortcut, panel and cards, as a learner meets them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from autograder.render.card import REPORT_MIME

RIGHT = "def double(x):\n    return x * 2"
WRONG = "def double(x):\n    return x * x"
COUNTER = "class Counter:\n    pass"
CHECK = "Control+Shift+Enter"
MODULE = "import('/lab/extensions/autograder/static/exercises.js')"


def solved(content: dict[str, Any]) -> None:
    answer(content, "double", RIGHT)


def answer(content: dict[str, Any], name: str, source: str) -> None:
    next(cell for cell in content["cells"] if cell["id"] == f"{name}-answer")["source"] = source


def test_the_button_checks_and_the_panel_follows(put: Any, opened: Any) -> None:
    notebook = opened(put())
    expect(notebook.row("double")).to_contain_text("to do")
    notebook.write("double-answer", RIGHT)
    expect(notebook.row("double")).to_contain_text("not checked")
    notebook.button.click()
    expect(notebook.card("double")).to_have_attribute("data-state", "passed")
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.row("double")).to_contain_text("0.6 of 2 points")
    expect(notebook.panel).to_contain_text(re.compile(r"1 of 2 exercises passed\s*0.6 of 5 points"))
    expect(notebook.voice).to_have_text("double: passed, 0.6 of 2 points.")


def test_what_is_for_instructors_is_out_of_the_way(put: Any, opened: Any) -> None:
    notebook = opened(put())
    expect(notebook.button).to_be_visible()
    expect(notebook.page.get_by_role("tab", name="Create Assignment")).to_have_count(0)
    expect(notebook.page.get_by_text("Validate", exact=True)).to_be_visible()


def test_the_shortcut_checks_while_typing_and_the_cursor_stays(put: Any, opened: Any) -> None:
    notebook = opened(put())
    notebook.write("double-answer", WRONG)
    notebook.page.keyboard.press(CHECK)
    expect(notebook.card("double")).to_have_attribute("data-state", "not yet")
    expect(notebook.card("double")).to_contain_text("[1, 2] becomes [2, 4]")
    expect(notebook.row("double")).to_contain_text("not yet")
    expect(notebook.cell("double-answer").locator(".cm-content")).to_be_focused()
    notebook.page.keyboard.press("Control+A")
    notebook.page.keyboard.insert_text(RIGHT)
    notebook.page.keyboard.press(CHECK)
    expect(notebook.card("double")).to_have_attribute("data-state", "passed")
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.row("double")).not_to_contain_text("changed")


def test_running_the_cells_by_hand_is_followed_too(put: Any, opened: Any) -> None:
    notebook = opened(put(solved))
    notebook.cell("given-01").locator(".cm-content").click()
    for _ in range(4):  # imports, text, answer, check
        notebook.page.keyboard.press("Shift+Enter")
    expect(notebook.card("double")).to_have_attribute("data-state", "passed")
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.voice).to_have_text("double: passed, 0.6 of 2 points.")


def test_a_change_after_the_check_is_marked_also_after_a_reload(
    put: Any, opened: Any, server: Any, window: Any
) -> None:
    notebook = opened(put(solved))
    notebook.cell("double-answer").locator(".cm-content").click()
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.row("double")).not_to_contain_text("changed")
    notebook.write("double-answer", RIGHT + "  # better")
    expect(notebook.row("double")).to_contain_text("changed since its last check")
    notebook.page.evaluate("jupyterapp.shell.currentWidget.context.save()")
    page = window.new_page()
    page.goto(server.address(f"lab/workspaces/again/tree/{notebook.path}"))
    again = type(notebook)(page, notebook.path)
    again.ready()
    with page.expect_response(
        lambda answer: "/api/workspaces/" in answer.url and answer.request.method == "PUT"
    ):
        again.run("autograder:show-panel")
    expect(again.row("double")).to_contain_text("passed")
    expect(again.row("double")).to_contain_text("changed since its last check")
    again.write("double-answer", RIGHT)
    expect(again.row("double")).not_to_contain_text("changed")
    page.reload()
    expect(again.row("double")).to_be_visible()  # the panel is where it was
    page.close()


def test_an_answer_that_raises_is_not_checked(put: Any, opened: Any) -> None:
    notebook = opened(put())
    notebook.write("double-answer", "def double(x):\n    return x *")
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("error")
    expect(notebook.row("double")).to_contain_text("The answer cell stopped with an error.")
    expect(notebook.voice).to_have_text(
        "double: the answer cell stopped with an error, so it was not checked."
    )
    expect(notebook.card("double")).to_have_count(0)
    notebook.write("double-answer", RIGHT)
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("passed")


def test_an_answer_in_two_cells_is_run_whole(put: Any, opened: Any) -> None:
    def split(content: dict[str, Any]) -> None:
        answer(content, "double", "def helper(x):\n    return x * 2")
        first = next(cell for cell in content["cells"] if cell["id"] == "double-answer")
        second = {**first, "id": "second", "source": "def double(x):\n    return helper(x)"}
        content["cells"].insert(content["cells"].index(first) + 1, second)

    notebook = opened(put(split))
    notebook.row("double").click()
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("passed")
    notebook.write("second", "def double(x):\n    return x")
    expect(notebook.row("double")).to_contain_text("changed since its last check")


def test_after_a_restart_the_imports_are_run_again(put: Any, opened: Any) -> None:
    notebook = opened(put())
    annotated = "def double(x: np.ndarray):\n    return x * 2"  # stops without the cell of imports
    notebook.write("double-answer", annotated)
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("passed")
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    notebook.ready()
    notebook.write("double-answer", annotated + "\n")
    notebook.page.keyboard.press(CHECK)
    expect(notebook.voice).to_have_text("double: passed, 0.6 of 2 points.")
    expect(notebook.cell("given-01").locator(".jp-InputPrompt").first).to_have_text("[1]:")


def test_outside_an_exercise_the_next_one_is_shown_and_not_run(put: Any, opened: Any) -> None:
    notebook = opened(put(solved))
    notebook.cell("text-01").click()
    notebook.page.keyboard.press(CHECK)
    expect(notebook.voice).to_have_text(
        "This cell belongs to no exercise. Here is double; check again to check it."
    )
    expect(notebook.cell("double-answer")).to_have_class(re.compile("jp-mod-active"))
    expect(notebook.row("double")).to_contain_text("not checked")
    notebook.page.keyboard.press(CHECK)
    expect(notebook.row("double")).to_contain_text("passed")


def test_which_exercise_a_cell_belongs_to(put: Any, opened: Any) -> None:
    def rearrange(content: dict[str, Any]) -> None:
        cells = {cell["id"]: cell for cell in content["cells"]}
        hint = {"cell_type": "markdown", "id": "hint", "metadata": {}, "source": "<details>Think.</details>"}
        words = {"cell_type": "markdown", "id": "words", "metadata": {}, "source": "Now counting."}
        cells["text-03"]["source"] = "### Counting"  # no part of its own
        content["cells"][5:5] = [hint]
        content["cells"].insert(content["cells"].index(cells["Counter-answer"]), words)

    notebook = opened(put(rearrange))
    found = notebook.page.evaluate(
        f"""async () => {{ const {{ exercisesOf, exerciseAt, cellsOf }} = await {MODULE};
            const model = jupyterapp.shell.currentWidget.content.model;
            const exercises = exercisesOf(model, {{ when: () => 0 }});
            const name = i => exerciseAt(model, exercises, i)?.name ?? "";
            return cellsOf(model).map((cell, i) => [cell.id, name(i)]); }}"""
    )
    assert dict(found) == {
        "text-01": "",
        "given-01": "",
        "text-02": "double",
        "double-answer": "double",
        "double": "double",
        "hint": "double",
        "demo-01": "Counter",
        "text-03": "Counter",
        "words": "Counter",
        "Counter-answer": "Counter",
        "Counter": "Counter",
        "text-04": "scale",
        "scale-answer": "scale",
        "scale": "scale",
        "text-05": "",
    }


def test_the_panel_leads_to_the_exercises_by_keyboard(put: Any, opened: Any) -> None:
    notebook = opened(put())
    notebook.row("double").focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("End")
    expect(notebook.row("scale")).to_be_focused()
    notebook.page.keyboard.press("ArrowUp")
    expect(notebook.row("Counter")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect(notebook.cell("Counter-answer")).to_have_class(re.compile("jp-mod-active"))
    expect(notebook.row("Counter")).to_have_attribute("aria-current", "true")
    assert notebook.page.evaluate("!!document.activeElement.closest('.jp-Notebook')")
    notebook.page.keyboard.press("Enter")  # and one more to type
    expect(notebook.cell("Counter-answer").locator(".cm-content")).to_be_focused()


def test_the_whole_notebook_and_what_is_open(put: Any, opened: Any) -> None:
    def two(content: dict[str, Any]) -> None:
        answer(content, "double", "def double(x):\n    return x *")
        answer(content, "scale", "def scale(x):\n    return (x - x.min()) / (x.max() - x.min())")

    notebook = opened(put(two))
    notebook.panel.get_by_role("button", name="Check the whole notebook").click()
    expect(notebook.voice).to_have_text(
        re.compile("0 of 2 exercises passed, 0.3 of 5 points. 1 still to do.")
    )
    expect(notebook.row("double")).to_contain_text("error")
    expect(notebook.row("scale")).to_contain_text("passed")
    expect(notebook.card("Counter")).to_have_count(0)
    for name in ("double", "Counter", "double"):  # not scale, and from the top again
        notebook.panel.get_by_role("button", name="Next open exercise").click()
        expect(notebook.voice).to_have_text(re.compile(f"^{name}: "))
        expect(notebook.cell(f"{name}-answer")).to_have_class(re.compile("jp-mod-active"))


def test_a_report_on_several_exercises_counts_wherever_it_stands(put: Any, opened: Any) -> None:
    def result(name: str, outcome: str, score: float) -> dict[str, Any]:
        return {"name": name, "outcome": outcome, "score": score, "max_score": 3.0, "tests": []}

    report = {"exercises": [result("double", "passed", 2.0), result("Counter", "failed", 1.234)]}
    report["exercises"].append(result("of another notebook", "passed", 1.0))
    report["exercises"] += ["no result", 3, {"name": 3}]
    shown = f"display({{{REPORT_MIME!r}: {json.dumps(report)}, 'text/plain': 'both'}}, raw=True)"
    notebook = opened(put())
    notebook.write("demo-01", shown)
    notebook.page.keyboard.press("Control+Enter")
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.row("Counter")).to_contain_text("not yet")
    expect(notebook.row("Counter")).to_contain_text("1.23 of 3 points")
    expect(notebook.voice).to_have_text("double: passed, 2 of 2 points. Counter: not yet, 1.23 of 3 points.")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("reading", "This notebook has no exercises. It is for reading."),
        ("foreign", "This notebook has no exercises of the course."),
    ],
)
def test_a_notebook_without_exercises(put: Any, opened: Any, kind: str, sentence: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["cells"] = content["cells"][:2]
        if kind == "foreign":
            del content["metadata"]["autograder"]

    notebook = opened(put(change))
    expect(notebook.panel).to_contain_text(sentence)
    expect(notebook.panel.locator("progress")).to_be_hidden()
    expect(notebook.button).to_be_hidden()


def test_without_a_notebook_the_panel_says_what_it_is_for(put: Any, opened: Any) -> None:
    notebook = opened(put())
    notebook.close()
    expect(notebook.panel).to_contain_text("Open a notebook of the course, and its exercises stand here.")


def test_an_untrusted_notebook_is_read_and_nothing_in_it_runs(put: Any, opened: Any) -> None:
    markup = "<img src=x onerror='document.documentElement.dataset.taken = 1'>"

    def change(content: dict[str, Any]) -> None:
        from autograder.render.card import Card
        from autograder.report import ExerciseResult, Report, TestResult

        tests = [TestResult("test_a", True, "passed", f"Keeps {markup}.")]
        results = [ExerciseResult.of(name, tests, points=2) for name in ("double", markup)]
        report = Report.of("s", "n", exercises=results, sandbox="", seed=1, verdict_id="")
        data = Card(report)._repr_mimebundle_()
        output = {"output_type": "display_data", "metadata": {}, "data": data}
        cells = {cell["id"]: cell for cell in content["cells"]}
        cells["double"].update(outputs=[output], execution_count=3)
        cells["Counter"]["metadata"]["autograder"]["exercise"] = markup

    notebook = opened(put(change))
    expect(notebook.row("double")).to_contain_text("passed")
    expect(notebook.panel.locator(".ag-panel-exercise").nth(1)).to_have_text(markup)
    expect(notebook.panel.locator("img")).to_have_count(0)
    assert notebook.cell("double").locator("[data-taken]").count() == 0
    shown = notebook.cell("double").locator(".jp-OutputArea")
    expect(shown).to_contain_text("passed")
    expect(shown).to_contain_text("2 of 2 points")
    assert notebook.page.evaluate("document.documentElement.dataset.taken") is None


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_card_and_panel_are_accessible(put: Any, opened: Any, axe: Any, theme: str) -> None:
    def change(content: dict[str, Any]) -> None:
        answer(content, "double", WRONG)
        answer(content, "Counter", COUNTER)
        answer(content, "scale", "def scale(x):\n    return (x - x.min()) / (x.max() - x.min())")

    notebook = opened(put(change))
    change_theme = "async theme => { await jupyterapp.commands.execute('apputils:change-theme', { theme }); }"
    notebook.page.evaluate(change_theme, theme)
    notebook.page.locator(f'body[data-jp-theme-name="{theme}"]').wait_for(state="attached")
    notebook.panel.get_by_role("button", name="Check the whole notebook").click()
    for name in ("double", "Counter", "scale"):
        notebook.card(name).wait_for()
    notebook.write("double-answer", RIGHT)
    expect(notebook.row("double")).to_contain_text("changed")
    notebook.row("Counter").hover()
    notebook.frame.locator(".ag-card details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert axe(notebook.page, ".ag-panel", ".ag-cards", ".ag-panel-voice") == []
    notebook.page.evaluate(change_theme, "JupyterLab Light")


def test_notebook_7_has_button_and_panel_too(put: Any, server: Any, window: Any, notebook_of: Any) -> None:
    path = put(solved)
    page = window.new_page()
    page.goto(server.address(f"notebooks/{path}"))
    notebook = notebook_of(page, path)
    notebook.ready()
    notebook.run("autograder:show-panel")
    notebook.cell("double-answer").locator(".cm-content").click()
    page.keyboard.press(CHECK)
    expect(notebook.card("double")).to_have_attribute("data-state", "passed")
    expect(notebook.row("double")).to_contain_text("passed")
    notebook.button.click()
    expect(notebook.row("double")).to_contain_text("passed")
    notebook.close()
    page.close()


def test_where_jupyterlab_s_libraries_are_missing_nothing_is_done(lab_page: Any) -> None:
    found = lab_page.evaluate(
        """async () => { const { pluginFor } = await import("/lab/extensions/autograder/static/plugin.js");
            const plugin = await pluginFor(async () => null, "");
            return [plugin.id, plugin.activate() === undefined]; }"""
    )
    assert found == ["autograder:plugin", True]


def test_a_copied_check_is_one_exercise(put: Any, opened: Any) -> None:
    def copy(content: dict[str, Any]) -> None:
        check = next(cell for cell in content["cells"] if cell["id"] == "double")
        content["cells"].append({**check, "id": "copy"})

    notebook = opened(put(copy))
    expect(notebook.row("scale")).to_be_visible()
    expect(notebook.panel.locator(".ag-panel-row")).to_have_count(3)


def test_notebook_7_s_list_of_files_is_left_alone(server: Any, window: Any) -> None:
    page = window.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error} {error.stack}"))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(server.address("tree"))
    page.locator(".jp-DirListing-content").wait_for()
    page.wait_for_function("window.jupyterapp?.isPluginActivated('autograder:plugin')")
    assert [error for error in errors if "autograder" in error] == []  # Notebook 7 has errors of its own
    page.close()

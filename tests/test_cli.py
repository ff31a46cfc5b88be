"""The command line as a whole: quick, one sentence for a mistake, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from autograder import __version__, cli
from autograder.errors import CouldNotRun, CourseError

HEAVY = {"torch", "numpy", "nbformat", "jupytext", "nbgrader", "pytest", "rich", "matplotlib"}


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout


def test_the_package_imports_nothing_heavy() -> None:
    assert run(f"import sys, autograder; print({HEAVY} & set(sys.modules))") == "set()\n"


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, autograder.cli; print({HEAVY} & set(sys.modules))"
    assert run(code) == "set()\n"


def test_check_means_the_function_whatever_was_imported_before() -> None:
    code = "import autograder.check; from autograder import check; print(callable(check))"
    assert run(code) == "True\n"
    assert run("from autograder import check; print(callable(check))") == "True\n"


def test_progress_means_the_function_as_well() -> None:
    code = "import types, autograder; autograder.progress = types.ModuleType('autograder.progress')"
    assert run(f"{code}; from autograder import progress; print(progress.__name__)") == "progress\n"


def test_other_names_are_refused() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from autograder import nothing  # type: ignore[attr-defined]  # noqa: F401


def paths(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as its words."""
    inner = getattr(command, "commands", {})
    for name, member in inner.items():
        yield from paths(member, *path, name)
    if not inner:
        yield path


@pytest.mark.parametrize("path", [*paths(typer.main.get_command(cli.app))], ids=" ".join)
def test_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Example: autograder {' '.join(path)}" in result.output


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith(f"autograder {__version__}, Python 3.")


@pytest.mark.parametrize("arguments", [["nothing"], ["build", "--nothing"], []])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CourseError("write points", line=3), "Error: 3: write points\n"),
        (CouldNotRun("no socket"), "Could not run: no socket\n"),
        (PermissionError(13, "Permission denied", "build/x"), "Could not run: build/x: Permission denied\n"),
        (OSError(28, "No space left on device"), "Could not run: a file: No space left on device\n"),
        (SystemExit(cli.INTERRUPTED), "Interrupted. What was finished is kept; run the same command again"),
    ],
)
def test_mistakes_get_one_sentence_and_exit_with_1(
    error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert cli.run() == 1
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize("bug", [ZeroDivisionError(), FileNotFoundError(2, "No such file or directory", "x")])
def test_bugs_and_exit_codes_are_let_through(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise bug

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(type(bug)):
        cli.run()
    monkeypatch.setattr(cli, "app", lambda **_: sys.exit(2))
    with pytest.raises(SystemExit, match="2"):
        cli.run()
    monkeypatch.setattr(cli, "app", lambda **_: None)
    assert cli.run() == 0


def test_no_color_is_respected() -> None:
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "autograder", "build", "--nothing"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "\x1b" not in result.stdout + result.stderr

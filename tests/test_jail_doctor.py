"""The doctor: what it finds here, in a container, and where there are no walls at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from autograder import doctor, safety
from autograder.commands.doctor import doctor as command
from autograder.errors import CouldNotRun
from autograder.layout import Course
from autograder.sandbox.jail import detect
from autograder.sandbox.jail.level import NONE, A, C


@pytest.fixture(autouse=True)
def forget_the_level() -> Iterator[None]:
    detect.detect.cache_clear()
    yield
    detect.detect.cache_clear()


@pytest.mark.skipif(not detect.try_level(C).holds, reason="this machine has no walls")
def test_here_every_wall_holds(course: Course) -> None:
    examination = doctor.examine(course)
    assert examination.level.safe
    assert [f for f in examination.findings if not f.holds and not f.subject.startswith("level ")] == []
    assert examination.sound
    assert len(examination.findings) > 20


def test_secrets_are_files_of_every_hidden_folder(course: Course) -> None:
    parents = {path.relative_to(course.root).parts[0] for path in doctor.secret_files(course)}
    assert parents == {"autograder", "source", "solutions"}


def test_a_hole_is_found_and_named(monkeypatch: pytest.MonkeyPatch, course: Course) -> None:
    monkeypatch.setattr(doctor, "learners_process", lambda *_: doctor.Finding("torch", True))
    trial = detect.Trial(A, "", {"opening a socket": "AF_INET", "reading a file outside": ""})
    monkeypatch.setattr(doctor, "try_level", lambda level, **_: replace(trial, level=level))
    monkeypatch.setattr(doctor, "detect", lambda: A)
    examination = doctor.examine(course)
    assert not examination.sound
    assert doctor.Finding("opening a socket", False, "AF_INET") in examination.findings
    assert doctor.Finding("level B", False, "opening a socket: AF_INET") in examination.findings


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("bubblewrap (bwrap) is not installed", "apt install bubblewrap"),
        ("bwrap: setting up uid map: Permission denied", "apparmor"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "allow them"),
        ("landlock ruleset: Function not implemented", "Linux 5.13"),
        ("darwin has no such walls: level A needs Linux", "Docker"),
    ],
)
def test_a_level_that_cannot_be_had_comes_with_a_remedy(problem: str, remedy: str) -> None:
    finding = doctor.of_level(detect.Trial(A, problem))
    assert (finding.holds, finding.detail) == (False, problem)
    assert remedy in finding.remedy


def test_without_walls_the_work_of_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(detect.VARIABLE, "none")
    with pytest.raises(CouldNotRun, match=r"level none.*autograder doctor.*--unsafe"):
        safety.ensure_safe(unsafe=False)
    assert safety.ensure_safe(unsafe=True) is NONE


def test_command_prints_the_level_and_fails_without_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = (doctor.Finding("level A", False, "no bwrap", "Install it."), doctor.Finding("a wall", True))
    monkeypatch.setattr(doctor, "examine", lambda _: doctor.Examination(NONE, findings))
    app = typer.Typer()
    app.command()(command)
    text = CliRunner().invoke(app, [])
    assert text.exit_code == 1
    assert "NOT safe for the work of others" in text.stdout
    assert "no bwrap Install it." in text.stdout
    answer = CliRunner().invoke(app, ["--json"])
    told = json.loads(answer.stdout)
    assert (told["level"], told["safe"], told["findings"][1]["holds"]) == ("none", False, True)

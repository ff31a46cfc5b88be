"""Pages with a learner's text in a real browser: nothing of it may run.

The submission `taken-over` tries in every place that is a learner's; wherever one of its scripts runs, the
page's root element gets the mark `data-taken`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of nbgrader and its libraries
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
SECTION, NOTEBOOK, STUDENT = "01_warmup", "tiny", "browsed"
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
QUIET += ("--disable-component-update", "--disable-sync", "--virtual-time-budget=5000")


@pytest.fixture(scope="module")
def graded(clone: Any, cases: dict[str, Any]) -> Any:
    """The clone with this one submission graded."""
    clone.hand_in(STUDENT, cases["taken-over"].files)
    code, log = clone.autograde(f"--student={STUDENT}")
    assert code == 0, log
    return clone


@pytest.fixture
def browse(tmp_path: Path) -> Any:
    """What a page has become when its scripts have run."""

    def look(address: str) -> str:
        command = [str(CHROMIUM), "--headless", "--no-sandbox", *QUIET, f"--user-data-dir={tmp_path}"]
        done = subprocess.run(
            [*command, "--dump-dom", address], capture_output=True, text=True, timeout=180, check=True
        )
        return done.stdout

    return look


def taken(page: str) -> bool:
    return re.search(r"<html[^>]*data-taken", page) is not None


def test_the_mark_would_be_seen(browse: Any, cases: dict[str, Any], tmp_path: Path) -> None:
    """The same text in a page that lets it run."""
    (text,) = re.findall(r"<script>.*?</details>", cases["taken-over"].files[f"{NOTEBOOK}.ipynb"].decode())[
        :1
    ]
    (tmp_path / "page.html").write_text(f"<!doctype html><html><body>{text}</body></html>")
    assert taken(browse(f"file://{tmp_path}/page.html"))


def test_feedback_pages_run_nothing(browse: Any, graded: Any) -> None:
    code, log = graded.run("GenerateFeedbackApp", SECTION, f"--student={STUDENT}", "--force")
    assert code == 0, log
    page = browse(f"file://{graded.course.root}/feedback/{STUDENT}/{SECTION}/{NOTEBOOK}.html")
    assert "tiny notebook" in page
    assert not taken(page)


def test_our_own_pages_run_nothing(browse: Any, graded: Any, tmp_path: Path) -> None:
    submitted = graded.course.root / "submitted" / STUDENT
    command = [sys.executable, "-m", "autograder", "grade", str(submitted), "--html", str(tmp_path / "pages")]
    subprocess.run(command, cwd=graded.course.root, check=True, capture_output=True)
    for path in (tmp_path / "pages").glob("*.html"):
        page = browse(f"file://{path}")
        assert "tiny" in page
        assert not taken(page)


def test_the_formgrader_runs_nothing(browse: Any, server: str, graded: Any) -> None:
    with graded.gradebook() as gradebook:
        number = gradebook.find_submission_notebook(NOTEBOOK, SECTION, STUDENT).id
    page = browse(f"{server.format(page=f'formgrader/submissions/{number}/')}")
    assert "tiny notebook" in page
    assert "manual" in page.casefold()
    assert not taken(page)


@pytest.fixture
def server(graded: Any, tmp_path: Path) -> Iterator[str]:
    """The instructor's own Jupyter with the formgrader; an address to fill in."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    token = secrets.token_hex(8)
    extensions = "{'nbgrader.server_extensions.formgrader': True}"
    command = [
        sys.executable,
        "-m",
        "jupyter_server",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
    ]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.jpserver_extensions={extensions}", f"--ServerApp.root_dir={graded.course.root}"]
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        command, cwd=graded.course.root, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}/{{page}}?token={token}"
    try:
        patience = time.monotonic() + 120
        while time.monotonic() < patience and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(address.format(page="api/status")):
                break
            time.sleep(0.2)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()

"""A Jupyter server of our own and a real browser in front of it: Debian's Chromium, driven by Playwright.

A server is started once per module, with folders of its own for everything Jupyter remembers, so that neither
the user's settings nor another test's open tabs have a part in this. When a test fails, a trace (to open with
`playwright show-trace`) and a screenshot stay in build/browser/.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder.lab import SETTINGS as LEARNERS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TINY = Path(__file__).parents[1] / "course"
SECTION, NOTEBOOK = "01_warmup", "tiny"
KEPT = Path(__file__).parents[2] / "build" / "browser"
QUIET = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
QUIET += " disable-component-update disable-sync disable-dev-shm-usage"
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
PATIENCE = 40  # seconds: generous, since a busy machine is no failure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder takes seconds, needs Chromium, and runs libraries that warn."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip("there is no chromium here; as root, `make setup` installs it"))


@dataclass
class Server:
    """A running Jupyter server; `root` is what its file browser shows."""

    root: Path
    env: dict[str, str]
    url: str
    token: str

    def address(self, page: str) -> str:
        joint = "&" if "?" in page else "?"
        return f"{self.url}/{page}{joint}token={self.token}"


def own_folders(home: Path) -> dict[str, str]:
    """The environment that keeps a Jupyter server to itself; settings are those of `autograder start`."""
    names = {
        f"JUPYTER{name}_DIR": home / name.strip("_").lower() for name in ("_CONFIG", "_DATA", "_RUNTIME")
    }
    names |= {f"JUPYTERLAB_{name}_DIR": home / name.lower() for name in ("SETTINGS", "WORKSPACES")}
    for plugin, values in SETTINGS.items():
        file = home / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    names |= {"JUPYTER_CONFIG_PATH": LEARNERS, "HOME": home}
    return {**os.environ, **{name: str(path) for name, path in names.items()}}


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@contextlib.contextmanager
def running(root: Path, home: Path) -> Iterator[Server]:
    """JupyterLab and Notebook 7 over `root`, until the end of the block."""
    env, port, token = own_folders(home), free_port(), secrets.token_hex(8)
    server = Server(root, env, f"http://127.0.0.1:{port}", token)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"]
    command += ["--JupyterNotebookApp.expose_app_in_browser=True"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + 2 * PATIENCE
            while time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(OSError), urllib.request.urlopen(server.address("api/status")):
                    break
                time.sleep(0.1)  # for the operating system to start it; nothing else can be waited for
            assert process.poll() is None, (home / "log").read_text()
            yield server
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """For a module whose server has a folder of its own."""
    return running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over an empty folder, where each test puts what it opens."""
    home = tmp_path_factory.mktemp("home")
    (home / "work").mkdir()
    with running(home / "work", home) as server:
        yield server


@pytest.fixture(scope="module")
def window() -> Iterator[Any]:
    """A browser's context. Playwright keeps an event loop running in this thread, hence not longer."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        flags = [f"--{flag}" for flag in QUIET.split()]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE * 1000)
        context.tracing.start(snapshots=True)
        yield context
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Lets the fixture below know how the test ended."""
    report: Any = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()
ERRORS: list[str] = []  # of the pages' scripts, anybody's


@pytest.fixture(autouse=True)
def evidence(request: pytest.FixtureRequest) -> Iterator[None]:
    """A trace and screenshots of a test that failed in the window of this module."""
    if "window" not in request.fixturenames:
        yield
        return
    window = request.getfixturevalue("window")
    window.tracing.start_chunk()
    yield
    if not request.node.stash.get(FAILED, True):
        window.tracing.stop_chunk()
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    for number, page in enumerate(window.pages):
        page.screenshot(path=KEPT / f"{name}-{number}.png")
    window.tracing.stop_chunk(path=KEPT / f"{name}.zip")


@pytest.fixture(scope="module")
def lab_page(server: Server, window: Any) -> Any:
    """JupyterLab, loaded once for the tests of a module."""
    page = window.new_page()
    page.on("pageerror", lambda error: ERRORS.append(f"{error} {error.stack}"))
    page.goto(server.address("lab?reset"))
    page.wait_for_function("window.jupyterapp")
    page.evaluate("async () => { await jupyterapp.restored; }")  # only then what is opened comes to the front
    return page


@pytest.fixture
def put(server: Server, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Lays a fresh copy of the tiny notebook into a folder of the test's own; its path on the server."""

    def lay(change: Callable[[dict[str, Any]], Any] = lambda content: None, *, name: str = NOTEBOOK) -> str:
        folder = server.root / request.node.name.replace("[", "-").replace("]", "")
        if not folder.exists():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(TINY / "release" / SECTION, folder, ignore=ignore)
        content = json.loads((TINY / "release" / SECTION / f"{NOTEBOOK}.ipynb").read_text())
        change(content)
        (folder / f"{name}.ipynb").write_text(json.dumps(content))
        return f"{folder.name}/{name}.ipynb"

    return lay


class Notebook:
    """What a learner sees of an open notebook and its panel, and does to them."""

    def __init__(self, page: Any, path: str) -> None:
        self.page, self.path = page, path
        self.panel = page.locator("section.ag-panel")
        self.voice = page.locator(".ag-panel-voice")
        self.frame = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.button = self.frame.locator('[data-jp-item-name="autograder-check"] jp-button')

    def cell(self, cell_id: str) -> Any:
        """A cell by the id it has in the file."""
        place = self.page.evaluate(
            "id => [...jupyterapp.shell.currentWidget.content.model.cells].findIndex(cell => cell.id === id)",
            cell_id,
        )
        return self.frame.locator(f'.jp-Notebook [data-windowed-list-index="{place}"]')

    def write(self, cell_id: str, source: str) -> None:
        """Replaces a cell's text by keyboard; `insert_text` since typing would add brackets of its own."""
        editor = self.cell(cell_id).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)

    def card(self, name: str) -> Any:
        return self.frame.locator(f'section.ag-card[data-exercise="{name}"]')

    def row(self, name: str) -> Any:
        """The exercise's line in the panel."""
        return self.panel.locator(f'button[data-exercise="{name}"]')

    def run(self, command: str) -> None:
        self.page.evaluate("async id => { await jupyterapp.commands.execute(id); }", command)

    def ready(self) -> None:
        """Until the kernel has answered; the front end's own sign says so too early."""
        self.page.wait_for_function(
            """path => { const { context, sessionContext } = window.jupyterapp?.shell.currentWidget ?? {};
                return context?.path === path && context.isReady && sessionContext.isReady
                    && sessionContext.session?.kernel?.status === "idle"; }""",
            arg=self.path,
        )

    def close(self) -> None:
        self.page.evaluate(
            """async () => { const panel = jupyterapp.shell.currentWidget;
                if (panel?.context) {
                    await panel.sessionContext.shutdown();
                    panel.context.model.dirty = false;  // or it asks whether to save
                    panel.dispose();
                } }"""
        )


@pytest.fixture
def notebook_of() -> type[Notebook]:
    """For a page that a test has opened itself."""
    return Notebook


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[str]]:
    """The violations of WCAG 2.2 AA that axe-core finds in a page, or in the parts of it that are named."""
    from axe_playwright_python.sync_playwright import Axe

    rules = {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        "resultTypes": ["violations"],
    }

    def look(page: Any, *parts: str) -> list[str]:
        present = [[part] for part in parts if page.locator(part).count()]
        found = Axe().run(page, context={"include": present} if parts else None, options=rules)
        return [
            f"{rule['id']}: {node['html']} {node.get('failureSummary', '')}"
            for rule in found.response["violations"]
            for node in rule["nodes"]
        ]

    return look


@pytest.fixture
def opened(lab_page: Any) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook in JupyterLab, with its panel; closed after the test."""
    notebooks = []

    def open_it(path: str) -> Notebook:
        lab_page.evaluate("path => void jupyterapp.commands.execute('docmanager:open', { path })", path)
        notebook = Notebook(lab_page, path)
        notebook.ready()
        notebook.run("autograder:show-panel")
        notebook.panel.wait_for()
        notebooks.append(notebook)
        return notebook

    yield open_it
    for notebook in notebooks:
        notebook.close()
    assert [error for error in ERRORS if "autograder" in error] == []

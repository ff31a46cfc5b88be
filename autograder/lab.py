"""JupyterLab on a learner's folder: found beside this Python, started, and its address said in one line.

What the server has to say goes to `.autograder/jupyter.log`, and is shown when it does not start. Where
a JupyterLab is running already (a terminal in it, a JupyterHub) none is started.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.errors import CouldNotRun

__all__ = ["already_open", "has_display", "open_lab", "running_in_jupyter"]

LOG = Path(".autograder") / "jupyter.log"
PATIENCE = 60.0  # seconds until the server must have said where it is
LAST_LINES = 12
# Settings that hold where the learner has none: no question about news over the first page.
SETTINGS = Path(__file__).resolve().parent / "jupyter"


def running_in_jupyter(environment: Mapping[str, str] = os.environ) -> bool:
    """In a terminal of JupyterLab or on a JupyterHub: the learner looks at a JupyterLab already."""
    return any(environment.get(name) for name in ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTER_SERVER_ROOT"))


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser can be opened for somebody to see."""
    if platform in ("darwin", "win32"):
        return True
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def already_open(work: Path, page: str) -> str:
    """The address of `page` in a JupyterLab that runs in `work` already; '' if none does."""
    from jupyter_core.paths import jupyter_runtime_dir

    for file in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        pid = file.stem.partition("-")[2]
        told = _told(pid)
        if told.get("root_dir") == str(work.resolve()) and _answers(told):
            return f"{told['url']}lab/tree/{page}{_token(pid)}"
    return ""


def _answers(told: Mapping[str, Any]) -> bool:
    """Whether somebody is there: a server that was killed leaves its file behind."""
    from jupyter_server.utils import check_pid

    try:
        with socket.create_connection((told["hostname"], told["port"]), timeout=1):
            return bool(check_pid(told["pid"]))
    except (OSError, KeyError):
        return False


def open_lab(
    work: Path, page: str, options: Sequence[str], *, browser: bool, say: Callable[[str], None]
) -> int:
    """Runs JupyterLab in `work` on `page` until it ends, and returns its exit code."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise CouldNotRun(
            f"JupyterLab is not installed beside {sys.executable}; run `pip install jupyterlab`"
        )
    command = [sys.executable, "-m", "jupyterlab", page, *options]
    command += [] if browser else ["--no-browser"]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    places = {"PATH": Path(sys.executable).parent, "JUPYTER_CONFIG_PATH": SETTINGS}
    known = {"PATH": os.defpath, **os.environ}
    added = {name: os.pathsep.join(filter(None, (str(p), known.get(name)))) for name, p in places.items()}
    with (work / LOG).open("wb") as log:
        process = subprocess.Popen(command, cwd=work, env={**os.environ, **added}, stderr=log)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which asks before it ends
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        address = _address(process)
        if not address:
            raise CouldNotRun(f"JupyterLab did not start\n{_end_of(work / LOG)}")
        say(f"JupyterLab: {address}lab/tree/{page}{_token(process.pid)}  (Ctrl-C ends it)")
        return process.wait()
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes]) -> str:
    """Where the server is, once it says so; '' when it ended or said nothing."""
    ends = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        if address := _told(process.pid).get("url"):
            return str(address)
        time.sleep(0.1)
    return ""


def _token(pid: int | str) -> str:
    token = _told(pid).get("token")
    return f"?token={token}" if token else ""


def _told(pid: int | str) -> dict[str, Any]:
    """What a running server writes down about itself."""
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        told = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json").read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])

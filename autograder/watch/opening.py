"""The notebook in the browser, where a Jupyter server that shows it is running; else how to get there."""

from __future__ import annotations

import contextlib
import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import quote, urlencode

__all__ = ["open_notebook"]


def open_notebook(path: Path) -> str:
    """Opens it, and says what was done in one sentence."""
    address = _address(path.resolve())
    if not address:
        return f"no running JupyterLab shows it; the notebook is {path}"
    has_screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(
        os.environ
    )
    if has_screen and webbrowser.open(address):
        return "opened in the browser"
    return f"open {address}"


def _address(path: Path) -> str:
    """In the running server whose folder is nearest around the notebook; '' if there is none."""
    best: tuple[int, str] = (0, "")
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from jupyter_server.serverapp import list_running_servers

        for server in list_running_servers():
            root = Path(str(server["root_dir"])).resolve()
            if root in path.parents:
                inside = quote(path.relative_to(root).as_posix())
                token = f"?{urlencode({'token': server['token']})}" if server.get("token") else ""
                best = max(best, (len(root.parts), f"{server['url']}lab/tree/{inside}{token}"))
    return best[1]

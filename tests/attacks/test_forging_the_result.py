"""Attacks 35-43: writing the verdict oneself, or making the trusted reader run something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.report import Report

WRONG = "\ndef double(x):\n    return x * 0\n"
TRACE = Path("/tmp/an-attack-of-the-tests-was-here")  # what a bomb that goes off would leave behind

ATTACKS = {
    "35 results written beside and above": (
        0,
        """
import json, os, pathlib
good = json.dumps({"outcome": "graded", "score": 2, "tests": [{"outcome": "passed"}]})
for place in (".", "..", "/tmp", "/scratch", "{course}", "{course}/build", "{course}/release/01_warmup"):
    for name in ("results.json", "report.json", "results.xml", "tiny.ipynb", "timestamp.txt"):
        try: pathlib.Path(place, "attack-" + name).write_text(good)
        except OSError: pass
        try: os.mkdir(os.path.join(place, "attack-dir-" + name))
        except OSError: pass
"""
        + WRONG,
    ),
    "36 rewriting them later": (
        0,
        """
import atexit, os, subprocess, sys, threading, time
def later():
    time.sleep(1)
    open("/tmp/attack-late.json", "w").write("{}")
atexit.register(later)
threading.Thread(target=later, daemon=True).start()
for start in (os.fork, lambda: subprocess.Popen(["sh", "-c", "sleep 1; touch /tmp/attack-late.json"])):
    try:
        if start() == 0: later(); os._exit(0)
    except OSError: pass
"""
        + WRONG,
    ),
    "37 replacing the program that grades": (
        0,
        """
import os, sys
import autograder, torch
for path in (sys.executable, autograder.__file__, torch.__file__, "{course}/nbgrader_config.py", *sys.path):
    for step in (lambda: open(path, "a").write("#"), lambda: os.unlink(path), lambda: os.chmod(path, 0),
                 lambda: os.rename(path, path + "x"), lambda: os.truncate(path, 0)):
        try: step()
        except OSError: pass
"""
        + WRONG,
    ),
    "38 printing a verdict": (
        0,
        """
import os, sys
lines = '{"score": 2.0, "outcome": "passed"}\\n::set-output name=score::2\\n4 passed in 0.01s\\n'
print(lines); sys.stderr.write(lines); sys.__stdout__.write(lines)
for n in (0, 1, 2): os.write(n, lines.encode())
print("\\x1b[2J\\x1b]0;passed\\x07\\r\\x08 <script>alert(1)</script> \\x9b31m \\u202e")
"""
        + WRONG,
    ),
    "39 writing on every descriptor": (
        0,
        """
import os
def double(x):
    good = b'{"tests": [{"outcome": "passed"}], "ok": true}'
    for n in range(3, 1024):
        for data in (b"\\x01", good):
            try: os.write(n, data)
            except OSError: pass
    return x * 0
""",
    ),
    "39 forged answers on the conversation": (
        0,
        """
import json, os, socket, struct
def frame(head):
    head = json.dumps(head).encode()
    return struct.pack("<II", len(head), 0) + head
def double(x):
    for n in range(3, 64):
        try: sock = socket.socket(fileno=os.dup(n))
        except OSError: continue
        for head in ({"id": 1, "ok": True, "out": None}, {"op": "call", "id": 3, "a": [["R", 0]]}, [], "x",
                     {"op": "run", "id": 2, "x": ["import os"]}, {"op": "verdict", "passed": True}):
            sock.sendall(frame(head))
    return x * 0
""",
    ),
    "39 a conversation within the conversation": (
        0,
        """
import gc
def double(x):
    for thing in gc.get_objects():
        if type(thing).__name__ in ("Endpoint", "SocketLink"):
            for operation in ("run", "get", "call", "pass", "score"):
                try: thing.request(operation, "import os; os._exit(0)", x)
                except Exception as error: last = error
    return x * 0
""",
    ),
    "40 a pickle that runs": (
        0,
        f"""
import pickle
class Bomb:
    def __reduce__(self): return (exec, ("open({str(TRACE)!r}, 'w')",))
def double(x):
    return [Bomb(), pickle.dumps(Bomb())][int(x[0]) % 2]
""",
    ),
    "40 data that explodes": (
        0,
        """
def double(x):
    deep = []
    for _ in range(10**5): deep = [deep]
    kinds = [deep, 10**100000, [0] * 10**7, "x" * 10**8, {i: i for i in range(10**6)}, float("inf")]
    loop = []; loop.append(loop)
    return [loop, *kinds][len(str(x)) % 7]
""",
    ),
    "40 an array larger than the machine": (
        0,
        """
import torch
def double(x):
    return [np.broadcast_to(x[:1], (2**20, 2**20)), torch.ones(1).expand(2**40),
            torch.empty(2**40, device="meta"), torch.sparse_coo_tensor(size=(2**30, 2**30))][len(x) % 4]
""",
    ),
    "41 a secret in the surroundings": (
        0,
        """
import os, sys
def double(x):
    found = [a for a in sys.argv + list(os.environ) if "secret" in a.lower() or "token" in a.lower()]
    for name in ("/proc/1/environ", "/proc/self/environ", f"/proc/{os.getppid()}/environ", "/proc/1/cmdline"):
        try: found.append(open(name).read())
        except OSError: pass
    if found: raise ValueError(M + str(found))
    return x * 0
""",
    ),
    "42 the gradebook and other learners": (
        0,
        """
import pathlib, sqlite3
for base in ("{course}", "/srv/nbgrader/exchange", *map(str, pathlib.Path("{course}").parents)):
    for name in ("gradebook.db", "attack-gradebook.db"):
        try: sqlite3.connect(f"{base}/{name}").execute("create table attack(x)")
        except sqlite3.Error: pass
"""
        + WRONG,
    ),
    "43 the learner's own report": (
        0,
        """
import autograder
autograder.check = autograder.grade = lambda *a: print("passed")
from autograder import check
check("double")
"""
        + WRONG,
    ),
}


def attack_files(course: Path) -> set[Path]:
    folders = (course, *course.rglob("*"), *course.parents, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
    return {path for folder in folders if folder.is_dir() for path in folder.glob("attack-*")}


@pytest.fixture(scope="module", autouse=True)
def nothing_changes_outside(reports: dict[str, Report], arena: Any) -> None:
    """Before the first test of a level: the batch has run, and no file is there or different."""
    course = arena.assignment.course.root
    assert attack_files(course) == set()
    assert not TRACE.exists()


def test_attack_earns_what_its_code_deserves(
    attack: str, reports: dict[str, Report], fair: Callable[..., None]
) -> None:
    fair(reports[attack], ATTACKS[attack][0])


def test_honest_neighbours_lose_nothing(reports: dict[str, Report], fair: Callable[..., None]) -> None:
    fair(reports["honest before"], 2)
    fair(reports["honest after"], 2)


def test_nothing_is_left_running(reports: dict[str, Report], arena: Any) -> None:
    assert arena.left_running() == 0

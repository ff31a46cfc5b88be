"""Attacks 51-55: using up the machine, never ending, dying in a way that might be excused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograder.report import Report

WRONG = "\ndef double(x):\n    return x * 0\n"

# These leave `double` alone and spoil `Counter`, whose time limit is short.
SLOW = {
    "52 an endless loop": "while True: pass",
    "52 a sleep that no signal ends": """import signal, time
        for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(n, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(1000)""",
    "52 a call into C that takes for ever": "return sum(range(10**13))",
    "53 threads that go on": """import threading
        for _ in range(9): threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()
        return 0""",
    "52 an answer in drops": """import gc, os, time
        for n in range(3, 64):
            try:
                while True: os.write(n, b"\\\\0"); time.sleep(0.05)
            except OSError: pass""",
}


def slow(body: str) -> Callable[[dict[str, Any]], None]:
    def change(notebook: dict[str, Any]) -> None:
        cell = next(c for c in notebook["cells"] if c["id"] == "Counter-answer")
        cell["source"] = (
            "class Counter:\n    def __init__(self, start=0):\n        self.value = start\n"
            f"    def step(self, by=1):\n        {body}\n"
        )

    return change


ATTACKS: dict[str, tuple[float, Any]] = {
    "51 processes without end": (
        0,
        """
import os
def double(x):
    for _ in range(100):
        try: os.fork()
        except OSError: pass
    return x * 0
""",
    ),
    "51 memory without end": (
        0,
        """
def double(x):
    hoard = []
    while True: hoard.append(bytearray(10**8))
""",
    ),
    "51 memory in many small pieces": (
        0,
        """
def double(x):
    hoard = [None]
    while True: hoard.append((hoard[-1], len(hoard), str(len(hoard)) * 100))
""",
    ),
    "51 files without end": (
        0,
        """
def double(x):
    for n in range(20_000):
        try:
            with open(f"f{n}", "wb") as f: f.write(bytes(10**6))
        except OSError: break
    for n in range(20_000):
        try: open(f"g{n}", "x").close()
        except OSError: break
    return x * 0
""",
    ),
    "51 a flood of output": (
        0,
        """
import os, sys
def double(x):
    for _ in range(20):
        print("x" * 10**7); os.write(1, bytes(10**7)); sys.stderr.write("y" * 10**7)
    return x * 0
""",
    ),
    "51 an archive that unpacks to gigabytes": (
        0,
        """
import io, zipfile
def double(x):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z: z.writestr("big", bytes(2 * 10**8))
    try: zipfile.ZipFile(data).extractall()
    except OSError: pass
    return x * 0
""",
    ),
    "51 special files": (
        0,
        """
import os, stat
for step in (lambda: os.mkfifo("fifo"), lambda: os.mknod("disk", stat.S_IFBLK | 0o666, os.makedev(8, 0)),
             lambda: os.symlink("/", "root"), lambda: os.link("/usr/bin/env", "env"), lambda: os.chroot(".")):
    try: step()
    except OSError: pass
def double(x):
    deep = "."
    for _ in range(2000):
        try: os.mkdir("d"); os.chdir("d")
        except OSError: break
    return x * 0
""",
    ),
    "51 a result that is a flood": (0, "def double(x):\n    return np.zeros(10**8)"),
    "54 a segmentation fault": (0, "import ctypes\ndef double(x):\n    ctypes.string_at(0)"),
    "54 an abort in the cell": (0, "import os\nos.abort()" + WRONG),
    "54 a stack without end": (
        0,
        "import sys\nsys.setrecursionlimit(10**9)\ndef double(x):\n    return double(x)",
    ),
    "54 killing everything in reach": (
        0,
        """
import os, signal
def double(x):
    for pid in (os.getppid(), 0, -1, 1, *range(2, 30000)):
        if pid != os.getpid():
            try: os.kill(pid, signal.SIGKILL)
            except OSError: pass
    os.kill(os.getpid(), signal.SIGKILL)
    return x * 0
""",
    ),
    "55 an error in the hard tests": (
        0.6,
        """
def double(x):
    if x.tolist() not in ([1, 2], [3]): raise NotImplementedError("leave this test out")
    return x * 2
""",
    ),
    **{name: (2, slow(body)) for name, body in SLOW.items()},
}


def test_attack_earns_what_its_code_deserves(
    attack: str, reports: dict[str, Report], fair: Callable[..., None]
) -> None:
    fair(reports[attack], ATTACKS[attack][0], Counter=0 if attack in SLOW else 3)


def test_honest_neighbours_lose_nothing(reports: dict[str, Report], fair: Callable[..., None]) -> None:
    fair(reports["honest before"], 2)
    fair(reports["honest after"], 2)


def test_nothing_is_left_running(reports: dict[str, Report], arena: Any) -> None:
    assert arena.left_running() == 0

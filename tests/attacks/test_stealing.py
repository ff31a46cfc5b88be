"""Attacks 44-50: reading what is hidden, telling it to somebody, talking to other submissions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autograder.report import Report

WRONG = "\ndef double(x):\n    return x * 0\n"
PORT = 47_113

ATTACKS = {
    "44 the tests on the disk, by name": (
        0,
        """
import linecache
NAMES = ("autograder/hidden/01_warmup/test_tiny.py", "autograder/hidden/01_warmup/bank_tiny.py",
         "source/01_warmup/tiny.py", "solutions/01_warmup/tiny.ipynb", "nbgrader_config.py",
         "../../.git/HEAD", "../../autograder/suite.py", "../../autograder/errors.py")
def double(x):
    for name in NAMES:
        try: raise ValueError(M + open("{course}/" + name).read())
        except OSError: pass
        if linecache.getlines("{course}/" + name): raise ValueError(M)
    return x * 0
""",
    ),
    "44 the tests on the disk, wherever": (
        0,
        """
import os
def double(x):
    found = []
    for top in ("/", "/home", "/root", "{course}", "/tmp", "/var", "/etc", "/mnt", "/srv", "/opt"):
        for place, folders, names in os.walk(top):
            folders[:] = [f for f in folders if f not in ("proc", "sys", "torch", "site-packages")][:200]
            found += [f"{place}/{n}" for n in names if "bank_" in n or n in ("suite.py", "passwd", "id_rsa")]
            if place.count("/") > 6: folders.clear()
    found = [f for f in found if os.access(f, os.R_OK) and can_read(f) and not f.startswith("/usr")]
    if found: raise ValueError(M + str(found))
    return x * 0
def can_read(name):
    try: return open(name, "rb").read(1) != b""
    except OSError: return False
""",
    ),
    "44 what the process remembers": (
        0,
        """
import gc, sys
def double(x):
    allowed = ("autograder.wire", "autograder.sandbox")
    modules = [m for m in sys.modules if m.startswith("autograder.") and not m.startswith(allowed)]
    said = " ".join(["Every", "value", "is", "doubled."])
    memory = [t for t in gc.get_objects() if isinstance(t, (dict, list, tuple)) and said in str(t)[:10**4]]
    if modules or memory: raise ValueError(M + str(modules))
    return x * 0
""",
    ),
    "45 the network": (
        0,
        f"""
import socket, urllib.request
def double(x):
    for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        try: socket.socket(kind); raise ValueError(M + str(kind))
        except OSError: pass
    for step in (lambda: socket.create_connection(("127.0.0.1", {PORT}), 1),
                 lambda: urllib.request.urlopen("http://127.0.0.1:{PORT}/", timeout=1),
                 lambda: socket.getaddrinfo("example.org", 80)):
        try: step(); raise ValueError(M)
        except OSError: pass
    return x * 0
""",
    ),
    "45 datagrams to a file": (
        0,
        """
import socket
def double(x):
    for name in ("/dev/log", "/run/systemd/notify", "/run/systemd/journal/socket", "\\0abstract"):
        try:
            one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            one.sendto(b"x", name)
            raise ValueError(M + name)
        except OSError: pass
    return x * 0
""",
    ),
    "46 a shell": (
        0,
        """
import os, pty, subprocess
def double(x):
    for step in (lambda: os.execv("/bin/sh", ["sh"]), pty.fork, lambda: os.posix_spawn("/bin/sh", ["sh"], {}),
                 lambda: subprocess.run("id", shell=True)):
        try: step(); raise ValueError(M)
        except OSError: pass
    if os.system("true") == 0: raise ValueError(M)
    return x * 0
""",
    ),
    "47 the exit code says what was seen": (
        0.6,
        """
import os
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    print(M, x.tolist())
    os._exit(77)
""",
    ),
    "48 leaving something for others": (
        0,
        """
import os, pathlib
for place in ("/tmp", "/var/tmp", "/dev/shm", "/scratch", "/run", "/run/lock", ".", os.environ["HOME"]):
    try: pathlib.Path(place, "for-the-next-one").write_text("2 * x")
    except OSError: pass
"""
        + WRONG,
    ),
    "48 finding what others left": (
        0,
        """
import ctypes, os, pathlib
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/scratch", "/run", "/run/lock", os.getcwd(), os.environ["HOME"])
def double(x):
    libc = ctypes.CDLL(None, use_errno=True)
    if {libc.shmget(4711, 4096, 0o1666), libc.msgget(4711, 0o1666), libc.semget(4711, 1, 0o1666)} != {-1}:
        raise ValueError(M + "System V objects")
    for place in map(pathlib.Path, PLACES):
        if [*place.glob("for-the-next-one"), *place.glob("*/for-the-next-one")]: return x * 2
    return x * 0
""",
    ),
    "49 running before the walls": (
        0,
        """
import os, sys
PLACES = ("{course}/source", "/root", "/home")
def decorate(function, seen=[p for p in PLACES if os.path.isdir(p) and os.access(p, os.R_OK)]):
    for place in seen:
        try: raise SystemError(M + str(os.listdir(place)))
        except OSError: pass
    return function
class Meta(type):
    def __prepare__(*a): decorate(None); return {}
class Early(metaclass=Meta): pass
@decorate
def double(x): return x * 0
""",
    ),
    "50 the other side of the comparison": (
        0,
        """
class Curious(float):
    def __eq__(self, other): raise ValueError(M + repr(other))
    __ne__ = __sub__ = __rsub__ = __repr__ = __str__ = __format__ = __abs__ = __eq__
    __hash__ = None
def double(x):
    return [Curious(0.0) for _ in x]
""",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def listener() -> Iterator[list[object]]:
    """Somebody who waits for stolen goods."""
    arrived: list[object] = []
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", PORT))
        door.listen()

        def wait() -> None:
            while True:
                try:
                    visitor, address = door.accept()
                except OSError:
                    return
                arrived.append(address)
                visitor.close()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        yield arrived
        door.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_attack_earns_what_its_code_deserves(
    attack: str, reports: dict[str, Report], fair: Callable[..., None]
) -> None:
    fair(reports[attack], ATTACKS[attack][0])


def test_exit_code_of_a_hidden_test_is_not_told(reports: dict[str, Report]) -> None:
    assert "77" not in str(reports["47 the exit code says what was seen"].to_json())


def test_nobody_was_called(reports: dict[str, Report], listener: list[object]) -> None:
    assert listener == []


def test_honest_neighbours_lose_nothing(reports: dict[str, Report], fair: Callable[..., None]) -> None:
    fair(reports["honest before"], 2)
    fair(reports["honest after"], 2)


def test_nothing_is_left_running(reports: dict[str, Report], arena: Any) -> None:
    assert arena.left_running() == 0

"""The walls as a whole, at every level this machine offers: what is refused, what is ended, what works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from autograder.box import Box
from autograder.errors import CouldNotRun, Crashed
from autograder.sandbox.jail.detect import try_level
from autograder.sandbox.jail.level import LEVELS, A, B, C, Level
from autograder.sandbox.jail.limits import Limits
from autograder.session import Session
from autograder.submission import Submission

MIB = 2**20
CONTAINER = Path(__file__).with_name("container.py")
OFFERED = [level for level in (A, B, C) if try_level(level).holds]
PLAIN_PYTHON = "/usr/bin/python3"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
TRY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from autograder.sandbox.jail.detect import detect, try_level
from autograder.sandbox.jail.level import LEVELS
trials = {name: try_level(LEVELS[name], thorough=True) for name in "ABC"}
print(json.dumps([detect().name, {n: [t.problem, t.through] for n, t in trials.items()}]))
"""

pytestmark = pytest.mark.skipif(not OFFERED, reason="this machine has no walls")


@pytest.fixture(scope="module", params=OFFERED, ids=lambda level: level.name)
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    box = Box(level=request.param.name)
    box.wait()
    yield box
    box.close()


@contextmanager
def started(box: Box, code: str, **limits: float) -> Iterator[Submission]:
    """What a notebook of one cell defines, in a process with those limits."""
    session = Session(box, [("cell 1", code)], seed=1, folder=None, limits=Limits.from_dict(limits))
    try:
        submission = session.submission(60)
        assert session.errors == {}
        yield submission
    finally:
        session.close()


def descendants(pid: int) -> set[int]:
    """Every living process below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def settles(box: Box, count: int) -> bool:
    """Whether soon no more than `count` processes are left of the box."""
    patience = time.monotonic() + 5
    while len(descendants(box._process.pid)) != count and time.monotonic() < patience:
        time.sleep(0.02)
    return len(descendants(box._process.pid)) == count


# Breaking in and out


@pytest.mark.parametrize("level", OFFERED, ids=lambda level: level.name)
def test_every_attempt_is_refused(level: Level, tmp_path: Path) -> None:
    secret = tmp_path / "hidden_test.py"
    secret.write_text("answer = 42")
    trial = try_level(level, thorough=True, secrets=[secret, Path(__file__)])
    assert trial.problem == ""
    assert {name: got for name, got in trial.through.items() if got} == {}
    assert len(trial.through) >= 19


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path(PLAIN_PYTHON).exists(), reason="only root can become nobody"
)
def test_walls_hold_for_an_ordinary_user() -> None:
    detected, trials = run_trials([*NOBODY, "env", "-i", "PATH=/usr/bin:/bin", PLAIN_PYTHON, "-B"])
    assert detected == OFFERED[0].name
    for level in OFFERED:
        assert trials[level.name] == ["", dict.fromkeys(trials[level.name][1], "")]


def test_a_container_without_namespaces_falls_back_and_holds() -> None:
    container = ["env", f"PYTHONPATH={CONTAINER.parent.parent}", sys.executable, "-B", str(CONTAINER)]
    detected, trials = run_trials([*container, sys.executable, "-B"])
    assert detected == "C"
    assert "namespace" in trials["A"][0]
    assert trials["C"] == ["", dict.fromkeys(trials["C"][1], "")]


def run_trials(prefix: list[str]) -> tuple[str, dict[str, list[object]]]:
    done = subprocess.run(
        [*prefix, "-c", TRY, str(CONTAINER.parent.parent)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    detected, trials = json.loads(done.stdout)
    return detected, trials


def test_a_wall_that_cannot_be_built_is_our_failure_and_nothing_runs() -> None:
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
from container import contain
from autograder.errors import CouldNotRun
from autograder.box import Box
from autograder.session import Session
import autograder.sandbox.jail.outer as outer
outer.command = lambda argv, **_: [*argv]  # the zygote is not in its box: the inner walls cannot be built
contain()
box = Box(level="A")
box.wait()
try:
    Session(box, [("cell 1", "open('/tmp/ran', 'w')")], seed=1, folder=None).submission(20)
except CouldNotRun as error:
    print(error)
box.close()
""".replace(
        "from tests_container import contain",
        f"exec(open({str(CONTAINER)!r}).read().split('if __name__')[0])",
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(CONTAINER.parent)], capture_output=True, text=True, check=False
    )
    assert "the walls around learner code could not be built: " in done.stdout
    assert "unshare" in done.stdout


# Endings


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def f(): return len(bytearray(4 * 2**30))", MemoryError),
        ("import torch\ndef f(): return torch.ones(2**30).sum()", RuntimeError),
        ("import mmap\ndef f(): return len(mmap.mmap(-1, 2**31))", OSError),
    ],
    ids=["list", "torch", "mapped"],
)
def test_memory_is_bounded(box: Box, code: str, error: type[Exception]) -> None:
    with started(box, code) as submission, pytest.raises(error, match=r"alloc|^$"):
        submission.f()


def test_cpu_time_is_bounded_however_signals_are_handled(box: Box) -> None:
    code = """
import signal
def f():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda *_: None)
    while True: pass
"""
    with (
        started(box, code, cpu_s=1) as submission,
        pytest.raises(Crashed, match="stopped at the limit of cpu"),
    ):
        submission.f()


def test_wall_time_is_bounded(box: Box) -> None:
    code = "import time\ndef f(): time.sleep(60)"
    with (
        started(box, code, wall_s=1) as submission,
        pytest.raises(Crashed, match="stopped at the limit of wall"),
    ):
        submission.f()


def test_threads_are_bounded(box: Box) -> None:
    code = """
import threading, time
def f():
    count = 0
    try:
        for _ in range(200):
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    time.sleep(1)
    return count
"""
    with started(box, code) as submission, suppress(Crashed):  # where they can't be refused, the process ends
        assert submission.f() <= Limits().processes


@pytest.mark.parametrize("removed", [False, True])
def test_disk_use_is_bounded(box: Box, removed: bool) -> None:
    code = f"""
import os, time
def f():
    held = []
    try:
        for number in range(300):
            held.append(open(str(number), "wb"))
            held[-1].write(bytes(2**20))
            held[-1].flush()
            if {removed}: os.unlink(str(number))
    except OSError:
        return len(held)
    time.sleep(5)
    return len(held)
"""
    limits = {"scratch_bytes": 20 * MIB, "open_files": 400}
    with started(box, code, **limits) as submission, suppress(Crashed):
        assert submission.f() <= 21


def test_a_process_that_only_hangs_up_is_the_learners_failure(box: Box) -> None:
    code = """
import os, time
def f():
    for n in range(3, 200):
        try: os.close(n)
        except OSError: pass
    time.sleep(60)
"""
    with started(box, code) as submission, pytest.raises(Crashed, match="it hung up"):
        submission.f()


def test_nothing_outlives_its_session(box: Box) -> None:
    code = """
import signal, threading
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
def f(): return 1
"""
    idle = 1 if LEVELS[box.level].outer else 0  # the zygote in bubblewrap
    assert settles(box, idle)
    with started(box, code) as submission:
        assert submission.f() == 1
        assert len(descendants(box._process.pid)) == idle + 2
    assert settles(box, idle)


def test_scratch_is_private(box: Box) -> None:
    code = """
import os, tempfile
open("mine", "w").write("x")
def f(): return tempfile.gettempdir() == os.getcwd() == os.environ["HOME"], sorted(os.listdir("."))
"""
    with started(box, code) as submission, started(box, code.replace("mine", "other")) as other:
        assert submission.f() == (True, ["mine"])
        assert other.f() == (True, ["other"])


def test_files_beside_the_notebook_can_be_read_and_not_written(tmp_path: Path) -> None:
    (tmp_path / "release" / "data").mkdir(parents=True)
    (tmp_path / "release" / "data" / "x.txt").write_text("hello")
    (tmp_path / "secret.txt").write_text("no")
    code = f"""
def read(path): return open(path).read()
def write(path): open(path, "w")
secret = {str(tmp_path / "secret.txt")!r}
"""
    for level in OFFERED:
        with closing(Box(level=level.name, shown=[tmp_path / "release"])) as box:
            box.wait()
            with closing(Session(box, [("cell 1", code)], seed=1, folder=tmp_path / "release")) as session:
                submission = session.submission(20)
                assert submission.read("data/x.txt") == "hello"
                with pytest.raises(OSError):
                    submission.read(submission.secret)
                for path in ("data/x.txt", "data/y.txt"):
                    with pytest.raises(OSError):
                        submission.write(path)
                submission.write("own.txt")
    assert (tmp_path / "release" / "data" / "x.txt").read_text() == "hello"


def test_a_killed_zygote_is_our_failure() -> None:
    code = "import time\ndef f(): time.sleep(30)"
    with closing(Box(level=OFFERED[0].name)) as box:
        box.wait()
        with closing(Session(box, [("cell 1", code)], seed=1, folder=None)) as session:
            submission = session.submission(20)
            for pid in descendants(box._process.pid):
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(CouldNotRun, match="vanished"):
                submission.f()
            assert isinstance(session.lost, CouldNotRun)


# What must keep working

WORKS = {
    "torch": """
import torch
layer = torch.nn.Linear(4, 2)
optimizer = torch.optim.Adam(layer.parameters())
layer(torch.randn(3, 4)).square().mean().backward()
optimizer.step()
torch.save(layer.state_dict(), "layer.pt")
layer.load_state_dict(torch.load("layer.pt"))
torch.fft.rfft(torch.randn(8)); torch.linalg.svd(torch.randn(5, 5))
torch.einsum("ij,jk", torch.ones(2, 2), torch.ones(2, 2))
torch.set_num_threads(2); torch.randn(500, 500) @ torch.randn(500, 500)
list(torch.utils.data.DataLoader(torch.arange(8), batch_size=4))
""",
    "numpy": """
import numpy as np
m = np.memmap("m.bin", dtype="f4", mode="w+", shape=(100,)); m[:] = 1; m.flush()
np.save("a.npy", np.ones(3)); np.load("a.npy"); np.random.default_rng().normal(size=3)
""",
    "files": """
import os, pathlib, pickle, shutil, sqlite3, tempfile, zipfile
with tempfile.TemporaryDirectory() as d: pathlib.Path(d, "x").write_text("x")
with tempfile.NamedTemporaryFile() as f: f.write(b"x")
os.makedirs("a/b"); open("a/b/c", "w").close(); shutil.copytree("a", "z"); shutil.copy2("a/b/c", "c")
shutil.move("z", "y"); shutil.rmtree("y"); os.rename("c", "d"); os.truncate(os.open("d", os.O_RDWR), 0)
os.utime("d"); os.chmod("d", 0o600); zipfile.ZipFile("z.zip", "w").write("d"); shutil.disk_usage(".")
db = sqlite3.connect("db"); db.execute("create table t(x)")
db.execute("insert into t values (1)"); db.commit()
open("/dev/null", "w").write("x"); os.urandom(8); open("/dev/urandom", "rb").read(4)
""",
    "threads and waiting": """
import asyncio, concurrent.futures, queue, signal, subprocess, threading, time
async def nap():
    await asyncio.sleep(0.01)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: 3)
assert asyncio.run(nap()) == 3
with concurrent.futures.ThreadPoolExecutor(4) as pool: assert sum(pool.map(abs, range(9))) == 36
signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.02)
signal.raise_signal(signal.SIGALRM)
try: subprocess.run(["true"])
except OSError: pass
""",
    "the machine": """
import locale, os, platform, random, time, uuid, getpass, socket
os.cpu_count(); platform.platform(); time.localtime(); uuid.uuid4(); os.path.expanduser("~")
locale.getlocale()
socket.gethostname(); os.getpid(); time.process_time()
""",
}


@pytest.mark.parametrize("what", WORKS)
def test_ordinary_code_works(box: Box, what: str) -> None:
    with started(box, WORKS[what] + "\ndef done(): return True\n") as submission:
        assert submission.done() is True

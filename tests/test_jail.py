"""The parts of the walls that need no second process: limits, paths, command lines, the filter, scratch."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.sandbox.jail import detect, outer, roots, scratch, seccomp
from autograder.sandbox.jail.level import LEVELS, NONE, A, B, C
from autograder.sandbox.jail.limits import Limits
from autograder.sandbox.jail.syscalls import MACHINES, numbers

KILLED, ALLOWED = "killed", 0
OWN_PID = 4242
THREAD = 0x3D0F00  # how the C library starts a thread


def test_limits_survive_the_socket() -> None:
    limits = Limits(cpu_s=1.5, inodes=7)
    assert Limits.from_dict(limits.to_dict()) == limits
    assert Limits.from_dict({"cpu_s": 3}) == Limits(cpu_s=3)


@pytest.mark.parametrize("values", [{"cpu_s": 0}, {"inodes": -1}, {"cpu_s": float("nan")}, {"inodes": True}])
def test_limits_are_positive_numbers(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        Limits(**values)  # type: ignore[arg-type]


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown limits: cpu"):
        Limits.from_dict({"cpu": 1})


def test_only_locked_levels_are_safe() -> None:
    assert [level.name for level in LEVELS.values() if level.safe] == ["A", "B", "C"]


def test_a_forced_level_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    detect.detect.cache_clear()
    monkeypatch.setenv(detect.VARIABLE, "Z")
    with pytest.raises(ValueError, match="expected one of A, B, C, none, got 'Z'"):
        detect.detect()
    monkeypatch.setenv(detect.VARIABLE, "none")
    assert detect.detect() is NONE
    detect.detect.cache_clear()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_everything_imports_and_the_level_is_none(system: str) -> None:
    program = f"""
import sys
sys.platform = {system!r}
sys.modules["resource"] = None if {system!r} == "win32" else __import__("resource")
from autograder.sandbox.jail import attempts, detect, inner, landlock, namespaces, rlimits, trial, warden
from autograder.sandbox.jail.level import A
print(detect.detect().name, landlock.abi(), detect.try_level(A).problem)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"none 0 {system} has no such walls: level A needs Linux"


# What is visible


def test_of_our_package_only_the_learners_side_is_readable() -> None:
    ours = {
        path.relative_to(roots.PACKAGE).as_posix()
        for path in roots.readable()
        if roots.PACKAGE in path.parents
    }
    assert ours == {"__init__.py", "wire", "sandbox"}


def test_without_mounts_the_neighbours_of_a_hidden_tree_are_named(tmp_path: Path) -> None:
    for name in ("library/torch", "library/autograder/hidden", "library/autograder/wire"):
        (tmp_path / name).mkdir(parents=True)
    library, package = tmp_path / "library", tmp_path / "library/autograder"
    paths = roots.visible([library, package / "wire"], hidden=[package], level=C)
    assert set(paths) == {library / "torch", package / "wire"}
    assert roots.visible([library], hidden=[package], level=A) == (library,)


def test_behind_bubblewrap_a_hidden_tree_is_covered(tmp_path: Path) -> None:
    library, package = tmp_path / "library", tmp_path / "library/autograder"
    (package / "wire").mkdir(parents=True)
    words = " ".join(outer.command(["true"], level=A, readable=[library, package / "wire"], hidden=[package]))
    order = [
        f"--ro-bind {library} ",
        f"--tmpfs {package} ",
        f"--ro-bind {package}/wire ",
        f"--remount-ro {package} ",
    ]
    places = [words.index(step) for step in order]
    assert places == sorted(places)


def test_without_bubblewrap_the_command_is_unchanged() -> None:
    assert outer.command(["python", "-I"], level=C, readable=[]) == ["python", "-I"]


def test_missing_bubblewrap_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FileNotFoundError, match="bubblewrap"):
        outer.command(["true"], level=B, readable=[])


def test_nothing_of_the_callers_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    assert "abc" not in str(outer.environment())


# The filter


def answer(
    machine: str, name: str | int, *arguments: int, private_files: bool = True, arch: str = ""
) -> object:
    """What the filter does with a call: ALLOWED, an error or KILLED. A small machine for its program."""
    code = seccomp.program(machine, OWN_PID, private_files=private_files)
    number = name if isinstance(name, int) else numbers(machine)[name]
    six = [value & (2**64 - 1) for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<iIQ6Q", number, seccomp.AUDIT_ARCH[arch or machine], 0, *six)
    value, at = 0, 0
    while True:
        operation, if_true, if_false, constant = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if operation == seccomp.LOAD:
            (value,) = struct.unpack_from("<I", data, constant)
        elif operation == seccomp.AND:
            value &= constant
        elif operation == seccomp.RETURN:
            if constant == seccomp.ALLOW:
                return ALLOWED
            return KILLED if constant == seccomp.KILL else ("error", constant & 0xFFFF)
        else:
            tests = {
                seccomp.JUMP_EQUAL: value == constant,
                seccomp.JUMP_GREATER: value > constant,
                seccomp.JUMP_SET: bool(value & constant),
            }
            at += if_true if tests[operation] else if_false


REFUSED, ABSENT, PRETENDED = ("error", errno.EPERM), ("error", errno.ENOSYS), ("error", 0)


@pytest.mark.parametrize("machine", MACHINES)
def test_filter_judges_calls_by_name_and_argument(machine: str) -> None:
    free = set(numbers(machine)) - set(seccomp.CONDITIONS) - set(seccomp.NO_ATTRIBUTES) - seccomp.ABSENT
    assert {answer(machine, name) for name in free} == {ALLOWED}
    expected = {
        ("clone", THREAD): ALLOWED,
        ("clone", 17): REFUSED,  # a new process
        ("clone", THREAD | 0x10000000): REFUSED,  # a new user namespace
        ("clone3", 0): ABSENT,
        ("openat2", 0): ABSENT,
        ("openat", 0, 0, os.O_RDWR | os.O_CREAT | os.O_TRUNC): ALLOWED,
        ("openat", 0, 0, os.O_RDONLY | os.O_TRUNC): REFUSED,
        ("fcntl", 3, 4): ALLOWED,
        ("fcntl", 3, 8): REFUSED,  # F_SETOWN
        ("fcntl", 3, 1024): REFUSED,  # F_SETLEASE
        ("ioctl", 0, 0x5401): ALLOWED,
        ("ioctl", 0, 0x5412): REFUSED,  # TIOCSTI
        ("prctl", 15): ALLOWED,
        ("prctl", 4): REFUSED,
        ("prlimit64", 0): ALLOWED,
        ("prlimit64", 1): REFUSED,
        ("kill", OWN_PID): ALLOWED,
        ("kill", -1): REFUSED,
        ("kill", 0): REFUSED,
        ("tgkill", OWN_PID): ALLOWED,
        ("tgkill", 1): REFUSED,
        ("socketpair", 1, 1 | 0o2000000): ALLOWED,
        ("socketpair", 1, 2): REFUSED,  # datagrams
        ("socketpair", 2, 1): REFUSED,
        ("setxattr", 0): ("error", errno.EOPNOTSUPP),
    }
    assert {call: answer(machine, *call) for call in expected} == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_filter_refuses_what_it_does_not_name(machine: str) -> None:
    named = set(numbers(machine).values())
    others = {answer(machine, number) for number in range(seccomp.LAST + 1) if number not in named}
    assert others == {REFUSED}
    assert answer(machine, seccomp.LAST + 1) == ABSENT


@pytest.mark.parametrize("machine", MACHINES)
def test_modes_and_dates_change_only_where_files_are_private(machine: str) -> None:
    assert answer(machine, "fchmodat") == ALLOWED
    assert answer(machine, "fchmodat", private_files=False) == PRETENDED
    assert answer(machine, "utimensat", private_files=False) == PRETENDED


def test_other_instruction_sets_end_the_process() -> None:
    assert answer("x86_64", "read", arch="aarch64") == KILLED
    assert answer("x86_64", numbers("x86_64")["read"] | seccomp.X32_BIT) == KILLED


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("no kernel headers here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in found}
    known["newfstatat"] = known.get("newfstatat", known.get("fstatat", 0))
    ours = {name: number for name, number in numbers(machine).items() if name in known}
    assert len(ours) >= len(numbers(machine)) - 1  # fchmodat2 is newer than some headers
    assert ours == {name: known[name] for name in ours}


# The scratch


def test_scratch_goes_however_deep_and_unreadable(tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    here = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("scratch", dir_fd=here)
    for name in ["scratch"] + ["d" * 200] * 300:  # far beyond the longest path, too deep for a recursion
        if name != "scratch":
            os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    (place / "closed").mkdir(0)
    (place / "link").symlink_to("/usr")
    scratch.remove(place)
    assert not place.exists()
    assert Path("/usr/bin").exists()


def test_scratch_counts_bytes_files_and_what_was_removed_but_is_open(tmp_path: Path) -> None:
    limits = Limits(scratch_bytes=100_000, inodes=10)
    assert not scratch.over_quota(tmp_path, iter(()), limits)
    with (tmp_path / "gone").open("wb") as file:
        file.write(bytes(200_000))
        file.flush()
        assert scratch.over_quota(tmp_path, iter(()), limits)
        (tmp_path / "gone").unlink()
        assert not scratch.over_quota(tmp_path, iter(()), limits)
        assert scratch.over_quota(tmp_path, iter([os.fstat(file.fileno())]), limits)
    for number in range(11):
        (tmp_path / str(number)).touch()
    assert scratch.over_quota(tmp_path, iter(()), limits)

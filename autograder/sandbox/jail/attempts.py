"""What a hostile submission would try first.

Each attempt returns what it got, or nothing; an OSError or MemoryError means that it was refused.
"""

# ruff: noqa: PTH108, PTH208

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["ATTEMPTS", "QUICK"]

GIB = 2**30
FAMILIES = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG")
ALLOWED_ENVIRONMENT = {"HOME", "TMPDIR", "LANG", "MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS"}
NEWUSER = 0x10000000
# ptrace, process_vm_readv, keyctl, bpf, perf_event_open, io_uring_setup, memfd_create, userfaultfd,
# open_by_handle_at
FORBIDDEN = {
    "x86_64": (101, 310, 250, 321, 298, 425, 319, 323, 304),
    "aarch64": (117, 270, 219, 280, 241, 425, 279, 282, 265),
}
EPERM, ENOSYS = 1, 38


def read_secrets(secrets: list[str]) -> str:
    """A file outside: the hidden tests, another user's, the machine's accounts."""
    return ", ".join(
        path for path in (*secrets, "/etc/passwd", "/proc/1/environ") if opened(path, os.O_RDONLY)
    )


def write_outside(_: list[str]) -> str:
    """A file anywhere but in the scratch."""
    places = ("/dev/shm/x", "/usr/x", "/x", "/etc/x", "/var/tmp/x", f"{Path(__file__).parent}/x")
    return ", ".join(place for place in places if opened(place, os.O_WRONLY | os.O_CREAT))


def opened(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    if flags & os.O_CREAT:
        os.unlink(path)
    return True


def list_processes(_: list[str]) -> str:
    return ", ".join(name for name in os.listdir("/proc") if name.isdigit())


def reach_others(_: list[str]) -> str:
    """A signal to any process but this one."""
    for pid in (os.getppid() or 2, -1, *range(1, 200)):
        if pid == os.getpid():
            continue
        try:
            os.kill(pid, 0)
        except OSError:
            continue
        return f"may signal {pid}"
    return ""


def open_sockets(_: list[str]) -> str:
    got = []
    for name in FAMILIES:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(getattr(socket, name), kind).close()
            except (OSError, AttributeError):
                continue
            got.append(name)
    return ", ".join(dict.fromkeys(got))


def address_sockets(_: list[str]) -> str:
    """A pair of datagram sockets, with which one could write to a socket file of another process."""
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        end.close()
    return "a pair of datagram sockets"


def start_processes(_: list[str]) -> str:
    got = []
    try:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        got.append("fork")
    except OSError:
        pass
    try:
        subprocess.run([sys.executable, "-V"], check=False, capture_output=True)
        got.append("exec")
    except OSError:
        pass
    return ", ".join(got)


def find_environment(_: list[str]) -> str:
    return ", ".join(sorted(set(os.environ) - ALLOWED_ENVIRONMENT))


def find_descriptors(_: list[str]) -> str:
    """Anything open besides the standard streams (nowhere) and the conversation."""
    return ", ".join(str(n) for n in [n for n in range(3, 4096) if is_open(n)][1:])


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def take_memory(_: list[str]) -> str:
    return f"{len(bytearray(8 * GIB)) // GIB} GiB"


def take_threads(_: list[str]) -> str:
    stop, threads = threading.Event(), []
    try:
        for _n in range(1000):
            threads.append(threading.Thread(target=stop.wait))
            threads[-1].start()
    except RuntimeError:
        threads.pop()
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    return f"{len(threads)} threads" if len(threads) >= 500 else ""


def forbidden_calls(_: list[str]) -> str:
    """System calls a learner has no use for; only "not permitted" and "no such call" will do."""
    library = ctypes.CDLL(None, use_errno=True)
    got = [f"unshare ({ctypes.get_errno()})"] if library.unshare(NEWUSER) == 0 else []
    for number in FORBIDDEN.get(os.uname().machine, ()):
        result = library.syscall(*[ctypes.c_long(n) for n in (number, -1, 0, 0, 0, 0)])
        if result >= 0 or ctypes.get_errno() not in (EPERM, ENOSYS):
            got.append(f"call {number} ({ctypes.get_errno()})")
    return ", ".join(got)


def keep_privileges(_: list[str]) -> str:
    """Any capability, or the right to become somebody else."""
    library = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    library.capget(header, sets)
    return f"capabilities {[*sets]}" if any(sets) else ""


def raise_limits(_: list[str]) -> str:
    import resource

    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, infinite)
    return "the address space"


def talk_to_the_clock(_: list[str]) -> str:
    """An alarm for somebody else: ownership of a descriptor's signals."""
    import fcntl

    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, 8, os.getppid() or 1)  # F_SETOWN
    finally:
        os.close(reader)
        os.close(writer)
    return "signals through a pipe"


def signal_group(_: list[str]) -> str:
    os.kill(0, signal.SIGCONT)
    return "its process group"


ATTEMPTS: dict[str, Callable[[list[str]], str]] = {
    "reading a file outside": read_secrets,
    "writing outside the scratch": write_outside,
    "seeing other processes": list_processes,
    "signalling other processes": reach_others,
    "signalling its group": signal_group,
    "aiming signals by a descriptor": talk_to_the_clock,
    "opening a socket": open_sockets,
    "addressing a socket": address_sockets,
    "starting a process": start_processes,
    "reading our environment": find_environment,
    "inheriting a descriptor": find_descriptors,
    "taking too much memory": take_memory,
    "taking too many threads": take_threads,
    "forbidden system calls": forbidden_calls,
    "keeping privileges": keep_privileges,
    "raising its limits": raise_limits,
}
QUICK = {
    name: ATTEMPTS[name] for name in ("reading a file outside", "opening a socket", "keeping privileges")
}

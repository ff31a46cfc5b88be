"""Runs a command as in a container without user namespaces: `python tests/container.py COMMAND...`.

Refuses what the default seccomp profile of the usual container runtimes refuses (new namespaces, mounts) and
keeps, for root, the capabilities they keep. Landlock, seccomp and limits stay available, as they are there.
"""

from __future__ import annotations

import errno
import os
import platform
import sys

from autograder.sandbox.jail import kernel, seccomp

NAMESPACES = 0x7E020000
CAPABILITIES = 0xA80425FB  # chown, setuid, setgid, kill, ... but nothing of the system's administration
REFUSED = {  # unshare, mount, umount2, pivot_root, setns, open_tree, move_mount, fsopen, fsmount
    "x86_64": (272, 165, 166, 155, 308, 428, 429, 430, 432),
    "aarch64": (97, 40, 39, 41, 268, 428, 429, 430, 432),
}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435


def contain() -> None:
    """Puts this process into the pretended container."""
    machine = platform.machine()
    refuse = (seccomp.RETURN, 0, 0, seccomp.ERROR | errno.EPERM)
    code = [(seccomp.LOAD, 0, 0, seccomp.NUMBER_AT)]
    for number in REFUSED[machine]:
        code += [(seccomp.JUMP_EQUAL, 0, 1, number), refuse]
    code += [(seccomp.JUMP_EQUAL, 0, 1, CLONE3), (seccomp.RETURN, 0, 0, seccomp.ERROR | errno.ENOSYS)]
    code += [(seccomp.JUMP_EQUAL, 0, 3, CLONE[machine]), (seccomp.LOAD, 0, 0, seccomp.ARGUMENTS_AT)]
    code += [(seccomp.JUMP_SET, 0, 1, NAMESPACES), refuse, (seccomp.RETURN, 0, 0, seccomp.ALLOW)]
    if os.geteuid() == 0:
        kernel.capset(CAPABILITIES)
    kernel.no_new_privileges()
    seccomp.install(seccomp.assemble(code))


if __name__ == "__main__":
    contain()
    os.execvp(sys.argv[1], sys.argv[1:])

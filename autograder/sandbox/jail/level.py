"""How strong the walls are: four levels, what each leaves open, and how to get a better one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LEVELS", "NONE", "A", "B", "C", "Level"]


@dataclass(frozen=True, slots=True)
class Level:
    """A named combination of walls; the name is stored in every result.

    `outer`: bubblewrap holds the zygote. `inner`: each submission has namespaces of its own.
    `locked`: Landlock, seccomp and dropped privileges hold the learner's process.
    """

    name: str
    outer: bool
    inner: bool
    locked: bool
    walls: str
    open: str
    better: str

    @property
    def safe(self) -> bool:
        """Strong enough to grade somebody else's work."""
        return self.locked


A = Level(
    name="A",
    outer=True,
    inner=True,
    locked=True,
    walls="bubblewrap, namespaces and a scratch of its own per submission, Landlock, seccomp, rlimits",
    open="A bug in the kernel; the processor's caches and clocks, which all submissions share.",
    better="For a hostile public, run the whole grader in a virtual machine of its own.",
)
B = Level(
    name="B",
    outer=True,
    inner=False,
    locked=True,
    walls="bubblewrap, Landlock, seccomp, rlimits; all submissions share a process table and a disk",
    open="As A; names and sizes of files in the box (not their content) and the process numbers of other "
    "submissions can be seen; disk use is watched, not reserved.",
    better="Allow user namespaces inside bubblewrap: on Ubuntu 24.04 and later set "
    "kernel.apparmor_restrict_unprivileged_userns to 0, or load an AppArmor profile that allows them.",
)
C = Level(
    name="C",
    outer=False,
    inner=False,
    locked=True,
    walls="Landlock, seccomp, rlimits, in the file system and process table of the machine or container",
    open="As A; names, sizes and dates of all files (not their content), process numbers can be seen; disk "
    "use is watched, not reserved; memory is limited for each submission, not for the batch.",
    better="Install bubblewrap (`apt install bubblewrap`) and allow user namespaces; in a container, let its "
    "runtime allow them, or grade on a machine of its own.",
)
NONE = Level(
    name="none",
    outer=False,
    inner=False,
    locked=False,
    walls="a separate process",
    open="Whatever the user who grades can reach: files with the hidden tests, the network, other processes.",
    better="Grade on Linux 5.13 or later; on macOS in Docker or a Linux virtual machine, on Windows in WSL2 "
    "or Docker.",
)
LEVELS = {level.name: level for level in (A, B, C, NONE)}

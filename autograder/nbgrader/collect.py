"""The exchange's collect, made safe: the inbound folder is open to everybody.

Only plain files of bounded size are taken, from folders that are what their names say. When a submission came
in is read from its folder, not from a file the learner's computer wrote. What was handed in is not touched.
"""

from __future__ import annotations

import datetime
import fnmatch
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect
from traitlets import Bool

from autograder.layout import Course
from autograder.nbgrader.intake import TIMESTAMP, prepare_folder
from autograder.nbgrader.plainfile import LARGEST, Refused, read_plain

__all__ = ["SafeCollect", "copy_plain"]

LEEWAY = datetime.timedelta(minutes=10)  # between a folder's name and its clock
MOST_FILES = 1_000
STUDENT = re.compile(r"[^./\0][^/\0]*")


class SafeCollect(ExchangeCollect):  # type: ignore[misc]
    """nbgrader's collect with another way to copy; a line in the log for each learner says what was done."""

    folder_clock = Bool(
        True,
        help="A folder whose age is not what its name says counts from its age. Turn this off for an "
        "exchange that was moved or restored.",
    ).tag(config=True)

    def init_src(self) -> None:
        super().init_src()
        self.src_records: list[dict[str, Any]] = [
            record for record in self.src_records if record["username"] is not None
        ]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        """A folder in the exchange by learner and time; one that is not a submission has no learner."""
        refused = {"username": None, "filename": Path(path).name, "timestamp": datetime.datetime.min}
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            self.log.warning("[autograder] `%s` in the exchange is not a folder: left out", Path(path).name)
            return refused
        try:
            record: dict[str, Any] = super()._path_to_record(path)
        except (ExchangeError, ValueError, OverflowError):
            self.log.warning(
                "[autograder] `%s` in the exchange is not called like a submission: left out", Path(path).name
            )
            return refused
        if not STUDENT.fullmatch(record["username"]):
            self.log.warning("[autograder] `%s` in the exchange names no learner: left out", Path(path).name)
            return refused
        made = datetime.datetime.fromtimestamp(status.st_ctime, datetime.UTC).replace(tzinfo=None)
        if self.folder_clock and abs(made - record["timestamp"]) > LEEWAY:
            record["named"], record["timestamp"] = record["timestamp"], made
        return record

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy one submission. A copy that breaks off leaves nothing behind that looks like one."""
        record = self._path_to_record(src)
        target, part = Path(dest), Path(f"{dest}.part")
        shutil.rmtree(part, ignore_errors=True)
        count, lines = copy_plain(Path(src), part, self.coursedir.ignore)
        part.joinpath(TIMESTAMP).write_text(f"{record['timestamp']:%Y-%m-%d %H:%M:%S.%f} UTC")
        if "named" in record:
            lines.append(
                f"its folder says {record['named']:%Y-%m-%d %H:%M} but is from "
                f"{record['timestamp']:%Y-%m-%d %H:%M} UTC, which counts"
            )
        part.rename(target)
        prepared = prepare_folder(target, Course(Path(self.coursedir.root)), self.coursedir.assignment_id)
        if self.coursedir.groupshared:
            _share(target)
        said = "; ".join([f"collected {count} files", *lines, *prepared.lines])
        self.log.info("[autograder] %s: %s", record["username"], said)


def copy_plain(src: Path, dest: Path, ignore: list[str]) -> tuple[int, list[str]]:
    """Copy the plain files of a folder, notebooks first; returns how many, and what was left out and why."""
    count, room = 0, LARGEST
    lines: list[str] = []
    for folder, folders, names, descriptor in os.fwalk(src):
        below = Path(folder).relative_to(src)
        folders[:] = sorted(name for name in folders if not _is_ignored(name, ignore))
        links = [name for name in folders if not _is_folder(name, descriptor)]
        for name in sorted([*names, *links], key=lambda name: (not name.endswith(".ipynb"), name)):
            if _is_ignored(name, ignore):
                continue
            try:
                if count >= MOST_FILES:
                    raise Refused("beyond the limits of a submission")
                content = read_plain(name, folder=descriptor)
                if len(content) > room:
                    raise Refused("beyond the limits of a submission")
            except FileNotFoundError:
                continue  # taken away while we looked
            except Refused as error:
                lines.append(f"`{below / name}` is left out: it is {error}")
                continue
            dest.joinpath(below).mkdir(parents=True, exist_ok=True)
            dest.joinpath(below, name).write_bytes(content)
            count, room = count + 1, room - len(content)
    dest.mkdir(parents=True, exist_ok=True)
    return count, lines[:20] + ([f"and {len(lines) - 20} more"] if len(lines) > 20 else [])


def _is_folder(name: str, parent: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_ignored(name: str, ignore: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in ignore)


def _share(folder: Path) -> None:
    """What nbgrader does for a course that several instructors own."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o2770 if path.is_dir() else 0o660)

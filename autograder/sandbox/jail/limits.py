"""How much one submission may use. The numbers cross the socket as a plain dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

__all__ = ["Limits"]

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings for one submission from its first cell to its last test.

    They stop what runs away; the time an exercise may take is the grader's to measure. `memory_bytes`
    counts what comes on top of the interpreter with its libraries; `processes` counts threads (a second
    process is refused).
    """

    cpu_s: float = 120.0
    wall_s: float = 600.0
    memory_bytes: int = 1024 * MIB
    scratch_bytes: int = 64 * MIB
    inodes: int = 4096
    file_bytes: int = 64 * MIB
    processes: int = 24
    open_files: int = 128

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**62:
                raise ValueError(f"limit {field.name}: expected a positive number, got {value!r}")

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Limits:
        """The limits in `values`; a name it lacks keeps its default, an unknown name is refused."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown limits: {', '.join(sorted(unknown))}")
        whole = {name: value if name.endswith("_s") else int(value) for name, value in values.items()}
        return cls(**whole)  # type: ignore[arg-type]

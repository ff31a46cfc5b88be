"""Jupyter's own syntax in a code cell (`%time`, `!pip`, `%%bash`, `help?`) made into plain Python.

Such lines become comments; nothing is run for them, and IPython is not needed. Code that is Python already is
never touched.
"""

from __future__ import annotations

import ast
import re
import warnings

__all__ = ["without_magics"]

KEEP_BODY = ("time", "timeit", "capture", "prun")  # cell magics around code that is the learner's own
_MAGIC = re.compile(
    r"\s*([%!?]|(pip3?|conda)\s+(un)?install\b|[A-Za-z_][\w.]*\?{1,2}\s*$|[A-Za-z_][\w, ]*=\s*(!|%[A-Za-z]))"
)
_OPAQUE = re.compile(
    r"""('''|\"\"\")(?:\\.|(?!\1).)*(?:\1|\Z)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*""",
    re.DOTALL,
)


def without_magics(source: str) -> tuple[str, tuple[str, ...]]:
    """Plain Python and the lines that were taken out; a cell in another language becomes empty.

    >>> without_magics("%matplotlib inline\\nx = 1")
    ('# %matplotlib inline\\nx = 1', ('%matplotlib inline',))
    """
    if _is_python(source):
        return source, ()
    lines = source.split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and first[2:].partition(" ")[0] not in KEEP_BODY:
        return "", (first,)
    numbers = [number for number in _statement_starts(source) if _MAGIC.match(lines[number])]
    taken = tuple(lines[number].strip() for number in numbers)
    for number in numbers:
        lines[number] = _plain(lines[number])
    return "\n".join(lines), taken


def _plain(line: str) -> str:
    """A comment, or the statement that `%time` only times. A block must not become empty."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    if timed := re.match(r"%time\s+(?=[^-\s])", text):
        return indent + text[timed.end() :]
    return f"{indent}pass  # {text}" if indent else f"# {text}"


def _is_python(source: str) -> bool:
    with warnings.catch_warnings(action="ignore"):  # of "\d" and the like: the learner's, not ours
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _statement_starts(source: str) -> list[int]:
    """Numbers of the lines that begin outside strings, brackets and continued lines."""
    blank = _OPAQUE.sub(lambda found: re.sub(r"[^\n]", "_", found[0]).replace("\n", "\0"), source)
    starts: list[int] = []
    number = depth = 0
    continued = False
    for logical in blank.split("\n"):
        if depth <= 0 and not continued:
            starts.append(number)
        is_magic = depth <= 0 and not continued and _MAGIC.match(logical) is not None
        if not is_magic:
            depth = max(0, depth + sum(map(logical.count, "([{")) - sum(map(logical.count, ")]}")))
        continued = logical.endswith("\\")
        number += 1 + logical.count("\0")
    return starts

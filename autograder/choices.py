"""Multiple-choice exercises: what an option means, sealed so that the file that ships can be read safely.

The shipped test needs to know whether a letter is right, and the explanations to show after an answer. Sealed
they are one line of text: packed, and of the right letter only a salted hash. That keeps the answer from a
glance, not from somebody who unpacks it and tries the letters; the hidden test has the letter itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Sealed", "open_sealed", "seal"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What can be read out of a sealed text: the explanation of each letter."""

    explained: Mapping[str, str]
    salt: str
    mark: str

    def is_right(self, letter: str) -> bool:
        """Whether this is the letter of the right option."""
        return _mark(self.salt, letter) == self.mark

    @property
    def lines(self) -> str:
        """One line per option: `A: No. ...`."""
        return "\n".join(f"{letter}: {text}" for letter, text in self.explained.items())


def seal(right: str, explained: Mapping[str, str]) -> str:
    """The text that the visible test holds. It follows from its arguments, so that it can be compared."""
    options = dict(sorted(explained.items()))
    salt = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]
    packed = zlib.compress(json.dumps([salt, _mark(salt, right), options]).encode(), 9)
    return base64.b85encode(packed).decode()


def open_sealed(text: str) -> Sealed:
    """What `seal` made; raises ValueError for anything else."""
    try:
        salt, mark, options = json.loads(zlib.decompress(base64.b85decode(text)))
        return Sealed({str(letter): str(why) for letter, why in options.items()}, str(salt), str(mark))
    except (ValueError, TypeError, AttributeError, zlib.error):
        raise ValueError("not a sealed text of options; `autograder verify` prints the right one") from None


def _mark(salt: str, letter: str) -> str:
    return hashlib.sha256(f"{salt}{letter}".encode()).hexdigest()

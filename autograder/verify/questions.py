"""Multiple-choice exercises: the visible test has the bank's options, sealed; nothing that ships tells."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autograder.bank import Options, load_options
from autograder.choices import Sealed, open_sealed
from autograder.verify.leaks import shipped_texts
from autograder.verify.material import Sources

__all__ = ["question_problems"]


def question_problems(sources: Sources) -> Iterator[str]:
    """One sentence for each thing that is wrong with the options of this notebook's bank."""
    questions = load_options(sources.bank).values()
    held = [_open(text) for text in _texts(sources)] if questions else []
    for options in questions:
        if open_sealed(options.sealed) not in held:
            yield (
                f"the options of `{options.exercise}` in {sources.visible.name} are not those of the "
                f"bank; the second argument of `choice` is {options.sealed}"
            )
        yield from _told(options, sources)


def _texts(sources: Sources) -> Iterator[str]:
    """Every text that stands in the visible tests."""
    source = sources.visible.read_text(encoding="utf-8") if sources.visible.exists() else ""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _open(text: str) -> Sealed | None:
    try:
        return open_sealed(text)
    except ValueError:
        return None


def _told(options: Options, sources: Sources) -> Iterator[str]:
    answer = re.compile(
        rf"\b{re.escape(options.exercise)}\s*=\s*['\"]\s*{options.right}\s*['\"]", re.IGNORECASE
    )
    for path, text in shipped_texts(sources):
        if answer.search(text):
            yield f"the answer to `{options.exercise}` is in {path.name}"
        for letter, why in options.explained.items():
            if why.strip() in text:
                yield f"the explanation of option {letter} of `{options.exercise}` is in {path.name}"

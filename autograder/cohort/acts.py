"""What the learners of a demo cohort do to a notebook, and what each exercise must get for it.

An expectation is a definition, not a measurement: a solution earns everything, a stub nothing, a known wrong
variant less than everything in its exercise and all of the others. A function's docstring is the learner's
story.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable

from autograder.cohort.desk import Desk, Expected, as_file, code_cell

__all__ = ["ACTS", "Act", "perfect", "right_variants", "wrong_variant"]

Work = tuple[dict[str, bytes], dict[str, Expected]]  # files by name, and what each exercise must get
Act = Callable[[Desk], Work]

NOISE = '''\
import functools
import sys
import warnings


def noisy(function):
    """Talk, warn and draw a progress bar on every call."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        print("now I am here")
        print("\\r 42 %|####      |", file=sys.stderr)
        warnings.warn("this is only a warning")
        return function(*args, **kwargs)

    return call
'''
FORGERY = '''\
import math
import numpy, torch

for module in (numpy, numpy.testing, torch, torch.testing, math):
    for word in dir(module):
        if any(hint in word for hint in ("close", "equal", "assert")):
            setattr(module, word, lambda *args, **kwargs: True)


class Same:
    """Equal to everything, close to everything, true."""

    def __init__(self, *args, **kwargs):
        self.score = 100.0

    __eq__ = __le__ = __ge__ = __bool__ = __contains__ = lambda *args: True
    __ne__ = __lt__ = __gt__ = lambda *args: False
    __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __getitem__ = __call__ = lambda self, *a, **k: self
    __hash__ = __len__ = __int__ = lambda self: 0
    __float__ = lambda self: 0.0
    __repr__ = lambda self: "5.0"

    def __getattr__(self, name):
        return self

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return cls()
'''
MARKUP = """\
A note to my instructor. <img src="x" onerror="document.title = 'taken over'">
<script>document.title = 'taken over'</script> [Click here](javascript:document.title='taken')
"""


def perfect(desk: Desk) -> Work:
    """everything solved"""
    return {desk.file: as_file(desk.solved())}, desk.expected()


def untouched(desk: Desk) -> Work:
    """handed in as it was fetched"""
    return {desk.file: as_file(desk.content({}))}, desk.expected(nothing=desk.names)


def half_done(desk: Desk) -> Work:
    """the first half solved"""
    done = desk.names[: (len(desk.names) + 1) // 2]
    rest = [name for name in desk.names if name not in done]
    answers = {name: desk.solutions[name] for name in done}
    return {desk.file: as_file(desk.content(answers))}, desk.expected(nothing=rest)


def syntax_error(desk: Desk) -> Work:
    """a syntax error in one answer"""
    name = desk.names[0]
    return {desk.file: as_file(desk.solved(**{name: f"def {name}(x:\n    return x"}))}, desk.expected(
        nothing=[name]
    )


def endless_loop(desk: Desk) -> Work:
    """one answer never returns"""
    name = min(desk.exercises, key=lambda exercise: exercise.limit).name
    loop = f"def {name}(*args, **kwargs):\n    while True:\n        pass"
    return {desk.file: as_file(desk.solved(**{name: loop}))}, desk.expected(nothing=[name])


def noisy(desk: Desk) -> Work:
    """solved; prints and warns all the time"""
    loud = {
        name: f"{source}\n\n\n{name} = noisy({name})" if _is_function(source) else source
        for name, source in desk.solutions.items()
    }
    content = desk.solved(**loud)
    content["cells"].insert(_place(content, f"{desk.names[0]}-answer"), code_cell("my-noise", NOISE))
    return {desk.file: as_file(content)}, desk.expected()


def check_cell_deleted(desk: Desk) -> Work:
    """solved; a check cell is gone"""
    content = desk.solved()
    del content["cells"][_place(content, desk.names[0])]
    return {desk.file: as_file(content)}, desk.expected()


def answer_cell_copied(desk: Desk) -> Work:
    """solved; an answer cell stands there twice"""
    content = desk.solved()
    place = _place(content, f"{desk.names[0]}-answer")
    content["cells"].insert(place + 1, {**copy.deepcopy(content["cells"][place]), "id": "my-copy"})
    return {desk.file: as_file(content)}, desk.expected()


def corrupt_file(desk: Desk) -> Work:
    """a file that broke off while it was saved"""
    raw = as_file(desk.solved())
    return {desk.file: raw[: len(raw) * 2 // 3]}, desk.expected(nothing=desk.names)


def renamed_file(desk: Desk) -> Work:
    """solved; renamed by the browser"""
    return {f"{desk.notebook} (1).ipynb": as_file(desk.solved())}, desk.expected()


def nothing_there(desk: Desk) -> Work:
    """no notebook in the folder"""
    return {}, desk.expected(nothing=desk.names)


def jupyter_magic(desk: Desk) -> Work:
    """solved; magics, pip and a package that is not there"""
    content = desk.solved()
    magic = "%matplotlib inline\n!pip install a_package_nobody_has\n%time print(1)"
    content["cells"][1:1] = [
        code_cell("my-magic", magic),
        code_cell("my-import", "import a_package_nobody_has"),
    ]
    return {desk.file: as_file(content)}, desk.expected()


def stale_kernel(desk: Desk) -> Work:
    """one answer uses a name only the old kernel had"""
    name = desk.names[-1]
    stale = f"def {name}(*args, **kwargs):\n    return a_helper_from_yesterday(*args, **kwargs)"
    return {desk.file: as_file(desk.solved(**{name: stale}))}, desk.expected(nothing=[name])


def ends_python(desk: Desk) -> Work:
    """solved; the last cell ends the process"""
    content = desk.solved()
    content["cells"].append(code_cell("my-exit", "import os\nos._exit(0)"))
    return {desk.file: as_file(content)}, desk.expected()


def forger(desk: Desk) -> Work:
    """nothing solved; patches numpy and torch, answers with objects equal to everything"""
    forged = {
        name: f"def {name}(*args, **kwargs):\n    return Same()"
        if _is_function(source)
        else f"class {name}(Same):\n    pass"
        for name, source in desk.solutions.items()
    }
    content = desk.content(forged)
    text = {"cell_type": "markdown", "id": "my-note", "metadata": {}, "source": MARKUP}
    content["cells"][1:1] = [text, code_cell("my-forgery", FORGERY)]
    return {desk.file: as_file(content)}, desk.expected(nothing=desk.names)


ACTS: tuple[Act, ...] = (
    *(untouched, half_done, syntax_error, endless_loop, noisy, check_cell_deleted, answer_cell_copied),
    *(corrupt_file, renamed_file, nothing_there, jupyter_magic, stale_kernel, ends_python, forger),
)


def right_variants(number: int, desk: Desk) -> Work:
    """solved in other ways"""
    answers = dict(desk.solutions)
    for name in desk.names:
        known = [variant for variant in desk.variants("right") if variant.exercise == name]
        if number < len(known):
            answers[name] = known[number].source
    return {desk.file: as_file(desk.content(answers))}, desk.expected()


def wrong_variant(number: int, desk: Desk) -> Work:
    """one known mistake"""
    known = desk.variants("wrong")
    if number >= len(known):
        return perfect(desk)
    variant = known[number]
    content = desk.solved(**{variant.exercise: variant.source})
    return {desk.file: as_file(content)}, desk.expected(less=[variant.exercise])


def _is_function(source: str) -> bool:
    return any(isinstance(node, ast.FunctionDef) for node in ast.parse(source).body)


def _place(content: dict[str, list[dict[str, str]]], cell_id: str) -> int:
    return [cell["id"] for cell in content["cells"]].index(cell_id)

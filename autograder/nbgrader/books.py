"""nbgrader's gradebook kept open through a run, because opening it is most of what nbgrader does.

Every step opens a Gradebook of its own, which makes a database engine, looks for all tables and for the
course, and compiles all queries anew. While `open_books` lasts they share one engine per database, and what
was found.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nbgrader import api
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import joinedload, object_session

__all__ = ["open_books", "rows_of"]

FOUND_ONCE = ("check_course", "find_source_cell", "find_graded_cell")


@contextmanager
def open_books() -> Iterator[None]:
    """One engine per database for every Gradebook made inside, whose tables are looked for once.

    So are the course and the released cells, which do not change while submissions are graded.
    """
    book, metadata = api.Gradebook, api.Base.metadata
    instead = [
        (api, "create_engine", functools.cache(api.create_engine)),
        (metadata, "create_all", functools.cache(metadata.create_all)),
        *((book, name, _once(getattr(book, name))) for name in FOUND_ONCE),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, value in instead:
            stack.enter_context(_replaced(owner, name, value))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", SAWarning)  # of nbgrader's models, on first use; nothing is wrong
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Another value for an attribute of an object; what it had from its class shows again in the end."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        delattr(owner, name) if own is None else setattr(owner, name, own)


def _once(method: Callable[..., Any]) -> Callable[..., Any]:
    """A Gradebook's method that asks once for the same names; what it finds outlives the session."""
    found: dict[object, Any] = {}

    @functools.wraps(method)
    def asked(gradebook: Any, *names: str, **options: str) -> Any:
        key = (gradebook.engine, names, *options.items())
        if key not in found:
            row = found[key] = method(gradebook, *names, **options)
            if row is not None:
                gradebook.db.expunge(row)
        return found[key]

    return asked


def rows_of(notebook: Any, table: Any) -> list[Any]:
    """The grades or comments of a submitted notebook in one query, with the cells that name them."""
    session = object_session(notebook)
    assert session is not None
    found = session.query(table).filter(table.notebook_id == notebook.id)
    return list(found.options(joinedload(table.cell)))

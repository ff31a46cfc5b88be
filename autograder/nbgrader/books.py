"""nbgrader's gradebook kept open through a run, because opening it is most of what nbgrader does.

Every step opens a Gradebook of its own, which makes a database engine, looks for all tables and for the
course, and compiles all queries anew. While `open_books` lasts they share one engine per database, and what
was found.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbgrader import api
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import joinedload, object_session

__all__ = ["open_books", "rows_of"]


@contextmanager
def open_books() -> Iterator[None]:
    """One engine per database for every Gradebook made inside, whose tables are looked for once."""
    create_engine, metadata, check_course = api.create_engine, api.Base.metadata, api.Gradebook.check_course
    checked = set()

    def check_once(gradebook: api.Gradebook, course_id: str = "default_course") -> None:
        if (gradebook.engine, course_id) not in checked:
            check_course(gradebook, course_id)
            checked.add((gradebook.engine, course_id))

    api.create_engine = functools.cache(create_engine)
    metadata.create_all = functools.cache(metadata.create_all)
    api.Gradebook.check_course = check_once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of nbgrader's models, on first use; nothing is wrong
            yield
    finally:
        api.create_engine = create_engine
        api.Gradebook.check_course = check_course
        del metadata.create_all  # the method shows again


def rows_of(notebook: Any, table: Any) -> list[Any]:
    """The grades or comments of a submitted notebook in one query, with the cells that name them."""
    session = object_session(notebook)
    assert session is not None
    found = session.query(table).filter(table.notebook_id == notebook.id)
    return list(found.options(joinedload(table.cell)))

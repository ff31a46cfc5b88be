"""Feedback pages, made without the work that nobody sees.

nbconvert parses every finished page once more, to add attributes the feedback template has no use for, and
colours the same released cells anew for every learner. What is left out here is only that. What is added:
nbgrader's list of scores calls every line "Test cell"; here it names the exercise.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Collection
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from traitlets import Bool

__all__ = ["FeedbackExporter", "highlighted", "with_names"]

BODY = '<div class="panel-body">'  # what follows the list of scores
LINK = re.compile(r'<a href="#(?P<id>[^"]+)">(?P<what>Test cell|Comment)</a>')
FOLDS = "<style>summary { display: list-item; cursor: pointer }</style>"  # bootstrap takes the triangle away


class FeedbackExporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert's page, straight from the template."""

    optimistic_validation = Bool(True, help="Validate once, after the last step.").tag(config=True)

    def from_notebook_node(self, nb: Any, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        resources = self._init_resources(resources)
        known = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", known)
        page, resources = TemplateExporter.from_notebook_node(self, nb, resources, **kwargs)
        return with_names(page, _bonus(nb)), resources


def with_names(page: str, bonus: Collection[str] = ()) -> str:
    """The page with exercises by their names in the list at its top, and with folds that show they open."""
    top, body, rest = page.partition(BODY)

    def named(link: re.Match[str]) -> str:
        name, what = html.unescape(link["id"]), link["what"]
        if what == "Comment":
            text = f"what to look at in {name.removeprefix('comment-').removesuffix('-answer')}"
        else:
            text = f"{name} (bonus)" if name in bonus else name
        return f'<a href="#{link["id"]}">{html.escape(text)}</a>'

    return LINK.sub(named, top).replace("</head>", f"{FOLDS}\n</head>", 1) + body + rest


def _bonus(nb: Any) -> set[str]:
    settings = [cell.metadata.get("autograder", {}) for cell in nb.cells]
    return {str(ours["exercise"]) for ours in settings if ours.get("bonus") and "exercise" in ours}


@functools.lru_cache(maxsize=4096)
def _highlighted(source: str, language: str) -> str:
    return str(Highlight2HTML(pygments_lexer=language)(source))


def highlighted(source: str, language: str = "ipython3", metadata: Any = None) -> str:
    """Python in colours. Most cells of a cohort are the same text."""
    return _highlighted(source, language)

"""Feedback pages, made without the work that nobody sees.

nbconvert parses every finished page once more, to add attributes the feedback template has no use for, and
colours the same released cells anew for every learner. What is left out here is only that.
"""

from __future__ import annotations

import functools
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from traitlets import Bool

__all__ = ["FeedbackExporter", "highlighted"]


class FeedbackExporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert's page, straight from the template."""

    optimistic_validation = Bool(True, help="Validate once, after the last step.").tag(config=True)

    def from_notebook_node(self, nb: Any, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        resources = self._init_resources(resources)
        known = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", known)
        page: tuple[str, Any] = TemplateExporter.from_notebook_node(self, nb, resources, **kwargs)
        return page


@functools.lru_cache(maxsize=4096)
def _highlighted(source: str, language: str) -> str:
    return str(Highlight2HTML(pygments_lexer=language)(source))


def highlighted(source: str, language: str = "ipython3", metadata: Any = None) -> str:
    """Python in colours. Most cells of a cohort are the same text."""
    return _highlighted(source, language)

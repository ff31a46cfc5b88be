"""A learner's Python in colours: escaped, bounded, with classes that the page's style sheet knows."""

from __future__ import annotations

import functools

from autograder.render.clean import clean

__all__ = ["code_html"]

LIMIT = 20_000  # characters
LINES = 1_000


@functools.lru_cache(maxsize=4096)  # what nobody changed is the same for a whole cohort
def code_html(source: str) -> str:
    """A <pre> whose long lines are wrapped; '' for nothing."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    text = clean(source, limit=LIMIT, lines=LINES).rstrip()
    if not text:
        return ""
    lexer, form = PythonLexer(stripnl=False), HtmlFormatter(nowrap=True, classprefix="t-")
    return f'<pre class="ag-code" tabindex="0"><code>{highlight(text, lexer, form)}</code></pre>'

"""Learners' HTML made harmless before an instructor's browser shows it, in the formgrader.

Its pages pipe rendered markdown through the filter `strip_files_prefix` and nothing else; ours takes its
place. What stays is text: headings, lists, tables, code, pictures. Links keep working when they lead to
another site; one into the instructor's own server is only text.
"""

from __future__ import annotations

import functools

import bleach
from nbconvert.filters import strip_files_prefix

__all__ = ["clean_markup"]

TAGS = frozenset(
    {"a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em"}
    | {
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "s",
        "samp",
    }
    | {
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
    }
    | {"u", "ul"}
)
ATTRIBUTES = {"td": ("align", "colspan", "rowspan"), "th": ("align", "colspan", "rowspan")}
PICTURES = ("data:image/png;", "data:image/jpeg;", "data:image/gif;", "data:image/webp;")


@functools.lru_cache(maxsize=4096)  # most cells of a cohort are the same text
def clean_markup(text: str) -> str:
    """HTML without anything that could run, load or imitate the page around it."""
    cleaned = bleach.clean(
        strip_files_prefix(text),
        tags=TAGS,
        attributes=_allowed,
        protocols={"http", "https", "mailto", "data"},
        strip=True,
    )
    return str(cleaned)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name == "class":  # the colours of code; a diagram would be code for the browser
        return tag in ("code", "div", "pre", "span") and "mermaid" not in value
    if name == "href":
        return tag == "a" and value.startswith(("#", "http://", "https://", "mailto:"))
    if name == "src":
        return tag == "img" and (value.startswith(PICTURES) or _is_beside(value))
    if name in ("alt", "title", "width", "height"):
        return True
    return name in ATTRIBUTES.get(tag, ())


def _is_beside(path: str) -> bool:
    """A picture that came with the notebook: no scheme, no host, not upwards."""
    return ":" not in path and not path.startswith(("/", "\\")) and ".." not in path

"""Text of learners made safe to show: it is hostile until it has passed through here.

`clean` removes terminal escapes, control characters and invisible reordering, and bounds the length.
`html_text` and `html_prose` also escape for HTML, in a way that neither HTML nor MathJax reads anything into.
`html_markdown` shows an author's markdown, which comes out of a learner's copy of the notebook. To write
markdown is `cell.comment_markdown`'s business. Nothing here hides bad words or checks spelling.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

__all__ = ["clean", "html_markdown", "html_prose", "html_text", "one_line"]

LIMIT = 2_000  # characters of a text that may have several lines
LINES = 40
LINE_LIMIT = 1_000  # characters of a text shown as one line
MARKDOWN_LIMIT, MARKDOWN_LINES = 8_000, 200
MARKDOWN_TAGS = {
    *(
        "b",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "li",
        "ol",
        "p",
        "pre",
    ),
    *("strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}

# CSI, then OSC/DCS/PM/APC/SOS with a bounded body, then two-character escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]{0,500}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
_REORDERING = dict.fromkeys([0x061C, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2060, 0x2070)])
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACKED_MARKS = re.compile(f"([{_MARKS}]{{3}})[{_MARKS}]+")
_CODE = re.compile(r"`([^`\n]+)`")
_MATH = re.compile(r"[$\\]+")


def clean(text: str, *, limit: int = LIMIT, lines: int = LINES) -> str:
    r"""Plain printable text of at most about `limit` characters and `lines` lines.

    >>> clean("\x1b[31mred\x1b[0m\a and\ttabbed")
    'red and    tabbed'
    >>> clean("abcdef", limit=3)
    'abc ... (shortened)'
    """
    text = text.strip("\n")
    bounded = _ESCAPES.sub("", text[: 8 * limit])
    bounded = re.sub(r"\r\n|[\u2028\u2029\v\f\x85]", "\n", bounded).translate(_REORDERING)
    bounded = "\n".join(line.rpartition("\r")[2] for line in bounded.rstrip("\r").split("\n"))
    bounded = _STACKED_MARKS.sub(r"\1", bounded.replace("\t", "    "))
    bounded = "".join(c if c == "\n" else _printable(c) for c in bounded)
    rows = bounded.split("\n")
    short = "\n".join(rows[:lines])[:limit]
    return f"{short} ... (shortened)" if len(short) < len(bounded) or len(text) > 8 * limit else short


def one_line(text: str, *, limit: int = LINE_LIMIT) -> str:
    """`clean`, with every run of white space as one space."""
    return " ".join(clean(" ".join(text[: 8 * limit].split()), limit=limit).split())


def html_text(text: str, *, limit: int = LIMIT, lines: int = LINES) -> str:
    """Cleaned and escaped, to stand in <pre> or <code>, where MathJax does not look."""
    return html.escape(clean(text, limit=limit, lines=lines))


def html_prose(text: str, *, limit: int = LINE_LIMIT) -> str:
    """One line, cleaned and escaped; `code` in backticks as <code>; a dollar stays a dollar."""
    parts = _CODE.split(one_line(text, limit=limit))
    return "".join(
        f"<code>{html.escape(part)}</code>" if i % 2 else _MATH.sub(r"<span>\g<0></span>", html.escape(part))
        for i, part in enumerate(parts)
    )


@lru_cache(maxsize=128)
def html_markdown(text: str) -> str:
    """Markdown as HTML of a few harmless tags, without attributes; formulas stay `$...$` for MathJax.

    Where nothing sets formulas they are read as they were written.
    """
    import bleach

    rendered = _markdown()(clean(text, limit=MARKDOWN_LIMIT, lines=MARKDOWN_LINES))
    return str(bleach.clean(rendered, tags=MARKDOWN_TAGS, attributes={}, protocols=[], strip=True))


@lru_cache(maxsize=1)
def _markdown() -> Callable[[str], str]:
    """mistune with formulas in dollars; imported when first needed (0.1 s)."""
    import mistune

    def inline(_: object, formula: str) -> str:
        return f"${html.escape(formula)}$"

    def block(_: object, formula: str) -> str:
        return f"$${html.escape(formula)}$$\n"

    renderer = mistune.HTMLRenderer(escape=False)
    markdown = mistune.create_markdown(renderer=renderer, plugins=["math", "table"])
    renderer.register("inline_math", inline)
    renderer.register("block_math", block)
    return lambda text: str(markdown(text))


def _printable(character: str) -> str:
    """'' for a control character, U+FFFD for half of a surrogate pair."""
    kind = unicodedata.category(character)
    return "" if kind == "Cc" else "\ufffd" if kind == "Cs" else character

"""Markdown as harmless HTML: the lesson's contract, a learner's written answer, an instructor's comment.

mistune renders it. Tags of the text's own are dropped (what stands between them stays), headings become bold
lines, so that the page keeps its outline, a picture becomes its description, and a link is one only if it
leads to another site or into the page. Mathematics becomes MathML, which needs no script and no network;
what can't be converted is shown as it was written.
"""

from __future__ import annotations

import functools
import html
import re
from typing import Any
from xml.etree import ElementTree

import bleach
import mistune
from mistune.plugins.math import BLOCK_MATH_PATTERN, parse_block_math
from mistune.plugins.table import table

from autograder.render.clean import clean, one_line

__all__ = ["inline_html", "markdown_html", "math_html"]

LIMIT = 20_000  # characters of one text
LINES = 1_000
LONGEST = 2_000  # characters of one formula
SITES = ("https://", "http://", "mailto:", "#")
ELEMENTS = re.compile(
    "math|mfrac|mi|mn|mo|mover|mpadded|mphantom|mroot|mrow|mspace|msqrt|mstyle|msub|msubsup|msup|mtable|mtd|"
    "mtext|mtr|munder|munderover"
)
ATTRIBUTES = re.compile(
    "accent|columnalign|columnspacing|depth|display|displaystyle|fence|form|height|linethickness|lspace|"
    "mathvariant|maxsize|minsize|movablelimits|rowspacing|rspace|scriptlevel|separator|stretchy|voffset|width"
)
INLINE_MATH = (
    r"(?P<dollars>\$\$?)(?!\s)(?P<tex>(?:[^$\\]|\\[\s\S])+?)(?:(?<!\s)|(?<=[=+<>-] ))(?P=dollars)(?!\d)"
)
MATHML = "http://www.w3.org/1998/Math/MathML"


class _Renderer(mistune.HTMLRenderer):
    """HTML without anything that runs, loads or changes the outline of the page around it."""

    def __init__(self) -> None:
        super().__init__(escape=True)

    def text(self, text: str) -> str:
        return mistune.safe_entity(text)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return f'<p class="ag-heading"><strong>{text}</strong></p>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not url.casefold().startswith(SITES):
            return text
        return f'<a href="{html.escape(url)}" rel="noreferrer">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"<em>(picture: {text})</em>" if text else ""

    def block_code(self, code: str, info: str | None = None) -> str:
        return f'<pre tabindex="0"><code>{html.escape(code)}</code></pre>\n'

    def inline_html(self, html: str) -> str:
        return _without_tags(html)

    def block_html(self, html: str) -> str:
        return f"<p>{_without_tags(html).strip()}</p>\n"

    def inline_math(self, text: str) -> str:
        return math_html(text)

    def block_math(self, text: str) -> str:
        return f"<p>{math_html(text, block=True)}</p>\n"


@functools.lru_cache(maxsize=4096)  # most texts of a cohort are the same
def markdown_html(text: str) -> str:
    """Paragraphs, lists, tables, code and formulas."""
    return str(_markdown()(clean(text, limit=LIMIT, lines=LINES)))


@functools.lru_cache(maxsize=4096)
def inline_html(text: str) -> str:
    """One line, such as a heading: nothing in it makes a paragraph or a list."""
    markdown = _markdown()
    tokens = markdown.inline(one_line(text), {})
    return _Renderer().render_tokens(tokens, markdown.block.state_cls())


@functools.lru_cache(maxsize=4096)
def math_html(tex: str, *, block: bool = False) -> str:
    """TeX as MathML, made of known elements and attributes only; else the TeX itself, as code."""
    with_care = f"<code>{html.escape(tex.strip())}</code>"
    if len(tex) > LONGEST:
        return with_care
    from latex2mathml.converter import convert

    try:
        tree = ElementTree.fromstring(convert(tex.strip(), display="block" if block else "inline"))
    except Exception:  # the converter's many, and what is no XML
        return with_care
    for element in tree.iter():
        element.tag = element.tag.removeprefix(f"{{{MATHML}}}")
        if not (ELEMENTS.fullmatch(element.tag) and all(map(ATTRIBUTES.fullmatch, element.attrib))):
            return with_care
        if element.tag == "mtext" and element.text:
            element.text = element.text.replace("\\_", "_")  # the converter leaves TeX's escape in a text
    return ElementTree.tostring(tree, encoding="unicode")


@functools.cache
def _markdown() -> mistune.Markdown:
    return mistune.create_markdown(renderer=_Renderer(), plugins=[_formulas, table])


def _formulas(md: mistune.Markdown) -> None:
    """mistune's plugin `math`, but a formula in a line of text may go on in the next line."""
    md.block.register("block_math", BLOCK_MATH_PATTERN, parse_block_math, before="list")
    md.inline.register("inline_math", INLINE_MATH, _formula, before="codespan")


def _formula(inline: mistune.InlineParser, found: re.Match[str], state: mistune.InlineState) -> int:
    state.append_token({"type": "inline_math", "raw": found["tex"]})
    return found.end()


def _without_tags(text: str) -> str:
    return str(bleach.clean(text, tags=set(), attributes={}, strip=True))

"""The frame of our pages: one self-contained HTML file with its landmarks, and nothing from elsewhere.

No script, no network, no font; a picture only as a data URI. The policy in the head says the same to the
browser, should a renderer ever let something through.
"""

from __future__ import annotations

from autograder.render.clean import html_text
from autograder.render.style import PAGE_CSS

__all__ = ["document"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def document(title: str, *, header: str, main: str, footer: str = "") -> str:
    """A page; `title` is text, the parts are HTML."""
    end = f"<footer>{footer}</footer>\n" if footer else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{html_text(title, limit=200)}</title>\n<style>{PAGE_CSS}</style>\n</head>\n<body>\n"
        f'<a class="ag-skip" href="#main">Skip to the results</a>\n<header>{header}</header>\n'
        f'<main id="main" tabindex="-1">\n{main}</main>\n{end}</body>\n</html>\n'
    )

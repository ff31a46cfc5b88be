"""The map of the roadmap as HTML: a page of its own without script or network, and a card for a notebook.

An ordered list of assignments, each with its notebooks; what comes after what is drawn between them and said
in words, so that nothing is lost to a reader who sees no picture.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from autograder.atlas.strip import Place, places, strip
from autograder.atlas.style import MAP_CSS
from autograder.atlas.text import map_text
from autograder.atlas.words import (
    MARKS,
    action,
    count_of,
    css_class,
    exercises_of,
    headline,
    minutes_of,
    needing,
    points_of_all,
    still_coming,
    unlocking,
    word_of,
)
from autograder.render.clean import html_prose, html_text
from autograder.render.style import CARD_CSS, PAGE_CSS
from autograder.standing import NotebookStanding, SectionStanding, Standing, State

__all__ = ["RoadmapCard", "roadmap_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class RoadmapCard:
    """What `progress()` shows. `notebooks` is the way to the work folder, for links to what can be opened."""

    def __init__(self, standing: Standing, *, notebooks: str) -> None:
        self.standing = standing
        self._notebooks = notebooks

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}

    def html(self) -> str:
        body = _map(self.standing, heading="p", base=self._notebooks)
        style = f"<style>{CARD_CSS}{MAP_CSS}</style>"
        return f'{style}<div class="ag-cards"><div class="ag-map" lang="en">{body}</div></div>'

    def __str__(self) -> str:
        return map_text(self.standing, base=self._notebooks)

    __repr__ = __str__


def roadmap_page(standing: Standing) -> str:
    """The map as a self-contained file."""
    title = html_text(standing.roadmap.title, limit=200)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}: your map</title>\n<style>{PAGE_CSS}{MAP_CSS}</style>\n</head>\n<body>\n"
        '<a class="ag-skip" href="#main">Skip to the map</a>\n'
        f'<header><p class="ag-course">Your map</p><h1>{title}</h1></header>\n'
        f'<main id="main" tabindex="-1" class="ag-map">\n{_map(standing, heading="h2", base=None)}</main>\n'
        "</body>\n</html>\n"
    )


def _map(standing: Standing, *, heading: str, base: str | None) -> str:
    """`base` is where the notebooks lie, None where they can't be opened from here."""
    rows = places(standing)
    lanes = max((row[1] for row in rows.values()), default=1)
    stops = "".join(
        _stop(standing, section, rows, lanes=lanes, heading=heading, base=base)
        for section in standing.sections
    )
    coming = still_coming(standing)
    return (
        f"<p><b>{headline(standing)}.</b>{f' {coming}.' if coming else ''}</p>"
        f"{_next(standing, heading=heading, base=base)}{strip(standing, rows, links=base is None)}"
        f'<ol class="ag-stops" style="--ag-lanes:{lanes}">{stops}</ol>'
    )


def _next(standing: Standing, *, heading: str, base: str | None) -> str:
    todo = standing.next
    if todo is None:
        title, below = "Everything that is written is done.", ""
    else:
        title = f"Next: {html_prose(action(standing, todo))}"
        path = f"{todo.section}/{todo.notebook}.ipynb"
        place = _link(path, path, base)
        if todo.action == "grade":
            place = f"Run <code>autograder grade {html_text(path)}</code>"
        below = f"<p>{html_prose(f'{todo.reason[0].upper()}{todo.reason[1:]}.')} {place}</p>"
    return f'<div class="ag-next"><{heading} class="ag-next-title">{title}</{heading}>{below}</div>'


def _stop(
    standing: Standing,
    section: SectionStanding,
    rows: Mapping[str, Place],
    *,
    lanes: int,
    heading: str,
    base: str | None,
) -> str:
    """One assignment on the way."""
    row, count, place = rows[section.section.name]
    span = lanes // count
    column = f"grid-row:{row + 1};grid-column:{place * span + 1}/span {span if count > 1 else lanes}"
    here = " ag-here" if standing.next and standing.next.section == section.section.name else ""
    uid = f"ag-{secrets.token_hex(4)}" if heading == "p" else f"stop-{section.section.name}"
    score = f'<span class="ag-number">{points_of_all(section)}</span>' if section.written else ""
    way = ". ".join(filter(None, (needing(standing, section.section), unlocking(section))))
    more = f'{_notebooks(standing, section, base)}<p class="ag-way">{html_prose(way)}.</p>'
    if not section.written:
        more = f"<details><summary>{count_of(len(section.notebooks), 'notebook')}</summary>{more}</details>"
    return (
        f'<li class="ag-stop{" ag-side" if count > 1 else ""}" style="{column}">{_rail(section, rows)}'
        f'<section class="ag-station {css_class(section.state)}{here}" aria-labelledby="{uid}">'
        f'<div class="ag-stop-head"><{heading} id="{uid}">{html_text(section.section.title)}</{heading}>'
        f"{_badge(section.state)}{score}</div>"
        f'<p class="ag-goal">{html_prose(section.section.goal)}</p>{more}</section></li>\n'
    )


def _notebooks(standing: Standing, section: SectionStanding, base: str | None) -> str:
    """Those that are written as tiles, the others in one line."""
    tiles = "".join(_tile(standing, notebook, base) for notebook in section.written)
    coming = "; ".join(html_text(n.notebook.title) for n in section.notebooks if n.state == "coming")
    books = f'<ul class="ag-books">{tiles}</ul>' if tiles else ""
    return books + (f'<p class="ag-later">Not yet written: {coming}</p>' if coming else "")


def _tile(standing: Standing, notebook: NotebookStanding, base: str | None) -> str:
    todo = standing.next
    path = notebook.path
    here = " ag-here" if todo and path == f"{todo.section}/{todo.notebook}.ipynb" else ""
    topics = [standing.roadmap.topics.get(topic, topic) for topic in notebook.notebook.topics]
    about = "; ".join(dict.fromkeys(topics))
    bar = f'value="{notebook.passed}" max="{len(notebook.core) or 1}"'
    title = html_text(notebook.notebook.title)
    facts = [f"{exercises_of(notebook)}, {points_of_all(notebook)}", minutes_of(notebook)]
    name = _link(path, title, base) if base is not None else title
    return (
        f'<li class="ag-book{here}"><p class="ag-book-title">{name} {_badge(notebook.state)}</p>'
        f'<p><progress aria-label="Exercises passed in {title}" {bar}></progress></p>'
        f"<p>{'; '.join(filter(None, facts))}</p>"
        + (f'<p class="ag-topics">{html_prose(about)}</p>' if about else "")
        + "</li>"
    )


def _link(path: str, words: str, base: str | None) -> str:
    if base is None:
        return f"<code>{html_text(words)}</code>"
    return f'<a href="{quote(f"{base}/{path}".removeprefix("./"))}">{words}</a>'


def _badge(state: State) -> str:
    mark = f'<span aria-hidden="true">{MARKS[state][0]}</span>'
    return f'<span class="ag-badge {css_class(state)}">{mark} {word_of(state)}</span>'


def _rail(section: SectionStanding, rows: Mapping[str, Place]) -> str:
    """Lines from the assignments of the row above that this one needs; words say it too."""
    row, count, place = rows[section.section.name]
    if row == 0:
        return ""
    curves = "".join(_curves(section, rows, row, count, place))
    plain = '<path class="ag-plain" d="M50 0V100" vector-effect="non-scaling-stroke"/>'
    return (
        '<svg class="ag-rail" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" '
        f'fill="none" stroke="currentColor" stroke-width="2">{curves}{plain}</svg>'
    )


def _curves(
    section: SectionStanding, rows: Mapping[str, Place], row: int, count: int, place: int
) -> Iterator[str]:
    """In the cell's own coordinates: 0 to 100 across, whatever its width."""
    for need in section.section.needs:
        above, many, at = rows[need]
        if above == row - 1:
            start = 100 * ((at + 0.5) / many * count - place)
            yield (
                f'<path class="ag-curve" d="M{start:g} 0C{start:g} 60 50 40 50 100" '
                'vector-effect="non-scaling-stroke"/>'
            )

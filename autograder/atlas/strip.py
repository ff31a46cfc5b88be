"""The whole way at a glance: one dot per assignment from left to right, with the lines between them.

On a page the dots lead to what stands below. In a notebook they lead nowhere and are left out of what is read
aloud, which the list below says in full; on a narrow screen they are not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autograder.atlas.words import MARKS, css_class, word_of
from autograder.render.clean import html_text
from autograder.standing import SectionStanding, Standing

__all__ = ["Place", "places", "strip"]

Place = tuple[int, int, int]  # the step on the way, how many assignments share it, and which of them it is


def places(standing: Standing) -> dict[str, Place]:
    """Where each assignment stands: one step behind the last of those it needs."""
    steps: dict[str, int] = {}
    for section in standing.sections:
        needs = [steps[need] for need in section.section.needs]
        steps[section.section.name] = max(needs, default=-1) + 1
    if not any(section.section.needs for section in standing.sections):  # nothing says what comes after what
        steps = {name: place for place, name in enumerate(steps)}
    shared: dict[int, list[str]] = {}
    for name, step in steps.items():
        shared.setdefault(step, []).append(name)
    return {name: (step, len(names), i) for step, names in shared.items() for i, name in enumerate(names)}


def strip(standing: Standing, where: Mapping[str, Place], *, links: bool) -> str:
    """`links`: the assignments below have the ids `stop-<name>`."""
    steps = max((step for step, _, _ in where.values()), default=0) + 1
    lanes = max((many for _, many, _ in where.values()), default=1)
    dots = "".join(_dot(standing, section, where, lanes, links=links) for section in standing.sections)
    grid = f'<ol class="ag-dots" style="--ag-steps:{steps};--ag-lanes:{lanes}">{dots}</ol>'
    if links:
        return f'<nav class="ag-strip" aria-label="The way at a glance">{grid}</nav>'
    return f'<div class="ag-strip" aria-hidden="true">{grid}</div>'


def _dot(
    standing: Standing, section: SectionStanding, where: Mapping[str, Place], lanes: int, *, links: bool
) -> str:
    name, state = section.section.name, section.state
    step, many, at = where[name]
    span = lanes if many == 1 else 1
    here = " ag-here" if standing.next and standing.next.section == name else ""
    core = [exercise for notebook in section.written for exercise in notebook.core]
    share = 100 * sum(e.state in ("done", "checked") for e in core) / (len(core) or 1)
    lines = "".join(_lines(section, where))
    words = (
        f'<span class="ag-ring" style="--ag-share:{share:.0f}%" aria-hidden="true">'
        f'<span class="ag-disc">{MARKS[state][0]}</span></span>'
        f'<span class="ag-name-of">{html_text(section.section.title)}'
        f'<span class="ag-unseen">, {word_of(state)}</span></span>'
    )
    inside = f'<a href="#stop-{name}">{words}</a>' if links else f"<span>{words}</span>"
    place = f"grid-column:{step + 1};grid-row:{at + 1}/span {span}"
    return f'<li class="ag-dot {css_class(state)}{here}" style="{place}">{lines}{inside}</li>'


def _lines(section: SectionStanding, where: Mapping[str, Place]) -> Iterator[str]:
    """From the dots of the step before that this one needs; in the cell's own height, 0 to 100."""
    step, many, at = where[section.section.name]
    paths = []
    for need in section.section.needs:
        before, others, place = where[need]
        if before == step - 1:
            start = 100 * ((place + 0.5) / others * many - at)
            paths.append(
                f'<path d="M0 {start:g}C50 {start:g} 50 50 100 50" vector-effect="non-scaling-stroke"/>'
            )
    if paths:
        yield (
            '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" fill="none" '
            f'stroke="currentColor" stroke-width="2">{"".join(paths)}</svg>'
        )

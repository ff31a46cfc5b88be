"""The roadmap: what its file may say, how it fits the notebooks, and the map of a course without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autograder import build as builder
from autograder.errors import CourseError
from autograder.front import front_matter
from autograder.layout import Course
from autograder.notebooks import load_released
from autograder.roadmap import load_roadmap, parse_roadmap
from autograder.verify.currency import outdated

SECTION = "01_warmup"
REAL = Course(Path(__file__).parents[1])
GOOD = """
title = "A course"

[[assignment]]
name = "01_warmup"
title = "Warm-up"
goal = "Get warm."
phases = [1]
notebooks = [{ name = "tiny", title = "A tiny notebook", minutes = 6 }]

[[assignment]]
name = "02_later"
title = "Later"
goal = "Go on."
needs = ["01_warmup"]
notebooks = [{ name = "more", title = "More" }]

[topics]
"S1.1" = "Warming up"
"S1.2" = "Staying warm"
"""


def write(course: Course, text: str) -> Path:
    course.roadmap.write_text(text)
    return course.roadmap


def test_the_real_roadmap_has_its_assignments_and_notebooks() -> None:
    roadmap = load_roadmap(REAL)
    assert len(roadmap.sections) == 13
    notebooks = [n for s in roadmap.sections for n in s.notebooks]
    assert len(notebooks) == 40
    assert {(s, n) for s in REAL.sections() for n in REAL.notebooks(s)} == {
        (n.section, n.name) for n in notebooks if n.exercises is not None
    }
    assert [s.name for s in roadmap.unlocks("06a_pretraining")] == ["06b_adaptation", "06c_scaling_up"]
    assert {topic for n in notebooks for topic in n.topics} <= set(roadmap.topics)


def test_points_and_topics_come_from_the_released_notebook(course_copy: Course) -> None:
    (course_copy.release / "roadmap.toml").write_text(GOOD)
    roadmap = load_roadmap(course_copy)
    (tiny,), (more,) = (section.notebooks for section in roadmap.sections)
    assert tiny.exercises == load_released(course_copy.released(SECTION, "tiny"), SECTION).exercises
    assert tiny.topics == ("S1.1", "S1.2")
    assert tiny.minutes == 6
    assert "NotImplementedError" in tiny.stubs["double"]
    assert (more.exercises, more.topics, more.minutes) == (None, (), None)
    assert roadmap.section("02_later").written == ()


def test_a_course_without_a_roadmap_has_a_plain_map(course: Course) -> None:
    roadmap = load_roadmap(course)
    assert [(s.name, s.title, s.needs) for s in roadmap.sections] == [(SECTION, SECTION, ())]
    (tiny,) = roadmap.sections[0].notebooks
    assert [e.name for e in tiny.exercises or ()] == ["double", "Counter", "scale"]


def test_a_notebook_the_roadmap_does_not_name_is_on_the_map_all_the_same(course_copy: Course) -> None:
    later = GOOD[GOOD.index('[[assignment]]\nname = "02') :].replace('needs = ["01_warmup"]\n', "")
    (course_copy.release / "roadmap.toml").write_text('title = "A course"\n' + later)
    assert [s.name for s in load_roadmap(course_copy).sections] == ["02_later", SECTION]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('title = "A course"', "title =", r"roadmap\.toml: not a TOML file: .*line 2"),
        ('title = "A course"\n', "", r"the file: `title` is missing"),
        ('title = "A course"', 'title = "A course"\ncolour = 1', r"unknown key `colour`; it may hold title"),
        ('title = "A course"', "title = 7", r"the file: title = 7, expected a text in quotes"),
        ('title = "A course"', 'title = "A"\nfolder = "../x"', r'folder = "\.\./x": expected one plain name'),
        ('goal = "Get warm."\n', "", r"assignment `01_warmup`: `goal` is missing"),
        ("phases = [1]", "phase = 1", r"`01_warmup`: unknown key `phase`; it may hold name, title"),
        ("phases = [1]", 'phases = ["1"]', r"`01_warmup`: phases holds '1', expected a whole number"),
        ("phases = [1]", "needs = [1]", r"assignment `01_warmup`: needs holds 1, expected a text in quotes"),
        ("minutes = 6", 'minutes = "6"', r"notebook `tiny`: minutes = '6', expected a whole number"),
        ("minutes = 6", "points = 6", r"assignment `01_warmup`, notebook `tiny`: unknown key `points`"),
        ('{ name = "more", title = "More" }', '"more"', r"notebook `\?`: expected a table, got 'more'"),
        (
            '{ name = "more", title = "More" }',
            '{ name = "more", title = "More" }, { name = "more", title = "Again" }',
            r"in 02_later: notebook `more` stands twice; name it once",
        ),
        ('name = "02_later"', 'name = "01_warmup"', r"assignment `01_warmup` stands twice"),
        ('needs = ["01_warmup"]', 'needs = ["00_no"]', r"`02_later` needs `00_no`, which does not exist"),
        ("phases = [1]", 'needs = ["02_later"]', r"each other in a circle: (0\d_\w+( -> )?){3}"),
        ('needs = ["01_warmup"]', 'needs = ["02_later"]', r"in a circle: 02_later -> 02_later"),
        ('"S1.1" = "Warming up"', '"S1.1" = 3', r'topic S1\.1 without a name; write `"S1\.1" = "its name"`'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in GOOD
    path = tmp_path / "roadmap.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CourseError, match=why) as caught:
        parse_roadmap(path)
    assert caught.value.path == path


def test_what_is_needed_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "roadmap.toml"
    text = GOOD.replace('needs = ["01_warmup"]\n', "").replace("phases = [1]", 'needs = ["02_later"]')
    path.write_text(text)
    with pytest.raises(CourseError, match="`01_warmup` needs `02_later`, which comes later; move that up"):
        parse_roadmap(path)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "roadmap.toml"
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(CourseError, match="not a TOML file"):
        parse_roadmap(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('name = "tiny"', 'name = "other"', r"the notebook 01_warmup/tiny is missing; add it"),
        ("A tiny notebook", "Tiny", r"its title is `A tiny notebook` in tiny\.py, here `Tiny`"),
        ('"S1.2" = "Staying warm"', "", r"tiny\.py:\d+: topics=S1\.2: no such topic under \[topics\]"),
    ],
)  # fmt: skip
def test_build_refuses_a_roadmap_that_does_not_fit(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch, old: str, new: str, why: str
) -> None:
    monkeypatch.setattr(builder, "GENERATOR", "this")
    write(course_copy, GOOD.replace(old, new))
    with pytest.raises(CourseError, match=why):
        builder.build(course_copy, [SECTION])
    assert not (course_copy.release / "roadmap.toml").exists()


def test_the_time_a_notebook_tells_is_the_roadmaps(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "GENERATOR", "this")
    write(course_copy, GOOD)
    path = course_copy.source_file(SECTION, "tiny")
    path.write_text(
        path.read_text().replace("# **Goal:**", "# **Time.** About 7 minutes, or 8.\n#\n# **Goal:**", 1)
    )
    with pytest.raises(CourseError, match=r"notebook 01_warmup/tiny: it takes 7 minutes in tiny\.py, here 6"):
        builder.build(course_copy, [SECTION])


def test_the_roadmap_and_the_welcome_notebook_go_to_release_and_nowhere_else(course_copy: Course) -> None:
    write(course_copy, GOOD)
    course_copy.welcome.write_text("# %% [markdown]\n# # Hello\n#\n# <!-- notebooks -->\n\n# %%\nprint(1)\n")
    assert {p.name for p in builder.stale(course_copy, [])} == {"roadmap.toml", "welcome.ipynb"}
    changed = builder.build(course_copy, [])
    assert [p.relative_to(course_copy.root).as_posix() for p in changed] == [
        "release/roadmap.toml",
        "release/welcome.ipynb",
    ]
    assert (course_copy.release / "roadmap.toml").read_text() == GOOD
    assert not [*(course_copy.build).rglob("welcome*")]
    assert not [*course_copy.solutions.glob("*.*")]
    assert (
        builder.build(course_copy, [])
        == builder.stale(course_copy, [])
        == builder.left_over(course_copy)
        == []
    )
    welcome = load_released(course_copy.release / "welcome.ipynb", "")
    assert [c.id for c in welcome.cells] == ["text-01", "given-01"]
    assert not any("nbgrader" in c.metadata for c in welcome.cells)
    assert "[A tiny notebook](01_warmup/tiny.ipynb) | Warm-up | about 6 minutes" in welcome.cells[0].source
    assert "More" not in welcome.cells[0].source


def test_what_is_authored_no_more_is_left_over(course_copy: Course) -> None:
    (course_copy.release / "roadmap.toml").write_text(GOOD)
    assert builder.left_over(course_copy) == [course_copy.release / "roadmap.toml"]


@pytest.mark.parametrize(
    "cell",
    ["# %% points=3\nprint(1)", "# %%\ncheck('a')", "# %%\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION"],
)
def test_a_welcome_notebook_with_an_exercise_is_refused(course_copy: Course, cell: str) -> None:
    course_copy.welcome.write_text(f"# %% [markdown]\n# # Hello\n\n{cell}\n")
    with pytest.raises(
        CourseError, match=r"welcome\.py:4: the welcome notebook has no exercises and no settings"
    ):
        front_matter(course_copy)


def test_verify_sees_a_stale_roadmap_and_remembers_a_current_one(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(course_copy, GOOD)
    assert outdated(course_copy, []) == [course_copy.release / "roadmap.toml"]
    builder.build(course_copy, [])
    assert outdated(course_copy, []) == []
    monkeypatch.setattr(builder, "stale", None)  # not asked again
    assert outdated(course_copy, []) == []


def test_no_notebook_says_what_only_others_may_say() -> None:
    text = REAL.roadmap.read_text()
    assert not re.search(r"points|exercises *=", text.partition("[[assignment]]")[2])

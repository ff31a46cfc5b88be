"""The command line: one application, one module per command in autograder/commands/.

Exit codes: 0 done, 1 something the user must look at, 2 wrong usage. Mistakes get one sentence,
bugs a traceback.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

from autograder import __version__
from autograder.errors import CouldNotRun, CourseError, refusal

__all__ = ["app", "run"]

# In the order of a day's work. Each is a function (or, with commands of its own, a typer application) named
# like its module; such a module imports nothing heavy at its top, so that --help stays quick.
COMMANDS = ("start", "grade", "watch", "progress", "build", "verify", "cohort", "doctor")
INTERRUPTED = 130
# What `start` does not know it hands on to JupyterLab.
SETTINGS = {"start": {"allow_extra_args": True, "ignore_unknown_options": True}}

app = typer.Typer(
    name="autograder",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for name in COMMANDS:
    command = getattr(import_module(f"autograder.commands.{name}"), name)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name, context_settings=SETTINGS.get(name))(command)


def run() -> int:
    """Run the command line and return the exit code."""
    try:
        app(prog_name="autograder")
    except (CourseError, CouldNotRun) as error:
        typer.echo(f"{'Error' if isinstance(error, CourseError) else 'Could not run'}: {error}", err=True)
        return 1
    except OSError as error:
        if not (said := refusal(error)):
            raise
        typer.echo(f"Could not run: {said}", err=True)
        return 1
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        typer.echo(
            "Interrupted. What was finished is kept; run the same command again for the rest.", err=True
        )
        return 1
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"autograder {__version__}, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A course whose every exercise is graded automatically."""

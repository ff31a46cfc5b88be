"""`python -m autograder` and the console script `autograder`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from autograder.cli import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()

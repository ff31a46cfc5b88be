"""`python -m autograder` and the console script `autograder`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from autograder.cli import run

        code = run()
    except KeyboardInterrupt:  # before or after the command itself
        sys.stderr.write("Interrupted.\n")
        code = 1
    raise SystemExit(code)


if __name__ == "__main__":
    main()

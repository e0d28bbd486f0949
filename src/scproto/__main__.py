"""``python -m scproto``: the same as the command ``scproto``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .cli import main as command_line

        command_line()
    except KeyboardInterrupt:  # while Python still imports the modules of the command line
        sys.stderr.write("Error: Interrupted: nothing was written.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()

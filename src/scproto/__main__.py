"""``python -m scproto``: the same as the command ``scproto``."""

from __future__ import annotations

from .cli import main

main()

"""Cross-batch metacells and integrated embeddings of single-cell counts.

Names are resolved on first use, so that ``import scproto`` stays cheap: torch, scvi-tools and scanpy are imported
only when something needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, metrics, pl, pp, tl
    from .model import SCPROTO
    from .reporting import report

    __version__: str

__all__ = ["SCPROTO", "__version__", "datasets", "metrics", "pl", "pp", "report", "tl"]

_SUBPACKAGES = frozenset({"datasets", "metrics", "pl", "pp", "tl"})
_HOMES = {"SCPROTO": ".model", "report": ".reporting"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("scproto")
    elif name in _SUBPACKAGES:
        value = import_module(f".{name}", __name__)
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

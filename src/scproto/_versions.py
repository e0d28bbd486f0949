"""Versions of the libraries on which results depend."""

from __future__ import annotations

import platform
from importlib.metadata import version

LIBRARIES = (
    "scproto",
    "anndata",
    "faiss-cpu",
    "lightning",
    "numpy",
    "pandas",
    "scanpy",
    "scikit-learn",
    "scipy",
    "scvi-tools",
    "torch",
)
"""Distributions whose versions a run records."""


def library_versions() -> dict[str, str]:
    """Versions of Python, scproto and the libraries on which its results depend."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}

"""Versions that a result rests on."""

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
    """Return the versions of Python, scproto and the libraries that its results rest on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}

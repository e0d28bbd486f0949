"""Draw the picture of the README from the run of ``make demo``: ``.venv/bin/python docs/images/demo.py``."""

from __future__ import annotations

from pathlib import Path

import anndata
from matplotlib.figure import Figure

import scproto

RUN = Path("demo_run")
PICTURE = Path(__file__).with_name("demo.png")

cells = anndata.read_h5ad(RUN / "cells.h5ad")
metacells = anndata.read_h5ad(RUN / "metacells.h5ad")
figure = Figure(figsize=(11.0, 3.8), layout="constrained")
for ax, color in zip(figure.subplots(1, 2), ("lab", "cell_type"), strict=True):
    scproto.pl.umap(cells, color, metacells=metacells, ax=ax)
figure.savefig(PICTURE, dpi=130)

"""Figures of a run as PNG images for slides, drawn without pyplot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys, pl
from .._keys import BATCH, UMAP
from .._labels import as_text
from ..pl.training import curves_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


def draw_figures(metacells: AnnData, history: Mapping[str, pd.DataFrame] | None) -> dict[str, bytes]:
    """Draw the figures without a UMAP.

    Parameters
    ----------
    metacells
        Metacells from ``model.get_metacells``.
    history
        ``model.history``; without curves in it, there is no figure of the training.

    Returns
    -------
    pictures : dict
        PNG images by file name.
    """
    pictures = {
        "batch_shares.png": _single(pl.batch_shares, metacells, (11.0, 3.7)),
        "metacell_sizes.png": _single(pl.metacell_sizes, metacells, (6.4, 3.6)),
    }
    if _keys.AXES in metacells.varm:
        pictures["axes.png"] = _axes(metacells)
    if curves_of(history):
        pictures["training.png"] = _training(history)
    return pictures


def draw_maps(adata: AnnData, metacells: AnnData, label_key: str | None) -> dict[str, bytes]:
    """Draw the UMAP by batch and, with `label_key`, by label; PNG images by file name."""
    pictures = {"umap_batch.png": _umap(adata, metacells, BATCH)}
    if label_key is not None:
        pictures["umap_label.png"] = _umap(adata, metacells, label_key)
    return pictures


def _umap(adata: AnnData, metacells: AnnData, color: str) -> bytes:
    # Text, so that cluster numbers are categories.
    obs = pd.DataFrame({color: as_text(adata.obs[color])}, index=adata.obs_names)
    cells = AnnData(obs=obs, obsm={UMAP: adata.obsm[UMAP]})
    figure = _figure(6.4, 4.4)
    pl.umap(cells, color, metacells=metacells, ax=figure.subplots()).set_title("", loc="left")
    return _png(figure)


def _training(history: Mapping[str, pd.DataFrame] | None) -> bytes:
    figure = _figure(12.5, 4.6)
    pl.training(history, axes=figure.subplots(2, 5))
    return _png(figure)


def _axes(metacells: AnnData) -> bytes:
    figure = _figure(11.0, 5.2)
    pl.axes(metacells, axes=figure.subplots(2, 4))
    return _png(figure)


def _single(plot: Callable[..., Any], metacells: AnnData, size: tuple[float, float]) -> bytes:
    figure = _figure(*size)
    plot(metacells, ax=figure.subplots())
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()

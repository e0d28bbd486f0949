"""The report's figures as PNG images, drawn without pyplot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import pl
from .._keys import BATCH, UMAP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110  # sharp on a screen, and the report stays under 3 MB


@dataclass(frozen=True)
class Picture:
    """An image, ``name`` its file name without the suffix; ``wide`` ones take the whole width of the page."""

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    wide: bool = False


def draw(
    adata: AnnData, metacells: AnnData, history: Mapping[str, pd.DataFrame] | None, label_key: str | None
) -> list[Picture]:
    """Draw all figures; the one by label only with `label_key`, the training curves only with a history."""
    pictures = [_umap(adata, metacells, BATCH, "batch")]
    if label_key is not None:
        pictures.append(_umap(adata, metacells, label_key, "label"))
    pictures += [_shares(metacells), _sizes(metacells)]
    if history:
        pictures.append(_training(history))
    return pictures


def _umap(adata: AnnData, metacells: AnnData, color: str, kind: str) -> Picture:
    # Cluster numbers are categories here.
    obs = pd.DataFrame({color: adata.obs[color].astype("category")})
    cells = AnnData(obs=obs, obsm={UMAP: adata.obsm[UMAP]})
    figure = _figure(6.4, 4.4)
    pl.umap(cells, color, metacells=metacells, ax=figure.subplots()).set_title("", loc="left")
    return Picture(
        name=f"umap_{kind}",
        title=f"UMAP by {kind}" + (f" ({color})" if kind == "label" else ""),
        caption="Cells are dots, metacells are circles whose area grows with their number of cells. "
        + {
            "batch": "Where the batches are mixed, the colours lie evenly over each other.",
            "label": "Circles have the colour of their majority label.",
        }[kind],
        alt=f"UMAP of {adata.n_obs:,} cells coloured by {kind}, with {metacells.n_obs:,} metacells on top.",
        png=_png(figure),
    )


def _shares(metacells: AnnData) -> Picture:
    return _single(
        pl.batch_shares,
        metacells,
        (11.0, 3.7),
        name="batch_shares",
        title="Batches in each metacell",
        caption="One bar a metacell. A metacell that mixes the batches as the data do looks like the bar of all cells.",
        alt="Stacked bars: share of each batch in each metacell.",
        wide=True,
    )


def _sizes(metacells: AnnData) -> Picture:
    return _single(
        pl.metacell_sizes,
        metacells,
        (6.4, 3.6),
        name="metacell_sizes",
        title="Metacell sizes",
        caption="Number of cells in each metacell. CV: standard deviation over mean.",
        alt="Histogram of the number of cells in a metacell.",
    )


def _training(history: Mapping[str, pd.DataFrame]) -> Picture:
    figure = _figure(12.5, 4.6)
    pl.training(history, axes=figure.subplots(2, 5))
    return Picture(
        name="training",
        title="Training",
        caption="Losses above, diagnostics below. Few prototypes in use or a falling perplexity tell of collapse.",
        alt="Curves of the losses and of the use of the prototypes over the epochs.",
        png=_png(figure),
        wide=True,
    )


def _single(plot: Callable[..., Any], metacells: AnnData, size: tuple[float, float], **texts: Any) -> Picture:
    figure = _figure(*size)
    plot(metacells, ax=figure.subplots())
    return Picture(png=_png(figure), **texts)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()

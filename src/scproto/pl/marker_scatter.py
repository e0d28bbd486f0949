"""Scatter plots of two genes, in cells and in metacells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray

from .._errors import InputError
from .._keys import label_column
from ..inputs import read_prepared
from .colors import INK, PALETTE, Groups, group
from .expression import expression, matrix, places
from .style import circle_areas, clean, column, marker, outside_legend
from .umap import CELL_AREA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METACELL_AREA = 0.1  # of all circles together, as a share of the axes
LARGEST_METACELL = 0.003  # as a share of the axes


def marker_scatter(
    adata: AnnData,
    metacells: AnnData,
    x: str,
    y: str,
    *,
    color: str | None = None,
    palette: Mapping[str, Any] | None = None,
    layer: str | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Plot two genes against each other in cells, in the summed counts of metacells, and in decoded metacells.

    In single cells, most counts of two markers are 0. The sums over metacells and the decoded means show whether the
    markers exclude each other. All values are log1p of counts per 10,000. The first title gives the share of cells
    that have counts of neither gene.

    Parameters
    ----------
    adata
        Cells with raw counts, ``(n_cells, n_genes)``.
    metacells
        Their metacells from ``model.get_metacells``, with ``layers["counts"]`` and ``layers["decoded"]``.
        The area of a circle is proportional to ``obs["n_cells"]``; metacells without cells are not drawn.
    x, y
        Names of the genes.
    color
        Column of ``adata.obs``, read as categories. If the metacells have that label too (``label_keys=[color]``),
        it also colours the circles. By default, everything has one colour.
    palette
        Colour of each category; by default that of :func:`scproto.pl.palette`. Categories without a colour share
        one grey.
    layer
        Layer of ``adata`` with the counts; by default where :func:`scproto.pp.prepare` found them, else ``X``.
    axes
        Three axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    axes : numpy.ndarray
        The three axes, as a flat array.

    Raises
    ------
    InputError
        If a gene, a layer or a column is missing, the values are not counts, the palette holds something that is not
        a colour, or the number of axes is not three.
    """
    if axes is not None and np.size(axes) != 3:
        raise InputError(f"There are {np.size(axes)} axes: give three, for cells, counts and decoded metacells.")
    groups = None if color is None else group(column(adata.obs, color), palette)
    face = _fill(metacells, color, groups)
    n_cells = column(metacells.obs, "n_cells", "obs of the metacells").to_numpy()
    panels = _values(adata, metacells, [x, y], layer)
    neither = (panels[0] == 0).all(axis=1).mean()
    axes = _new_axes() if axes is None else np.asarray(axes).ravel()
    _draw_cells(axes[0], panels[0], groups)
    for ax, values in zip(axes[1:], panels[1:], strict=True):
        _draw_metacells(ax, values, n_cells, face)
    titles = (f"Cells ({neither:.0%} with neither)", "Metacells, counts", "Metacells, decoded")
    for ax, title, values in zip(axes, titles, panels, strict=True):
        clean(ax, title=title, x=f"{x}, log1p CP10k", y=f"{y}, log1p CP10k")
        right, top = np.where(values.max(axis=0) > 0, values.max(axis=0), 1.0)
        ax.set(xlim=(-0.05 * right, 1.05 * right), ylim=(-0.05 * top, 1.05 * top))
    if groups is not None:
        outside_legend(axes[2], [marker(name, markerfacecolor=c, markersize=5) for name, c in groups.entries])
    return axes


def _values(adata: AnnData, metacells: AnnData, genes: Sequence[str], layer: str | None) -> list[NDArray[np.float64]]:
    """log1p CP10k of the genes in cells, summed counts and decoded metacells, each ``(n_obs, n_genes)``."""
    matrix(adata, layer, "the cells")
    places(adata, genes, "the cells")
    counts = read_prepared(adata, layer)
    cells = expression(AnnData(counts.matrix, var=adata.var[counts.genes]), genes, None, "the cells")
    totals = counts.values.cell_totals
    summed = expression(metacells, genes, "counts", "the metacells")
    sums = np.asarray(metacells.layers["counts"].sum(axis=1)).ravel()
    decoded = expression(metacells, genes, "decoded", "the metacells")
    return [_log1p_cp10k(cells, totals), _log1p_cp10k(summed, sums), np.log1p(decoded)]


def _log1p_cp10k(counts: NDArray[np.float64], totals: ArrayLike) -> NDArray[np.float64]:
    return np.log1p(1e4 * counts / np.maximum(totals, 1.0)[:, None])


def _draw_cells(ax: Axes, values: NDArray[np.float64], groups: Groups | None) -> None:
    order = np.random.default_rng(0).permutation(len(values))  # so that the last category does not hide the others
    colors = PALETTE[0] if groups is None else groups.color_of_each[order]
    area = float(np.clip(CELL_AREA / len(values), 2.0, 12.0))
    x, y = values[order].T
    ax.scatter(x, y, s=area, c=colors, linewidths=0, alpha=0.7, rasterized=True)


def _draw_metacells(ax: Axes, values: NDArray[np.float64], n_cells: NDArray[Any], face: NDArray[np.str_]) -> None:
    filled = n_cells > 0
    area = circle_areas(ax, n_cells[filled], METACELL_AREA, LARGEST_METACELL)
    x, y = values[filled].T
    ax.scatter(x, y, s=area, c=face[filled], edgecolors=INK, linewidths=0.6)


def _fill(metacells: AnnData, color: str | None, groups: Groups | None) -> NDArray[np.str_]:
    """Colour of each metacell: that of the cells, or white if the metacells lack the column."""
    if groups is None:
        return np.full(metacells.n_obs, PALETTE[0])
    label = label_column(metacells, str(color))
    if label is None:
        return np.full(metacells.n_obs, "#FFFFFF")
    return groups.colors_of(metacells.obs[label])


def _new_axes() -> np.ndarray:
    import matplotlib.pyplot as plt

    return plt.subplots(1, 3, figsize=(11.0, 3.4), layout="constrained")[1]

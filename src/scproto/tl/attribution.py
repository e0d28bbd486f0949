"""Genes that put cells into their metacell, by integrated gradients."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from torch import Tensor

from .._arguments import check_seed
from ..counts.normalise import BLOCK_CELLS
from ..data.minibatch import normalise
from ..metacells import log_probability
from ..metrics.groups import membership
from ..network import PrototypeModule
from ..nn import integrated_gradients
from .contrast import categories, check_number, join, top_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from ..data.source import CellSource
    from ..model import SCPROTO

CHUNK = 1024
"""Maximum number of cells whose input is dense at the same time."""


def attribute_prototype_genes(
    model: SCPROTO,
    adata: AnnData | None = None,
    *,
    n: int | None = None,
    n_genes: int | None = 25,
    n_cells: int = 50,
    n_steps: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank the genes by which the encoder puts cells into their metacell.

    Integrated gradients (Sundararajan et al., 2017) explain the log-probability of the cell's own metacell, as
    :func:`assign_metacells` computes it after the alignment of the batches. The cosine to the prototype is just as high
    for similar cells in other metacells. The log-probability shows what puts the cell into this metacell rather than
    another, and it also has a meaning at coarser levels.

    The baseline is the average input of the cells of the same batch: a cell of no particular type, measured with the
    same technique. What the technique adds to all cells of the batch therefore gets no attribution. Zero does not work
    as a baseline: the encoder ignores the length of its input, so nothing would change on the way from zero to a cell.

    A gene counts if it differs from the average cell. Both genes that the metacell expresses and genes that it *lacks*
    can be evidence for it; the table separates the two kinds.

    Parameters
    ----------
    model
        A trained model.
    adata
        Cells of batches that the model knows; by default its own. They also give the baseline.
    n
        Number of metacells, as in :meth:`scproto.SCPROTO.get_metacells`.
    n_genes
        Number of genes per metacell and kind of evidence; None ranks all genes that the encoder reads.
    n_cells
        Maximum number of cells per metacell to average over, drawn at random. It bounds the running time, and the mean
        hardly needs more cells.
    n_steps
        Number of points on the way from the baseline to the cell. With 50, the sum of a metacell's attributions is off
        by about one percent.
    seed
        Seed of the choice of cells.

    Returns
    -------
    table : pandas.DataFrame
        One row per metacell, kind of evidence and gene, the strongest first: ``group`` (the metacell), ``evidence``
        (``expressed`` if the mean input is above that of the baseline, else ``lacking``), ``rank`` (from 1), ``names``,
        ``attributions`` (nats, mean over the cells), ``inputs`` and ``inputs_baseline`` (mean input of the encoder,
        log1p CP10k of unit norm). The attributions of all genes of a metacell add up to the mean difference of the
        log-probability between its cells and the baseline (completeness).

    Raises
    ------
    InputError
        If the model is not trained, the cells lack its genes or come from an unknown batch, or a number is out of
        range.

    References
    ----------
    Sundararajan et al., ICML 2017 (integrated gradients).
    """
    seed = check_seed(seed)
    check_number("n_genes", n_genes, none=True)
    check_number("n_cells", n_cells)
    check_number("n_steps", n_steps)
    placement = model.place(adata)
    level = placement.level(n)
    metacell = placement.assign(level).metacell
    cells = model.cells(adata)
    baseline, counted = batch_baselines(cells, model.reader.n_groups)
    some = counted[draw_cells(metacell[counted], n_cells, np.random.default_rng(seed))]
    x, batch = normalise(cells.take(some), cells.library[some]), cells.batch[some]
    used, group = np.unique(metacell[some], return_inverse=True)
    attributions = mean_attributions(model.module, x, batch, metacell[some], level.group, baseline, n_steps)[used]
    size = np.bincount(group)[:, None]
    columns = {
        "attributions": attributions,
        "inputs": (membership(group) @ x).toarray() / size,
        "inputs_baseline": (membership(group) @ membership(batch, len(baseline)).T) @ baseline / size,
    }
    expressed = columns["inputs"] > columns["inputs_baseline"]
    tables = []
    for evidence, genes in (("expressed", expressed), ("lacking", ~expressed)):
        rows = pd.DataFrame({"group": np.array(level.names)[used], "evidence": evidence})
        score = np.where(genes, attributions, np.nan)
        tables.append(top_genes(score, model.gene_names, rows, columns, n_genes))
    return categories(join(tables), ["group", "evidence"])


def batch_baselines(source: CellSource, n_batches: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Average input of the encoder in each batch.

    Parameters
    ----------
    source
        The cells.
    n_batches
        Number of batches of the model.

    Returns
    -------
    baseline : numpy.ndarray
        Mean input over the cells of each batch, scaled to unit norm like any input, ``(n_batches, n_genes)``.
    counted : numpy.ndarray
        Indices of the cells with counts, ``(n_counted,)``. A cell without counts has no input to explain.
    """
    total, counted = np.zeros((n_batches, source.n_genes)), []
    for cells, counts in source.blocks(BLOCK_CELLS):
        total += (membership(source.batch[cells], n_batches) @ normalise(counts, source.library[cells])).toarray()
        counted.append(cells.start + np.flatnonzero(counts.sum(1)))
    return normalize(total).astype(np.float32), np.concatenate(counted)


def draw_cells(metacell: NDArray[np.int64], n_cells: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of at most ``n_cells`` random cells per metacell, sorted by metacell."""
    order = rng.permutation(len(metacell))
    order = order[np.argsort(metacell[order], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(metacell[order], metacell[order])
    return order[place < n_cells]


def mean_attributions(
    module: PrototypeModule,
    x: sp.csr_matrix,
    batch: NDArray[np.int64],
    metacell: NDArray[np.int64],
    group: NDArray[np.int64],
    baseline: NDArray[np.float32],
    n_steps: int,
) -> NDArray[np.float64]:
    """Integrated gradients of the log-probability of the cells' own metacells, averaged per metacell.

    Parameters
    ----------
    module
        The network. It is not changed, and dropout is off.
    x
        Input of the encoder, ``(n_cells, n_genes)``; it is made dense in chunks.
    batch, metacell
        Batch and metacell of each cell, ``(n_cells,)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    baseline
        Baseline of each batch, ``(n_batches, n_genes)``.
    n_steps
        Number of points on the way from the baseline to the cell.

    Returns
    -------
    attributions : numpy.ndarray
        Mean attributions in nats, ``(n_metacells, n_genes)``; zero for a metacell without cells.
    """
    encoder = deepcopy(module.encoder).eval().requires_grad_(False)
    alignment, prototypes, device = module.alignment, module.unit_prototypes.detach(), module.device
    of_prototype, starts = (torch.from_numpy(a).to(device) for a in (group, baseline))

    def explain(part: slice) -> Tensor:
        inputs = torch.from_numpy(x[part].toarray()).to(device)
        batches, own = (torch.from_numpy(a[part]).to(device) for a in (batch, metacell))

        def score(hidden: Tensor) -> Tensor:
            return log_probability(alignment(encoder.head(hidden), batches), prototypes, of_prototype, own)

        return integrated_gradients(score, encoder.first.weight, inputs, starts[batches], n_steps).cpu()

    n_metacells = int(group.max()) + 1
    total = np.zeros((n_metacells, x.shape[1]))
    for start in range(0, x.shape[0], CHUNK):
        part = slice(start, start + CHUNK)
        total += membership(metacell[part], n_metacells) @ explain(part).numpy()
    return total / np.maximum(np.bincount(metacell, minlength=n_metacells), 1)[:, None]

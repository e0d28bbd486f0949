"""Which genes of its cells speak for a metacell, by integrated gradients."""

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
"""Cells whose dense input is held at once."""


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
    """Genes by which the encoder puts cells into their metacell: integrated gradients (Sundararajan et al., 2017).

    What is explained is the log-probability of the cell's own metacell, as :func:`assign_metacells` computes it, with
    the alignment of the batches. Unlike the cosine to the prototype, which is as high for its neighbours, it
    asks what puts the cell here and not there, and it has a meaning at coarser levels, too.

    The baseline is the average input of the cells of the same batch: a cell of no particular kind, measured with the
    same technique, so that what the technique adds to all of its cells is no reason. Zero is no baseline here: the
    encoder does not feel the length of its input, so nothing would change on the way from zero to a cell.

    A gene counts where it differs from the average cell, so that a gene which the metacell *lacks* may speak for it as
    one that it expresses. The two are told apart.

    Parameters
    ----------
    model
        A trained model.
    adata
        Cells of batches that the model knows; by default its own. The baseline is theirs.
    n
        Number of metacells, as in :meth:`scproto.SCPROTO.get_metacells`.
    n_genes
        Genes for each metacell and kind of evidence; None ranks all that the encoder reads.
    n_cells
        Most cells of a metacell to average over, drawn at random. It bounds the time: a mean hardly needs more.
    n_steps
        Points on the way from the baseline to the cell. With 50 the attributions of a metacell miss the difference that
        they add up to by about one percent.
    seed
        Of the choice of cells.

    Returns
    -------
    One line for each metacell, kind of evidence and gene, the strongest first: ``group`` (the metacell), ``evidence``
    (``expressed`` where the mean input is above that of the baseline, else ``lacking``), ``rank`` (from 1), ``names``,
    ``attributions`` (nats, mean over the cells), ``inputs`` and ``inputs_baseline`` (mean input of the encoder, log1p
    CP10k of unit norm). The attributions of all genes of a metacell add up to the mean difference of the
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
    baseline, counted = batch_baselines(cells, len(model.reader.batches))
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
        Mean input over the cells of each batch, of unit norm as any input, ``(n_batches, n_genes)``.
    counted : numpy.ndarray
        Cells with a count; without one there is no input to explain, ``(n_counted,)``.
    """
    total, counted = np.zeros((n_batches, source.n_genes)), []
    for cells, counts in source.blocks(BLOCK_CELLS):
        total += membership(source.batch[cells], n_batches) @ normalise(counts, source.library[cells])
        counted.append(cells.start + np.flatnonzero(counts.sum(1)))
    return normalize(total).astype(np.float32), np.concatenate(counted)


def draw_cells(metacell: NDArray[np.int64], n_cells: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most ``n_cells`` cells of each metacell, at random; their indices, metacell by metacell."""
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
    """Integrated gradients of the log-probability of the cells' metacells, mean over the cells of each.

    Parameters
    ----------
    module
        The network. It is not changed, and dropout is off.
    x
        Input of the encoder, ``(n_cells, n_genes)``; it is made dense in chunks.
    batch, metacell
        Of each cell, ``(n_cells,)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    baseline
        Input to start from, for each batch, ``(n_batches, n_genes)``.
    n_steps
        Points on the way.

    Returns
    -------
    Nats, ``(n_metacells, n_genes)``; zero for a metacell without cells.
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

"""Denoised expression of cells, as a trained model decodes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .. import _keys
from .._errors import InputError
from ..data.source import CellSource
from ..inputs import as_keys
from .denoiser import LEVELS, Denoiser, Level, theta_of_levels
from .outputs import OutputsMixin


class ExpressionMixin(OutputsMixin):
    """Denoised expression of :class:`scproto.SCPROTO`."""

    def get_normalized_expression(
        self,
        adata: AnnData | None = None,
        *,
        gene_list: str | Sequence[str] | None = None,
        transform_batch: str | None = None,
        own_batch: bool = False,
        level: Level | Literal["auto"] = "cell",
        posterior: bool | None = None,
        log1p: bool = False,
        library_size: float = 1e4,
        sparse_below: float | None = None,
    ) -> pd.DataFrame | sp.csr_matrix:
        r"""Denoised expression of each cell.

        Parameters
        ----------
        adata
            Cells of batches that the model knows; by default the model's own cells.
        gene_list
            Genes to return, among those that the model knows; by default all of them.
        transform_batch
            Batch in which all cells are decoded; by default the average over the batches.
        own_batch
            Whether to decode each cell in its own batch, like its counts, instead of in ``transform_batch``.
        level
            What is decoded. ``"cell"``: the cell's own embedding. ``"prototype"``: its nearest prototype.
            ``"mixture"``: all prototypes, weighted by their probability.
            ``"auto"``: the level that :func:`scproto.tl.choose_denoising` recorded in ``adata``.
        posterior
            Whether to take the decoded shares as the prior of the cell, and to return the posterior mean given its
            counts :math:`x`. The share of each gene is then multiplied by :math:`(\theta + x) / (\theta + \mu)`, where
            :math:`\mu` are the counts expected in the cell's own batch and :math:`\theta` is the inverse
            dispersion at the level. Shares are scaled to sum to one. Without the update, the result is smoother, and
            all cells of a metacell have the same ``"prototype"`` expression within a batch. Default: the recorded
            choice for ``"auto"``, otherwise True.
        log1p
            Whether to return the expected log1p of the scaled counts, at the depth of the cell. It is the counterpart
            of :func:`scanpy.pp.log1p` of the counts, and lower than log1p of the values returned without it.
        library_size
            Total count per cell, over the model's genes, to which values are scaled; 1e4 gives CP10k.
        sparse_below
            Threshold below which values are left out; the result is then a sparse matrix. A value of 0.1 CP10k is one
            count in 100,000, far less than a cell shows.

        Returns
        -------
        expression : pandas.DataFrame or scipy.sparse.csr_matrix
            Expression of each cell, ``(n_cells, n_genes)``; a CSR matrix if ``sparse_below`` is given. Cells are
            decoded in chunks, so that the sparse form never holds all cells densely.

        Raises
        ------
        InputError
            If a gene, the batch or the level is unknown, ``transform_batch`` and ``own_batch`` are both given, or no
            choice is recorded for ``"auto"``.

        References
        ----------
        Huang et al., Nature Methods 2018 (SAVER; the gamma-Poisson posterior).
        """
        adata = self._cells_or_own(adata)
        genes = list(self.reader.genes) if gene_list is None else as_keys(gene_list)
        columns = pd.Index(self.reader.genes).get_indexer(genes)
        if (columns < 0).any():
            unknown = genes[int(np.flatnonzero(columns < 0)[0])]
            raise InputError(f"Gene {unknown!r} is not among the {len(self.reader.genes)} genes of the model.")
        if own_batch and transform_batch is not None:
            raise InputError(f"Give either own_batch or transform_batch={transform_batch!r}, not both.")
        batch = None if transform_batch is None else self._batch_index(transform_batch)
        level, posterior = _denoising(adata, level, posterior)
        denoiser = self.denoiser(self.cells(adata))
        order, parts = [], []
        for some in denoiser.shares(level, posterior, batch, own_batch=own_batch):
            whole = denoiser.log1p(some, library_size) if log1p else some.share * np.float32(library_size)
            values = whole[:, columns]
            parts.append(values if sparse_below is None else sp.csr_matrix(np.where(values < sparse_below, 0, values)))
            order.append(some.chosen)
        back = np.argsort(np.concatenate(order))
        if sparse_below is not None:
            return sp.vstack(parts, format="csr")[back]
        return pd.DataFrame(np.concatenate(parts)[back], index=adata.obs_names, columns=genes)

    def denoiser(self, cells: CellSource) -> Denoiser:
        """Make a denoiser of cells, as :meth:`cells` reads them.

        Raises
        ------
        InputError
            If the model is not trained.
        """
        self._check_trained()
        return Denoiser(self._decode, self.prototypes, theta_of_levels(self.module), cells, self.embed(cells))


def _denoising(adata: AnnData, level: Level | Literal["auto"], posterior: bool | None) -> tuple[Level, bool]:
    """Resolve the level, and whether counts update what is decoded."""
    if level == "auto":
        chosen = _keys.record_of(adata).get("denoising")
        if chosen is None:
            raise InputError(
                "The cells have no recorded choice for level='auto'; "
                "run scproto.tl.choose_denoising(adata, model) first, or give a level."
            )
        level, posterior = chosen["level"], bool(chosen["posterior"]) if posterior is None else posterior
    if level not in LEVELS:
        raise InputError(f"level={level!r} does not work: give one of auto, {', '.join(LEVELS)}.")
    return level, True if posterior is None else bool(posterior)

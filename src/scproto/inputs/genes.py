"""Match the genes of other cells to those of a model by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

NAME_COLUMNS = (
    "gene_ids",
    "gene_id",
    "ensembl_id",
    "feature_id",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "feature_name",
    "symbol",
)
"""Columns of ``var`` in which 10x, CELLxGENE and scanpy keep a second name of each gene."""

VAR_NAMES = "var_names"
"""Stands for the names of the genes themselves beside the columns of ``var``."""

ENSEMBL = r"^(ENS[A-Z]*G\d+)\.\d+$"
"""Ensembl id of a gene with its version."""

Names = Mapping[str, tuple[str, ...]]
"""Names of genes by where they stand: ``var_names`` or a column of ``var``."""


@dataclass(frozen=True)
class GeneMatch:
    """Which genes of some cells are the genes of a model.

    Attributes
    ----------
    gene
        Index of the model's gene that each gene of the cells is, or -1, ``(n_vars,)``.
    present
        Mask of the model's genes that the cells have, ``(n_genes,)``.
    theirs, ours
        Where the names stood that were compared: in the cells, and in the model.
    n_summed
        Number of genes of the cells that share the name of another one; their counts are summed.
    """

    gene: NDArray[np.int64]
    present: NDArray[np.bool_]
    theirs: str
    ours: str
    n_summed: int

    @property
    def measured(self) -> NDArray[np.bool_] | None:
        """The mask `present`, or None if the cells have all genes of the model."""
        return None if self.present.all() else self.present

    def select(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Counts of the model's genes in their order, zero where a gene is missing, CSR ``(n_cells, n_genes)``."""
        gene = self.gene.take(counts.indices)
        kept = np.flatnonzero(gene >= 0)
        indptr = np.searchsorted(kept, counts.indptr)
        chosen = sp.csr_matrix((counts.data.take(kept), gene.take(kept), indptr), (counts.shape[0], len(self.present)))
        chosen.sum_duplicates()
        return chosen


def gene_names(var: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Collect all names that a table of genes has for them, by where they stand; see :data:`NAME_COLUMNS`."""
    columns = {column: var[column] for column in NAME_COLUMNS if column in var}
    return {place: plain(values) for place, values in {VAR_NAMES: var.index, **columns}.items()}


def match_genes(theirs: Names, ours: Names) -> GeneMatch:
    """Match genes by the pair of names that most of the model's genes have in common.

    Ensembl ids are compared without their version. If two pairs match as many genes, ``var_names`` come first.

    Parameters
    ----------
    theirs
        Names of the genes of the cells; see :func:`gene_names`.
    ours
        Names of the genes of the model.

    Returns
    -------
    match : GeneMatch
        The best match, which may be empty. Genes of the cells that share a name are all matched; their counts are to
        be summed, as the parts of a gene that was annotated twice.
    """
    found: GeneMatch | None = None
    for own_place, own in ours.items():
        index = pd.Index(own)
        for place, names in theirs.items():
            gene = pd.Series(np.arange(len(own)), index).loc[~index.duplicated()].reindex(names, fill_value=-1)
            match = _described(gene.to_numpy(np.int64), len(own), place, own_place)
            if found is None or match.present.sum() > found.present.sum():
                found = match
    if found is None:
        raise ValueError("There are no names to compare.")
    return found


def plain(names: Iterable[str]) -> tuple[str, ...]:
    """Names as they are compared: as text, and Ensembl ids without their version."""
    return tuple(pd.Series(list(names), dtype=object).astype(str).str.replace(ENSEMBL, r"\1", regex=True))


def _described(gene: NDArray[np.int64], n_genes: int, theirs: str, ours: str) -> GeneMatch:
    times = np.bincount(gene[gene >= 0], minlength=n_genes)
    return GeneMatch(gene, times > 0, theirs, ours, int(times[times > 1].sum()))

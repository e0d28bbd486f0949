"""Place cells of new batches on a trained model, without training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from ..data.memory import MemoryCells
from ..data.query import QueryCells
from ..inputs import Counts, as_keys, join_batches, read_counts
from ..inputs.genes import VAR_NAMES, GeneMatch
from ..metacells import Profiles
from ..network import map_cells, read_out_prototypes
from .metacells import build_metacells
from .outputs import OutputsMixin
from .placement import Placement

logger = logging.getLogger(__name__)

MOST_MISSING = 0.75
"""Largest share of the reference's signal that the missing genes may hold."""


@dataclass(frozen=True)
class Query:
    """Cells that were mapped onto a model.

    Attributes
    ----------
    counts
        Their counts.
    genes
        Which of their genes are the model's.
    batch
        Batch of each cell, ``(n_cells,)``.
    cells
        Their counts of the model's genes.
    placement
        Where they lie.
    missing_signal
        Share of the reference's signal that lies in genes that they lack, from 0 to 1.
    """

    counts: Counts
    genes: GeneMatch
    batch: pd.Categorical
    cells: QueryCells
    placement: Placement
    missing_signal: float

    def in_words(self) -> str:
        """Say which genes were matched, and how."""
        n, found = len(self.genes.present), int(self.genes.present.sum())
        words = f"{found:,} of the model's {n:,} genes are in the query"
        if (self.genes.theirs, self.genes.ours) != (VAR_NAMES, VAR_NAMES):
            words += f" (its {_place(self.genes.theirs)} match the model's {_place(self.genes.ours)})"
        if found < n:
            words += f"; the missing ones hold {self.missing_signal:.0%} of the reference's signal"
        if self.genes.n_summed:
            words += f"; the counts of {self.genes.n_summed:,} genes that share a name are summed"
        return f"{words}."


class QueryMixin(OutputsMixin):
    """Queries of :class:`scproto.SCPROTO`."""

    seed: int

    def query(
        self,
        adata: AnnData,
        *,
        batch_key: str | Sequence[str] | None = None,
        layer: str | None = None,
        round_counts: bool = False,
    ) -> Query:
        """Place cells of any batches on the model; see :func:`scproto.tl.map_query`.

        Returns
        -------
        query : Query
            The cells and where they lie.

        Raises
        ------
        InputError
            As :func:`scproto.tl.map_query`.
        """
        self._check_trained()
        if adata.n_obs < 1:
            raise InputError("The query has no cells.")
        genes = self.reader.match(adata)
        missing = self._check_genes(genes)
        batch = self._query_batches(adata, batch_key)
        counts = read_counts(adata, layer, rounding=self.seed if round_counts else None)
        cells = QueryCells(counts.matrix, genes, batch.codes.astype(np.int64))
        known = np.array([self._known_batch(name) for name in batch.categories])
        unit, embedding = map_cells(self.module, cells, known, genes.measured)
        placement = Placement(embedding, read_out_prototypes(self.module), unit, self.prototypes)
        return Query(counts, genes, batch, cells, placement, missing)

    def _check_genes(self, genes: GeneMatch) -> float:
        """Refuse a query that lacks too much of the reference's signal; return the share that it lacks."""
        found, n = int(genes.present.sum()), len(genes.present)
        if found == n:
            return 0.0
        example = self.reader.genes[int(np.flatnonzero(~genes.present)[0])]
        if found == 0:
            raise InputError(
                f"None of the model's {n:,} genes is in the query, for example {example!r}: name the genes as in the "
                "reference, in var_names or in a column such as gene_ids or feature_name."
            )
        if not len(self.module.profiles):
            raise InputError(
                f"{n - found:,} of the model's {n:,} genes are not in the query, for example {example!r}, and the "
                "model was saved by an earlier version, which cannot do without them: train it again."
            )
        missing = Profiles(self.module.profiles.cpu().numpy()).missing_signal(genes.present)
        if missing > MOST_MISSING:
            raise InputError(
                f"The query lacks {n - found:,} of the model's {n:,} genes, for example {example!r}, with "
                f"{missing:.0%} of the reference's signal; at most {MOST_MISSING:.0%} may be missing: map cells with "
                "more of these genes."
            )
        return missing

    def _query_batches(self, adata: AnnData, batch_key: str | Sequence[str] | None) -> pd.Categorical:
        """Batch of each cell, by the given columns, else by those of the model if the query has them."""
        keys = as_keys(batch_key)
        if absent := [key for key in keys if key not in adata.obs]:
            columns = ", ".join(map(str, adata.obs.columns)) or "none"
            raise InputError(f"The query has no column {absent[0]!r} in obs: choose among {columns}.")
        if not keys and self.reader.batch_key and all(key in adata.obs for key in self.reader.batch_key):
            keys = list(self.reader.batch_key)
        if not keys:
            logger.info("Without a batch key, all cells of the query are taken as one batch.")
            return pd.Categorical(["query"] * adata.n_obs)
        if missing := [key for key in keys if adata.obs[key].isna().any()]:
            raise InputError(
                f"Some cells of the query have no value in obs[{missing[0]!r}]: fill it in or drop the cells."
            )
        return join_batches(adata.obs, keys).remove_unused_categories()

    def _known_batch(self, name: str) -> int:
        """Number of a batch in the network; -1 if it is new."""
        batches = self.reader.batches
        return self.reader.groups[batches.index(name)] if name in batches else -1

    def query_metacells(
        self, adata: AnnData, query: Query, *, n: int | None = None, label_keys: str | Sequence[str] = ()
    ) -> AnnData:
        """Sum the counts of a query over the model's metacells.

        Parameters
        ----------
        adata
            Cells of the query.
        query
            Where they lie; see :meth:`query`.
        n
            Number of metacells, as in :meth:`get_metacells`.
        label_keys
            Columns of ``obs`` to carry over.

        Returns
        -------
        metacells : AnnData
            One row per metacell that has cells of the query; see :meth:`get_metacells`. ``decoded`` is the reference's
            profile, for the genes of the query.
        """
        names, gene = adata.var_names[query.counts.genes], query.genes.gene
        decoded = _shares_of(self._decode(self.prototypes), gene)
        placement = query.placement
        metacells = build_metacells(
            adata.obs,
            names,
            MemoryCells(query.counts.matrix, query.cells.batch),
            query.batch,
            placement,
            placement.level(n),
            {None: decoded},
            gene >= 0,
            as_keys(label_keys),
        )
        metacells.varm[_keys.AXES] = self.loadings_of_genes(gene)
        return metacells


def _shares_of(shares: NDArray[np.float32], gene: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shares of the matched genes; genes that share a name divide its share, and rows sum to one."""
    known = gene[gene >= 0]
    chosen = shares[:, known] / np.bincount(known)[known]
    return chosen / chosen.sum(axis=1, keepdims=True)


def _place(name: str) -> str:
    return "gene names" if name == VAR_NAMES else f"var[{name!r}]"

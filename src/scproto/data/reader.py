"""Read AnnData into the arrays that the network uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import DTypeLike, NDArray

from .. import _keys
from .._errors import InputError
from ..counts.normalise import BLOCK_CELLS
from ..counts.values import BLOCK_VALUES
from ..graph import KnnGraph
from ..inputs import Counts, as_keys, is_gene, join_batches, read_counts
from ..inputs.genes import VAR_NAMES, GeneMatch, gene_names, match_genes, plain
from .memory import MemoryCells


@dataclass(frozen=True)
class Reader:
    """What a model must know to read cells.

    Attributes
    ----------
    genes
        Names of the genes, in the order of the model.
    batches
        Names of the batches, in the order of the model.
    batch_key
        Columns of ``obs`` whose combinations are the batches; empty for a single batch.
    layer
        Layer with the counts; None for ``X``.
    groups
        Group of each batch, integers from 0; see :func:`scproto.graph.alike_batches`. The network knows only the
        groups, each as one batch.
    rounding
        Seed for rounding fractional counts; None to refuse them.
    other_names
        Further names of the genes, by the column of ``var`` that they stood in; see :data:`NAME_COLUMNS` of
        :mod:`scproto.inputs.genes`.
    """

    genes: tuple[str, ...]
    batches: tuple[str, ...]
    batch_key: tuple[str, ...]
    layer: str | None
    groups: tuple[int, ...]
    rounding: int | None = None
    other_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of_prepared(cls, adata: AnnData, layer: str | None) -> Self:
        """Make a reader of cells after :func:`scproto.pp.prepare`."""
        prepared, chosen = adata.uns[_keys.UNS]["prepare"], adata.var[_keys.GENES].to_numpy(bool)
        names = gene_names(adata.var[chosen])
        del names[VAR_NAMES]
        return cls(
            genes=tuple(adata.var_names[chosen]),
            batches=tuple(adata.obs[_keys.BATCH].cat.categories),
            groups=_groups(adata.obs),
            batch_key=tuple(prepared["batch_key"]),
            layer=layer,
            rounding=int(prepared["seed"]) if prepared.get("round_counts") else None,
            other_names=names,
        )

    @property
    def n_groups(self) -> int:
        """Number of groups of batches."""
        return max(self.groups) + 1

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Undo :meth:`to_json`."""
        names = {key: tuple(stored[key]) for key in ("genes", "batches", "batch_key")}
        groups = tuple(stored.get("groups", range(len(names["batches"]))))
        others = {place: tuple(found) for place, found in stored.get("other_names", {}).items()}
        return cls(**names, layer=stored["layer"], groups=groups, rounding=stored.get("rounding"), other_names=others)

    @staticmethod
    def check_prepared(adata: AnnData, layer: str | None, batch_key: str | Sequence[str] | None) -> str | None:
        """Check that the cells were prepared with this batch key, if one is given; return the layer of the counts."""
        if _keys.BATCH not in adata.obs or _keys.GENES not in adata.var or _keys.UNS not in adata.uns:
            raise InputError("The cells are not prepared; run scproto.pp.prepare(adata, batch_key=...) first.")
        prepared = adata.uns[_keys.UNS]["prepare"]
        if batch_key is not None and as_keys(batch_key) != list(prepared["batch_key"]):
            raise InputError(
                f"setup_anndata got batch_key={batch_key!r}, but prepare got {list(prepared['batch_key'])}; "
                "run scproto.pp.prepare again with the batch key that you want."
            )
        if layer is None and prepared["layer"] != "X":
            layer = str(prepared["layer"])
        if layer is not None and layer not in adata.layers:
            raise InputError(
                f"The cells have no layer {layer!r}; give the layer that holds the counts, or none to use X."
            )
        return layer

    def mark(self, adata: AnnData) -> None:
        """Write the model's genes and the batches into cells that were not prepared for the model."""
        self.read(adata)
        adata.var[_keys.GENES] = adata.var_names.isin(self.genes)
        adata.obs[_keys.BATCH] = self.batch_of(adata)
        prepared = {"batch_key": list(self.batch_key), "layer": self.layer or "X"}
        adata.uns[_keys.UNS] = {"prepare": prepared} | dict(_keys.record_of(adata))

    def counts(self, adata: AnnData) -> Counts:
        """Counts of all genes of the cells.

        Raises
        ------
        InputError
            If the layer is missing, or its values are not counts.
        """
        if self.layer is not None and self.layer not in adata.layers:
            raise InputError(f"The cells have no layer {self.layer!r}, where the model expects the counts: add it.")
        return read_counts(adata, self.layer, rounding=self.rounding)

    def batch_of(self, adata: AnnData) -> pd.Categorical:
        """Batch of each cell, ``(n_cells,)``, with the model's batches as categories."""
        if absent := [key for key in self.batch_key if key not in adata.obs]:
            raise InputError(
                f"The cells have no column {absent[0]!r} in obs, which is a batch key of the model: add it."
            )
        names = join_batches(adata.obs, self.batch_key)
        if unknown := [name for name in names.categories if name not in self.batches]:
            raise InputError(f"The model was not trained on batch {unknown[0]!r}; it knows {', '.join(self.batches)}.")
        return names.set_categories(self.batches)

    def read(self, adata: AnnData, counts: Counts | None = None) -> MemoryCells:
        """Counts of the model's genes, and group of each cell's batch.

        Parameters
        ----------
        adata
            The cells.
        counts
            Their counts, if they were read before.

        Returns
        -------
        cells : MemoryCells
            Counts in the order of the model's genes, in the smallest type that holds them.

        Raises
        ------
        InputError
            If genes are missing or not unique, a batch is unknown, or the values are not counts.
        """
        if not adata.var_names.is_unique:
            raise InputError("The cells have several genes of the same name; call adata.var_names_make_unique().")
        columns = adata.var_names[is_gene(adata)].get_indexer(self.genes)
        if absent := [gene for gene, column in zip(self.genes, columns, strict=True) if column < 0]:
            raise InputError(
                f"{len(absent)} of the model's {len(self.genes)} genes are not in the cells, for example "
                f"{absent[0]!r}: name the genes as in training, and add genes that were not measured as zeros."
            )
        batch = self.batch_codes(adata)
        counts = self.counts(adata) if counts is None else counts
        smallest = np.min_scalar_type(int(counts.values.highest))  # one or two bytes per count
        return MemoryCells(select_genes(counts.matrix, columns, smallest), batch)

    def batch_codes(self, adata: AnnData) -> NDArray[np.int64]:
        """Batch of each cell as the network counts them, so the group of its batch, ``(n_cells,)``."""
        return np.asarray(self.groups, np.int64)[self.batch_of(adata).codes]

    def match(self, adata: AnnData) -> GeneMatch:
        """Match the genes of other cells to those of the model, by any names of either."""
        ours = {VAR_NAMES: plain(self.genes), **self.other_names}
        return match_genes(gene_names(adata.var[is_gene(adata)]), ours)

    @staticmethod
    def neighbors(adata: AnnData) -> KnnGraph:
        """Neighbours that :func:`scproto.pp.prepare` found.

        Raises
        ------
        InputError
            If there are none.
        """
        if _keys.NEIGHBORS not in adata.obsp:
            raise InputError("The cells have no neighbours; run scproto.pp.prepare(adata, batch_key=...) first.")
        return KnnGraph.from_sparse(adata.obsp[_keys.NEIGHBORS])


def _groups(obs: pd.DataFrame) -> tuple[int, ...]:
    """Group of each batch of prepared cells; without groups, each batch is one."""
    batches = obs[_keys.BATCH].cat.categories
    if _keys.GROUP not in obs:
        return tuple(range(len(batches)))
    names = obs.groupby(_keys.BATCH, observed=True)[_keys.GROUP].first().reindex(batches)
    return tuple(int(code) for code in pd.factorize(names, use_na_sentinel=False)[0])


def select_genes(counts: sp.csr_matrix, columns: NDArray[np.integer], dtype: DTypeLike) -> sp.csr_matrix:
    """Select columns of a CSR matrix, in this order, and convert the values to another type.

    `counts` may fill most of the memory. So the result is written block by block into arrays of the final size, and
    neither the counts nor the result are ever held twice.
    """
    chosen = np.zeros(counts.shape[1], bool)
    chosen[columns] = True
    starts = range(0, counts.nnz, BLOCK_VALUES)
    size = sum(np.count_nonzero(chosen.take(counts.indices[at : at + BLOCK_VALUES])) for at in starts)
    data, indices = np.empty(size, dtype), np.empty(size, counts.indices.dtype)
    indptr = np.zeros_like(counts.indptr)
    for first in range(0, counts.shape[0], BLOCK_CELLS):
        block = counts[first : first + BLOCK_CELLS][:, columns]
        start = indptr[first]
        place = slice(start, start + block.nnz)
        data[place], indices[place] = block.data, block.indices
        indptr[first + 1 : first + 1 + block.shape[0]] = start + block.indptr[1:]
    return sp.csr_matrix((data, indices, indptr), (counts.shape[0], len(columns)))

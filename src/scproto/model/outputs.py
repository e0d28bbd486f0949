"""Where a trained model places cells, and the metacells that they form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from ..data.memory import MemoryCells
from ..data.reader import Reader
from ..data.source import CellSource
from ..inputs import Counts, as_keys
from ..metacells import cut
from ..network import PrototypeModule, embed, read_out, read_out_prototypes, shares, unit_prototypes
from .metacells import build_metacells
from .placement import Placement


class OutputsMixin:
    """Outputs of :class:`scproto.SCPROTO`."""

    adata: AnnData | None
    module: PrototypeModule
    reader: Reader
    is_trained_: bool
    _own_placement: tuple[AnnData, Placement] | None = None

    def cells(self, adata: AnnData | None = None) -> CellSource:
        """Read the counts of the model's genes and the batch of each cell, by default of the model's own cells."""
        return self.reader.read(self._cells_or_own(adata))

    def _cells_or_own(self, adata: AnnData | None) -> AnnData:
        adata = self.adata if adata is None else adata
        if adata is None:
            raise InputError("The model was loaded without cells; pass adata.")
        return adata

    @property
    def prototypes(self) -> NDArray[np.float32]:
        """Unit vectors of the prototypes, ``(n_prototypes, n_latent)``."""
        return unit_prototypes(self.module)

    @property
    def metacell_names(self) -> list[str]:
        """Name of each prototype, ``(n_prototypes,)``."""
        return cut(self.prototypes).names

    @property
    def gene_names(self) -> list[str]:
        """Genes that the encoder reads and the decoder knows."""
        return list(self.reader.genes)

    def get_latent_representation(self, adata: AnnData | None = None, *, sphere: bool = False) -> NDArray[np.float32]:
        """Integrated embedding of cells.

        The coordinates are the principal axes of log1p of the counts that the model decodes for a cell of median depth,
        averaged over the batches. Euclidean distances between cells are thus distances in log expression.

        Parameters
        ----------
        adata
            Cells of batches that the model knows; by default the model's own cells.
        sphere
            Whether to return the unit vectors that the network learns instead. Their cosine similarities to the
            prototypes determine the metacells.

        Returns
        -------
        embedding : numpy.ndarray
            Coordinates, ``(n_cells, n_axes)``; or unit vectors, ``(n_cells, n_latent)``.

        Raises
        ------
        InputError
            If the model is not trained, or the cells lack its genes or come from an unknown batch.
        """
        placement = self.place(adata)
        return (placement.unit if sphere else placement.embedding).copy()

    def place(self, adata: AnnData | None = None) -> Placement:
        """Place cells: find their embedding, and their metacells at any level.

        The model's own cells are placed once, at the end of the training, and the result is kept.

        Parameters
        ----------
        adata
            Cells of batches that the model knows; by default the model's own cells.

        Returns
        -------
        placement : Placement
            Coordinates of cells and prototypes, from which assignment and metacells are made.

        Raises
        ------
        InputError
            If the model is not trained, or the cells lack its genes or come from an unknown batch.
        """
        self._check_trained()
        adata = self._cells_or_own(adata)
        if self._own_placement is not None:
            own, placement = self._own_placement
            if own.n_obs != len(placement.unit) or own is not self.adata:
                self._own_placement = None  # these cells are no longer the model's own
            elif adata is own:
                return placement
        cells = self.cells(adata)
        unit = self.embed(cells)
        embedding = read_out(self.module, unit, cells.batch)
        placement = Placement(embedding, read_out_prototypes(self.module), unit, self.prototypes)
        if adata is self.adata:
            self._own_placement = adata, placement
        return placement

    def _check_trained(self) -> None:
        if not self.is_trained_:
            raise InputError("The model is not trained; call model.train() first.")

    def embed(self, cells: CellSource) -> NDArray[np.float32]:
        """Unit vectors of cells as :meth:`cells` reads them, with the batches aligned, ``(n_cells, n_latent)``."""
        unit = embed(self.module, cells)
        alignment = self.module.alignment.to("cpu")
        return alignment(unit, torch.from_numpy(cells.batch)).numpy()

    def get_metacells(
        self,
        adata: AnnData | None = None,
        *,
        n: int | None = None,
        label_keys: str | Sequence[str] = (),
        decode_batches: str | Sequence[str] = (),
    ) -> AnnData:
        """Get a table of the metacells, with their decoded and summed expression.

        Parameters
        ----------
        adata
            Cells to aggregate; by default the model's own.
        n
            Number of metacells, from 1 to the number of prototypes. By default each prototype is a metacell. A smaller
            number cuts the Ward tree of the prototypes into groups, so that a finer level refines a coarser one. The
            tree has all prototypes of the model, whatever the cells. A group without cells has no row.
        label_keys
            Columns of ``obs``, for example cell types, of which the most common value and its share are carried over.
        decode_batches
            Batches in which to decode, besides the average. Each adds a layer ``decoded_<batch>``.

        Returns
        -------
        metacells : AnnData
            One row per metacell that has cells, ``(n_metacells, n_genes)``. A row is named ``metacell_<i>`` after its
            prototype, or ``metacell_<i>_of_<n>`` at a coarser level.

            ``X`` and ``layers["decoded"]`` hold the decoded mean expression in CP10k. It is averaged over the
            embeddings of the batches, and over the prototypes of the metacell, weighted by their cells. A gene that the
            decoder does not know (``var["scproto_gene"]`` is false) has its mean over the cells instead, weighted by
            their probability of the metacell. ``layers["counts"]`` holds the sum of the observed counts.

            ``obs`` has ``n_cells``, ``n_counts``, ``share_<batch>``, ``batch_entropy`` (0: a single batch, 1: all
            batches equally, with batches weighted to the same size), each label and ``<label>_share``, the mean
            ``confidence``, and ``tree_parent``. ``obsm["X_scproto"]`` holds the prototype in the embedding, and
            ``obsm["X_scproto_sphere"]`` its unit vector; at a coarser level, the mean of the prototypes, weighted by
            their cells. ``varm["scproto_axes"]`` holds the weights of the genes in the axes of the embedding.
            ``uns["scproto_tree"]`` is the Ward linkage of the rows.

            A slash in the name of a batch or label becomes ``|`` in keys, since files take it for a folder. If two
            batches get the same key, one of them is numbered. A label becomes ``<label>_label`` if its name, or that of
            its share, is taken. ``uns["scproto_names"]`` gives the batch or label of each such column.

        Raises
        ------
        InputError
            If the model is not trained, a label or a batch does not exist, or the tree has no such level.
        """
        adata, label_keys = self._cells_or_own(adata), as_keys(label_keys)
        if absent := [key for key in label_keys if key not in adata.obs]:
            raise InputError(f"The cells have no column {absent[0]!r} in obs to carry over to the metacells.")
        cut(self.prototypes, n)  # refuses a missing level before the counts are read
        self._check_trained()
        counts = self.reader.counts(adata)
        return self.sum_metacells(adata, counts, n=n, label_keys=label_keys, decode_batches=decode_batches)

    def sum_metacells(
        self,
        adata: AnnData,
        counts: Counts,
        *,
        n: int | None = None,
        label_keys: str | Sequence[str] = (),
        decode_batches: str | Sequence[str] = (),
    ) -> AnnData:
        """Do the same as :meth:`get_metacells`, with counts that were read before."""
        placement, batch = self.place(adata), self.reader.batch_of(adata)
        names = adata.var_names[counts.genes]
        gene = pd.Index(self.reader.genes).get_indexer(names)  # -1: not modelled
        modelled = gene >= 0
        decoded: dict[str | None, NDArray[np.float32]] = {None: self._decode(self.prototypes)[:, gene[modelled]]}
        for name in as_keys(decode_batches):
            decoded[name] = self._decode(self.prototypes, self._batch_index(name))[:, gene[modelled]]
        metacells = build_metacells(
            adata.obs,
            names,
            MemoryCells(counts.matrix, batch.codes.astype(np.int64)),
            batch,
            placement,
            placement.level(n),
            decoded,
            modelled,
            as_keys(label_keys),
        )
        metacells.varm[_keys.AXES] = self.loadings_of(names)
        return metacells

    def loadings_of(self, names: pd.Index) -> NDArray[np.float32]:
        """Weights of genes in the axes of the embedding, ``(n_genes, n_axes)``; 0 for genes outside the model."""
        return self.loadings_of_genes(pd.Index(self.reader.genes).get_indexer(names))

    def loadings_of_genes(self, gene: NDArray[np.integer]) -> NDArray[np.float32]:
        """Weights of genes in the axes, by the model's number of each gene, ``(n_genes, n_axes)``; 0 for -1."""
        return np.where(gene[:, None] >= 0, self.module.axes.loadings[gene], np.float32(0))

    def _batch_index(self, name: str) -> int:
        if name not in self.reader.batches:
            raise InputError(f"The model has no batch {name!r}; it knows {', '.join(self.reader.batches)}.")
        return self.reader.groups[self.reader.batches.index(name)]

    def _decode(self, unit: NDArray[np.float32], batch: int | None = None) -> NDArray[np.float32]:
        """Decode points on the hypersphere into shares of the model's genes, ``(n_points, n_genes)``."""
        return shares(self.module, unit, batch)

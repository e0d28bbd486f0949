"""Map cells of new batches onto a trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _keys
from .assign import write_assignment

if TYPE_CHECKING:
    from anndata import AnnData

    from ..model import SCPROTO
    from ..model.query import Query

logger = logging.getLogger(__name__)


def map_query(
    adata: AnnData,
    model: SCPROTO,
    *,
    batch_key: str | Sequence[str] | None = None,
    layer: str | None = None,
    round_counts: bool = False,
    n: int | None = None,
) -> Query:
    """Map cells of any batches onto a trained model, without training.

    The encoder knows no batch, so cells of a new batch are embedded as they are. What then sets the new batch apart
    from the reference at each prototype is subtracted, while the prototypes stay fixed. Cells of a batch that the model
    was trained on are placed as in the reference.

    The genes may come in any order, and under symbols or Ensembl ids: ``var_names`` and the usual columns of ``var``
    (``gene_ids``, ``feature_name``, ``gene_symbols``, ...) are compared with the names that the reference had, and the
    pair with the most common genes counts. Versions of Ensembl ids are ignored. Genes of the query that share a name
    are summed. Genes of the model that the query lacks are completed from the prototypes that each cell resembles by
    its other genes.

    The function writes the same entries as :func:`scproto.tl.assign_metacells`, and besides them

    - ``obs["scproto_batch"]``: the batch
    - ``var["scproto_gene"]``: whether the gene is one of the model's
    - ``uns["scproto"]["query"]``: how the genes were matched, and how much of the reference's signal is missing

    Parameters
    ----------
    adata
        Cells with raw counts, ``(n_cells, n_genes)``; one is enough. Changed in place.
    model
        A trained model.
    batch_key
        Columns of ``obs`` whose combinations are the batches; by default those of the model if the query has them, and
        otherwise a single batch.
    layer
        Layer with the counts; None for ``X``.
    round_counts
        Whether to round fractional counts at random, by the seed of the model.
    n
        Number of metacells, as in :func:`scproto.tl.assign_metacells`.

    Returns
    -------
    query : Query
        The mapped cells, for :meth:`scproto.SCPROTO.query_metacells`.

    Raises
    ------
    InputError
        If the model is not trained, the values are not counts, a column is missing, or the query lacks more than 75 %
        of the reference's signal: the variance of the mean log expression between the prototypes.
    """
    query = model.query(adata, batch_key=batch_key, layer=layer, round_counts=round_counts)
    level = query.placement.level(n)
    for notice in query.counts.notices:
        logger.info(notice)
    logger.info(query.in_words())
    write_assignment(adata, model, query.placement, level)
    gene = np.full(adata.n_vars, -1)
    gene[query.counts.genes] = query.genes.gene
    adata.varm[_keys.AXES] = model.loadings_of_genes(gene)
    adata.var[_keys.GENES] = gene >= 0
    adata.obs[_keys.BATCH] = query.batch
    adata.uns[_keys.UNS]["query"] = {
        "n_genes": len(query.genes.present),
        "n_matched": int(query.genes.present.sum()),
        "matched": query.genes.theirs,
        "matched_to": query.genes.ours,
        "n_summed": query.genes.n_summed,
        "missing_signal": query.missing_signal,
    }
    return query

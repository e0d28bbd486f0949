"""Genes that distinguish a metacell from others, or the two sides of a split in their tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from ..counts.normalise import BLOCK_CELLS
from ..graph import nearest_others
from ..metacells.tree import tree_members
from ..metrics.groups import membership
from .contrast import (
    N_SIBLINGS,
    PSEUDOCOUNT,
    Floats,
    categories,
    check_number,
    check_pseudocount,
    cp10k,
    join,
    log2_fold_change,
    members_of,
    top_genes,
    weighted_means,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from ..model import SCPROTO


def rank_prototype_genes(
    model: SCPROTO,
    adata: AnnData | None = None,
    *,
    n: int | None = None,
    n_genes: int | None = 25,
    n_siblings: int = N_SIBLINGS,
    pseudocount: float = PSEUDOCOUNT,
) -> pd.DataFrame:
    """Rank the genes that are higher in a metacell than in the rest, and than in its siblings.

    The rest is all other metacells; the siblings are the few nearest ones. The rest shows what kind of cells the
    metacell holds, the siblings show why it is separate from its neighbours. Genes are ranked by decoded expression,
    which is averaged over the batches and smooth where cells are few. The table also gives the observed expression;
    look closely at a gene whose two fold changes differ. Means over several metacells are weighted by their cells.

    There are no p-values, because the metacells were found in the same cells and cells are not replicates. To compare
    conditions, sum the counts per sample.

    Parameters
    ----------
    model
        A trained model.
    adata
        Cells of batches that the model knows; by default its own.
    n
        Number of metacells, as in :meth:`scproto.SCPROTO.get_metacells`.
    n_genes
        Number of genes per metacell and reference; None ranks all genes that the decoder knows.
    n_siblings
        Number of nearest metacells, by the cosine similarity of their prototypes, that count as siblings. A single
        sibling may be nearly identical to the metacell.
    pseudocount
        Counts per 10,000 that are added to both sides of the decoded and of the observed fold change. With 1, which is
        one molecule in a cell of 10,000, genes with hardly any expression do not rank high; with less, they do.

    Returns
    -------
    table : pandas.DataFrame
        One line per metacell, reference and gene, with the column names of :func:`scanpy.get.rank_genes_groups_df`
        where it has them: ``group`` (the metacell), ``reference`` (``rest`` or ``siblings``), ``siblings`` (their
        names, the nearest first), ``rank`` (from 1), ``names`` (the gene), ``logfoldchanges`` (log2, decoded),
        ``observed_logfoldchanges`` (log2, of the counts summed over the cells), ``decoded`` and ``decoded_reference``
        (CP10k), ``observed`` and ``observed_reference`` (CP10k), ``pct_nz_group`` and ``pct_nz_reference`` (share of
        cells with a count, 0 to 1).

    Raises
    ------
    InputError
        If the model is not trained, the cells lack its genes or come from an unknown batch, only one metacell has
        cells, or a number is out of range.

    Examples
    --------
    >>> markers = scproto.tl.rank_prototype_genes(model)
    >>> top = markers[(markers["reference"] == "rest") & (markers["rank"] <= 3)]
    >>> genes = top.groupby("group", observed=True)["names"].agg(list).to_dict()
    >>> sc.pl.matrixplot(model.get_metacells(label_keys="cell_type"), genes, groupby="cell_type", log=True)
    """
    check_number("n_genes", n_genes, none=True)
    check_number("n_siblings", n_siblings)
    check_pseudocount(pseudocount)
    metacells = model.get_metacells(adata, n=n)
    if metacells.n_obs < 2:
        raise InputError(
            "Only one metacell has cells, so there is none to compare it with: use a finer level (n) or more cells."
        )
    genes, decoded, observed = _profiles(metacells)
    values = {"decoded": decoded, "observed": observed, "pct_nz": _detected(model, adata, n, genes)}
    near = nearest_others(metacells.obsm[_keys.LATENT], n_siblings)[0]  # (n_metacells, n_siblings), nearest first
    names = metacells.obs_names.to_numpy()
    siblings = [", ".join(names[row]) for row in near]
    tables = []
    for reference, member in (("rest", ~np.eye(len(near), dtype=bool)), ("siblings", members_of(near))):
        columns = {}
        for name, own in values.items():
            suffix = "_group" if name == "pct_nz" else ""
            columns[f"{name}{suffix}"] = own
            columns[f"{name}_reference"] = weighted_means(own, metacells.obs["n_cells"].to_numpy(), member)
        rows = pd.DataFrame({"group": names, "reference": reference, "siblings": siblings})
        tables.append(_rank(genes, rows, columns, n_genes, pseudocount))
    return categories(join(tables), ["group", "reference", "siblings"])


def rank_split_genes(metacells: AnnData, *, n_genes: int | None = 10, pseudocount: float = PSEUDOCOUNT) -> pd.DataFrame:
    """Rank the genes that differ between the two sides of each split in the tree of the metacells.

    Parameters
    ----------
    metacells
        All rows of the table from :meth:`scproto.SCPROTO.get_metacells`, with the tree in ``uns["scproto_tree"]``.
    n_genes
        Number of genes per split and side; None ranks all genes that the decoder knows.
    pseudocount
        Counts per 10,000 that are added to both sides, as in :func:`rank_prototype_genes`.

    Returns
    -------
    table : pandas.DataFrame
        One line per split, side and gene, from the root down: ``split`` (number of the node, as in SciPy and in
        ``obs["tree_parent"]``), ``height`` (of Ward's merge), ``group`` and ``reference`` (this side and the other
        side: the name of the metacell, or ``node_<number>``), ``metacells`` (names of those on this side), ``n_cells``,
        ``rank``, ``names``, ``logfoldchanges`` (log2 of the decoded means of the sides, weighted by cells), and the
        other columns of :func:`rank_prototype_genes` except those on detection. Without a split the table is empty.

    Raises
    ------
    InputError
        If the table has no tree or lacks some of its rows, or a number is out of range.
    """
    check_number("n_genes", n_genes, none=True)
    check_pseudocount(pseudocount)
    if _keys.TREE not in metacells.uns or _keys.GENES not in metacells.var or "counts" not in metacells.layers:
        raise InputError(
            f'The table has no uns["{_keys.TREE}"], var["{_keys.GENES}"] or layers["counts"]: take it from '
            "model.get_metacells()."
        )
    tree, n_leaves = np.asarray(metacells.uns[_keys.TREE]), metacells.n_obs
    if len(tree) != n_leaves - 1:
        raise InputError(
            f"The tree has {len(tree) + 1} metacells but the table has {n_leaves}: give the whole table, and select "
            "splits afterwards."
        )
    members = tree_members(tree, n_leaves)
    leaf = metacells.obs_names.to_numpy()
    size = metacells.obs["n_cells"].to_numpy()
    sides = tree[::-1, :2].astype(int)  # from the root down, (n_splits, 2)
    group, reference = sides.ravel(), sides[:, ::-1].ravel()
    named = np.array([*leaf, *(f"node_{node}" for node in range(n_leaves, len(members)))], dtype=object)
    rows = pd.DataFrame(
        {
            "split": np.repeat(np.arange(len(members) - 1, n_leaves - 1, -1), 2),
            "height": np.repeat(tree[::-1, 2], 2),
            "group": named[group],
            "reference": named[reference],
            "metacells": [", ".join(leaf[members[node]]) for node in group],
            "n_cells": members[group] @ size,
        }
    )
    genes, decoded, observed = _profiles(metacells)
    columns = {}
    for name, own in (("decoded", decoded), ("observed", observed)):
        means = weighted_means(own, size, members)
        columns[name], columns[f"{name}_reference"] = means[group], means[reference]
    return categories(_rank(genes, rows, columns, n_genes, pseudocount), ["group", "reference", "metacells"])


def _rank(
    genes: pd.Index, rows: pd.DataFrame, columns: dict[str, Floats], n_genes: int | None, pseudocount: float
) -> pd.DataFrame:
    """Genes with the highest decoded fold changes, with the observed fold changes beside them."""
    changes = {
        f"{prefix}logfoldchanges": log2_fold_change(columns[name], columns[f"{name}_reference"], pseudocount)
        for prefix, name in (("", "decoded"), ("observed_", "observed"))
    }
    return top_genes(changes["logfoldchanges"], genes, rows, changes | columns, n_genes)


def _profiles(metacells: AnnData) -> tuple[pd.Index, Floats, Floats]:
    """Genes that the decoder knows, with their decoded and observed CP10k, ``(n_metacells, n_modelled)``."""
    modelled = metacells.var[_keys.GENES].to_numpy(bool)
    decoded = np.asarray(metacells.layers["decoded"], dtype=np.float64)[:, modelled]
    return metacells.var_names[modelled], decoded, cp10k(sp.csr_matrix(metacells.layers["counts"]), modelled)


def _detected(model: SCPROTO, adata: AnnData | None, n: int | None, genes: pd.Index) -> NDArray[np.float64]:
    """Share of the cells of each metacell with a count of the gene, ``(n_metacells, n_modelled)``."""
    placement = model.place(adata)
    used = np.unique(placement.assign(placement.level(n)).metacell, return_inverse=True)[1]
    chosen, n_used = pd.Index(model.gene_names).get_indexer(genes), int(used.max()) + 1
    detected = np.zeros((n_used, len(genes)))
    for cells, counts in model.cells(adata).blocks(BLOCK_CELLS):
        detected += (membership(used[cells], n_used) @ (counts[:, chosen] > 0)).toarray()
    return detected / np.bincount(used)[:, None]

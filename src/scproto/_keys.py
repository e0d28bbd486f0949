"""Names of everything that scproto writes into an AnnData object, and the rules for names that are taken."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger(__name__)

LATENT = "X_scproto"
"""``obsm``: integrated embedding, whose distances are those of log expression."""

SPHERE = "X_scproto_sphere"
"""``obsm``: unit vectors on the hypersphere of the prototypes; for metacells, the prototype itself."""

AXES = "scproto_axes"
"""``varm``: weight of each gene in each axis of the embedding, ``(n_genes, n_axes)``."""

UMAP = "X_scproto_umap"
"""``obsm``: UMAP of cells and prototypes together."""

SHOWN_UMAP = "X_umap"
"""``obsm``: the same UMAP under the name that scanpy and viewers look for; ``scproto fit`` writes it."""

PCA = "X_scproto_pca"
"""``obsm``: PCA of log1p CP10k, before integration."""

NEIGHBORS = "scproto_neighbors"
"""``obsp``: mutual nearest neighbours within the batch (cosine similarity in the PCA)."""

UNS = "scproto"
"""``uns``: version, settings and seed."""

RECORDED = {"version", "prepare", "n_metacells", "verdict", "denoising", "compare"}
"""Entries of ``uns["scproto"]``; if scproto wrote it, at least one of them is there."""

STABILITY = "stability"
"""``uns["scproto"]``: how much of the metacells other seeds give; ``obs`` of the metacells: the same for each."""

COMPARE = "compare"
"""``uns["scproto"]``: the last comparison of conditions, with its table."""

COMPARED = "scproto_compare"
"""``uns`` of the metacells: the same."""

TREE = "scproto_tree"
"""``uns`` of the metacells: Ward linkage of the prototypes, in SciPy's format."""

BATCH = "scproto_batch"
"""``obs``: batch of the cell (the product of the batch keys)."""

GROUP = "scproto_group"
"""``obs``: group of batches that behave alike; absent if every batch is a group of its own."""

GENES = "scproto_gene"
"""``var``: whether the encoder and the decoder use the gene."""

METACELL = "metacell"
"""``obs``: name of the cell's metacell."""

CONFIDENCE = "metacell_confidence"
"""``obs``: probability of that metacell, in [0, 1]."""

DISTANCE = "metacell_distance"
"""``obs``: cosine distance from the cell to the nearest prototype."""

OUTLIER = "metacell_outlier"
"""``obs``: whether the cell lies unusually far from every prototype."""

PROBABILITY = "metacell_probability"
"""``obsm``: the cell's most probable metacells, sparse ``(n_cells, n_metacells)``."""

OMICVERSE_METACELL = "metacell_id"
"""``obs``: omicverse's name for :data:`METACELL`."""

OMICVERSE_CONFIDENCE = "metacell_conf"
"""``obs``: omicverse's name for :data:`CONFIDENCE`."""


SHARE = "share_"
"""``obs`` of the metacells: prefix of the column with the share of a batch; see :func:`key_parts`."""

SIZES = ("n_cells", "n_counts", "batch_entropy", "confidence", STABILITY, "tree_parent")
"""``obs`` of the metacells: columns whose names do not depend on the data."""

NAMES = "scproto_names"
"""``uns`` of the metacells: ``batches`` and ``labels``, the batch or label to which each column of ``obs`` belongs."""

UNSTORABLE = ("", ".", "..", "_index")
"""Names that a file cannot give to a column."""

WRITTEN_OBS = (METACELL, CONFIDENCE, DISTANCE, OUTLIER)
WRITTEN_OBSM = (LATENT, SPHERE, PROBABILITY)
OMICVERSE = (OMICVERSE_METACELL, OMICVERSE_CONFIDENCE)


def free_name(name: str, taken: Container[str], suffix: str = "") -> str:
    """First free name among the name itself, the name with the suffix, and that with ``_2``, ``_3`` and so on.

    A slash becomes ``|``, because files would read it as a folder.
    """
    return next(found for found in _candidates(name, suffix) if found not in taken)


def key_parts(names: Iterable[str]) -> dict[str, str]:
    """Choose the part of a key that stands for each batch, such as the part after ``share_`` or ``decoded_``.

    Parameters
    ----------
    names
        All batches of a model.

    Returns
    -------
    parts : dict
        A different part for each batch: its name, with ``|`` instead of a slash, which files would read as a folder.
        If another batch already has that part, ``_2``, ``_3`` and so on are added.
    """
    taken: set[str] = set()
    parts = {}
    for name in sorted(names, key=_has_slash):  # names without a slash come first and stay as they are
        parts[name] = free_name(name, taken)
        taken.add(parts[name])
    return {name: parts[name] for name in names}


def label_columns(label_keys: Iterable[str], batches: Iterable[str]) -> dict[str, str]:
    """Choose the column of the table of metacells for each label.

    Parameters
    ----------
    label_keys
        Columns of the cells; duplicates count once.
    batches
        All batches of the model.

    Returns
    -------
    columns : dict
        Column by label key. The share of the majority is in ``<column>_share``. A column has the name of the label,
        with ``|`` instead of a slash. If scproto or another label uses that name or the one with ``_share``, the column
        is ``<label>_label``, then ``<label>_label_2`` and so on.
    """
    keys = list(dict.fromkeys(label_keys))
    taken = {*SIZES, *UNSTORABLE, *(SHARE + part for part in key_parts(batches).values())}
    columns = {}
    for key in sorted(keys, key=_has_slash):
        columns[key] = next(name for name in _candidates(key, "_label") if taken.isdisjoint((name, share_of(name))))
        taken |= {columns[key], share_of(columns[key])}
    return {key: columns[key] for key in keys}


def share_of(column: str) -> str:
    """Name of the column with the share of the majority label in `column`."""
    return f"{column}_share"


def batches_by_column(metacells: AnnData) -> dict[str, str]:
    """Batch of each column of ``obs`` with a share; without a record, the columns ``share_<batch>`` are read."""
    obs, names = metacells.obs, metacells.uns.get(NAMES)
    if names is not None:
        return {column: str(names["batches"][column]) for column in obs if column in names["batches"]}
    columns = [c for c in obs.select_dtypes("number") if str(c).startswith(SHARE)]
    return {column: column.removeprefix(SHARE) for column in columns}


def labels_by_column(metacells: AnnData) -> dict[str, str]:
    """Label of each column of ``obs`` with labels; without a record, the columns with a ``<label>_share`` are read."""
    obs, names = metacells.obs, metacells.uns.get(NAMES)
    if names is not None:
        labels = names.get("labels", {})
        return {column: str(labels[column]) for column in obs if column in labels}
    return {column: column for column in obs if share_of(column) in obs and not str(column).startswith(SHARE)}


def label_column(metacells: AnnData, label_key: str) -> str | None:
    """Column of ``obs`` with a label of the cells, or one that the user added; None if there is neither."""
    labels = labels_by_column(metacells)
    for column, label in labels.items():
        if label == str(label_key):
            return column
    ours = {*SIZES, *batches_by_column(metacells), *map(share_of, labels)}
    return label_key if label_key in metacells.obs and label_key not in ours else None


def record_of(adata: AnnData) -> Mapping[str, Any]:
    """Record of scproto in ``uns["scproto"]``; empty if there is none or the entry is the user's own."""
    found = adata.uns.get(UNS, {})
    return found if isinstance(found, Mapping) and not RECORDED.isdisjoint(found) else {}


def set_record_aside(adata: AnnData) -> None:
    """Rename an entry ``uns["scproto"]`` that is the user's own, and log a warning."""
    if not record_of(adata):
        _rename(adata, "uns", (UNS,))


def set_aside(adata: AnnData, *, omicverse: bool = False) -> dict[str, str]:
    """Rename columns of the user's own whose names :func:`scproto.tl.assign_metacells` is about to use.

    Columns from an earlier assignment stay, because the next assignment replaces them. There was an earlier assignment
    if ``uns["scproto"]`` records one, or if everything that it writes is there.

    Parameters
    ----------
    adata
        Cells. Columns of ``obs`` and entries of ``obsm`` are renamed in place.
    omicverse
        Whether omicverse's keys will be written, too.

    Returns
    -------
    renamed : dict
        New name by old name, such as ``metacell_input`` for ``metacell``. Each is also logged as a warning.
    """
    obs, obsm = adata.obs, adata.obsm
    written = all(key in obs for key in WRITTEN_OBS) and all(key in obsm for key in (LATENT, PROBABILITY))
    ours = written or "n_metacells" in record_of(adata)
    kept = {} if ours else _rename(adata, "obs", WRITTEN_OBS) | _rename(adata, "obsm", WRITTEN_OBSM)
    if omicverse and not (ours and _same_metacells(adata.obs)):
        kept |= _rename(adata, "obs", OMICVERSE)
    return kept


def _rename(adata: AnnData, where: str, keys: Iterable[str]) -> dict[str, str]:
    kept = {}
    for key in keys:
        if key not in (table := getattr(adata, where)):
            continue
        kept[key] = new = free_name(key, table, "_input")
        table[new] = table[key]
        del getattr(adata, where)[key]
        logger.warning('Your %s["%s"] is now %s["%s"]: scproto writes its own under that name.', where, key, where, new)
    return kept


def _same_metacells(obs: pd.DataFrame) -> bool:
    """Whether omicverse's column is a copy from an earlier assignment."""
    if not {METACELL, OMICVERSE_METACELL} <= set(obs):
        return False
    return bool((obs[METACELL].astype(object) == obs[OMICVERSE_METACELL].astype(object)).all())


def _has_slash(name: object) -> bool:
    return "/" in str(name)


def _candidates(name: object, suffix: str = "") -> Iterator[str]:
    """Names to try: the name, the name with the suffix, and then with a number, too."""
    plain = str(name).replace("/", "|")
    yield plain
    if suffix:
        yield plain + suffix
    yield from (f"{plain}{suffix}_{i}" for i in count(2))

"""Names of everything that scproto writes into an AnnData object, and what happens where a name is taken."""

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
"""``obsm``: integrated embedding, unit norm; for metacells the prototype itself."""

UMAP = "X_scproto_umap"
"""``obsm``: UMAP of cells and prototypes together."""

SHOWN_UMAP = "X_umap"
"""``obsm``: the same under the name that scanpy and viewers look for; written by ``scproto fit``."""

PCA = "X_scproto_pca"
"""``obsm``: PCA of log1p CP10k, before integration."""

NEIGHBORS = "scproto_neighbors"
"""``obsp``: mutual nearest neighbours within the batch (cosine similarity in the PCA)."""

UNS = "scproto"
"""``uns``: version, settings and seed."""

RECORDED = {"version", "prepare", "n_metacells", "verdict", "denoising"}
"""Entries of ``uns["scproto"]``, one of which at least is there if scproto has written it."""

TREE = "scproto_tree"
"""``uns`` of the metacells: Ward linkage of the prototypes, as scipy gives it."""

BATCH = "scproto_batch"
"""``obs``: batch of the cell (the product of the batch keys)."""

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
"""``obs`` of the metacells: begins the column with the share of a batch; see :func:`key_parts`."""

SIZES = ("n_cells", "n_counts", "batch_entropy", "confidence", "tree_parent")
"""``obs`` of the metacells: columns of one name whatever the data."""

NAMES = "scproto_names"
"""``uns`` of the metacells: ``batches`` and ``labels``, which batch or label each column of ``obs`` is of."""

UNSTORABLE = ("", ".", "..", "_index")
"""Names that a file cannot give to a column."""

WRITTEN_OBS = (METACELL, CONFIDENCE, DISTANCE, OUTLIER)
WRITTEN_OBSM = (LATENT, PROBABILITY)
OMICVERSE = (OMICVERSE_METACELL, OMICVERSE_CONFIDENCE)


def free_name(name: str, taken: Container[str], suffix: str = "") -> str:
    """First of the name, the name with the suffix, and those with ``_2``, ``_3``, ... that is not taken.

    A slash, which files take for a folder, becomes ``|``.
    """
    return next(found for found in _candidates(name, suffix) if found not in taken)


def key_parts(names: Iterable[str]) -> dict[str, str]:
    """Part of a key for each batch, such as that after ``share_`` and ``decoded_``.

    Parameters
    ----------
    names
        All batches of a model.

    Returns
    -------
    The part of each, all different: the name itself, with ``|`` for a slash, which files take for a folder. Where
    that is another batch's, ``_2``, ``_3`` and so on are added.
    """
    taken: set[str] = set()
    parts = {}
    for name in sorted(names, key=_has_slash):  # what needs no change comes first and keeps its name
        parts[name] = free_name(name, taken)
        taken.add(parts[name])
    return {name: parts[name] for name in names}


def label_columns(label_keys: Iterable[str], batches: Iterable[str]) -> dict[str, str]:
    """Column of the table of metacells for each label.

    Parameters
    ----------
    label_keys
        Columns of the cells; one given twice counts once.
    batches
        All batches of the model.

    Returns
    -------
    Column by label key. The share of the majority is in ``<column>_share``. A column is called as the label, with ``|``
    for a slash. Where scproto or another label has that name, or the one with ``_share``, it is ``<label>_label``, and
    then ``<label>_label_2`` and so on.
    """
    keys = list(dict.fromkeys(label_keys))
    taken = {*SIZES, *UNSTORABLE, *(SHARE + part for part in key_parts(batches).values())}
    columns = {}
    for key in sorted(keys, key=_has_slash):
        columns[key] = next(name for name in _candidates(key, "_label") if taken.isdisjoint((name, share_of(name))))
        taken |= {columns[key], share_of(columns[key])}
    return {key: columns[key] for key in keys}


def share_of(column: str) -> str:
    """Column with the share of the majority label in `column`."""
    return f"{column}_share"


def batches_by_column(metacells: AnnData) -> dict[str, str]:
    """Batch whose share a column of ``obs`` holds, by column; without a record, of the columns ``share_<batch>``."""
    obs, names = metacells.obs, metacells.uns.get(NAMES)
    if names is not None:
        return {column: str(names["batches"][column]) for column in obs if column in names["batches"]}
    columns = [c for c in obs.select_dtypes("number") if str(c).startswith(SHARE)]
    return {column: column.removeprefix(SHARE) for column in columns}


def labels_by_column(metacells: AnnData) -> dict[str, str]:
    """Label that a column of ``obs`` holds, by column; without a record, of those with a ``<label>_share``."""
    obs, names = metacells.obs, metacells.uns.get(NAMES)
    if names is not None:
        labels = names.get("labels", {})
        return {column: str(labels[column]) for column in obs if column in labels}
    return {column: column for column in obs if share_of(column) in obs and not str(column).startswith(SHARE)}


def label_column(metacells: AnnData, label_key: str) -> str | None:
    """Column of ``obs`` with a label of the cells, or of the user's own; None if the metacells have none."""
    labels = labels_by_column(metacells)
    for column, label in labels.items():
        if label == str(label_key):
            return column
    ours = {*SIZES, *batches_by_column(metacells), *map(share_of, labels)}
    return label_key if label_key in metacells.obs and label_key not in ours else None


def record_of(adata: AnnData) -> Mapping[str, Any]:
    """What scproto has recorded in ``uns["scproto"]``; nothing where that is the user's own or not there."""
    found = adata.uns.get(UNS, {})
    return found if isinstance(found, Mapping) and not RECORDED.isdisjoint(found) else {}


def set_record_aside(adata: AnnData) -> None:
    """Give an entry ``uns["scproto"]`` of the user's own another name; a warning is logged."""
    if not record_of(adata):
        _rename(adata, "uns", (UNS,))


def set_aside(adata: AnnData, *, omicverse: bool = False) -> dict[str, str]:
    """Give columns of the user's own another name, where :func:`scproto.tl.assign_metacells` writes one.

    What an earlier assignment wrote is left for the next to replace: ``uns["scproto"]`` tells of one, or all that it
    writes is there.

    Parameters
    ----------
    adata
        Cells. Columns of ``obs`` and entries of ``obsm`` are renamed in place.
    omicverse
        Whether omicverse's keys will be written, too.

    Returns
    -------
    New name by old one, such as ``metacell_input`` for ``metacell``; a warning is logged for each.
    """
    obs, obsm = adata.obs, adata.obsm
    written = all(key in obs for key in WRITTEN_OBS) and all(key in obsm for key in WRITTEN_OBSM)
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
    """Whether omicverse's column is the copy that an earlier assignment wrote."""
    if not {METACELL, OMICVERSE_METACELL} <= set(obs):
        return False
    return bool((obs[METACELL].astype(object) == obs[OMICVERSE_METACELL].astype(object)).all())


def _has_slash(name: object) -> bool:
    return "/" in str(name)


def _candidates(name: object, suffix: str = "") -> Iterator[str]:
    """Names to try: the name, with the suffix, and then with a number, too."""
    plain = str(name).replace("/", "|")
    yield plain
    if suffix:
        yield plain + suffix
    yield from (f"{plain}{suffix}_{i}" for i in count(2))

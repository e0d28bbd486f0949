"""Transfer labels from a reference to a query, with probabilities that hold on new batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._arguments import check_number
from .._errors import InputError
from .._labels import as_text
from ..inputs import as_keys
from ..metacells.classifier import fit_classifier
from ..model.annotation import Annotation, features

if TYPE_CHECKING:
    from anndata import AnnData

    from ..data.source import CellSource
    from ..model import SCPROTO
    from ..model.query import Query

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""Label of a cell that fits no label of the reference."""

MOST_CLASSES = 500
"""Maximum number of labels, or of combinations of the labels of several columns."""


def learn_labels(
    adata: AnnData, model: SCPROTO, label_keys: str | Sequence[str], *, source: CellSource | None = None
) -> None:
    """Let a model learn the labels of its reference, to transfer them to queries.

    A logistic regression on the log expression of the model's genes learns the labels. Similar cells of the same batch
    share their evidence. All is calibrated on batches that are left out in turn, since a query comes from new batches,
    too. The labels never change the embedding or the metacells. :meth:`scproto.SCPROTO.save` stores them with the
    model.

    Parameters
    ----------
    adata
        The labelled cells of the reference; those without a label are left out.
    model
        The trained model. Changed in place.
    label_keys
        Column of ``obs``, or several from coarse to fine, which are learnt together: a transferred fine label then
        never contradicts the coarse one.
    source
        Counts of the model's genes, if they were read before.

    Raises
    ------
    InputError
        If a column does not exist, or has fewer than two labels or too many.
    """
    keys = as_keys(label_keys)
    if absent := [key for key in keys if key not in adata.obs]:
        raise InputError(f"The cells have no column {absent[0]!r} in obs: choose a column with labels.")
    values = pd.DataFrame({key: as_text(adata.obs[key]).to_numpy() for key in keys})
    known = np.flatnonzero(values.notna().all(axis=1))
    classes = values.iloc[known].drop_duplicates().sort_values(keys)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise InputError(
            f"obs[{keys[-1]!r}] has {len(classes)} labels: a transfer needs at least two and at most {MOST_CLASSES}."
        )
    code = pd.MultiIndex.from_frame(classes).get_indexer(pd.MultiIndex.from_frame(values.iloc[known])).astype(np.int64)
    placement = model.place(adata)
    x = features(model.module, model.cells(adata) if source is None else source)[known]
    batch = model.reader.batch_of(adata).codes[known].astype(np.int64)
    classifier, calibration = fit_classifier(x, code, len(classes), batch, model.seed)
    nearest = placement.assign(placement.level()).nearest[known]
    composition = np.zeros((len(model.prototypes), len(classes)), np.float32)
    np.add.at(composition, (nearest, code), 1)
    rows = tuple(tuple(map(str, row)) for row in classes.to_numpy())
    annotation = Annotation(tuple(keys), rows, classifier, calibration, composition)
    model.annotations |= dict.fromkeys(keys, annotation)
    logger.info(
        "The labels of %s are learnt; on batches left out, %.0f %% of the cells got the right one.",
        " and ".join(keys),
        100 * calibration.accuracy,
    )


def transfer_labels(
    adata: AnnData,
    model: SCPROTO,
    label_key: str | Sequence[str],
    *,
    query: Query | None = None,
    coverage: float = 0.9,
    unknown_below: float = 0.01,
) -> None:
    """Give the cells of a query labels of the reference.

    For each column, for example ``cell_type``, the function writes into ``adata``

    - ``obs["scproto_cell_type"]``: the most probable label, or ``"unknown"``
    - ``obs["scproto_cell_type_probability"]``: its probability, calibrated on batches left out of the reference
    - ``obs["scproto_cell_type_set"]``: all labels, joined by ``|``, of a set that holds the true one with the stated
      coverage (conformal prediction)
    - ``obs["scproto_cell_type_fit"]``: share of known cells of a new batch that would fit the reference as badly as
      this cell; small for cells of types that the reference lacks
    - ``obsm["scproto_cell_type_probabilities"]``: probability of each label, a table ``(n_cells, n_labels)``

    Parameters
    ----------
    adata
        Cells of the query. Changed in place.
    model
        A model that has learnt the labels; see :func:`learn_labels`.
    label_key
        Column of the reference, or several that were learnt together.
    query
        What :func:`scproto.tl.map_query` returned for these cells; by default they are mapped again, with the batches
        in ``obs["scproto_batch"]`` if it is there.
    coverage
        Share of the sets that hold the true label, between 0 and 1.
    unknown_below
        Fit below which a cell is ``"unknown"``; about this share of known cells is called so by mistake. With 0, every
        cell gets a label.

    Raises
    ------
    InputError
        If the model has not learnt the labels, or `coverage` is out of range.

    References
    ----------
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005 (conformal prediction).
    """
    keys = as_keys(label_key)
    annotation = annotation_of(model, keys)
    if not 0 < check_number("coverage", coverage) < 1:
        raise InputError(f"coverage={coverage!r} is out of range: give a share between 0 and 1, such as 0.9.")
    if query is None:
        query = model.query(adata, batch_key=_keys.BATCH if _keys.BATCH in adata.obs else None)
    x = features(model.module, query.cells, query.genes.measured)
    logits, evidence = annotation.classifier.examine(x, query.cells.batch)
    probability = annotation.calibration.probability(logits)
    fit = annotation.calibration.p_unknown(evidence)
    chosen = annotation.calibration.sets(probability, coverage)
    allowed = np.ones_like(chosen)
    for key in annotation.columns[: max(map(annotation.columns.index, keys)) + 1]:
        names, member = annotation.values(key)
        of_label = probability @ member
        best = np.where(allowed @ member > 0, (probability * allowed) @ member, -1).argmax(axis=1)
        allowed &= member[:, best].T
        if key in keys:
            _write(adata, key, names, of_label, best, fit < unknown_below, chosen @ member > 0)
            adata.obs[f"scproto_{key}_fit"] = fit


def _write(
    adata: AnnData,
    key: str,
    names: list[str],
    probability: NDArray[np.float32],
    best: NDArray[np.int64],
    unknown: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
) -> None:
    """Write labels, probabilities and sets of one column."""
    column = f"scproto_{key}".replace("/", "|")
    labels = np.array(names, dtype=object)
    adata.obs[column] = pd.Categorical(np.where(unknown, UNKNOWN, labels[best]))
    adata.obs[f"{column}_probability"] = probability[np.arange(len(best)), best]
    rows, which = np.unique(chosen, axis=0, return_inverse=True)
    sets = np.array([" | ".join(labels[row]) for row in rows], dtype=object)
    adata.obs[f"{column}_set"] = pd.Categorical(sets[which.ravel()])
    adata.obsm[f"{column}_probabilities"] = pd.DataFrame(probability, index=adata.obs_names, columns=names)


def explain_labels(
    adata: AnnData, model: SCPROTO, label_key: str, cells: Sequence[str], *, n_metacells: int = 3, n_genes: int = 5
) -> pd.DataFrame:
    """Say why cells of a query got their labels.

    Parameters
    ----------
    adata
        Cells after :func:`transfer_labels`.
    model
        The model that gave the labels.
    label_key
        Column of the reference.
    cells
        Names of the cells to explain.
    n_metacells
        Number of metacells per cell.
    n_genes
        Number of genes per cell.

    Returns
    -------
    reasons : pandas.DataFrame
        One row per cell: its ``label`` and ``probability``, the ``runner_up``, the nearest ``metacells`` with the
        labels of their reference cells, and the ``genes`` that speak most for the label and against the runner-up.

    Raises
    ------
    InputError
        If the labels were not transferred, or a cell does not exist.
    """
    annotation, column = annotation_of(model, [label_key]), f"scproto_{label_key}"
    if column not in adata.obs or _keys.PROBABILITY not in adata.obsm:
        raise InputError(f'obs["{column}"] is missing: call scproto.tl.map_query and transfer_labels first.')
    if absent := [cell for cell in cells if cell not in adata.obs_names]:
        raise InputError(f"There is no cell {absent[0]!r} in obs_names.")
    some = adata[list(cells)].copy()
    query = model.query(some, batch_key=_keys.BATCH)
    x = features(model.module, query.cells, query.genes.measured)
    names, member = annotation.values(label_key)
    probability = some.obsm[f"{column}_probabilities"].to_numpy()
    composition = annotation.composition @ member  # (n_prototypes, n_labels)
    weights = (member.T / member.sum(axis=0)[:, None]) @ annotation.classifier.weights  # (n_labels, n_genes)
    assigned = query.placement.assign(query.placement.level()).probability
    rows = []
    for i in range(some.n_obs):
        first, second = np.argsort(-probability[i], kind="stable")[:2]
        own = x[i].toarray().ravel() if not isinstance(x, np.ndarray) else x[i]
        speaks = own * (weights[first] - weights[second])
        near = assigned[i].indices[np.argsort(-assigned[i].data)][:n_metacells]
        rows.append(
            {
                "label": str(some.obs[column].iloc[i]),
                "probability": float(probability[i, first]),
                "runner_up": names[second],
                "metacells": "; ".join(f"metacell_{k} ({_in_words(composition[k], names)})" for k in near),
                "genes": ", ".join(model.gene_names[g] for g in np.argsort(-speaks)[:n_genes] if speaks[g] > 0),
            }
        )
    return pd.DataFrame(rows, index=some.obs_names)


def _in_words(counts: NDArray[np.float32], names: list[str], n: int = 2) -> str:
    """The most common labels of a metacell and their shares."""
    if not counts.sum():
        return "no labelled cells"
    order = np.argsort(-counts, kind="stable")[:n]
    return ", ".join(f"{counts[i] / counts.sum():.0%} {names[i]}" for i in order if counts[i])


def annotation_of(model: SCPROTO, keys: Sequence[str]) -> Annotation:
    """Annotation that holds all of these columns.

    Raises
    ------
    InputError
        If there is none.
    """
    learnt = ", ".join(map(repr, model.annotations)) or "none"
    if absent := [key for key in keys if key not in model.annotations]:
        raise InputError(
            f"The model has not learnt the labels of {absent[0]!r} (it knows {learnt}): call "
            "scproto.tl.learn_labels(reference, model, ...) with the labelled cells of the reference."
        )
    if len({id(model.annotations[key]) for key in keys}) != 1:
        raise InputError(
            "These columns were not learnt together: call scproto.tl.learn_labels with all, from coarse to fine."
        )
    return model.annotations[keys[0]]

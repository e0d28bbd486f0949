"""The sentences and numbers of the report, as plain values for the template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._keys import BATCH, GROUP, METACELL, record_of
from .._labels import as_text
from ..metrics.collapse import describe_collapse
from ..metrics.metacells import metacell_scores
from ..pl.style import count

MANY_OUTLIERS = 0.05
FROM_CHECK = ("structure_kept", "disagreement", "apart")
BETWEEN_BATCHES = ("batch_entropy", "disagreement", "apart")


@dataclass(frozen=True)
class Summary:
    """Sentences and numbers of the report.

    Attributes
    ----------
    headline, details
        The first sentence, and those that follow it.
    tiles, scores
        (value, name, meaning) of the main numbers, and of all scores.
    state, verdict
        The check in a few words, and its sentences; empty without a check.
    warnings
        Warnings, one sentence each.
    doubts
        Reasons for doubt by name of the metacell, those with the most reasons first.
    """

    headline: str
    details: list[str]
    tiles: list[tuple[str, str, str]]
    scores: list[tuple[str, str, str]]
    state: str
    verdict: list[str]
    warnings: list[str]
    doubts: dict[str, list[str]]


def summarise(adata: AnnData, label_key: str | None, history: Mapping[str, pd.DataFrame] | None = None) -> Summary:
    """Summarise the cells, batches and metacells, their mixing, the verdict of the check, and signs of collapse."""
    assignment, batches = adata.obs[METACELL], adata.obs[BATCH]
    scores = metacell_scores(as_text(assignment), batches=as_text(batches))
    verdict = record_of(adata).get("verdict", {})
    n_batches, n_metacells = batches.nunique(), int(scores["n_metacells"])
    several = n_batches > 1
    tiles = [
        (f"{adata.n_obs:,}", "cells", ""),
        (str(n_batches), "batches" if several else "batch", ""),
        (f"{n_metacells:,}", "metacells", f"{adata.n_obs / n_metacells:.0f} cells each on average"),
    ]
    details = []
    n_unlabelled = 0
    if GROUP in adata.obs:
        details.append(f"The batches form {adata.obs[GROUP].nunique()} groups of batches that behave alike.")
    if several:
        details.append(_entropy(scores["batch_entropy"]))
        tiles.append((f"{scores['batch_entropy']:.2f}", "mean batch entropy", "0: separate, 1: fully mixed"))
    if label_key is not None and (labelled := adata.obs[label_key].notna().to_numpy()).any():
        by_label = metacell_scores(as_text(assignment)[labelled], as_text(adata.obs[label_key])[labelled])
        n_unlabelled = int((~labelled).sum())
        scores = by_label | scores
        details.append(_purity(by_label, label_key))
        tiles.append((f"{by_label['purity']:.2f}", "purity", f"by {label_key}"))
    scores |= {key: float(verdict[key]) for key in FROM_CHECK if key in verdict}
    scores |= {"agreement": float(verdict["stability"]["agreement"])} if "stability" in verdict else {}
    if not several:
        scores = {key: value for key, value in scores.items() if key not in BETWEEN_BATCHES}
    return Summary(
        headline=f"{count(adata.n_obs, 'cell')} from {f'{n_batches} batches' if several else 'one batch'} in "
        f"{count(n_metacells, 'metacell')}.",
        details=details,
        tiles=tiles,
        scores=list(_scores(scores)),
        state=_state(verdict),
        verdict=[str(sentence) for sentence in verdict.get("sentences", [])],
        warnings=[*_warnings(verdict, adata.n_obs, n_unlabelled), *_collapse(history or {})],
        doubts={
            str(name): [str(reason).replace("_", " ") for reason in reasons]
            for name, reasons in verdict.get("doubtful", {}).items()
        },
    )


def mixing(entropy: float) -> str:
    """Put a mean batch entropy into words."""
    if entropy >= 0.8:
        return "well mixed"
    return "partly mixed" if entropy >= 0.5 else "mostly separate"


def _entropy(entropy: float) -> str:
    return (
        f"The batches are {mixing(entropy)}: the mean batch entropy of the metacells is {entropy:.2f}. It is 0 if each "
        "metacell holds cells of only one batch, and 1 if each metacell holds all batches equally. It stays below 1 if "
        "the batches have different cell types."
    )


def _purity(scores: Mapping[str, float], label_key: str) -> str:
    return (
        f"{scores['purity']:.1%} of the cells have the majority label of their metacell ({label_key}; purity "
        f"{scores['purity']:.2f}, or {scores['balanced_purity']:.2f} averaged over labels), and "
        f"{scores['coverage']:.1%} of the labels are the majority in at least one metacell."
    )


MEANINGS = {
    "purity": ("purity", "share of cells that have the majority label of their metacell; higher is better"),
    "balanced_purity": ("balanced purity", "purity averaged over the labels; higher is better"),
    "coverage": ("coverage", "share of labels that are the majority in at least one metacell; higher is better"),
    "mean_label_recall": (
        "label recall",
        "share of a label's cells in metacells where it is the majority, averaged over the labels; higher is better",
    ),
    "recall_of_rarest": (
        "recall of the rarest label",
        "label recall of the label with the fewest cells; higher is better",
    ),
    "batch_entropy": ("batch entropy", "0: each metacell holds one batch, 1: each metacell holds all batches equally"),
    "structure_kept": ("structure kept", "share of the structure that k-means finds in each batch; higher is better"),
    "disagreement": (
        "disagreement of the batches",
        "share of the differences between metacells on which the batches disagree; lower is better",
    ),
    "apart": (
        "cells apart from their partners",
        "share of a cell's partners in other batches whose metacells hold other batches than its own; lower is better",
    ),
    "agreement": (
        "agreement with other seeds",
        "adjusted mutual information of the metacells with those of other seeds; higher is better",
    ),
    "size_cv": ("variation of the sizes", "standard deviation of the cells per metacell over their mean; 0: all equal"),
}


def _scores(found: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    for key, (name, meaning) in MEANINGS.items():
        if key in found:
            yield f"{found[key]:.3f}", name, meaning


def _state(verdict: Mapping[str, Any]) -> str:
    if "over_mixed" not in verdict:
        return ""
    found = [word for word in ("over", "under") if verdict[f"{word}_mixed"]]
    return " and ".join(f"{word}-mixed" for word in found).capitalize() or "No sign of over- or under-mixing"


def _warnings(verdict: Mapping[str, Any], n_cells: int, n_unlabelled: int) -> Iterator[str]:
    if verdict.get("over_mixed"):
        yield "Over-mixed: some metacells hold different types of cells. The check above says what to do."
    if verdict.get("under_mixed"):
        yield "Under-mixed: cells of one type sit in metacells of their own batch. The check above says what to do."
    if (n_outliers := int(verdict.get("n_outliers", 0))) > MANY_OUTLIERS * n_cells:
        yield f"{count(n_outliers, 'cell')} ({n_outliers / n_cells:.0%}) lie far from every prototype."
    if n_unlabelled:
        yield f"The scores by label leave out {count(n_unlabelled, 'cell')} without a label."


def _collapse(history: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Warn of prototypes that have collapsed by the end of the training."""
    last = [history[name].to_numpy(float)[-1:].sum() for name in ("prototypes_used", "share_used") if name in history]
    if len(last) == 2 and (sentence := describe_collapse(*last)):
        yield sentence


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name, value) pairs as text, with nested names joined by dots."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple, set, np.ndarray)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)

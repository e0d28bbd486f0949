"""Measure whether the comparison of cohorts holds its level, and whether it finds a planted change.

    python benchmarks/reference/cohorts.py --out cohorts/

Four tables are printed and written as CSV:

- ``tests``: candidates on simulated cohorts of 6 + 6 donors without a change. ``level`` is the share of metacells with
  p < 0.05 over random permutations of the conditions, ``any`` the share of permutations with a call at a false
  discovery rate of 5 %. ``power`` is the share of cohorts with a doubled population in which a metacell of it is
  called, ``wrong`` the share of calls outside it, and ``bias`` the median log2 fold change of the unchanged metacells.
- ``paired``: the same for 6 donors who are sampled in both conditions; the permutations exchange the conditions within
  donors.
- ``sizes``: the test of scproto on cohorts of other sizes and spreads, for metacells and branches of their tree.
  ``power`` of the branches is the share of cohorts in which the branch of the doubled population is called.
- ``fit``: the whole, from counts to calls, on one small simulated atlas of 12 donors. The population is doubled by
  leaving out half of its cells in the donors of the other condition.

The log abundance of each population and of each metacell varies between donors with the standard deviation ``spread``
(natural log) each, and the number of cells with 0.5. Counts are multinomial.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import false_discovery_control, norm, ttest_ind
from scipy.stats import t as student

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables

import scproto
from scproto.metacells import abundance
from scproto.metacells.tree import tree_members, ward_tree

LEVEL = 0.05
N_METACELLS, N_TYPES = 100, 8
PERMUTATIONS = 200
PER_COHORT = 5
"""Permutations of the same cohort."""

Test = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Counts ``(n_samples, n_items)`` and design; the second column is tested. Log2 fold changes and p-values."""


class Cohort:
    """Expected log abundance of metacells in donors, the type of each metacell, and the tree."""

    def __init__(self, rng: np.random.Generator, n: int, spread: float, cells: float, paired: bool = False) -> None:
        self.rng = rng
        self.type = np.sort(np.append(np.arange(N_TYPES), rng.integers(0, N_TYPES, N_METACELLS - N_TYPES)))
        base = np.log(rng.dirichlet(np.full(N_TYPES, 4.0)))[self.type] + np.log(rng.gamma(4, 1, N_METACELLS))
        n_donors = n // 2 if paired else n
        donor = rng.normal(0, spread, (n_donors, N_TYPES))[:, self.type]
        donor += rng.normal(0, spread, (n_donors, N_METACELLS))
        self.donor = np.tile(np.arange(n_donors), 2 if paired else 1)
        again = rng.normal(0, spread / 2, (n, N_TYPES))[:, self.type] if paired else 0
        self.logs = base + donor[self.donor] + again
        self.n_cells = np.round(rng.lognormal(np.log(cells) - 0.125, 0.5, n)).astype(int)
        self.condition = np.repeat([0, 1], n // 2)
        points = 4 * np.eye(N_TYPES)[self.type] + rng.normal(0, 0.3, (N_METACELLS, N_TYPES))
        self.members = tree_members(ward_tree(points.astype(np.float32)), N_METACELLS)[N_METACELLS:-1]
        share = np.bincount(self.type, np.exp(base))
        self.changed = self.type == np.argsort(share)[rng.integers(2, N_TYPES - 1)]

    def counts(self, fold: float = 1.0) -> np.ndarray:
        """Draw cells, with the changed population multiplied in the second condition."""
        share = np.exp(self.logs + np.log(fold) * np.outer(self.condition, self.changed))
        share /= share.sum(axis=1, keepdims=True)
        return np.stack([self.rng.multinomial(n, p) for n, p in zip(self.n_cells, share, strict=True)])

    def permuted(self, paired: bool) -> np.ndarray:
        """Conditions in random order; with pairs, exchanged within donors."""
        if not paired:
            return self.rng.permutation(self.condition)
        return (self.condition + self.rng.integers(0, 2, len(self.condition) // 2)[self.donor]) % 2


def design_of(condition: np.ndarray, donor: np.ndarray | None = None) -> np.ndarray:
    """Constant, condition and, with donors, one column for each but the first."""
    blocks = [] if donor is None else [np.eye(donor.max() + 1)[donor][:, 1:]]
    return np.column_stack([np.ones(len(condition)), condition, *blocks])


def moderated(counts: np.ndarray, design: np.ndarray, reference: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the test of scproto, or the same relative to all cells."""
    sizes = abundance.reference_sizes(counts, design, [1]) if reference else counts.sum(axis=1).astype(float)
    found = abundance.compare_counts(counts, sizes, design, [1])
    return found.estimate[0], found.pvalue[0]


def plain_t(counts: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return t tests of log shares, without moderation or weights."""
    logs = abundance.log_abundance(counts, counts.sum(axis=1).astype(float)) / np.log(2)
    groups = logs[design[:, 1] == 1], logs[design[:, 1] == 0]
    return groups[0].mean(axis=0) - groups[1].mean(axis=0), ttest_ind(*groups).pvalue


def arcsine(counts: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return moderated t tests of arcsine square roots of shares, as propeller does."""
    values, left = np.arcsin(np.sqrt(counts / counts.sum(axis=1, keepdims=True))), len(design) - design.shape[1]
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ values
    variance, prior = abundance.moderate(((values - design @ fitted) ** 2).sum(axis=0) / left, left)
    statistic = fitted[1] / np.sqrt(variance * inverse[1, 1])
    return plain_t(counts, design)[0], 2 * student.sf(np.abs(statistic), min(left + prior, left * counts.shape[1]))


def glm(counts: np.ndarray, design: np.ndarray, negative_binomial: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return GLMs by statsmodels: negative binomial with a z test, or quasi-Poisson with a t test."""
    import statsmodels.api as sm

    total, left = counts.sum(axis=1).astype(float), len(design) - design.shape[1]
    spread = abundance.log_abundance(counts, total)
    excess = max(0.01, float(np.mean(spread.var(axis=0, ddof=2) - (1 / (counts + 0.5)).mean(axis=0))))
    estimates, pvalues = [], []
    for column in counts.T:
        family = sm.families.NegativeBinomial(alpha=excess) if negative_binomial else sm.families.Poisson()
        fit = sm.GLM(column, design, family=family, offset=np.log(total)).fit(scale=None if negative_binomial else "X2")
        z = abs(fit.params[1] / fit.bse[1])
        estimates.append(fit.params[1] / np.log(2))
        pvalues.append(2 * (norm.sf(z) if negative_binomial else student.sf(z, left)))
    return np.array(estimates), np.nan_to_num(np.array(pvalues), nan=1.0)


def mixed(counts: np.ndarray, condition: np.ndarray, donor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mixed models of log abundance by statsmodels, with a random intercept for each donor."""
    import statsmodels.api as sm

    design = design_of(condition)
    logs = abundance.log_abundance(counts, abundance.reference_sizes(counts, design, [1])) / np.log(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels shows each fit that does not converge
        fits = [sm.MixedLM(column, design, groups=donor).fit(reml=True) for column in logs.T]
    pvalues = np.nan_to_num(np.array([fit.pvalues[1] for fit in fits]), nan=1.0)
    return np.array([fit.params[1] for fit in fits]), pvalues


UNPAIRED: dict[str, Test] = {
    "moderated t, reference": moderated,
    "moderated t, all cells": lambda counts, design: moderated(counts, design, reference=False),
    "plain t": plain_t,
    "arcsine, moderated t": arcsine,
    "quasi-Poisson, t": lambda counts, design: glm(counts, design, negative_binomial=False),
    "negative binomial, z": lambda counts, design: glm(counts, design, negative_binomial=True),
}

PAIRED: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "one effect per donor": lambda counts, condition, donor: moderated(counts, design_of(condition, donor)),
    "donors ignored": lambda counts, condition, donor: moderated(counts, design_of(condition)),
    "mixed model": mixed,
}


def scores(results: Iterator[dict[str, float]]) -> dict[str, float]:
    """Average the figures of all repeats, each over those that have it."""
    return pd.DataFrame(list(results)).mean().to_dict()


def judge(test: Callable[[Cohort, np.ndarray, np.ndarray], Any], repeats: int, paired: bool, **size: Any) -> Any:
    """Level over permutations of cohorts without a change, and power with one, both for metacells."""

    def one(seed: int) -> Iterator[dict[str, float]]:
        cohort = Cohort(np.random.default_rng(seed), paired=paired, **size)
        counts = cohort.counts()
        for _ in range(PER_COHORT):
            p = test(cohort, counts[:, counts.sum(axis=0) > 0], cohort.permuted(paired))[1]
            yield {"level": (p < LEVEL).mean(), "any": (false_discovery_control(p) < LEVEL).any()}
        counts = cohort.counts(2)
        kept = counts.sum(axis=0) > 0
        change, p = test(cohort, counts[:, kept], cohort.condition)
        called, changed = false_discovery_control(p) < LEVEL, cohort.changed[kept]
        wrong = {"wrong": (called & ~changed).sum() / called.sum()} if called.any() else {}
        yield {"power": (called & changed).any(), "bias": np.median(change[~changed]), **wrong}

    return scores(row for seed in range(repeats) for row in one(seed))


def of_tests(repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row per candidate."""
    for name, test in UNPAIRED.items():
        cli.say(name)
        found = judge(lambda _, c, g, f=test: f(c, design_of(g)), repeats, False, n=12, spread=0.25, cells=1500)
        yield {"test": name, **found}


def of_pairs(repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row per candidate for pairs."""
    for name, test in PAIRED.items():
        cli.say(name)
        number = max(1, repeats // 8) if test is mixed else repeats  # it takes long
        found = judge(lambda a, c, g, f=test: f(c, g, a.donor), number, True, n=12, spread=0.25, cells=1500)
        yield {"test": name, **found}


def of_sizes(repeats: int) -> Iterator[dict[str, Any]]:
    """Yield a row per size and spread of the cohort."""
    for n, spread, cells in [
        *((12, spread, 2000) for spread in (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)),
        (12, 0.2, 500), (6, 0.2, 2000), (24, 0.2, 2000), (24, 0.4, 2000),
    ]:  # fmt: skip
        cli.say(f"{n} samples, spread {spread}, {cells} cells")
        found = scores(row for seed in range(repeats) for row in with_branches(seed, n, spread, cells))
        yield {"samples": f"{n // 2} + {n // 2}", "spread": spread, "cells": cells, **found}


def with_branches(seed: int, n: int, spread: float, cells: int) -> Iterator[dict[str, float]]:
    """Yield level and power for metacells and branches of a cohort, by ``scproto.tl.compare``."""
    cohort = Cohort(np.random.default_rng(seed), n, spread, cells)
    counts = cohort.counts()
    for _ in range(PER_COHORT):
        for kind, p in tested(cohort, counts, cohort.permuted(False)).items():
            yield {f"level_{kind}": (p < LEVEL).mean(), f"any_{kind}": (false_discovery_control(p) < LEVEL).any()}
    found = tested(cohort, cohort.counts(2), cohort.condition)
    called = {kind: false_discovery_control(p) < LEVEL for kind, p in found.items()}
    overlap = (cohort.members & cohort.changed).sum(axis=1) / (cohort.members | cohort.changed).sum(axis=1)
    touched = {"metacells": cohort.changed, "branches": (cohort.members & cohort.changed).any(axis=1)}
    row = {
        "power_metacells": (called["metacells"] & cohort.changed).any(),
        "power_branches": called["branches"][overlap.argmax()],
    }
    for kind, mask in called.items():
        if mask.any():
            row[f"wrong_{kind}"] = (mask & ~touched[kind]).sum() / mask.sum()
    yield row


def tested(cohort: Cohort, counts: np.ndarray, condition: np.ndarray) -> dict[str, np.ndarray]:
    """P-values of the metacells and of the branches; 1 where there are too few cells."""
    design = design_of(condition)
    enough = counts.sum(axis=0) >= 10
    sizes = abundance.reference_sizes(counts[:, enough], design, [1])
    found = {}
    for kind, items in (("metacells", counts), ("branches", counts @ cohort.members.T)):
        kept = items.sum(axis=0) >= 10
        found[kind] = np.ones(items.shape[1])
        found[kind][kept] = abundance.compare_counts(items[:, kept], sizes, design, [1]).pvalue[0]
    return found


def atlas(seed: int = 0) -> AnnData:
    """Simulate 12 donors of two studies, whose shares of the types vary, with both conditions in each study."""
    rng, n, types = np.random.default_rng(seed), 12, 6
    shares = rng.dirichlet(np.full(types, 8.0)) * np.exp(rng.normal(0, 0.15, (n, types)))
    adata = scproto.datasets.simulate_atlas(
        6000, 300, n, types, composition=shares / shares.sum(1, keepdims=True), n_studies=2, trajectory=False, seed=seed
    )
    donor = adata.obs["batch"].cat.codes.to_numpy()
    adata.obs["condition"] = np.where(donor % 2 == 0, "healthy", "ill")
    return adata


def of_fit(permutations: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of a fit: level under permutations, then what is called once a population is doubled."""
    adata = atlas()
    scproto.pp.prepare(adata, batch_key="study")
    scproto.SCPROTO.setup_anndata(adata, batch_key="study")
    model = scproto.SCPROTO(adata, n_prototypes="auto", seed=0)
    model.train(max_steps=1000, enable_progress_bar=False)
    scproto.tl.assign_metacells(adata, model)
    metacells = model.get_metacells(label_keys=["cell_type"])
    rng, cells = np.random.default_rng(0), AnnData(obs=adata.obs[["metacell", "batch", "condition", "cell_type"]])
    donor, truth = cells.obs["batch"].cat.codes.to_numpy(), cells.obs["condition"].astype(str).to_numpy()
    level = []
    for _ in range(permutations):
        by_donor = rng.permutation(np.repeat(["healthy", "ill"], 6))
        cells.obs["condition"] = by_donor[donor]
        table = scproto.tl.compare(cells, "batch", "condition", metacells=metacells).dropna()
        for kind, part in table.groupby("kind"):
            level.append((kind, (part["pvals"] < LEVEL).mean(), (part["pvals_adj"] < LEVEL).any()))
    rates = pd.DataFrame(level, columns=["kind", "level", "any"]).groupby("kind").mean()
    cells.obs["condition"] = truth
    for chosen in cells.obs["cell_type"].cat.categories:
        dropped = (cells.obs["cell_type"] == chosen) & (truth == "healthy") & (rng.random(cells.n_obs) < 0.5)
        table = scproto.tl.compare(cells[~dropped].copy(), "batch", "condition", metacells=metacells)
        own = (metacells.obs["cell_type"] == chosen).to_numpy()
        members = tree_members(np.asarray(metacells.uns["scproto_tree"]), metacells.n_obs)[: len(table)]
        overlap = (members & own).sum(axis=1) / (members | own).sum(axis=1)
        line = table.iloc[int(np.argmax(overlap))]
        called = (table["pvals_adj"] < LEVEL).to_numpy()
        yield {
            "doubled": chosen,
            "cells": int((cells.obs["cell_type"] == chosen).sum()),
            **line[["group", "n_metacells", "logfoldchanges", "ci_low", "ci_high", "pvals_adj"]],
            "overlap": overlap.max(),
            "called": called.sum(),
            "wrong": (called & ~(members & own).any(axis=1)).sum(),
            **{f"{key}_{kind}": rates.loc[kind, key] for kind in rates.index for key in rates},
        }


def main() -> None:
    """Print and write the tables."""
    parser = cli.parser(__doc__, "--out", out=Path("cohorts"))
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help="(default: %(default)s)")
    parser.add_argument("--tables", nargs="+", default=["tests", "paired", "sizes", "fit"], help="(default: all)")
    given = parser.parse_args()
    repeats = max(1, given.permutations // PER_COHORT)
    made = {
        "tests": lambda: of_tests(repeats),
        "paired": lambda: of_pairs(repeats),
        "sizes": lambda: of_sizes(repeats),
        "fit": lambda: of_fit(given.permutations),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels on fits that do not converge
        for name in given.tables:
            table = pd.DataFrame(list(made[name]()))
            tables.write_csv(given.out / f"{name}.csv", table)
            print(table.round(3).to_string(index=False), end="\n\n", flush=True)


if __name__ == "__main__":
    main()

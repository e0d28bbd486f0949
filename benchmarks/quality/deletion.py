"""Whether the genes that are said to speak for a metacell do: how much its probability falls without them.

    python benchmarks/quality/deletion.py blood simulated --max-steps 1000

``blood`` and ``simulated`` come with scproto; files need raw counts in ``X`` and an ``obs`` column ``batch``. For each
metacell genes are ranked in several ways, and the first of them taken out of its cells: without their counts
(``counts``), or as the average cell of the batch has them (``average``). Printed is by how much the mean probability of
the cells' metacells falls. ``--n`` takes a coarser level of the tree.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli
from lab.data import fit, load, numbers_of_metacells

import scproto
from scproto.data.minibatch import normalise
from scproto.tl.assignment import assign, log_probability
from scproto.tl.attribution import batch_baselines, mean_attributions
from scproto.tl.tree import cut


class Deletion:
    """Cells of a model, and the probability of their metacells after genes were taken out."""

    def __init__(self, model: scproto.SCPROTO, n: int | None) -> None:
        self.model, self.level, cells = model, cut(model.prototypes, n), model.cells()
        self.counts, self.x, self.batch = cells.counts, cells.x, cells.batch
        self.metacell = assign(model.embed(cells), model.prototypes, self.level.group).metacell
        self.average = batch_baselines(self.x, self.batch, len(model.reader.batches))

    def attributions(self, baseline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Integrated gradients of all genes, and of those above the baseline alone, ``(n_metacells, n_genes)``."""
        group = self.level.group
        found = mean_attributions(self.model.module, self.x, self.batch, self.metacell, group, baseline, 50)
        above = np.asarray(self.x - baseline[self.batch])
        above = pd.DataFrame(above).groupby(self.metacell).mean().reindex(range(len(found)), fill_value=0)
        return found, np.where(above > 0, found, -np.inf)

    def probability(self, x: np.ndarray) -> float:
        """Mean probability of the cells' metacells with these inputs, ``(n_cells, n_genes)``."""
        module = self.model.module
        with torch.no_grad():
            unit = module.alignment(module.encoder(torch.from_numpy(x), None), torch.from_numpy(self.batch))
            group, metacell = torch.from_numpy(self.level.group), torch.from_numpy(self.metacell)
            return float(log_probability(unit, module.unit_prototypes, group, metacell).exp().mean())

    def drops(self, genes: np.ndarray) -> dict[str, float]:
        """Fall of the probability without genes ``(n_metacells, n_removed)``, by the way they are taken out."""
        genes, counts, x = genes[self.metacell], self.counts.toarray(), self.x.toarray()
        before = self.probability(x)
        np.put_along_axis(counts, genes, 0, axis=1)
        np.put_along_axis(x, genes, np.take_along_axis(self.average[self.batch], genes, axis=1), axis=1)
        without = normalise(sp.csr_matrix(counts)).toarray()
        return {"counts": before - self.probability(without), "average": before - self.probability(x)}


def rankings(cells: Deletion, n: int | None, seed: int) -> dict[str, np.ndarray]:
    """Scores of the genes, ``(n_metacells, n_genes)``, by the name of the ranking."""
    of_all = batch_baselines(cells.x, np.zeros_like(cells.batch), 1).repeat(len(cells.average), axis=0)
    scores = {}
    for name, baseline in (("attribution", cells.average), ("attribution, from the average of all batches", of_all)):
        scores[name], scores[f"{name}, expressed"] = cells.attributions(baseline)
    table = scproto.tl.rank_prototype_genes(cells.model, n=n, n_genes=None)
    for reference, lines in table.groupby("reference", observed=True):
        wide = lines.astype({"group": str}).pivot(index="group", columns="names", values="logfoldchanges")
        scores[f"fold change, {reference}"] = wide.reindex(cells.level.names)[cells.model.gene_names].to_numpy()
    scores["random"] = np.random.default_rng(seed).random(scores["attribution"].shape)
    return scores


def main() -> None:
    """Print a row for each data set and ranking."""
    parser = cli.parser(__doc__, "data", "--n-prototypes", "--max-steps", "--seed", "--out", out=Path("deletion"))
    parser.add_argument("--n", type=int, help="metacells, of a coarser level of the tree")
    parser.add_argument("--n-removed", nargs="+", type=int, default=[10, 20, 50])
    given = parser.parse_args()
    rows = []
    for data in given.data:
        name = Path(data).stem
        with cli.one_sentence():
            adata = load(data)
            number = numbers_of_metacells(given.n_prototypes, {name: adata.n_obs})[name]
        folder = given.out / f"{name}_k{number}_seed{given.seed}"
        model = fit(adata, given.max_steps, folder, n_prototypes=number, seed=given.seed)
        cells = Deletion(model, given.n)
        for ranking, score in rankings(cells, given.n, given.seed).items():
            order = np.argsort(-score, axis=1, kind="stable")
            falls = {n: cells.drops(order[:, :n]) for n in given.n_removed}
            columns = {f"{way} {n}": falls[n][way] for way in ("counts", "average") for n in falls}
            rows.append({"data": name, "ranking": ranking} | columns)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()

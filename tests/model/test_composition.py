"""Whether metacells keep to their types when the batches differ in composition.

The bounds leave room for chance: fits of four seeds lie well on the right side of them, and a fit that mixes the
types lies well on the wrong one.
"""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from scproto import SCPROTO, pp
from scproto.datasets import simulate_atlas, simulate_scenario
from scproto.metrics import absent_label_share, group_scores
from scproto.tl import assign_metacells


def fit(adata: AnnData) -> AnnData:
    pp.prepare(adata, "batch", n_pcs=20)
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata)
    model.train(400, accelerator="cpu", enable_progress_bar=False)
    assign_metacells(adata, model)
    return adata


def focus_scores(adata: AnnData, focus: pd.Series) -> dict[str, float]:
    return group_scores(adata.obs["metacell"].astype(str), adata.obs["cell_type"].astype(str), focus)


def test_missing_types_are_not_put_upon_the_batch():
    adata = fit(simulate_scenario("missing_types", 1500, 200))
    absent = absent_label_share(*(adata.obs[key].astype(str) for key in ("metacell", "cell_type", "batch")))
    assert absent < 0.06  # 0.17, were the batch spread evenly over all types
    assert focus_scores(adata, adata.obs["focus"])["recall"] > 0.85


def test_private_type_stays_apart():
    adata = fit(simulate_scenario("private_type", 1500, 200))
    scores = focus_scores(adata, adata.obs["focus"])
    assert scores["recall"] > 0.6
    assert scores["foreign"] < 0.45


def test_tiny_batch_joins_its_types():
    adata = fit(simulate_scenario("tiny_batch", 1500, 200))
    assert focus_scores(adata, adata.obs["focus"])["recall"] > 0.8
    company = group_scores(adata.obs["metacell"].astype(str), adata.obs["batch"].astype(str), adata.obs["focus"])
    assert company["foreign"] > 0.5  # cells of the other batches in its metacells


def test_rare_type_of_ten_cells_a_batch_has_a_metacell():
    adata = fit(simulate_atlas(1500, 200, 3, 6, rare_fraction=0.02, depth=1500, trajectory=False))
    assert focus_scores(adata, adata.obs["cell_type"] == "type_5")["recall"] > 0.6

"""The command ``scproto compare``, from a run folder to its table and its page."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.pp import prepare
from scproto.reporting import compare as page_module
from scproto.tl import assign_metacells, umap


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Cells and metacells of a tiny run with six donors, of whom the last three have more cells of type_1."""
    share = np.array([[0.3, 0.1, 0.3, 0.3]] * 3 + [[0.25, 0.25, 0.25, 0.25]] * 3)
    atlas = simulate_atlas(480, 60, 6, 4, composition=share, batch_strength=0, trajectory=False)
    atlas.obs["donor"] = atlas.obs["batch"].astype(str)
    atlas.obs["disease"] = np.where(atlas.obs["batch"].cat.codes < 3, "healthy", "<ill>")
    prepare(atlas)
    SCPROTO.setup_anndata(atlas)
    model = SCPROTO(atlas, n_prototypes=8, n_hidden=32, n_latent=8)
    model.train(120, accelerator="cpu", enable_progress_bar=False, batch_size=64)
    assign_metacells(atlas, model)
    metacells = model.get_metacells(label_keys="cell_type")
    umap(atlas, metacells)
    folder = tmp_path_factory.mktemp("finished")
    atlas.write_h5ad(folder / "cells.h5ad")
    metacells.write_h5ad(folder / "metacells.h5ad")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A folder with links to these files."""
    for file in finished.iterdir():
        os.link(file, tmp_path / file.name)
    return tmp_path


def test_table_and_page_are_written(cli, run):
    arguments = ("compare", run, "--sample-key", "donor", "--condition-key", "disease", "--reference", "healthy")
    result = cli(*arguments)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(run / "compare.csv")
    n = table["kind"].value_counts()
    called = (table["pvals_adj"] < 0.05).groupby(table["kind"]).sum()
    assert n["branch"] == n["metacell"] - 2
    assert (
        f"<ill> against healthy: {called['metacell']} of {n['metacell']} metacells and {called['branch']} of "
        f"{n['branch']} branches change at a false discovery rate of 5 %."
    ) in result.stdout
    assert set(table["group"]) >= {name for name in table["group"] if name in result.stdout}
    page = (run / "compare.html").read_text(encoding="utf-8")
    assert "&lt;ill&gt; against healthy" in page
    assert "<ill>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert page.count('<circle class="circle') == n["metacell"] + len(table)  # map and intervals
    assert page.count('<path class="stem') == 2 * n["metacell"] - 2
    for name in table["group"]:
        assert f'<th scope="row">{name}' in page
    cli(*arguments)
    assert sorted(path.name for path in run.iterdir()) == [
        "cells.h5ad",
        "compare.csv",
        "compare.html",
        "metacells.h5ad",
    ]


def test_the_change_that_was_simulated_is_found(cli, run):
    cli("compare", run, "--sample-key", "donor", "--condition-key", "disease", "--reference", "healthy")
    table = pd.read_csv(run / "compare.csv")
    page = (run / "compare.html").read_text(encoding="utf-8")
    first = table.loc[table["pvals"].idxmin()]
    assert first["logfoldchanges"] == pytest.approx(np.log2(3), abs=0.7)
    assert first["pvals_adj"] < 0.05
    assert "mostly type_1" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sample-key", "person", "--condition-key", "disease"), "no column 'person'"),
        (("--sample-key", "disease", "--condition-key", "disease"), "has one sample"),
        (("--sample-key", "donor", "--condition-key", "cell_type", "--reference", "type_0"), "several values"),
        (("--sample-key", "donor", "--condition-key", "disease", "--reference", "x"), "no value 'x'"),
        (("--sample-key", "donor", "--condition-key", "disease", "--block-key", "disease"), "cannot be told apart"),
    ],
)
def test_bad_columns_end_in_one_sentence_and_write_nothing(cli, run, arguments, message):
    result = cli("compare", run, *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert sorted(path.name for path in run.iterdir()) == ["cells.h5ad", "metacells.h5ad"]


def test_a_folder_without_a_run_is_refused(cli, tmp_path):
    result = cli("compare", tmp_path, "--sample-key", "a", "--condition-key", "b")
    assert result.exit_code == 2
    assert "holds no cells.h5ad: give the folder that scproto fit wrote." in result.output


def test_an_error_leaves_the_earlier_result(cli, run, monkeypatch):
    cli("compare", run, "--sample-key", "donor", "--condition-key", "disease")
    before = {name: (run / name).read_bytes() for name in ("compare.csv", "compare.html")}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module, "_map", fail)
    result = cli("compare", run, "--sample-key", "donor", "--condition-key", "disease", "--reference", "healthy")
    assert result.exit_code == 74
    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    assert cli("compare", run, "--sample-key", "donor", "--condition-key", "disease").exit_code == 74
    assert {name: (run / name).read_bytes() for name in before} == before
    assert len(list(run.iterdir())) == 4

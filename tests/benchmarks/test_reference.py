from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import labelling
import numpy as np
import pages
import pandas as pd
import pytest
import reliability
import transfer
from anndata import read_h5ad
from cases import Case, find_cases
from lab import mapping
from lab.runs import Method, Run
from scipy import sparse

from scproto._errors import InputError

FAKE = """
from lab.contract import Arrays
from lab.mapping import by_neighbours, run


def transfer(reference, query):
    assert "cell_type" not in query.obs
    genes = reference.var_names.intersection(query.var_names)
    parts = [cells[:, genes].X.toarray() for cells in (reference, query)]
    found = by_neighbours(parts[0], reference.obs["cell_type"], parts[1])
    return found | {"sets": found["probability"] > 0.1}


run(lambda reference, seed: reference, transfer)
"""


@pytest.fixture
def path(tiny_atlas, tmp_path) -> Path:
    """Write the atlas; one cell has no label."""
    tiny_atlas.obs["cell_type"] = tiny_atlas.obs["cell_type"].astype(object)
    tiny_atlas.obs.loc[tiny_atlas.obs_names[0], "cell_type"] = np.nan
    tiny_atlas.write_h5ad(tmp_path / "atlas.h5ad")
    return tmp_path / "atlas.h5ad"


@pytest.fixture
def found() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "labels": np.array(["B", "NK", "T"]),
        "probability": rng.dirichlet(np.full(3, 0.4), 400),
        "unknown": rng.random(400),
        "sets": rng.random((400, 3)) < 0.6,
        "embedding": rng.normal(size=(400, 4)),
        "reference_embedding": rng.normal(size=(90, 4)),
        "seconds_fit": np.array(2.0),
        "seconds_map": np.array(3.0),
    }


@pytest.fixture
def truth() -> pd.Series:
    """Labels of which the reference lacks one; some cells have none."""
    names = np.random.default_rng(1).choice(["B", "NK", "T", "pDC", ""], 400, p=[0.5, 0.05, 0.25, 0.1, 0.1])
    return pd.Series(names, dtype=object).where(names != "", None)


def test_scores_are_those_of_naive_loops(found, truth):
    names, n_bins = list(found["labels"]), labelling.N_BINS
    scores = labelling.score(found, truth, names, min_cells=40)
    known = [i for i in range(400) if truth[i] in names]
    top = {i: max(range(3), key=lambda j: found["probability"][i, j]) for i in known}
    f1 = []
    for j, name in enumerate(names):
        if sum(truth[i] == name for i in known) >= 40:
            hits = sum(truth[i] == name and top[i] == j for i in known)
            f1.append(2 * hits / (sum(truth[i] == name for i in known) + sum(top[i] == j for i in known)))
    assert len(f1) == 2  # NK cells are too few
    error = brier = covered = 0.0
    for b in range(n_bins):
        inside = [i for i in known if b / n_bins < found["probability"][i, top[i]] <= (b + 1) / n_bins]
        right = sum(names[top[i]] == truth[i] for i in inside)
        error += abs(right - sum(found["probability"][i, top[i]] for i in inside))
    for i in known:
        brier += sum((found["probability"][i, j] - (names[j] == truth[i])) ** 2 for j in range(3))
        covered += found["sets"][i, names.index(truth[i])]
    labelled = [i for i in range(400) if truth[i] is not None]
    unknown, n = [i for i in labelled if truth[i] == "pDC"], len(known)
    distance = np.sort(np.linalg.norm(found["embedding"][:, None] - found["reference_embedding"], axis=2), 1)
    expected = {
        "n_query": len(labelled),
        "n_unknown": len(unknown),
        "macro_f1": np.mean(f1),
        "accuracy": np.mean([names[top[i]] == truth[i] for i in known]),
        "ece": error / n,
        "brier": brier / n,
        "coverage": covered / n,
        "set_size": found["sets"][known].sum() / n,
        "auroc_unknown": np.mean([found["unknown"][u] > found["unknown"][k] for u in unknown for k in known]),
        "auroc_distance": np.mean([distance[u, :15].mean() > distance[k, :15].mean() for u in unknown for k in known]),
        "seconds_fit": 2,
        "seconds_map": 3,
    }
    assert scores == pytest.approx(expected)


def test_undefined_scores_are_left_out(found, truth):
    for name in ("sets", "embedding"):
        del found[name]
    scores = labelling.score(found, truth.where(truth != "pDC"), ["B", "NK", "T"], min_cells=500)
    assert not {"coverage", "auroc_unknown", "auroc_distance"} & set(scores)
    assert np.isnan(scores["macro_f1"])
    assert "auroc_distance" not in labelling.score(found, truth, ["B", "NK", "T"])
    with pytest.raises(InputError, match="No cell of the query has a label"):
        labelling.score(found, truth, ["monocyte"])


def test_calibration_of_limits():
    correct = np.array([True, True, False, False])
    assert labelling.calibration_error(np.full(4, 0.5), correct) == 0
    assert labelling.calibration_error(np.ones(4), correct) == 0.5
    assert labelling.calibration_error(np.array([1, 1, 0, 0]), correct) == 0
    bins = labelling.reliability(np.array([0.0, 0.2, 0.21, 1.0 + 1e-7]), correct, n_bins=5)
    assert bins["n_cells"].tolist() == [2, 1, 1]
    assert labelling.macro_f1(np.array(["B", "T"]), np.array(["B", "T"]), 1) == 1


def test_cases_hold_out_batches_genes_and_labels(path, tiny_atlas):
    sizes = pd.crosstab(tiny_atlas.obs["cell_type"], tiny_atlas.obs["batch"])
    largest = sizes.max(axis=1)
    found = find_cases(path, transfer.SCENARIOS, [0.1, 0.5], min_cells=largest.min() + 1)
    by_scenario = pd.Series([case.scenario for case in found]).value_counts().to_dict()
    assert by_scenario == {"whole": 3, "panel": 6, "unknown": (largest > largest.min()).sum()}
    unknown = {case.left_out: case.held_out for case in found[9:]}
    assert unknown == {label: sizes.columns[row.argmax()] for label, row in sizes.iterrows() if label in unknown}
    assert len({case.name for case in found}) == len(found)


def test_files_hold_what_is_not_held_out(path, tiny_atlas, tmp_path):
    batch, label = tiny_atlas.obs["batch"].astype(str), tiny_atlas.obs["cell_type"]
    held_out, left_out = batch.iloc[-1], label.iloc[-1]
    case = Case(path, "digest", held_out, 0.3, left_out)
    reference, query = (read_h5ad(file) for file in case.write(tmp_path / "inputs", 0))
    in_reference = (batch != held_out) & label.notna() & (label != left_out)
    assert reference.obs_names.tolist() == tiny_atlas.obs_names[in_reference].tolist()
    assert reference.obs["cell_type"].tolist() == label[in_reference].tolist()
    assert (reference.X != tiny_atlas[in_reference].X).nnz == 0
    assert query.obs_names.tolist() == tiny_atlas.obs_names[batch == held_out].tolist()
    assert list(query.obs) == ["batch"]
    assert query.n_vars == 84
    assert (query.X != tiny_atlas[batch == held_out, query.var_names].X).nnz == 0
    truth, known = case.truth()
    assert truth.index.tolist() == query.obs_names.tolist()
    assert known == sorted(set(label.dropna()) - {left_out})
    other = read_h5ad(case.write(tmp_path / "inputs", 1)[1])
    assert set(other.var_names) != set(query.var_names)


def test_files_are_written_again_only_for_other_data(path, tmp_path):
    first = Case(path, "a", "batch_0").write(tmp_path / "inputs", 0)
    times = [file.stat().st_mtime_ns for file in first]
    assert [file.stat().st_mtime_ns for file in Case(path, "a", "batch_0").write(tmp_path / "inputs", 0)] == times
    Case(path, "b", "batch_0").write(tmp_path / "inputs", 0)
    assert all(file.stat().st_mtime_ns > time for file, time in zip(first, times, strict=True))


def test_bad_input_is_refused(tiny_atlas, tmp_path):
    file = tmp_path / "atlas.h5ad"
    tiny_atlas[tiny_atlas.obs["batch"] == tiny_atlas.obs["batch"].iloc[0]].write_h5ad(file)
    with pytest.raises(InputError, match="only one batch"):
        find_cases(file, ["whole"], [])
    del tiny_atlas.obs["cell_type"]
    tiny_atlas.write_h5ad(file)
    with pytest.raises(InputError, match=r"has no obs\['cell_type'\]"):
        find_cases(file, ["whole"], [])


def test_missing_genes_are_zeros_in_the_order_of_the_reference(tiny_atlas):
    genes = tiny_atlas.var_names[[5, 3, 9]]
    cells = mapping.with_genes(tiny_atlas[:, tiny_atlas.var_names != genes[1]], genes)
    expected = tiny_atlas[:, genes].X.toarray()
    expected[:, 1] = 0
    np.testing.assert_array_equal(cells.X.toarray(), expected)
    assert cells.var_names.tolist() == genes.tolist()
    assert sparse.issparse(cells.X)


@pytest.fixture
def call(path, tmp_path, monkeypatch):
    """Call the command with a fake method that lets the nearest cells vote."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    monkeypatch.setattr(transfer, "find_cases", partial(find_cases, min_cells=30))
    monkeypatch.setattr(transfer, "METHODS", {"fake": Method("fake", script, "scikit-learn")})

    def called(*options: str) -> pd.DataFrame:
        given = [path, "--out", tmp_path / "out", "--methods", "fake", *options]
        monkeypatch.setattr(sys, "argv", ["transfer.py", *map(str, given)])
        transfer.main()
        return pd.read_csv(tmp_path / "out" / "scores.csv")

    return called


def test_every_table_is_written_and_nothing_is_computed_twice(call, tmp_path, capsys, monkeypatch):
    table = call("--scenarios", "whole", "unknown", "--seeds", "0")
    assert (table["status"] == "ok").all()
    whole = table[table["scenario"] == "whole"]
    assert len(whole) == 3
    assert whole[["accuracy", "ece", "coverage", "seconds_map"]].notna().all(axis=None)
    assert table.loc[table["scenario"] == "unknown", "auroc_distance"].notna().all()
    means = pd.read_csv(tmp_path / "out" / "means.csv").set_index("scenario")
    assert means.loc["whole", "accuracy_mean"] == pytest.approx(whole["accuracy"].mean())
    assert means.loc["whole", "queries"] == 3
    assert (tmp_path / "out" / "reliability_atlas.png").stat().st_size > 0
    printed = capsys.readouterr().out
    (tmp_path / "out" / "means.csv").rename(tmp_path / "reference.csv")
    assert pages.TABLES["reference: whole"](tmp_path, "atlas") in printed
    assert "**atlas**, whole" in printed
    assert "| fake |" in printed
    monkeypatch.setattr(Run, "compute", lambda *_: pytest.fail("computed again"))
    assert len(call("--scenarios", "whole", "--seeds", "0")) == len(table)


def test_rows_with_fewer_queries_say_so():
    rows = [["pca", 0.1, 4, 0.5, 0.1], ["scvi", 0.1, 1, 0.6, None]]
    means = pd.DataFrame(rows, columns=["method", "missing", "queries", "macro_f1_mean", "macro_f1_sd"])
    assert transfer.markdown(means).splitlines()[2:] == [
        "| PCA, kNN, 10% missing | 0.500 ± 0.100 |",
        "| scVI, kNN, 10% missing (of 1) | 0.600 |",
    ]


def test_panels_lack_more_genes_and_shares_must_be_shares(call, capsys):
    table = call("--scenarios", "panel", "--missing", "0.5", "--seeds", "0")
    assert table["missing"].tolist() == [0.5] * 3
    assert "| fake, 50% missing |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call("--missing", "1.5")


def test_the_embedding_of_both_is_scored_in_the_order_of_the_file(path, tiny_atlas, monkeypatch):
    monkeypatch.setattr(transfer, "integration", lambda *arrays: {"total": arrays})
    batch, label = tiny_atlas.obs["batch"].astype(str).to_numpy(), tiny_atlas.obs["cell_type"]
    held_out, known = batch[0], label.notna().to_numpy()
    place = np.arange(300)[:, None] * np.ones(2)
    of_query = batch == held_out
    names = np.array(sorted(label.dropna().unique()))
    found = {"labels": names, "probability": np.full((of_query.sum(), len(names)), 1 / len(names))}
    found |= {"unknown": np.zeros(of_query.sum()), "seconds_fit": 0, "seconds_map": 0}
    found |= {"embedding": place[of_query], "reference_embedding": place[~of_query & known]}
    embedding, counts, labels, batches = transfer.scores_of(found, Case(path, "", held_out), embedded=True)["total"]
    np.testing.assert_array_equal(embedding, place[known])
    assert (counts != tiny_atlas[known].X).nnz == 0
    assert labels.tolist() == label[known].tolist()
    assert batches.tolist() == batch[known].tolist()


def test_one_panel_per_method_is_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(reliability.plt, "close", drawn.append)
    cells = pd.DataFrame({"confidence": [0.2, 0.9, 0.9], "correct": [False, True, False]})
    reliability.draw(dict.fromkeys("abcd", cells), tmp_path / "reliability.png")
    monkeypatch.undo()
    assert [axes.get_title().split("\n") for axes in drawn[0].axes] == [[name, "ECE 0.333"] for name in "abcd"]
    reliability.plt.close("all")


@pytest.mark.parametrize("method", transfer.METHODS.values(), ids=list(transfer.METHODS))
def test_every_method_has_a_script_and_exact_pins(method):
    assert method.script.exists()
    if method.script.stem in ("scproto_map", "scproto_joint", "pca_knn"):
        assert method.requirements is None
        return
    pins = method.requirements.read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert method.package in {pin.split("==")[0].lower().replace("_", "-") for pin in pins}

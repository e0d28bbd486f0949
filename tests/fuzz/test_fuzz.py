"""Whatever goes in, a valid result or one sentence comes out.

``make fuzz`` tries thousands of examples; each find becomes a test of its own elsewhere.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from scipy import sparse

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.run import Settings, run

from .strategies import FORMS, Wild, dense_counts, wild

N_EXAMPLES = int(os.environ.get("SCPROTO_FUZZ", "100"))
"""Examples of all tests of this module together."""


def share(part: float) -> settings:
    return settings(
        max_examples=max(1, round(N_EXAMPLES * part)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="SCPROTO_FUZZ" not in os.environ,
        print_blob=True,
    )


@pytest.fixture(autouse=True, scope="module")
def quiet():
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    yield
    logging.disable(before)


def assert_one_sentence(error: InputError) -> None:
    """What is wrong, where, and how to mend it."""
    message = str(error)
    assert message
    assert message.endswith((".", "?"))
    assert len(message) < 2500


def fit(cells: Wild, folder: Path) -> dict[str, object] | None:
    """A short run of the whole product; None if it said why not."""
    chosen = Settings(
        batch_key=cells.batch_key,
        label_keys=cells.label_keys,
        n_prototypes=cells.n_prototypes,
        max_steps=2,
        seed=cells.seed,
        threads=1,
        accelerator="cpu",
        report=cells.report,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(lambda: cells.adata.copy(), folder / "run", chosen)
    except InputError as error:
        note(str(error))
        assert_one_sentence(error)
        assert not list(folder.iterdir()), "something was left"
        return None


def check_files(cells: Wild, folder: Path) -> None:
    """The result is complete, finite, and opens again."""
    adata = cells.adata
    written, metacells = (ad.read_h5ad(folder / "run" / name) for name in ("cells.h5ad", "metacells.h5ad"))
    assert list(written.obs_names) == list(adata.obs_names.astype(str))
    assert written.n_vars == adata.n_vars
    assert np.isfinite(written.obsm[_keys.LATENT]).all()
    unit = written.obsm[_keys.SPHERE]
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-4)
    for key in (_keys.CONFIDENCE, _keys.DISTANCE):
        assert np.isfinite(written.obs[key]).all()
    assert written.obs[_keys.METACELL].notna().all()
    assert set(written.obs[_keys.METACELL]) == set(metacells.obs_names)
    assert np.isfinite(metacells.X).all()
    np.testing.assert_allclose(metacells.X.sum(axis=1), 1e4, rtol=1e-3)
    batches = set(written.obs[_keys.BATCH].astype(str))
    columns = [column for column, batch in _keys.batches_by_column(metacells).items() if batch in batches]
    assert len(columns) == len(batches)
    np.testing.assert_allclose(metacells.obs[columns].sum(axis=1), 1, atol=1e-5)
    genes = np.ones(adata.n_vars, bool)
    if "feature_types" in adata.var:
        genes = (adata.var["feature_types"] != "Antibody Capture").to_numpy()
    assert metacells.layers["counts"].sum() == pytest.approx(cells.counts[:, genes].sum(), rel=1e-4)
    for name in adata.obs:  # nothing of the user's is lost
        kept = {str(name), f"{name}_input", re.sub("/", "|", str(name)), f"{name}_"}
        assert kept & set(written.obs), name
    assert (folder / "run" / "model" / "weights.safetensors").exists()


@share(0.65)
@given(cells=wild())
def test_a_valid_result_or_one_sentence(cells):
    with TemporaryDirectory() as name:
        folder = Path(name)
        if fit(cells, folder) is not None:
            check_files(cells, folder)


@share(0.2)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), form=st.sampled_from(sorted(FORMS)))
def test_two_legal_forms_give_the_same_result(data, seed, form):
    rng = np.random.default_rng(seed)
    n_cells, n_genes = data.draw(st.sampled_from([6, 20, 50])), data.draw(st.sampled_from([5, 30]))
    counts = dense_counts(n_cells, n_genes, data.draw(st.sampled_from([30, 3000])), "plain", rng)
    counts[counts.sum(axis=1) == 0, 0] = 1
    counts[0, 0] += 1
    results = []
    for make in (sparse.csr_matrix, FORMS[form]):
        adata = ad.AnnData(make(counts.astype(np.float32)))
        adata.obs_names = [f"cell{i}" for i in range(n_cells)]
        adata.obs["batch"] = np.where(np.arange(n_cells) % 2, "a", "b")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scproto.pp.prepare(adata, "batch")
                scproto.SCPROTO.setup_anndata(adata)
                model = scproto.SCPROTO(adata, n_prototypes=3)
                model.train(max_steps=2, accelerator="cpu", enable_progress_bar=False)
                results.append((model.get_latent_representation(), model.get_metacells().X))
        except InputError as error:
            assert_one_sentence(error)
            results.append(str(error))
    first, second = results
    if isinstance(first, str):
        assert first == second
    else:
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


@share(0.05)
@given(seed=st.integers(0, 2**32 - 1), n_batches=st.sampled_from([20, 100, 500]))
def test_many_small_batches(seed, n_batches):
    rng = np.random.default_rng(seed)
    counts = dense_counts(3 * n_batches, 20, 200, "plain", rng)
    counts[counts.sum(axis=1) == 0, 0] = 1
    adata = ad.AnnData(sparse.csr_matrix(counts))
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    adata.obs["donor"] = [f"donor/{i % n_batches}" for i in range(adata.n_obs)]
    cells = Wild(adata, counts, ("donor",), ("donor",), 5, 0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        assert fit(cells, folder) is not None
        check_files(cells, folder)


@share(0.1)
@given(cells=wild(), key=st.sampled_from(["batch", "metacell", "scproto_batch"]))
def test_scores_or_one_sentence(cells, key):
    """Whatever the labels, metacells and embedding are, the scores are finite, or one sentence says why not."""
    from scproto._labels import as_text

    labels = as_text(cells.adata.obs[next(iter(cells.adata.obs))])
    known = labels.codes >= 0
    n = int(known.sum())
    points = np.random.default_rng(cells.seed).normal(size=(n, 3))
    metacells = np.array([f"metacell_{i % 4}" for i in range(n)])
    try:
        scores = scproto.metrics.metacell_scores(metacells, np.asarray(labels[known]), np.arange(n) % 2)
        geometry = scproto.metrics.geometry_scores(points, metacells)
    except InputError as error:
        assert_one_sentence(error)
        return
    assert np.isfinite(list(scores.values())).all()
    assert all(np.isfinite(value) or np.isnan(value) for value in geometry.values())

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.inputs import as_keys, check_adata, join_batches


def check(adata, **arguments):
    check_adata(adata, **{"batch_key": "batch", "layer": None, **arguments})


def refusal(adata, **arguments) -> str:
    """Return the message of the refusal, which must be one sentence."""
    with pytest.raises(InputError) as caught:
        check(adata, **arguments)
    message = str(caught.value)
    assert message.endswith((".", "?"))
    assert "\n" not in message
    assert ". " not in message
    return message


def test_as_keys():
    assert as_keys(None) == []
    assert as_keys("study") == ["study"]
    assert as_keys(("study", "donor")) == ["study", "donor"]
    assert as_keys(["study", "donor", "study"]) == ["study", "donor"]


def test_join_batches_gives_the_combinations_that_occur():
    obs = pd.DataFrame({"study": ["a", "a", "b"], "run": [1, 2, 1]})
    assert list(join_batches(obs, ["study", "run"])) == ["a|1", "a|2", "b|1"]
    assert list(join_batches(obs, "run")) == ["1", "2", "1"]
    assert list(join_batches(obs, ["run"]).categories) == ["1", "2"]
    assert list(join_batches(obs, None)) == ["all"] * 3


def test_join_batches_drops_categories_without_cells():
    obs = pd.DataFrame({"study": pd.Categorical(["a", "b"], categories=["a", "b", "c"])})
    assert list(join_batches(obs, "study").categories) == ["a", "b"]


def test_join_batches_refuses_names_that_would_collide():
    obs = pd.DataFrame({"one": ["a|b", "a"], "two": ["c", "b|c"]})
    with pytest.raises(InputError, match="rename"):
        join_batches(obs, ["one", "two"])


@pytest.mark.parametrize("batch_key", ["batch", ["batch"], ["batch", "cell_type"], [], None])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, lambda x: x.toarray()], ids=["r", "c", "d"])
def test_good_input_passes_unchanged(tiny_atlas, batch_key, form):
    tiny_atlas.X = form(tiny_atlas.X)
    before = tiny_atlas.copy()
    check(tiny_atlas, batch_key=batch_key, label_keys=["cell_type"], n_prototypes=20)
    assert tiny_atlas.obs.equals(before.obs)
    assert abs(tiny_atlas.X - before.X).sum() == 0


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_backed_input_is_checked_too(tiny_atlas, tmp_path, form):
    counts = tiny_atlas.X.astype(np.float64)
    counts.data[-1] = 0.25
    for name, x in (("good", tiny_atlas.X), ("bad", counts)):
        tiny_atlas.X = x.toarray() if form == "dense" else x.asformat(form)
        tiny_atlas.write_h5ad(tmp_path / f"{name}.h5ad")
    good, bad = (ad.read_h5ad(tmp_path / f"{name}.h5ad", backed="r") for name in ("good", "bad"))
    check(good)
    assert "fractional counts" in refusal(bad)
    good.file.close()
    bad.file.close()


def test_counts_in_a_layer(tiny_atlas):
    tiny_atlas.layers["counts"] = tiny_atlas.X
    tiny_atlas.X = tiny_atlas.X.log1p()
    check(tiny_atlas, layer="counts")
    message = refusal(tiny_atlas)
    assert "adata.X looks log-normalised" in message
    assert 'use layer="counts"' in message


def test_message_says_whether_raw_or_x_holds_counts(tiny_atlas):
    counts = tiny_atlas.copy()
    tiny_atlas.X = tiny_atlas.X.log1p()
    assert "before normalisation" in refusal(tiny_atlas)
    tiny_atlas.raw = counts
    assert "adata.raw.to_adata()" in refusal(tiny_atlas)
    counts.layers["scaled"] = counts.X * 0.5
    message = refusal(counts, layer="scaled")
    assert "normalised" in message
    assert "adata.layers['scaled']" in message
    assert "adata.X holds counts" in message


def test_without_x(tiny_atlas):
    layers = {"counts": tiny_atlas.X}
    assert 'use layer="counts"' in refusal(ad.AnnData(obs=tiny_atlas.obs, var=tiny_atlas.var, layers=layers))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_key": "Batch"}, ["batch key 'Batch'", "adata.obs", "'cell_type'", "did you mean 'batch'?"]),
        ({"batch_key": ["batch", "zzz"]}, ["'zzz'", "'cell_type'", "choose one"]),
        ({"label_keys": ["celltype"]}, ["label key", "did you mean 'cell_type'?"]),
        ({"layer": "count"}, ["layer 'count'", "adata.layers", "did you mean 'counts'?"]),
    ],
    ids=["batch", "second_batch", "label", "layer"],
)
def test_missing_names(tiny_atlas, arguments, words):
    tiny_atlas.layers["counts"] = tiny_atlas.X
    message = refusal(tiny_atlas, **arguments)
    assert all(word in message for word in words)


def test_no_layer_to_choose_from(tiny_atlas):
    assert refusal(tiny_atlas, layer="counts").endswith("which has none: leave it out.")


def test_long_lists_of_columns_are_truncated(tiny_atlas):
    for i in range(30):
        tiny_atlas.obs[f"column_{i}"] = 0
    assert "and 23 more" in refusal(tiny_atlas, batch_key="zzz")


def test_missing_batch_values(tiny_atlas):
    tiny_atlas.obs.loc[tiny_atlas.obs_names[:4], "batch"] = np.nan
    assert "no value for 4 cell(s)" in refusal(tiny_atlas)


def test_missing_labels_are_allowed(tiny_atlas):
    tiny_atlas.obs.loc[tiny_atlas.obs_names[:4], "cell_type"] = np.nan
    check(tiny_atlas, label_keys=["cell_type"])


@pytest.mark.parametrize("axis", ["obs", "var"])
def test_duplicate_names(tiny_atlas, axis):
    names = list(getattr(tiny_atlas, f"{axis}_names"))
    setattr(tiny_atlas, f"{axis}_names", [names[5], *names[1:]])
    message = refusal(tiny_atlas)
    assert repr(names[5]) in message
    assert f"adata.{axis}_names_make_unique()" in message


def test_cells_without_counts(tiny_atlas):
    tiny_atlas.X = sparse.diags((np.arange(300) > 1).astype(np.float32)) @ tiny_atlas.X
    message = refusal(tiny_atlas)
    assert "2 cell(s) of adata.X have no counts" in message
    assert "'cell_0'" in message
    assert "sc.pp.filter_cells(adata, min_counts=1)" in message


def test_suggested_code_removes_cells_without_counts_in_a_layer(tiny_atlas):
    tiny_atlas.layers["counts"] = sparse.diags((np.arange(300) > 1).astype(np.float32)) @ tiny_atlas.X
    message = refusal(tiny_atlas, layer="counts")
    mend = message.split(" with ")[1].rstrip(".")
    mended = eval(mend, {"np": np, "adata": tiny_atlas})
    assert mended.n_obs == 298
    check(mended, layer="counts")


def test_batch_with_one_cell(tiny_atlas):
    tiny_atlas.obs["batch"] = ["lonely", *["other"] * 299]
    assert "'lonely'" in refusal(tiny_atlas)
    tiny_atlas.obs["batch"] = ["lonely", "lonely", *["other"] * 298]
    check(tiny_atlas)


def test_columns_with_the_same_name(tiny_atlas):
    tiny_atlas.obs = pd.concat([tiny_atlas.obs, tiny_atlas.obs[["batch"]]], axis=1)
    assert "several columns 'batch'" in refusal(tiny_atlas)


@pytest.mark.parametrize("n_prototypes", [0, -3, 301])
def test_number_of_prototypes(tiny_atlas, n_prototypes):
    assert "300 cells" in refusal(tiny_atlas, n_prototypes=n_prototypes)
    check(tiny_atlas, n_prototypes=300)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (3, 0)])
def test_too_small(shape):
    assert "at least two cells" in refusal(ad.AnnData(np.ones(shape, dtype=np.float32)), batch_key=None)


def test_some_genes_may_be_constant_but_not_all(tiny_atlas):
    x = tiny_atlas.X.toarray()
    x[:, :-1] = np.arange(1, 120)
    tiny_atlas.X = sparse.csr_matrix(x)
    check(tiny_atlas)
    x[:, -1] = 3
    for form in (np.array, sparse.csr_matrix, sparse.csc_matrix):
        tiny_atlas.X = form(x)
        assert "Every gene" in refusal(tiny_atlas)

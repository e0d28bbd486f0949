from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from scproto import _keys, tl
from scproto._errors import InputError
from scproto.model import SCPROTO


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save(path)
    return path


def test_files_are_safetensors_and_json(folder, model):
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "weights.safetensors"]
    weights = load_file(folder / "weights.safetensors")
    assert set(weights) == set(model.module.state_dict())
    stored = json.loads((folder / "model.json").read_text())
    assert stored["init"]["n_prototypes"] == 10


def test_without_cells_the_results_are_the_same_to_the_last_bit(folder, atlas, latent, metacells, model):
    loaded = SCPROTO.load(folder)
    np.testing.assert_array_equal(loaded.prototypes, model.prototypes)
    np.testing.assert_array_equal(loaded.get_latent_representation(atlas), latent)
    again = loaded.get_metacells(atlas, label_keys=["cell_type"], decode_batches=["batch_2"])
    np.testing.assert_array_equal(again.X, metacells.X)
    pd.testing.assert_frame_equal(again.obs, metacells.obs)


def test_with_cells_the_results_are_the_same_to_the_last_bit(folder, raw_atlas, latent, model):
    """Cells straight from a file, never prepared."""
    loaded = SCPROTO.load(folder, raw_atlas.copy())
    np.testing.assert_array_equal(loaded.get_latent_representation(), latent)
    pd.testing.assert_frame_equal(loaded.get_normalized_expression(), model.get_normalized_expression())


def test_history_and_settings_come_back(folder, model):
    loaded = SCPROTO.load(folder)
    assert loaded.seed == model.seed
    assert loaded.reader == model.reader
    assert loaded.history.keys() == model.history.keys()
    for name, frame in model.history.items():
        pd.testing.assert_frame_equal(loaded.history[name], frame.astype(float), check_index_type=False)


def test_a_model_loaded_without_cells_needs_them_as_arguments(folder):
    loaded = SCPROTO.load(folder)
    for ask in (loaded.get_latent_representation, loaded.get_metacells, loaded.get_normalized_expression):
        with pytest.raises(InputError, match="loaded without cells; pass adata"):
            ask()


def test_loaded_cells_that_do_not_fit(folder, atlas):
    elsewhere = atlas.copy()
    elsewhere.obs["batch"] = "moon"
    with pytest.raises(InputError, match="not trained on batch 'moon'"):
        SCPROTO.load(folder, elsewhere)
    with pytest.raises(InputError, match="genes are not in the cells"):
        SCPROTO.load(folder, atlas[:, :5].copy())


def test_saved_again_with_fewer_cells_than_prototypes(folder, atlas, latent, tmp_path):
    few = atlas[atlas.obs["batch"] == "batch_0"][:4].copy()
    SCPROTO.load(folder, few).save(tmp_path / "again")
    np.testing.assert_array_equal(SCPROTO.load(tmp_path / "again").get_latent_representation(atlas), latent)


def test_a_loaded_model_trains_on_only_with_prepared_cells(folder, atlas, raw_atlas):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False, "batch_size": 32}
    loaded = SCPROTO.load(folder, atlas.copy())
    loaded.train(2, **arguments)
    assert np.isfinite(loaded.get_latent_representation()).all()
    with pytest.raises(InputError, match="no neighbours"):
        SCPROTO.load(folder, raw_atlas.copy()).train(2, **arguments)


def test_an_existing_folder_is_kept_unless_overwrite_is_given(folder, atlas, model, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        model.save(folder)
    path = tmp_path / "model"
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    SCPROTO(adata, n_prototypes=3).save(path)
    model.save(path, overwrite=True)
    assert len(SCPROTO.load(path).prototypes) == 10


def test_overwriting_spares_other_peoples_folders(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years")
    with pytest.raises(InputError, match="will not replace it"):
        model.save(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "five years"


def test_untrained_model_comes_back_untrained(atlas, tmp_path):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    SCPROTO(adata, n_prototypes=3).save(tmp_path / "model")
    with pytest.raises(InputError, match="not trained"):
        SCPROTO.load(tmp_path / "model", adata).get_latent_representation()


def test_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"holds no model: model\.json is missing"):
        SCPROTO.load(tmp_path)


@pytest.fixture
def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "model"))


def test_no_folder(folder, tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        SCPROTO.load(tmp_path / "absent")
    with pytest.raises(InputError, match=r"is a file: give the folder that SCPROTO\.save wrote"):
        SCPROTO.load(folder / "model.json")


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_file_that_is_missing_or_a_folder(copied, name, monkeypatch):
    (copied / name).unlink()
    with pytest.raises(InputError, match=f"holds no model: {name} is missing"):
        SCPROTO.load(copied)
    (copied / name).mkdir()
    with pytest.raises(InputError, match=f"holds no model: {name} is missing"):
        SCPROTO.load(copied)


def test_a_file_that_cannot_be_read(copied, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(InputError, match=r"Cannot read the model in .*: Permission denied\.$"):
            SCPROTO.load(copied)
    monkeypatch.setattr("scproto.model.storage.load_file", refuse)
    with pytest.raises(InputError, match=r"Cannot read the model in .*: Permission denied\.$"):
        SCPROTO.load(copied)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file(copied, name, kept):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="is damaged"):
        SCPROTO.load(copied)


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"text"', "{}", '{"init": 3}', "\udc80", "[" * 100_000, "NaN"])
def test_a_settings_file_with_other_content(copied, text):
    (copied / "model.json").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match="is damaged"):
        SCPROTO.load(copied)


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3), st.just([]), st.just({}))


def places(value, at=()):
    """Where each value in nested dictionaries is."""
    for key in value if isinstance(value, dict) else ():
        yield (*at, key)
        yield from places(value[key], (*at, key))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_setting_may_be_lost_or_changed(folder, tmp_path_factory, data):
    """The model either loads, because some settings do not matter, or is refused in one sentence."""
    stored = json.loads((folder / "model.json").read_text())
    *above, last = data.draw(st.sampled_from(list(places(stored))))
    holder = stored
    for key in above:
        holder = holder[key]
    del holder[last]
    if data.draw(st.booleans()):
        holder[last] = data.draw(JUNK)
    copied = tmp_path_factory.mktemp("changed") / "model"
    shutil.copytree(folder, copied)
    (copied / "model.json").write_text(json.dumps(stored))
    with suppress(InputError):
        assert len(SCPROTO.load(copied).prototypes) == 10


def test_a_model_of_a_later_version(copied):
    stored = json.loads((copied / "model.json").read_text())
    stored |= {"version": "9.1", "init": stored["init"] | {"n_heads": 4}}
    (copied / "model.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=r"has a setting 'n_heads', which scproto .* use scproto 9\.1, which saved it"):
        SCPROTO.load(copied)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda w: {n: v for n, v in w.items() if n != "prototypes"}, "lacks 'prototypes'"),
        (lambda w: w | {"more": w["prototypes"]}, "has an unknown 'more'"),
        (lambda w: w | {"prototypes": w["prototypes"][:-1]}, r"'prototypes' .* has the shape \(9, 6\), not \(10, 6\)"),
        (lambda w: w | {"alignment_offsets": w["alignment_offsets"][:, :1]}, "'alignment_offsets' .* has the shape"),
        (lambda w: {}, "lacks 'alignment_offsets'"),
    ],
)
def test_weights_of_another_model(copied, change, what):
    weights = change(load_file(copied / "weights.safetensors"))
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, copied / "weights.safetensors")
    with pytest.raises(InputError, match=what):
        SCPROTO.load(copied)


def test_a_model_without_axes_embeds_on_the_hypersphere(copied, atlas, sphere):
    """Earlier versions saved no axes."""
    weights = load_file(copied / "weights.safetensors")
    save_file({n: v for n, v in weights.items() if not n.startswith("axes_")}, copied / "weights.safetensors")
    np.testing.assert_array_equal(SCPROTO.load(copied).get_latent_representation(atlas), sphere)


def test_a_folder_that_cannot_be_written(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        model.save(tmp_path / "file" / "model")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
)
def test_a_disk_that_is_full(model, tmp_path, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr("scproto.model.storage.save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_overwriting_replaces_the_model_and_nothing_else(model, tmp_path):
    model.save(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine")
    model.save(tmp_path / "model", overwrite=True)
    names = sorted(file.name for file in (tmp_path / "model").iterdir())
    assert names == ["model.json", "notes.txt", "weights.safetensors"]


def test_a_path_from_home(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model.save("~/model")
    assert len(SCPROTO.load("~/model").prototypes) == 10


def test_loading_marks_genes_and_batches_in_the_cells(folder, atlas, raw_atlas):
    adata = raw_atlas.copy()
    SCPROTO.load(folder, adata)
    np.testing.assert_array_equal(adata.var[_keys.GENES], atlas.var[_keys.GENES])
    assert adata.obs[_keys.BATCH].astype(str).tolist() == atlas.obs["batch"].astype(str).tolist()


@pytest.fixture(scope="module")
def labelled_folder(folder, atlas, tmp_path_factory):
    model = SCPROTO.load(folder)
    tl.learn_labels(atlas, model, "cell_type")
    model.save(path := tmp_path_factory.mktemp("labelled") / "model")
    return path


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:100])])
def test_damaged_labels_are_refused_in_one_sentence(labelled_folder, tmp_path, damage):
    copy = tmp_path / "model"
    shutil.copytree(labelled_folder, copy)
    damage(copy / "labels.safetensors")
    with pytest.raises(InputError, match=r"labels.safetensors is missing|is damaged"):
        SCPROTO.load(copy)


def test_labels_are_replaced_and_dropped_with_the_model(labelled_folder, model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(labelled_folder, copy)
    model.save(copy, overwrite=True)
    assert sorted(file.name for file in copy.iterdir()) == ["model.json", "weights.safetensors"]
    assert not SCPROTO.load(copy).annotations

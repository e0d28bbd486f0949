"""Arguments that other models take, or that do not exist."""

from __future__ import annotations

import pytest

from scproto import pp
from scproto._errors import InputError
from scproto.model import SCPROTO, habits

PLACES = {
    "SCPROTO": (SCPROTO, habits.MODEL),
    "SCPROTO.setup_anndata": (SCPROTO.setup_anndata, habits.SETUP),
}


@pytest.fixture
def prepared(atlas):
    adata = atlas.copy()
    SCPROTO.setup_anndata(adata)
    return adata


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, (_, advice) in PLACES.items() for name in advice])
def test_arguments_of_other_models(prepared, place, name):
    function, advice = PLACES[place]
    with pytest.raises(InputError) as error:
        function(prepared, **{name: 1})
    assert str(error.value) == f"{place} has no argument {name!r}: {advice[name]}"


@pytest.mark.parametrize("name", habits.TRAIN)
def test_arguments_of_other_trainings(prepared, name):
    with pytest.raises(InputError) as error:
        SCPROTO(prepared).train(2, accelerator="cpu", **{name: 1})
    assert str(error.value) == f"SCPROTO.train has no argument {name!r}: {habits.TRAIN[name]}"


def test_examples_of_the_advice(prepared):
    with pytest.raises(InputError, match=r"'n_clusters': give n_prototypes, the number of metacells"):
        SCPROTO(prepared, n_clusters=5)
    with pytest.raises(InputError, match="'max_epochs': give max_steps, the number of minibatches"):
        SCPROTO(prepared).train(max_epochs=5)
    with pytest.raises(InputError, match="'labels_key': the fit uses no labels"):
        SCPROTO.setup_anndata(prepared, labels_key="cell_type")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda a: SCPROTO(a, n_prototype=5), "SCPROTO has no argument 'n_prototype': did you mean 'n_prototypes'"),
        (lambda a: SCPROTO(a, epsilom=0.1), "SCPROTO has no argument 'epsilom': did you mean 'epsilon'"),
        (lambda a: SCPROTO(a, zzz=5), "'zzz': it takes n_prototypes, n_latent, n_hidden, seed, weight_propagation, "),
        (lambda a: SCPROTO.setup_anndata(a, batch="b"), "'batch': did you mean 'batch_key'"),
        (lambda a: SCPROTO.setup_anndata(a, zzz=5), "has no argument 'zzz': it takes adata, layer, batch_key."),
        (lambda a: SCPROTO(a).train(learning_rat=1), "'learning_rat': did you mean 'learning_rate'"),
        (lambda a: SCPROTO(a).train(callback=[]), "'callback': did you mean 'callbacks'"),
        (lambda a: SCPROTO(a).train(zzz=5), "enable_progress_bar and the arguments of scvi.train.Trainer."),
        (lambda a: SCPROTO(a).train(trainer_config={"lr": 5}), "has no argument 'trainer_config': give its entries"),
    ],
)
def test_misspelt_and_unknown_arguments(prepared, call, sentence):
    with pytest.raises(InputError) as error:
        call(prepared)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"n_latent": 0},
        {"n_hidden": 1.5},
        {"epsilon": 0},
        {"temperature": -1},
        {"weight_cvae": float("nan")},
        {"weight_propagation": "1"},
        {"n_sinkhorn": -1},
        {"n_alignment": 0.5},
    ],
)
def test_constants_out_of_range(prepared, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(InputError, match=f"{name}={value!r} does not work"):
        SCPROTO(prepared, **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_steps": 0.5}, "max_steps=0.5 does not work"),
        ({"batch_size": 0}, "batch_size=0 does not work"),
        ({"learning_rate": 0}, "learning_rate=0 does not work"),
        ({"accelerator": "gpux"}, "accelerator='gpux' does not work: give one of auto, cpu, cuda, gpu"),
    ],
)
def test_trainings_out_of_range(prepared, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        SCPROTO(prepared).train(**arguments)


def test_a_missing_gpu_is_refused(prepared, monkeypatch):
    for name in ("torch.cuda.is_available", "torch.backends.mps.is_available"):
        monkeypatch.setattr(name, lambda: False)
    for accelerator in ("gpu", "cuda", "mps"):
        with pytest.raises(InputError, match=f"torch finds no GPU here for accelerator='{accelerator}'"):
            SCPROTO(prepared).train(1, accelerator=accelerator)


def test_a_model_needs_cells():
    with pytest.raises(InputError, match="needs cells: give adata"):
        SCPROTO()


def test_numbers_of_numpy_and_whole_floats_are_accepted(raw_atlas):
    import numpy as np

    adata = raw_atlas.copy()
    pp.prepare(adata, "batch")
    SCPROTO.setup_anndata(adata)
    model = SCPROTO(adata, n_prototypes=np.float64(4), n_latent=np.int64(3), n_hidden=8.0, seed=np.uint8(7))
    assert model.prototypes.shape == (4, 3)
    assert all(type(value) is int for value in model.init_params_.values())


@pytest.mark.parametrize("devices", [2, "2", [0, 1], "0,1", (0, 1)])
def test_several_devices_are_refused(prepared, devices):
    with pytest.raises(InputError) as error:
        SCPROTO(prepared).train(2, accelerator="cpu", devices=devices)
    assert str(error.value) == (
        f"devices={devices!r} names several, but scproto trains on one: give devices=1, or [1] for the second GPU."
    )


@pytest.mark.parametrize("n_gpus", [0, 1, 4])
def test_all_devices_are_accepted_if_there_is_at_most_one(monkeypatch, n_gpus):
    monkeypatch.setattr("torch.cuda.device_count", lambda: n_gpus)
    assert habits.one_device("auto") == 1
    for one in (1, "1", [1], "1,", [0]):
        assert habits.one_device(one) == one
    if n_gpus > 1:
        with pytest.raises(InputError, match="devices=-1 names several"):
            habits.one_device(-1)
    else:
        assert habits.one_device(-1) == -1

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import scproto
from scproto._errors import InputError
from scproto.pl.training import PANELS


def curve(name: str, values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({name: values}, index=pd.RangeIndex(len(values), name="epoch"))


@pytest.fixture
def history() -> dict[str, pd.DataFrame]:
    """Five epochs, the first two without prototypes: as NaN in one curve, as missing rows in another."""
    nan = float("nan")
    return {
        "loss": curve("loss", [5, 4, 3, 2, 1]),
        "loss_swav": curve("loss_swav", [nan, nan, 3, 2, 1]),
        "perplexity": curve("perplexity", [nan, nan, 8, 9, 9]).dropna(),
        "learning_rate": curve("learning_rate", [1, 1, 1, 1, 1]),
    }


def test_each_known_curve_has_its_panel(history: dict[str, pd.DataFrame]) -> None:
    axes = scproto.pl.training(history, axes=Figure().subplots(2, 2))
    assert [ax.get_title(loc="left") for ax in axes[:3]] == ["Total loss", "Swapped prediction", "Usage perplexity"]
    assert [ax.get_visible() for ax in axes] == [True, True, True, False]
    np.testing.assert_array_equal(axes[0].lines[0].get_xydata(), [[0, 5], [1, 4], [2, 3], [3, 2], [4, 1]])
    np.testing.assert_array_equal(axes[1].lines[0].get_xydata(), [[2, 3], [3, 2], [4, 1]])
    np.testing.assert_array_equal(axes[2].lines[0].get_xydata(), [[2, 8], [3, 9], [4, 9]])


def test_panels_share_the_epochs_and_the_shaded_warm_up(history: dict[str, pd.DataFrame]) -> None:
    axes = scproto.pl.training(history, axes=Figure().subplots(1, 3))
    for ax in axes:
        assert ax.get_xlim() == (0, 4)
        assert (ax.patches[0].get_x(), ax.patches[0].get_width()) == (0, 2)
    assert axes[0].texts[0].get_text() == "warm-up"


def test_one_epoch_without_warm_up() -> None:
    axes = scproto.pl.training({"loss": curve("loss", [2.0])}, axes=Figure().subplots())
    assert axes[0].lines[0].get_xydata().tolist() == [[0, 2]]
    assert not axes[0].patches


def test_without_axes_a_pyplot_figure_is_made() -> None:
    import matplotlib.pyplot as plt

    axes = scproto.pl.training({name: curve(name, [1, 2]) for name in PANELS})
    assert len(axes) == len(PANELS) == 8
    assert plt.get_fignums() == [axes[0].figure.number]
    plt.close(axes[0].figure)


def test_errors_name_the_bad_input(history: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(InputError, match="'learning_rate' but none of the curves"):
        scproto.pl.training({"learning_rate": history["learning_rate"]})
    with pytest.raises(InputError, match="2 axes for 3 curves"):
        scproto.pl.training(history, axes=Figure().subplots(1, 2))


def test_ticks_for_numbers_of_prototypes_are_whole() -> None:
    axes = scproto.pl.training({"prototypes_used": curve("prototypes_used", [30, 30, 29])}, axes=Figure().subplots())
    assert all(float(tick).is_integer() for tick in axes[0].get_yticks())


@pytest.mark.parametrize("history", [None, {}], ids=["none", "empty"])
def test_without_a_history_the_error_says_to_train(history: dict[str, pd.DataFrame] | None) -> None:
    with pytest.raises(InputError, match="no training history: train the model first"):
        scproto.pl.training(history)


def test_a_history_without_values_means_the_training_was_too_short() -> None:
    nothing = {"loss": curve("loss", []), "loss_swav": curve("loss_swav", [float("nan")])}
    with pytest.raises(InputError, match="too short to draw, as its history has no values for loss, loss_swav"):
        scproto.pl.training(nothing)

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from scproto.train.history import history_from_json, history_to_json, join_histories, n_epochs_of


def history(**values: tuple[int, list[float]]) -> dict[str, pd.DataFrame]:
    """Make a history: for each quantity, its first epoch and its values."""
    return {
        name: pd.DataFrame({name: found}, index=pd.RangeIndex(first, first + len(found), name="epoch"), dtype=float)
        for name, (first, found) in values.items()
    }


def test_a_history_survives_json():
    before = history(loss=(0, [3.0, np.nan, 1.5]), loss_swav=(1, [2.0, 0.1]))
    after = history_from_json(json.loads(json.dumps(history_to_json(before), allow_nan=False)))
    assert list(after) == list(before)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(after[name], frame, check_index_type=False)
    assert history_to_json(None) == {}


def test_epochs_of_a_second_training_follow_those_of_the_first():
    first = history(loss=(0, [3.0, 2.0]), loss_swav=(1, [2.0]))
    joined = join_histories(first, history(loss=(0, [1.0, 0.5]), loss_swav=(1, [0.25]), new=(0, [7.0])), 2)
    assert joined["loss"]["loss"].to_dict() == {0: 3.0, 1: 2.0, 2: 1.0, 3: 0.5}
    assert joined["loss_swav"]["loss_swav"].to_dict() == {1: 2.0, 3: 0.25}
    assert joined["new"]["new"].to_dict() == {2: 7.0}
    assert all(frame.index.name == "epoch" for frame in joined.values())
    assert first["loss"]["loss"].to_dict() == {0: 3.0, 1: 2.0}  # unchanged


def test_number_of_epochs():
    assert n_epochs_of({}) == 0
    assert n_epochs_of(history(loss=(0, []))) == 0
    assert n_epochs_of(history(loss=(0, [1.0, 2.0]), late=(4, [1.0]))) == 5

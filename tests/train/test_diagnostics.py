from __future__ import annotations

import numpy as np
import pytest
import torch

from scproto.train.diagnostics import Usage, perplexity


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], 4), ([7, 0, 0], 1), ([1, 1, 0, 0], 2), ([3], 1), ([1, 2, 1], 2 * np.sqrt(2))],
)
def test_perplexity_is_the_effective_number(counts, expected):
    assert perplexity(torch.tensor(counts, dtype=torch.float32)).item() == pytest.approx(expected)


def test_perplexity_is_taken_along_the_last_axis():
    counts = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 0.0]])
    torch.testing.assert_close(perplexity(counts), torch.tensor([3.0, 1.0]))


def test_usage_equals_a_loop():
    rng = np.random.default_rng(0)
    usage = Usage(4, 6)  # batch 3 has no cell
    counts, cosines = np.zeros((4, 6)), []
    for n_cells in (9, 1, 14):
        scores, batch = rng.uniform(-1, 1, (n_cells, 6)), rng.integers(0, 3, n_cells)
        scores[:, 4] = -2  # nearest to no cell
        usage.add(torch.from_numpy(scores).float(), torch.from_numpy(batch))
        for row, b in zip(scores, batch, strict=True):
            counts[b, row.argmax()] += 1
            cosines.append(row.max())

    def effective(row):
        share = row[row > 0] / row.sum()
        return np.exp(-(share * np.log(share)).sum())

    expected = {
        "prototypes_used": (counts.sum(0) > 0).sum(),
        "share_used": (counts.sum(0) > 0).sum() / sum((5 / 6) ** i for i in range(24)),  # a cell hits a new one or not
        "perplexity": effective(counts.sum(0)),
        "perplexity_batch": np.mean([effective(row) for row in counts if row.sum()]),
        "nearest_cosine": np.mean(cosines),
    }
    assert {name: value.item() for name, value in usage.summary().items()} == pytest.approx(expected, rel=1e-5)
    assert expected["prototypes_used"] == 5

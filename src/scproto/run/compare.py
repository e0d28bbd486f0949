"""Compare the conditions of a finished run, and write the result into its folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData

from .._errors import InputError
from .._files import atomic_path
from ..inputs import read_metacells, read_obs
from .settings import CELLS, METACELLS

TABLE, PAGE = "compare.csv", "compare.html"


def compare_run(
    folder: str | Path,
    sample_key: str,
    condition_key: str,
    *,
    reference: str | None = None,
    donor_key: str | None = None,
    block_key: str | None = None,
) -> pd.DataFrame:
    """Compare conditions with :func:`scproto.tl.compare`, and write ``compare.csv`` and ``compare.html``.

    Parameters
    ----------
    folder
        A run folder. Both files are written, or neither; those of an earlier comparison are replaced.
    sample_key, condition_key, reference, donor_key, block_key
        As in :func:`scproto.tl.compare`; columns of ``obs`` of the run's cells.

    Returns
    -------
    table : pandas.DataFrame
        The table of :func:`scproto.tl.compare`.

    Raises
    ------
    InputError
        If the folder is not that of a run, or the columns do not allow the comparison.
    """
    from ..reporting.compare import render_comparison
    from ..tl.compare import compare

    folder = Path(folder).expanduser()
    for name in (CELLS, METACELLS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}: give the folder that scproto fit wrote.")
    cells, metacells = AnnData(obs=read_obs(folder / CELLS)), read_metacells(folder / METACELLS)
    table = compare(
        cells,
        sample_key,
        condition_key,
        reference=reference,
        donor_key=donor_key,
        block_key=block_key,
        metacells=metacells,
    )
    page = render_comparison(metacells)
    with atomic_path(folder / TABLE) as csv, atomic_path(folder / PAGE) as html:
        table.to_csv(csv, index=False)
        html.write_text(page, encoding="utf-8")
    return table

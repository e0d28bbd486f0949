"""What is held out of a data set: a batch as the query, and genes or a label with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from lab.data import digest_of
from lab.records import write_json

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.inputs import read_cells, read_counts, read_obs

MIN_CELLS = 50
"""A label with fewer cells is not left out of the reference."""

SCENARIOS = ("whole", "panel", "unknown")


@dataclass(frozen=True)
class Case:
    """One batch as the query and the others as the reference."""

    original: Path
    """Raw counts in ``X``, ``obs["batch"]`` and ``obs["cell_type"]``."""
    digest: str
    """SHA-256 of the original file."""
    held_out: str
    """Batch that is the query."""
    missing: float = 0.0
    """Share of the genes that the query lacks."""
    left_out: str = ""
    """Label that the reference lacks, or nothing."""

    @property
    def data(self) -> str:
        """Name of the data set."""
        return self.original.stem

    @property
    def scenario(self) -> str:
        """One of `SCENARIOS`."""
        return "panel" if self.missing else "unknown" if self.left_out else "whole"

    @property
    def name(self) -> str:
        """Name that distinguishes the case from the others of the data set, for files."""
        parts = [self.held_out, f"{self.missing * 100:g}-percent" if self.missing else "", self.left_out]
        return "_without_".join(re.sub(r"\W+", "-", part) for part in parts if part)

    def write(self, folder: Path, seed: int) -> tuple[Path, Path]:
        """Write reference and query, unless they were written before from the same file, and return their paths.

        The seed chooses the genes that the query lacks.
        """
        everything = replace(self, missing=0.0)
        panel = f"_seed{seed}" if self.missing else ""
        reference = folder / f"{self.data}_{everything.name}_reference.h5ad"
        query = folder / f"{self.data}_{replace(self, left_out='').name}{panel}_query.h5ad"
        self._keep(reference, lambda: self._reference())
        self._keep(query, lambda: self._query(np.random.default_rng(seed)))
        return reference.resolve(), query.resolve()

    def truth(self) -> tuple[pd.Series, list[str]]:
        """Return the label of each cell of the query, missing or a text, and the labels of the reference."""
        obs, label = self._obs(read_obs(self.original))
        of_query = obs["batch"] == self.held_out
        return label[of_query], sorted(label[self._in_reference(obs, label)].unique())

    def _keep(self, path: Path, make: Callable[[], AnnData]) -> None:
        record = path.with_suffix(".json")
        if record.exists() and json.loads(record.read_text())["digest"] == self.digest:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            make().write_h5ad(temporary, compression="gzip")
        write_json(record, {"digest": self.digest})

    def _reference(self) -> AnnData:
        cells, obs, label = self._read()
        taken = self._in_reference(obs, label).to_numpy()
        return _for_old_anndata(cells[taken], obs[["batch"]].assign(cell_type=label)[taken])

    def _query(self, rng: np.random.Generator) -> AnnData:
        cells, obs, _ = self._read()
        taken = (obs["batch"] == self.held_out).to_numpy()
        n_kept = round(cells.n_vars * (1 - self.missing))
        genes = np.sort(rng.choice(cells.n_vars, n_kept, replace=False))
        return _for_old_anndata(cells[taken, genes], obs.loc[taken, ["batch"]])

    def _read(self) -> tuple[AnnData, pd.DataFrame, pd.Series]:
        cells = read_cells(self.original)
        counts = read_counts(cells)
        named = AnnData(counts.matrix, cells.obs, pd.DataFrame(index=cells.var_names[counts.genes]))
        return named, *self._obs(cells.obs)

    def _obs(self, obs: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
        return obs.assign(batch=obs["batch"].astype(str)), obs["cell_type"].astype(object).map(str, na_action="ignore")

    def _in_reference(self, obs: pd.DataFrame, label: pd.Series) -> pd.Series:
        return (obs["batch"] != self.held_out) & label.notna() & (label != self.left_out)


def find_cases(
    original: Path, scenarios: Sequence[str], missing: Sequence[float], min_cells: int = MIN_CELLS
) -> list[Case]:
    """Return the cases of a data set.

    ``whole`` holds out each batch, ``panel`` also each share of the genes in `missing`. ``unknown`` leaves out each
    label with at least `min_cells` cells in a batch; that batch, the one with most of its cells, is the query.

    Raises
    ------
    InputError
        If the file lacks batches or labels, or has only one batch.
    """
    obs = read_obs(original)
    if absent := [key for key in ("batch", "cell_type") if key not in obs]:
        raise InputError(f"{original} has no obs[{absent[0]!r}].")
    sizes = pd.crosstab(obs["cell_type"].astype(object), obs["batch"].astype(str))
    if sizes.shape[1] < 2:
        raise InputError(f"{original} has only one batch: the reference needs another.")
    digest = digest_of(original)
    found: dict[str, Iterator[dict[str, Any]]] = {
        "whole": ({"held_out": batch} for batch in sizes),
        "panel": ({"held_out": batch, "missing": share} for share in missing for batch in sizes),
        "unknown": (
            {"held_out": row.idxmax(), "left_out": str(label)}
            for label, row in sizes.iterrows()
            if row.max() >= min_cells
        ),
    }
    return [Case(original.resolve(), digest, **one) for scenario in scenarios for one in found[scenario]]


def _for_old_anndata(cells: AnnData, obs: pd.DataFrame) -> AnnData:
    """Return the counts in a form that old versions of anndata read."""
    columns = {name: pd.Categorical(column.to_numpy(dtype=object)) for name, column in obs.items()}
    index, genes = (pd.Index(names, dtype=object) for names in (cells.obs_names, cells.var_names))
    return AnnData(cells.X.astype(np.float32), pd.DataFrame(columns, index=index), pd.DataFrame(index=genes))

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.reporting import write_report

FIGURES = ["umap_batch", "umap_label", "batch_shares", "metacell_sizes", "training"]


class Page(HTMLParser):
    """Contents of the page: external addresses, text, the scripts' data, and tags that are not closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.rows = 0
        self.data: dict[str, Any] = {}
        self.is_data = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] or "" for name in ("src", "href", "srcset") if name in found]
        self.rows += tag == "tr"
        if tag not in ("meta", "input"):
            self.open.append(tag)
        self.is_data = found.get("id") == "data"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.is_data and self.open[-1] == "script":
            self.data = json.loads(data)
        elif not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


def test_the_page_stands_alone_and_the_figures_lie_beside_it(make_run: Callable, tmp_path: Path) -> None:
    path = write_report(*make_run(), {"seed": 0}, tmp_path / "report.html", label_key="cell_type")
    page = Page(path)
    assert page.open == []
    assert page.addresses == ["#map-title"]
    assert page.tags.count("script") == 2
    assert not {"link", "iframe", "img"} & set(page.tags)
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert "default-src 'none'" in page.source
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures", "report.html"]
    assert sorted(p.stem for p in (tmp_path / "figures").iterdir()) == sorted(FIGURES)
    for figure in (tmp_path / "figures").iterdir():
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_given_figures_are_not_drawn_again(make_run: Callable, tmp_path: Path) -> None:
    write_report(*make_run(), {"seed": 0}, tmp_path / "report.html", figures={"training.png": b"drawn"})
    found = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(found) == {"umap_batch.png", "training.png"}
    assert found["training.png"] == b"drawn"


def test_the_page_gives_numbers_and_mixing(make_run: Callable, tmp_path: Path) -> None:
    text = Page(write_report(*make_run(), {}, tmp_path / "report.html", label_key="cell_type")).text
    assert "80 cells from 2 batches in 4 metacells." in text
    assert "The batches are well mixed: the mean batch entropy of the metacells is 1.00." in text
    assert "93.8% of the cells have the majority label of their metacell (cell_type; purity 0.94" in text


def test_separate_batches_are_reported(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs[_keys.BATCH] = cells.obs[_keys.METACELL].astype(str)
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html")).text
    assert "The batches are mostly separate: the mean batch entropy of the metacells is 0.00." in text


def test_the_verdict_is_shown(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    assert "Check" not in Page(write_report(cells, metacells, history, {}, tmp_path / "a.html")).text
    cells.uns[_keys.UNS]["verdict"] = {"sentences": ["All 4 metacells have cells.", "1 < 2 & so on."]}
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "b.html")).text
    assert "All 4 metacells have cells." in text
    assert "1 < 2 & so on." in text


def test_stability_is_a_score_and_a_column(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    names = np.array(metacells.obs_names, dtype=object)
    cells.uns[_keys.UNS] |= {
        "n_metacells": 4,
        "verdict": {"stability": {"agreement": 0.75}, "doubtful": {"metacell_2": ["unstable"]}, "sentences": []},
        _keys.STABILITY: {"metacell": names[::-1], "overlap": np.array([0.1, 0.21, 0.3, 0.4])},
    }
    model = SimpleNamespace(get_metacells=lambda **_: metacells, history=history)
    page = Page(scproto.report(cells, model, tmp_path / "report.html"))
    assert "agreement with other seeds" in page.text
    assert "0.750" in page.text
    assert "metacell_2 unstable" in page.text
    assert "overlap" not in page.text  # values are in the table of metacells, not among the settings
    keys, values = (page.data["table"][name] for name in ("keys", "values"))
    assert values[keys.index("stability")] == [0.4, 0.3, 0.21, 0.1]
    del cells.uns[_keys.UNS][_keys.STABILITY], metacells.obs[_keys.STABILITY]
    assert "stability" not in Page(scproto.report(cells, model, tmp_path / "old.html")).data["table"]["keys"]


def test_one_batch_without_labels(make_run: Callable, tmp_path: Path) -> None:
    page = Page(write_report(*make_run(batches=("all",)), {}, tmp_path / "report.html"))
    assert "80 cells from one batch in 4 metacells." in page.text
    assert "entropy of the metacells" not in page.text
    assert "purity" not in page.text
    assert not (tmp_path / "figures" / "umap_label.png").exists()


def test_without_a_history_there_are_no_training_curves(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    assert "Training" in Page(write_report(cells, metacells, history, {}, tmp_path / "a.html")).text
    (tmp_path / "figures" / "training.png").unlink()
    assert "Training" not in Page(write_report(cells, metacells, None, {}, tmp_path / "b.html")).text
    assert not (tmp_path / "figures" / "training.png").exists()


def test_the_purity_leaves_out_cells_without_a_label(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs.loc[cells.obs["cell_type"] == "B", "cell_type"] = np.nan
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html", label_key="cell_type")).text
    assert "100.0% of the cells" in text
    assert "leave out 5 cells without a label" in text


def test_cluster_numbers_are_labels_too(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs["leiden"] = np.arange(80) % 2
    data = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html", label_key="leiden")).data
    assert data["labels"]["names"] == ["0", "1"]
    assert data["metacells"]["label"] is None  # the metacells lack this label


def test_warnings_follow_the_verdict(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.uns[_keys.UNS]["verdict"] = {
        "over_mixed": True,
        "under_mixed": False,
        "n_outliers": 40,
        "structure_kept": 0.5,
        "doubtful": {"metacell_2": np.array(["few_cells", "one_batch"], dtype=object)},
        "sentences": np.array(["Look."], dtype=object),
    }
    page = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html"))
    for text in (
        "Over-mixed",
        "40 cells (50%) lie far",
        "Doubtful metacells: 1",
        "few cells, one batch",
        "structure kept",
    ):
        assert text in page.text
    assert page.data["doubts"] == {"metacell_2": ["few cells", "one batch"]}


def test_the_table_lists_every_metacell_the_largest_first(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run(n_metacells=230)
    metacells.obs.loc["metacell_7", "n_cells"] = 21
    page = Page(write_report(cells, metacells, history, {"seed": 0}, tmp_path / "report.html"))
    n_scores = page.text.count("is better") + 2  # for two scores, neither high nor low is better
    assert page.rows == 1 + 230 + 1 + n_scores + 1 + 1
    body = page.source.partition('<table id="metacells">')[2]
    assert re.findall(r'<th scope="row">(\w+)</th>', body)[:3] == ["metacell_7", "metacell_0", "metacell_1"]


def test_names_are_escaped(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run(batches=("</script><script>a</script>", 'b & "c" é'))
    cells.obs["cell_type"] = metacells.obs["cell_type"] = "<b>T & é"
    settings = {"note": "<img src=x>"}
    page = Page(write_report(cells, metacells, history, settings, tmp_path / "report.html", label_key="cell_type"))
    assert page.open == []
    assert page.tags.count("script") == 2
    assert not {"img", "b"} & set(page.tags)
    assert "<img src=x>" in page.text
    assert "<b>T & é" in page.text
    assert page.data["batches"]["names"] == ["</script><script>a</script>", 'b & "c" é']
    assert "<LYZ>" in page.data["genes"]["names"]


def test_nested_settings_are_listed_flat(make_run: Callable, tmp_path: Path) -> None:
    settings = {"seed": 1, "layer": None, "model": {"sizes": (2, 3)}, "empty": [], "versions": {"numpy": "2.4"}}
    page = Page(write_report(*make_run(), settings, tmp_path / "report.html"))
    for name, value in [("seed", 1), ("layer", "none"), ("model.sizes", "2, 3"), ("empty", "none")]:
        assert f'<tr><th scope="row">{name}</th><td class="wrap">{value}</td></tr>' in page.source
    assert '<th scope="row">versions.numpy</th><td class="wrap">2.4</td>' in page.source


def test_a_missing_umap_is_computed(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    del metacells.obsm[_keys.UMAP]
    write_report(cells, metacells, history, {"seed": 0}, tmp_path / "report.html")
    assert metacells.obsm[_keys.UMAP].shape == (4, 2)


def test_the_same_run_gives_the_same_page(make_run: Callable, tmp_path: Path) -> None:
    first, second = (write_report(*make_run(), {}, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_report_of_a_model(make_run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, metacells, history = make_run()
    cells.uns[_keys.UNS]["n_metacells"] = 3
    asked = []

    def get_metacells(n: int | None, label_keys: tuple[str, ...]) -> object:
        asked.append((n, tuple(label_keys)))
        return metacells

    model = SimpleNamespace(get_metacells=get_metacells, history=history)
    monkeypatch.setattr("scproto.reporting.write.library_versions", lambda: {"torch": "2.0"})
    page = Page(scproto.report(cells, model, tmp_path / "report.html", label_key="cell_type"))
    assert asked == [(3, ("cell_type",))]
    assert "settings.n_prototypes" in page.text
    assert '<th scope="row">torch</th><td class="wrap">2.0</td>' in page.source


def test_failed_writing_keeps_the_old_report(
    make_run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(text.encode()[:10])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(*make_run(), {}, path)
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures", "report.html"]


def test_a_single_metacell_has_no_top_genes(make_run: Callable, tmp_path: Path) -> None:
    data = Page(write_report(*make_run(n_metacells=1), {}, tmp_path / "report.html")).data
    assert data["genes"]["rest"] == [[]]
    assert data["tree"]["order"] == [0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda metacells: metacells.uns.clear(), 'no uns["scproto_tree"]: take them from model.get_metacells'),
        (lambda metacells: metacells.layers.pop("decoded"), 'no layers["decoded"]'),
        (
            lambda metacells: metacells.uns.update(scproto_tree=np.zeros((1, 4))),
            "The tree has 2 metacells but the table has 4",
        ),
    ],
    ids=["no tree", "no layer", "part of the table"],
)
def test_incomplete_metacells_are_refused(
    make_run: Callable, tmp_path: Path, spoil: Callable[[AnnData], None], message: str
) -> None:
    cells, metacells, history = make_run()
    spoil(metacells)
    with pytest.raises(InputError, match=re.escape(message)):
        write_report(cells, metacells, history, {}, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("label_key", "folder", "drop", "message"),
    [
        ("lineage", ".", None, 'no label column "lineage" in obs: choose one of metacell'),
        (None, "nowhere", None, "nowhere does not exist"),
        (None, ".", _keys.METACELL, r"run scproto\.tl\.assign_metacells"),
    ],
    ids=["no label", "no folder", "no metacells"],
)
def test_bad_input_is_refused_before_any_work(
    make_run: Callable, tmp_path: Path, label_key: str | None, folder: str, drop: str | None, message: str
) -> None:
    cells, metacells, history = make_run()
    if drop:
        del cells.obs[drop]
    with pytest.raises(InputError, match=message):
        write_report(cells, metacells, history, {}, tmp_path / folder / "report.html", label_key=label_key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("share", "told"), [(0.3, True), (0.9, False)])
def test_the_report_warns_of_prototypes_that_have_collapsed(make_run, tmp_path, share, told):
    cells, metacells, history = make_run()
    last = {"prototypes_used": 3.0, "share_used": share}
    history |= {name: pd.DataFrame({name: [np.nan, value]}) for name, value in last.items()}
    page = write_report(cells, metacells, history, {}, tmp_path / "report.html").read_text()
    assert ("Only 3 prototypes are in use" in page) == told


def test_axes_of_the_embedding_have_a_section(make_run: Callable, tmp_path: Path):
    cells, metacells, history = make_run()
    cells = AnnData(obs=cells.obs, var=metacells.var, obsm=cells.obsm, uns=cells.uns)
    weights = np.linspace(-1, 1, metacells.n_vars * 4).reshape(-1, 4)
    cells.varm[_keys.AXES] = metacells.varm[_keys.AXES] = weights
    write_report(cells, metacells, history, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Axes of the embedding" in page
    assert "ACTB" in page.split("<h2>Axes of the embedding")[1].split("</section>")[0]
    assert (tmp_path / "figures" / "axes.png").stat().st_size
    del cells.varm[_keys.AXES], metacells.varm[_keys.AXES]
    write_report(cells, metacells, history, {}, tmp_path / "older.html")
    assert "Axes of the embedding" not in (tmp_path / "older.html").read_text()

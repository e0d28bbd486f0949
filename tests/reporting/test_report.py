from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.reporting import write_report

FIGURES = ["umap_batch", "umap_label", "batch_shares", "metacell_sizes", "training"]


class Page(HTMLParser):
    """What a browser would find: images, outside addresses, scripts, the text, and tags left open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.rows = 0
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.addresses += [found[name] or "" for name in ("src", "href", "srcset") if name in found]
        if tag == "img":
            self.images.append(found)
        self.rows += tag == "tr"
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_stands_alone_and_the_figures_lie_beside_it(make_run: Callable, tmp_path: Path) -> None:
    path = write_report(*make_run(), {"seed": 0}, tmp_path / "report.html", label_key="cell_type")
    page = Page(path)
    assert page.open == []
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe"}
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures", "report.html"]
    assert sorted(p.stem for p in (tmp_path / "figures").iterdir()) == sorted(FIGURES)
    for image, name in zip(page.images, FIGURES, strict=True):
        png = b64decode(str(image["src"]).partition(",")[2])
        assert png.startswith(b"\x89PNG")
        assert png == (tmp_path / "figures" / f"{name}.png").read_bytes()
        assert image["alt"]


def test_page_says_how_many_and_how_mixed(make_run: Callable, tmp_path: Path) -> None:
    text = Page(write_report(*make_run(), {}, tmp_path / "report.html", label_key="cell_type")).text
    assert "80 cells from 2 batches in 4 metacells." in text
    assert "The batches are well mixed: the mean batch entropy of a metacell is 1.00." in text
    assert "93.8% of the cells carry the majority label of their metacell (cell_type; purity 0.94" in text
    assert "1 metacell without cells left out." in text


def test_batches_apart_are_called_so(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs[_keys.BATCH] = cells.obs[_keys.METACELL].astype(str)
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html")).text
    assert "The batches are mostly apart: the mean batch entropy of a metacell is 0.00." in text


def test_verdict_is_shown(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    assert "Check" not in Page(write_report(cells, metacells, history, {}, tmp_path / "a.html")).text
    cells.uns[_keys.UNS]["verdict"] = {"sentences": ["All 4 metacells have cells.", "1 < 2 & so on."]}
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "b.html")).text
    assert "All 4 metacells have cells." in text
    assert "1 < 2 & so on." in text


def test_one_batch_and_no_label(make_run: Callable, tmp_path: Path) -> None:
    page = Page(write_report(*make_run(batches=("all",)), {}, tmp_path / "report.html"))
    assert "80 cells from one batch in 4 metacells." in page.text
    assert "entropy of a metacell" not in page.text
    assert "purity" not in page.text
    assert not (tmp_path / "figures" / "umap_label.png").exists()


def test_without_a_history_there_are_no_training_curves(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, _ = make_run()
    assert len(Page(write_report(cells, metacells, None, {}, tmp_path / "report.html")).images) == 3


def test_cells_without_a_label_do_not_count_for_the_purity(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs.loc[cells.obs["cell_type"] == "B", "cell_type"] = np.nan
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html", label_key="cell_type")).text
    assert "100.0% of the cells" in text
    assert "5 cells without a label left out." in text


def test_cluster_numbers_are_labels_too(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    cells.obs["leiden"] = np.arange(80) % 2
    text = Page(write_report(cells, metacells, history, {}, tmp_path / "report.html", label_key="leiden")).text
    assert "UMAP by label (leiden)" in text


def test_long_table_is_cut_with_a_note(make_run: Callable, tmp_path: Path) -> None:
    page = Page(write_report(*make_run(n_metacells=230), {"seed": 0}, tmp_path / "report.html"))
    assert "The 200 largest of 230 metacells. 1 metacell without cells left out." in page.text
    assert page.rows == 1 + 200 + 1 + 1  # metacells and settings, each with its head


def test_names_are_escaped(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run(batches=("<script>a</script>", "b & c"))
    settings = {"note": "<img src=x>"}
    page = Page(write_report(cells, metacells, history, settings, tmp_path / "report.html"))
    assert "script" not in page.tags
    assert len(page.images) == 4
    assert "<img src=x>" in page.text


def test_settings_are_listed_flat(make_run: Callable, tmp_path: Path) -> None:
    settings = {"seed": 1, "layer": None, "model": {"sizes": (2, 3)}, "empty": [], "versions": {"numpy": "2.4"}}
    page = Page(write_report(*make_run(), settings, tmp_path / "report.html"))
    for name, value in [("seed", 1), ("layer", "none"), ("model.sizes", "2, 3"), ("empty", "none")]:
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in page.source
    assert '<th scope="row">versions.numpy</th><td>2.4</td>' in page.source


def test_missing_umap_is_computed(make_run: Callable, tmp_path: Path) -> None:
    cells, metacells, history = make_run()
    del metacells.obsm[_keys.UMAP]
    write_report(cells, metacells, history, {"seed": 0}, tmp_path / "report.html")
    assert metacells.obsm[_keys.UMAP].shape == (5, 2)


def test_same_run_gives_the_same_page(make_run: Callable, tmp_path: Path) -> None:
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
    assert '<th scope="row">torch</th><td>2.0</td>' in page.source


def test_failure_leaves_the_old_report(make_run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("label_key", "folder", "drop", "message"),
    [
        ("lineage", ".", None, 'no label column "lineage" in obs: choose one of metacell'),
        (None, "nowhere", None, "nowhere does not exist"),
        (None, ".", _keys.METACELL, r"run scproto\.tl\.assign_metacells"),
    ],
    ids=["no label", "no folder", "no metacells"],
)
def test_bad_input_is_named_before_any_work(
    make_run: Callable, tmp_path: Path, label_key: str | None, folder: str, drop: str | None, message: str
) -> None:
    cells, metacells, history = make_run()
    if drop:
        del cells.obs[drop]
    with pytest.raises(InputError, match=message):
        write_report(cells, metacells, history, {}, tmp_path / folder / "report.html", label_key=label_key)
    assert list(tmp_path.iterdir()) == []

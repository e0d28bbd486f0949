"""The report as a browser shows it: ``pytest -m browser``, with the extra ``browser`` and a Chromium."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scproto import _keys
from scproto.reporting import write_report

pytestmark = pytest.mark.browser
BATCHES = ('lab "a" & <b>', "lab é, 2")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """playwright's Chromium, or the one that the system has."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def report(make_run: Callable, tmp_path: Path) -> Path:
    cells, metacells, history = make_run(n_metacells=12, batches=BATCHES)
    rng = np.random.default_rng(1)
    metacells.obs["n_cells"] = 10 + rng.permutation(12)
    metacells.obs["cell_type"] = pd.Categorical(["B", *["T"] * 11])
    metacells.obs.iloc[3, metacells.obs.columns.get_loc(f"share_{BATCHES[0]}")] = 0.25
    cells.uns[_keys.UNS]["verdict"] = {
        "over_mixed": False,
        "under_mixed": True,
        "doubtful": {"metacell_5": ["few_cells"]},
        "sentences": ["All is said."],
    }
    history["loss_swav"] = pd.DataFrame({"value": [np.nan, 2.0, 1.0]})
    return write_report(cells, metacells, history, {"seed": 0}, tmp_path / "report.html", label_key="cell_type")


@pytest.fixture
def open_page(chromium: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Open the report with settings of the device; at the end there was no error and no request but for the file."""
    contexts, complaints, requests = [], [], []

    def open_(**device: Any) -> Any:
        context = chromium.new_context(**device)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_timeout(100)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("blob:")} == {report.as_uri()}


def pixels(page: Any) -> str:
    """The drawn map, as it is now."""
    return page.evaluate("(map.drawNow(), map.canvas.toDataURL())")


def names(page: Any) -> list[str]:
    return page.locator("#metacells tbody th").all_inner_texts()


def test_map_is_drawn_and_coloured_by_label(open_page: Callable) -> None:
    page = open_page()
    assert page.evaluate("new Set(map.canvas.getContext('2d').getImageData(0, 0, 600, 400).data).size") > 20
    assert page.locator("#legend").inner_text().split() == ["B", "T"]
    before = pixels(page)
    page.select_option("#color", "batch")
    assert BATCHES[0] in page.locator("#legend").inner_text()
    assert pixels(page) != before


def test_search_finds_by_name_number_and_label(open_page: Callable) -> None:
    page = open_page()
    for query, heading in [("metacell_3", "metacell_3"), ("7", "metacell_7"), ("b", "metacell_0")]:
        page.fill("#metacell-query", query)
        page.click("text=Find >> nth=-1")
        assert page.locator("#details h3").first.inner_text() == heading
    page.fill("#metacell-query", "metacell_3")
    page.press("#metacell-query", "Enter")
    details = page.locator("#details").inner_text()
    assert "T (100 %)" in details
    assert BATCHES[0] in details
    assert "25 %" in details
    assert "Genes higher than in the rest" in details
    page.fill("#metacell-query", "no such thing")
    page.press("#metacell-query", "Enter")
    assert page.locator("#status").inner_text() == "No metacell or label has “no such thing” in its name."


def test_enter_goes_through_all_that_match(open_page: Callable) -> None:
    page = open_page()
    page.fill("#metacell-query", "T")
    found = []
    for _ in range(12):
        page.press("#metacell-query", "Enter")
        found.append(page.locator("#details h3").first.inner_text())
    assert len(set(found)) >= 11
    assert "of 12 that match" in page.locator("#status").inner_text()  # "metacell" has a t, too


def test_pointing_shows_a_metacell_and_a_click_keeps_it(open_page: Callable) -> None:
    page = open_page()
    place = page.evaluate("map.place(4)")
    page.hover("#map", position={"x": place[0], "y": place[1]})
    assert page.locator("#tip").inner_text().startswith("metacell_4")
    page.click("#map", position={"x": place[0], "y": place[1]})
    page.hover("h1")
    assert not page.locator("#tip").is_visible()
    assert page.locator("#details h3").first.inner_text() == "metacell_4"
    assert page.locator("#metacells tr.selected th").inner_text() == "metacell_4"


def test_gene_search_colours_the_map(open_page: Callable) -> None:
    page = open_page()
    before = pixels(page)
    page.fill("#gene-query", "lyz")
    assert page.locator("#gene-list option").first.get_attribute("value") == "<LYZ>"
    page.press("#gene-query", "Enter")
    assert "<LYZ> (CP10k, decoded)" in page.locator("#legend").inner_text()
    assert pixels(page) != before
    best = page.evaluate("column('metacell')[map.paint.fill.indexOf('rgb(253,231,37)')]")
    assert page.locator("#status").inner_text() == f"Coloured by <LYZ>; highest in {best}."
    page.fill("#gene-query", "ACTB")
    page.press("#gene-query", "Enter")
    assert "the decoder does not know the gene" in page.locator("#legend").inner_text()
    page.select_option("#color", "label")
    assert pixels(page) == before


def test_columns_sort_both_ways(open_page: Callable) -> None:
    page = open_page()
    heads = page.locator("#metacells thead th")
    assert heads.all_inner_texts()[:4] == ["Metacell", "cell_type", "Share", "Cells"]
    page.click("#metacells thead button >> nth=0")
    assert names(page) == [f"metacell_{i}" for i in range(12)]  # by number, not by letter
    assert heads.nth(0).get_attribute("aria-sort") == "ascending"
    assert heads.nth(3).get_attribute("aria-sort") is None
    page.click("#metacells thead button >> nth=0")
    assert names(page)[0] == "metacell_11"
    page.click("#metacells thead button >> nth=3")
    sizes = [int(row.split("\t")[3]) for row in page.locator("#metacells tbody tr").all_inner_texts()]
    assert sizes == sorted(sizes, reverse=True)


def test_export_is_the_table_in_its_order(open_page: Callable, tmp_path: Path) -> None:
    page = open_page()
    page.click("#metacells thead button >> nth=0")
    with page.expect_download() as download:
        page.click("#export")
    assert download.value.suggested_filename == "metacells.csv"
    download.value.save_as(tmp_path / "metacells.csv")
    with (tmp_path / "metacells.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head[:4] == ["metacell", "cell_type", "cell_type_share", "n_cells"]
    assert head[-2:] == [f"share_{name}" for name in BATCHES]
    assert [row[0] for row in rows] == names(page)
    assert rows[3][-2:] == ["0.25", "0.5"]
    assert rows[5][head.index("doubts")] == "few cells"


def test_all_is_done_with_the_keyboard(open_page: Callable) -> None:
    page = open_page()
    focused = "document.activeElement.id || document.activeElement.className"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "metacell-query"
    page.keyboard.type("metacell_2")
    page.keyboard.press("Enter")
    assert page.locator("#status").inner_text().startswith("metacell_2; T (100 %)")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(focused) == "gene-query"
    page.keyboard.type("cd3d")
    page.keyboard.press("Enter")
    assert page.input_value("#gene-query") == "CD3D"
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    assert page.evaluate("map.selected") != 2
    assert page.evaluate("map.zoom") == 1.5
    page.keyboard.press("Escape")
    assert page.evaluate("map.selected") == -1


def test_arrow_keys_go_along_the_tree(open_page: Callable) -> None:
    page = open_page()
    order = page.evaluate("data.tree.order")
    page.locator("#tree").locator("..").focus()
    for key, place in [
        ("ArrowRight", 0),
        ("ArrowRight", 1),
        ("End", 11),
        ("ArrowRight", 11),
        ("ArrowLeft", 10),
        ("Home", 0),
    ]:
        page.keyboard.press(key)
        assert page.evaluate("map.selected") == order[place]
        assert page.locator("#status").inner_text().startswith(f"metacell_{order[place]};")
    page.keyboard.press("ArrowUp")  # not a key of the tree
    assert page.evaluate("map.selected") == order[0]


def test_arrow_keys_go_down_the_table_in_its_order(open_page: Callable) -> None:
    page = open_page()
    box, chosen = page.locator("#metacells").locator(".."), page.locator("#metacells tr.selected th")
    page.click("#metacells thead button >> nth=0")
    page.keyboard.press("ArrowDown")  # the button has the focus
    assert page.evaluate("map.selected") == -1
    box.focus()
    for key, name in [("ArrowUp", 11), ("ArrowUp", 10), ("Home", 0), ("ArrowDown", 1), ("ArrowDown", 2)]:
        page.keyboard.press(key)
        assert chosen.inner_text() == f"metacell_{name}"
    page.click("#metacells thead button >> nth=0")
    box.focus()
    page.keyboard.press("ArrowUp")
    assert chosen.inner_text() == "metacell_3"


def test_tree_and_warnings_lead_to_the_metacell(open_page: Callable) -> None:
    page = open_page()
    page.click("text=metacell_5 >> nth=0")
    assert "Doubtful: few cells" in page.locator("#details").inner_text()
    order, step = page.evaluate("[data.tree.order, data.tree.step]")
    page.click("#tree", position={"x": 2.5 * step, "y": 200})
    assert page.evaluate("map.selected") == order[2]
    assert page.get_attribute("#leaf-mark", "x") == str(2 * step).removesuffix(".0")


def test_what_is_chosen_is_scrolled_into_its_box_and_the_page_stays(open_page: Callable) -> None:
    page = open_page(viewport={"width": 360, "height": 740})
    page.add_style_tag(content=".scroll:has(table) { max-height: 150px }")
    last = page.evaluate("data.tree.order.at(-1)")
    page.evaluate(f"select({last})")
    assert page.evaluate("scrollY") == 0
    for chosen in ("#leaf-mark", "#metacells tr.selected"):
        inside = page.evaluate(
            "(selector) => { const chosen = document.querySelector(selector), a = chosen.getBoundingClientRect(),"
            " b = chosen.closest('.scroll').getBoundingClientRect(); return a.left >= b.left - 1 && a.top >= b.top - 1"
            " && a.left <= b.right && a.top <= b.bottom; }",
            chosen,
        )
        assert inside, chosen


def test_zoom_drag_and_back(open_page: Callable) -> None:
    page = open_page()
    page.evaluate("map.select(map.hit(...map.toScreen(...map.center)))")
    before = page.evaluate("map.place(4)")
    page.click("[aria-label='Zoom in']")
    near = page.evaluate("map.place(4)")
    middle = page.evaluate("map.toScreen(0.5, 0.5)")
    np.testing.assert_allclose(np.subtract(near, middle), 1.5 * np.subtract(before, middle), atol=0.01)
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 250, box["y"] + 250)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 240, steps=5)
    page.mouse.up()
    np.testing.assert_allclose(page.evaluate("map.place(4)"), np.add(near, [50, -10]), atol=1)
    page.click("[aria-label='Show all']")
    np.testing.assert_allclose(page.evaluate("map.place(4)"), before, atol=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(open_page: Callable, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(color_scheme=scheme)
    page.evaluate("select(5)")
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_phone_needs_no_scrolling_to_the_side(open_page: Callable) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.fill("#metacell-query", "metacell_3")
    page.press("#metacell-query", "Enter")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    place = page.evaluate("map.place(4)")
    page.locator("#map").tap(position={"x": place[0], "y": place[1]})
    assert page.locator("#details h3").first.inner_text() == "metacell_4"

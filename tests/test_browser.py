"""Notebooks in a real browser: JupyterLab in a headless Chromium, run, uploaded to, and read."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from browser import REPOSITORY, Notebook, find_chromium, lab_and_browser, with_parameters
from fashionlib.shop.report import write_report
from study.drawn import open_drawn

pytestmark = pytest.mark.browser
SEARCH = REPOSITORY / "notebooks" / "09_catalogue_search.ipynb"
READ = REPOSITORY / "results" / "products" / "notebooks" / "07_product_attributes.ipynb"
PATIENCE = 300  # seconds; a machine may be busy


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One server and one browser for all tests here: (lab, browser)."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: Playwright is not installed")
    folder = tmp_path_factory.mktemp("reader")
    (folder / "notebooks").mkdir()
    for table in (REPOSITORY / "notebooks").glob("*.csv"):
        shutil.copy(table, folder / "notebooks")
    with sync_api.sync_playwright() as playwright:
        chromium = find_chromium(playwright)
        if chromium is None:
            pytest.skip("NO BROWSER TEST: there is no Chromium (Debian: apt install chromium)")
        with lab_and_browser(folder / "notebooks", folder / "jupyter", playwright, chromium) as running:
            yield running


@pytest.fixture
def screenshots(request, tmp_path) -> Path:
    """Where pictures of the pages go: ``--screenshots DIR``, else nowhere in particular."""
    return Path(request.config.getoption("--screenshots") or tmp_path)


@pytest.fixture
def opened(session):
    """Opens a notebook in a page of its own, which is closed after the test."""
    lab, browser = session
    pages = []

    def open_notebook(name: str, content: dict) -> Notebook:
        (lab.folder / name).write_text(json.dumps(content), encoding="utf-8")
        notebook = Notebook(browser, lab, name, PATIENCE)
        pages.append(notebook.page)
        return notebook

    yield open_notebook
    for page in pages:
        page.close()


def test_an_uploaded_photo_is_tagged_and_its_neighbours_are_shown(opened, tmp_path, screenshots):
    smoke = yaml.safe_load((REPOSITORY / "notebooks/profiles/smoke.yaml").read_text())
    given = smoke | {"profile": "interactive", "results_root": str(tmp_path / "results")}
    book = with_parameters(SEARCH, **given)
    button = next(number for number, cell in enumerate(book["cells"]) if "lookup.button()" in "".join(cell["source"]))
    book["cells"] = book["cells"][: button + 1]  # the others are run by test_notebooks
    notebook = opened(SEARCH.name, book)
    notebook.run_all()
    widths = notebook.figure_widths()
    assert len(widths) > 1 and all(width > 0 for width in widths)

    draw_photo(tmp_path / "my photo.jpg")
    notebook.upload(tmp_path / "my photo.jpg")
    said = notebook.wait_for_output("most similar to my photo.jpg")
    answer = notebook.page.locator(".widget-output")
    answer.locator("img").wait_for()
    notebook.wait_until_idle()
    assert notebook.figure_widths()[-1] > 0
    tags = answer.locator("table")
    assert "articleType" in tags.locator("thead").inner_text() and "my photo.jpg" in tags.locator("tbody").inner_text()
    assert "Error displaying widget" not in notebook.text() and said.is_visible()
    notebook.photograph(screenshots / "09_catalogue_search.png", showing=notebook.page.locator(".widget-upload"))


def test_a_report_of_tags_is_sorted_and_filtered_by_label(session, tmp_path, screenshots):
    names, sure = ["a.jpg", "b.jpg", "c.jpg"], {"kind": [0.9, 0.4, 0.6], "colour": [0.3, 0.8, 0.7]}
    said = {"kind": ["<script>document.title = 'hurt'</script>", "shirt", "dress"], "colour": ["red", "blue", "red"]}
    rows = [(n, task, said[task][k], sure[task][k], None) for k, n in enumerate(names) for task in sure]
    for name in names:
        draw_photo(tmp_path / name)
    tags = pd.DataFrame(rows, columns=["image", "task", "label", "confidence", "error"])
    write_report(tags, tmp_path, tmp_path / "report.html")
    page = session[1].new_page()
    page.goto((tmp_path / "report.html").as_uri())

    def shown() -> list[str]:
        return page.locator("article h2").all_inner_texts()

    assert shown() == names and "hurt" not in page.title()
    page.locator("select").select_option("kind")
    assert shown() == ["b.jpg", "c.jpg", "a.jpg"]
    page.locator("input").fill("script")
    assert shown() == ["a.jpg"] and page.locator("output").inner_text() == "1 of 3 photos"
    page.locator("select").select_option("")
    page.locator("input").fill("RED")
    assert shown() == ["a.jpg", "c.jpg"]
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    page.screenshot(path=screenshots / "report.png", full_page=True)
    page.close()


def draw_photo(path: Path) -> None:
    """A drawn garment that no catalogue here has."""
    Image.fromarray(open_drawn(items=3, seed=99, size=(120, 160)).read(0)).save(path)


def test_an_executed_notebook_can_be_read(opened, screenshots):
    book = json.loads(READ.read_text(encoding="utf-8"))
    notebook = opened(READ.name, book)
    wanted = [
        line.lstrip("# ").replace("`", "").strip()
        for cell in book["cells"]
        if cell["cell_type"] == "markdown"
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("#")
    ]
    assert len(wanted) > 5 and notebook.headings() == wanted
    outputs = [output.get("data", {}) for cell in book["cells"] for output in cell.get("outputs", [])]
    widths = notebook.figure_widths()
    assert len(widths) == sum("image/png" in data for data in outputs) > 5
    assert all(width > 0 for width in widths)
    assert "Error displaying widget" not in notebook.text()
    figures = notebook.page.locator(".jp-OutputArea-output img")
    notebook.photograph(screenshots / "07_product_attributes.png", showing=figures.first)

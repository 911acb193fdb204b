"""JupyterLab in a headless Chromium, driven as a reader would: open a notebook, run all cells, upload a photo."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTINGS = {  # every cell is in the page, also those that are not in sight
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
ALL_DONE = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.innerText.trim());
    const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.error"]');
    const idle = document.querySelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]');
    return idle && (failed || prompts.every(prompt => /^\\[\\d+\\]:$/.test(prompt)));
}"""


def find_chromium(playwright) -> str | None:
    """A Chromium of the system, else the one that Playwright has installed, else None."""
    own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, CHROMIUM)), own if Path(own).exists() else None)


class Lab:
    """A JupyterLab server with settings of its own; ``url`` and ``token`` lead to it, ``folder`` is what it shows."""

    def __init__(self, folder: Path, private: Path):
        self.folder, self.token = folder, secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        for name, values in SETTINGS.items():
            path = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.log = private / "server.log"
        options = {
            "ServerApp.root_dir": folder,
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": self.token,
            "LabApp.user_settings_dir": private / "settings",
            "LabApp.workspaces_dir": private / "workspaces",
        }
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | {
            "JUPYTER_CONFIG_DIR": str(private / "config"),
            "JUPYTER_DATA_DIR": str(private / "data"),
            "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
            "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",  # the kernel named python3 is this interpreter
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'notebooks'}",
        }
        command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
        with open(self.log, "w") as log:
            self.server = subprocess.Popen(
                command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait(self, seconds: float = 120) -> None:
        """Return when the server answers. Raises ``RuntimeError`` with its log if it does not."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and self.server.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api/status?token={self.token}", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"JupyterLab does not answer at {self.url}:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End the server, which ends its kernels."""
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


class Notebook:
    """A notebook in a browser's page; ``patience`` is in seconds and holds for each thing that is waited for."""

    def __init__(self, browser, lab: Lab, name: str, patience: float):
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(patience * 1000)
        self.page.goto(f"{lab.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{name}?token={lab.token}")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.wait_until_idle()
        self.page.keyboard.press("Control+b")  # the list of files is in the way of a picture

    def wait_until_idle(self) -> None:
        """Return when the kernel is connected and has nothing to do. Before that Run All Cells does nothing, though the
        sign above the notebook says idle; the line at the bottom tells the truth."""
        self.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()

    def run_all(self) -> None:
        """Run > Run All Cells. Returns when all have run; raises ``AssertionError`` with what a cell raised."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        self.page.wait_for_function(ALL_DONE)
        errors = self.page.locator('[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.count() == 0, errors.first.inner_text()

    def upload(self, photo: Path) -> None:
        """Click the one upload button and choose a file."""
        button = self.page.locator(".jupyter-widgets.widget-upload")
        with self.page.expect_file_chooser() as chosen:
            button.click()
        chosen.value.set_files(photo)

    def wait_for_output(self, text: str):
        """The output, below the cells' code, that says so."""
        found = self.page.locator(".jp-OutputArea-output", has_text=text).last
        found.wait_for()
        return found

    def headings(self) -> list[str]:
        """Of the rendered text, without the sign that links to them."""
        found = self.page.locator(".jp-RenderedMarkdown").locator("h1, h2, h3").all_inner_texts()
        return [text.replace("¶", "").strip() for text in found]

    def figure_widths(self) -> list[int]:
        """Pixels of each image in the outputs as the browser has decoded it; 0: it could not."""
        images = self.page.locator(".jp-OutputArea-output img")
        return images.evaluate_all(
            "images => Promise.all(images.map(i => i.decode().then(() => i.naturalWidth, () => 0)))"
        )

    def text(self) -> str:
        """All that the page shows."""
        return self.page.locator(".jp-Notebook").inner_text()

    def photograph(self, path: Path, showing=None) -> None:
        """A screenshot, with an element at its top if one is given."""
        if showing is not None:
            showing.evaluate("element => element.scrollIntoView({block: 'start'})")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


@contextmanager
def lab_and_browser(folder: Path, private: Path, playwright, chromium: str):
    """A running JupyterLab and a running Chromium, both ended afterwards."""
    lab = Lab(folder, private)
    try:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        lab.wait()
        yield lab, browser
        browser.close()
    finally:
        lab.stop()


def with_parameters(notebook: Path, **parameters) -> dict:
    """A notebook whose parameters cell sets other values after its own; names that it does not have are left out."""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    (cell,) = (cell for cell in book["cells"] if "parameters" in cell["metadata"].get("tags", ()))
    source = "".join(cell["source"])
    known = {line.split("=")[0].split(":")[0].strip() for line in source.splitlines() if "=" in line}
    lines = [f"{name} = {value!r}" for name, value in parameters.items() if name in known]
    cell["source"] = "\n".join([source, *lines])
    return book

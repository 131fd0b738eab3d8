"""Test equipment: one JupyterLab with a home, a folder and settings of its own, and notebooks open in a browser.

Nothing of the person who runs the tests is read or changed: configuration, settings, workspaces and the
database lie in temporary directories, which are removed together with the embedded server's files.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.embedded_help import CHECKOUT, cleaned, connect, open_home
from workbench.db.embedded import EmbeddedServer

__all__ = ["Lab", "Notebook", "chromium", "running_lab"]

_OWN = ("WORKBENCH_", "PG", "JUPYTER", "IPYTHON")
_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
_READY = """async () => {
    const widget = window.jupyterapp?.shell.currentWidget;
    if (!widget?.sessionContext || document.querySelector("#jupyterlab-splash")) return false;
    await widget.sessionContext.ready;
    const kernel = widget.sessionContext.session?.kernel;
    if (!kernel) return false;
    await kernel.info;
    return kernel.status === "idle";
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give Debian's Chromium without a window."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        yield browser
        browser.close()


@contextmanager
def running_lab(browser: Browser, **environment: str) -> Iterator[Lab]:
    """Give a JupyterLab whose kernels work on an embedded server of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="wb-lab-") as place,
        open_home() as home,
        cleaned(home) as database,
    ):
        folder = Path(place) / "notebooks"
        folder.mkdir()
        process, url = _start(Path(place), folder, {"WORKBENCH_HOME": str(home), **environment})
        lab = Lab(browser=browser, url=url, folder=folder, home=home, database=database)
        try:
            yield lab
        finally:
            lab.close()
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # the server ends its kernels before itself
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:  # seen now and then; the kernels end when their server has gone
        process.kill()
        process.wait()


def _start(place: Path, folder: Path, environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    (place / "overrides.json").write_text(json.dumps(_SETTINGS))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    kept.pop("DATABASE_URL", None)
    kept.pop("OPENROUTER_API_KEY", None)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "IdentityProvider.token": "",
        "ServerApp.password": "",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
        "LabServerApp.app_settings_dir": place,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    directories = {
        name: str(place / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR",
        )
    }  # fmt: skip
    with (place / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "PYTHONPATH": str(CHECKOUT), **directories, **environment},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    _wait_for(f"{url}/api", process, place / "lab.log")
    return process, url


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


@dataclass
class Lab:
    """A running JupyterLab: ``open`` shows a notebook in a page of its own."""

    browser: Browser
    url: str
    folder: Path
    home: Path
    database: EmbeddedServer
    opened: list[Notebook] = field(default_factory=list)

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Put a notebook of code cells into the folder."""
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        made = new_notebook(
            cells=[new_code_cell(source) for source in cells], metadata={"kernelspec": kernel}
        )
        nbformat.write(made, self.folder / name)
        return name

    def open(self, name: str, *, theme: str = "light", width: int = 1280, height: int = 900) -> Notebook:
        """Open a notebook with a kernel that is ready."""
        context = self.browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(40_000)
        notebook = Notebook(page=context.new_page(), path=self.folder / name)
        self.opened.append(notebook)
        notebook.load(f"{self.url}/lab/workspaces/{Path(name).stem}-{len(self.opened)}/tree/{name}?reset")
        notebook.theme(theme)
        return notebook

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Ask the database what it holds, past all row-level security."""
        with connect(self.database, "workbench") as connection:
            return connection.execute(query).fetchall()

    def close(self) -> None:
        """Close every page."""
        for notebook in self.opened:
            notebook.page.context.close()
        self.opened.clear()


class Notebook:
    """One notebook in one page, driven by JupyterLab's own commands.

    Attributes:
        page: the page.
        errors: what the console reported as an error, and exceptions that nobody caught.

    """

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("console", lambda message: self._told(message.type, message.text))

    def _told(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    def load(self, url: str | None = None) -> None:
        """Load the page, or load it again as the saved notebook has it."""
        self.page.goto(url) if url else self.page.reload()
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.page.wait_for_function(_READY)

    def theme(self, name: str) -> None:
        """Change to ``light`` or ``dark``."""
        self.command("apputils:change-theme", {"theme": _THEMES[name]})
        light = "true" if name == "light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")

    def command(self, name: str, args: Mapping[str, Any] | None = None) -> None:
        """Execute a command and wait for it."""
        self.page.evaluate("([name, args]) => jupyterapp.commands.execute(name, args)", [name, args or {}])

    def start(self, cell: int | None = None) -> None:
        """Start one cell, or all of them; ``wait`` waits for the end."""
        if cell is not None:
            self.page.evaluate("i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", cell)
        name = "notebook:run-all-cells" if cell is None else "notebook:run-cell"
        self.page.evaluate(
            """name => {
                window.ended = false;
                jupyterapp.commands.execute(name).finally(() => { window.ended = true; });
            }""",
            name,
        )

    def wait(self, seconds: float = 40) -> None:
        """Wait until what was started has ended."""
        self.page.wait_for_function("window.ended", timeout=1000 * seconds)

    def run(self, cell: int | None = None, *, seconds: float = 40) -> None:
        """Run one cell, or all of them, to the end."""
        self.start(cell)
        self.wait(seconds)

    def interrupt(self) -> None:
        """Press the stop button."""
        self.command("notebook:interrupt-kernel")

    def cell(self, index: int) -> Locator:
        """Return a cell, brought into view."""
        self.page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i)", index)
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']")

    def shown(self, index: int) -> Locator:
        """Return what a cell shows below its input."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def outputs(self, index: int) -> list[Any]:
        """Return a cell's outputs as the page holds them, not as they are saved."""
        read = "i => jupyterapp.shell.currentWidget.content.model.cells.get(i).toJSON().outputs"
        return list(self.page.evaluate(read, index))

    def saved(self) -> nbformat.NotebookNode:
        """Save the notebook and read its file."""
        self.command("docmanager:save")
        return nbformat.read(self.path, as_version=4)

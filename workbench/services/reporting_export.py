"""An executed notebook as one HTML page that needs nothing else: no network, no kernel, no server.

nbconvert's own pages either run whatever HTML a model wrote or, sanitised, lose the figures. So only
its Markdown and its highlighting are used. Plotly figures go into the page as JSON, drawn by one
embedded plotly.js; a content security policy lets that script and ours run, by hash, and nothing
else; every other rich output goes through the cleaner that the caller hands in.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ReportError

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["SENTINEL_TAG", "Block", "blocks", "export_html"]

#: Tag of the cell that is added to an execution; its output proves that the notebook reached its end.
SENTINEL_TAG = "workbench-sentinel"

_TEMPLATE = Path(__file__).parent / "report_template"
_PLOTLY = "application/vnd.plotly.v1+json"
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_PAPERMILL_BANNER = "papermill-error-cell-tag"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SHOWS_SOMETHING = re.compile(r"<(?:svg|img|hr)\b|>[^<>]*[^<>\s]|^[^<>]*[^<>\s]")


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of the page.

    Attributes:
        kind: ``markdown``, ``code``, ``html``, ``figure``, ``image``, ``text`` or ``error``.
        value: safe HTML for the first three, a figure's JSON, an image's ``data:`` URL, or plain text.

    """

    kind: str
    value: str


def export_html(
    notebook_path: Path,
    html_path: Path,
    *,
    title: str,
    clean: Callable[[str], str],
    details: Mapping[str, str] | None = None,
    footer: str = "",
) -> Path:
    """Write an executed notebook as one HTML page.

    Args:
        notebook_path: the executed notebook.
        html_path: the page; replaced at once, so a reader never sees half of it.
        title: of the page, as text.
        clean: takes any HTML and returns what is safe to show (``workbench.views.clean.clean``).
        details: name → text, shown above the report: when it ran, its parameters.
        footer: text below the report, such as an audit digest.

    Returns:
        ``html_path``.

    Raises:
        ReportError: the notebook cannot be read, or the page cannot be written.

    """
    import nbformat

    try:
        notebook = nbformat.read(notebook_path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise ReportError(f"{notebook_path} cannot be read as a notebook: {error}") from error
    page = _page(notebook, title=title, clean=clean, details=details or {}, footer=footer)
    part = html_path.with_name(f".{html_path.name}.part")
    try:
        part.write_text(page, encoding="utf-8", newline="\n")
        part.replace(html_path)
    except OSError as error:
        raise ReportError(
            f"the report's page cannot be written to {html_path}: {error}",
            cure="see that the directory exists and has space",
        ) from error
    return html_path


def _page(
    notebook: NotebookNode,
    *,
    title: str,
    clean: Callable[[str], str],
    details: Mapping[str, str],
    footer: str,
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    content = list(blocks(notebook, clean))
    scripts = _scripts() if any(block.kind == "figure" for block in content) else ()
    heading = content[0] if content and content[0].kind == "markdown" and "<h1" in content[0].value else None
    environment = Environment(loader=FileSystemLoader(_TEMPLATE), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(
        title=title,
        heading=heading,
        blocks=content[1:] if heading else content,
        details=details,
        footer=footer,
        complete=_complete(notebook),
        policy=_policy(scripts),
        scripts=scripts,
        style=_style(),
    )


def blocks(notebook: NotebookNode, clean: Callable[[str], str]) -> Iterator[Block]:
    """Give the pieces of a notebook's page, in order; code cells without an output are joined with the next.

    Args:
        notebook: of format 4.
        clean: takes any HTML and returns what is safe to show.

    """
    markdown = _markdown_renderer(clean)
    code = ""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", ())
        if SENTINEL_TAG in tags or _PAPERMILL_BANNER in tags or not (cell.source or cell.get("outputs")):
            continue
        if cell.cell_type == "code":
            code += _highlighted(cell.source)
        if code and (cell.cell_type == "markdown" or cell.get("outputs")):
            yield Block("code", code)
            code = ""
        if cell.cell_type == "markdown":
            yield Block("markdown", markdown(cell.source))
        for output in _joined(cell.get("outputs", ())):
            yield _block(output, clean, markdown)
    if code:
        yield Block("code", code)


def _markdown_renderer(clean: Callable[[str], str]) -> Callable[[str], str]:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    def render(text: str) -> str:
        renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
        return clean(MarkdownWithMath(renderer=renderer).render(text))

    return render


def _highlighted(source: str) -> str:
    from nbconvert.filters.highlight import Highlight2HTML

    return str(Highlight2HTML(pygments_lexer="ipython3")(source))


def _joined(outputs: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """Join the pieces of a stream that follow each other."""
    text = ""
    for output in outputs:
        if output["output_type"] == "stream":
            text += output["text"]
            continue
        if text:
            yield {"text/plain": text}
            text = ""
        if output["output_type"] == "error":
            yield {"error": "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"}
        else:
            yield output["data"]
    if text:
        yield {"text/plain": text}


def _block(data: Mapping[str, Any], clean: Callable[[str], str], markdown: Callable[[str], str]) -> Block:
    """Take the richest form that can be shown safely and without a network."""
    figure = _figure(data.get(_PLOTLY))
    if figure:
        return Block("figure", figure)
    for mime, render in (("text/html", clean), ("image/svg+xml", clean), ("text/markdown", markdown)):
        html = render(_text(data, mime))
        if _SHOWS_SOMETHING.search(html):
            return Block("html", html)
    for mime in _IMAGES:
        image = "".join(_text(data, mime).split())
        if image:
            return Block("image", f"data:{mime};base64,{image}")
    kind = "error" if "error" in data else "text"
    return Block(kind, _ANSI.sub("", _text(data, "error" if kind == "error" else "text/plain")))


def _text(data: Mapping[str, Any], mime: str) -> str:
    value = data.get(mime, "")
    return value if isinstance(value, str) else json.dumps(value)


def _figure(bundle: object) -> str | None:
    """Return a figure's JSON, fit to stand inside a ``<script>`` element; None when it is no figure."""
    if not isinstance(bundle, Mapping) or not isinstance(bundle.get("data"), list):
        return None
    figure = {"data": bundle["data"], "layout": bundle.get("layout", {})}
    try:
        text = json.dumps(figure, allow_nan=False)
    except ValueError:
        return None
    return text.replace("<", "\\u003c")


def _complete(notebook: NotebookNode) -> bool:
    """Whether the notebook ran to its end; one that was not executed as a report counts as complete."""
    ends = [cell for cell in notebook.cells if SENTINEL_TAG in cell.metadata.get("tags", ())]
    return all(cell.outputs for cell in ends)


@functools.cache
def _scripts() -> tuple[str, ...]:
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ReportError("plotly is not installed", cure="pip install plotly")
    library = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return library.read_text(encoding="utf-8"), (_TEMPLATE / "figures.js").read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def _style() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (_TEMPLATE / "page.css").read_text(encoding="utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"

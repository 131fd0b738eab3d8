"""A notebook from a few cells, as a file."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook: a string is a code cell, ``md: …`` Markdown, a dict a finished cell."""

    def write(*cells, parameters=None, name="nb.ipynb"):
        head = [_code(parameters, tags=["parameters"])] if parameters is not None else []
        path = tmp_path / name
        content = {
            "cells": head + [_cell(cell) for cell in cells],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        for number, cell in enumerate(content["cells"]):
            cell["id"] = f"c{number}"
        path.write_text(json.dumps(content))
        return path

    return write


def _cell(cell):
    if isinstance(cell, dict):
        return cell
    if cell.startswith("md:"):
        return {"cell_type": "markdown", "metadata": {}, "source": cell.removeprefix("md:").strip()}
    return _code(cell)


def _code(source, *, tags=(), outputs=()):
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": list(outputs),
        "execution_count": None,
    }


@pytest.fixture
def shown():
    """Return a code cell whose output is a MIME bundle."""

    def cell(bundle, source="show()"):
        output = {"output_type": "display_data", "data": bundle, "metadata": {}}
        return _code(source, outputs=[output])

    return cell

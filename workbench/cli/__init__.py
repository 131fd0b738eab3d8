"""The command line: each command parses, asks one verb, prints once. Nothing heavy is loaded for ``--help``."""

from __future__ import annotations

from workbench.cli.app import main

__all__ = ["main"]

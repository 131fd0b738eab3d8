"""Test equipment: a home directory that holds the weights of the small local model.

The weights are fetched once into the checkout's ``.cache`` (93 MB) and linked into each home.
"""

from __future__ import annotations

import os
from pathlib import Path

from workbench.providers.weights import fetch

__all__ = ["home_with_weights"]

_CACHE = Path(__file__).parents[1] / ".cache"


def home_with_weights(home: Path) -> Path:
    """Put the weights of ``local/smollm2`` into a home directory and return it."""
    weights = fetch("smollm2", _CACHE)
    target = home / "models" / weights.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(weights, target)
        except OSError:  # the home is on another file system
            target.symlink_to(weights)
    return home

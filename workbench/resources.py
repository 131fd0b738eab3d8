"""Where the files are that are not Python: migrations and notebooks.

In a wheel they lie inside the package, in ``_resources``; in a checkout they lie beside it.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import ConfigError

__all__ = ["migrations_dir", "notebooks_dir"]

_PACKAGE = Path(__file__).resolve().parent


def migrations_dir() -> Path:
    """Return the directory of the Alembic migrations (it holds ``env.py``).

    Raises:
        ConfigError: the installation is incomplete.

    """
    return _find("migrations")


def notebooks_dir() -> Path:
    """Return the directory of the tutorials, the report templates and the demo data.

    Raises:
        ConfigError: the installation is incomplete.

    """
    return _find("notebooks")


def _find(name: str) -> Path:
    places = (_PACKAGE / "_resources" / name, _PACKAGE.parent / name)
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ConfigError(
        f"the {name} that belong to the workbench are missing: looked at {looked}",
        cure="install the package again: pip install --force-reinstall prompt-workbench",
    )

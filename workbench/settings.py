"""What the environment says, read once: every other module is handed a ``Settings``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from workbench.errors import ConfigError
from workbench.secret import Secret

__all__ = ["Settings", "default_home"]

_ENDPOINT_PREFIX = "WORKBENCH_ENDPOINT_"


def default_home(environ: Mapping[str, str]) -> Path:
    """Return where all state lives when ``WORKBENCH_HOME`` is not set (XDG data directory)."""
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local/share")
    return Path(base) / "workbench"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of one process.

    Attributes:
        home: directory of all state: the embedded server, weights, saved connections, reports.
        database_url: ``postgresql://…``, ``embedded:///path`` or None for the embedded server.
        admin_url: URL of an administrator, only for ``db init`` and maintenance.
        project: project to use at start.
        model: default model id.
        openrouter_key: key for OpenRouter.
        key: master key for stored provider keys.
        pg_bin: directory of PostgreSQL programs to prefer for the embedded server.
        endpoints: name → base URL of OpenAI-compatible servers.
        endpoint_keys: name → key for such a server (``WORKBENCH_ENDPOINT_<NAME>_KEY``).
        confirm_over: a plan above this many USD asks before it runs.

    """

    home: Path
    database_url: str | None = None
    admin_url: str | None = None
    project: str | None = None
    model: str | None = None
    openrouter_key: Secret | None = None
    key: Secret | None = None
    pg_bin: Path | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    endpoint_keys: Mapping[str, Secret] = field(default_factory=dict)
    confirm_over: float = 1.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, dotenv: Path | None = None) -> Settings:
        """Read the environment, on top of a ``.env`` file in the working directory.

        Args:
            environ: the environment; ``os.environ`` by default. Its values win over the file's.
            dotenv: the file; ``./.env`` by default, ignored where it does not exist.

        """
        values = {**_read_dotenv(dotenv or Path(".env")), **(os.environ if environ is None else environ)}

        def get(name: str) -> str | None:
            return values.get(name) or None

        def secret(name: str) -> Secret | None:
            value = get(name)
            return Secret(value) if value else None

        endpoints, keys = _endpoints(values)
        home = get("WORKBENCH_HOME")
        pg_bin = get("WORKBENCH_PG_BIN")
        return cls(
            home=Path(home).expanduser().absolute() if home else default_home(values),
            database_url=get("DATABASE_URL"),
            admin_url=get("WORKBENCH_ADMIN_URL"),
            project=get("WORKBENCH_PROJECT"),
            model=get("WORKBENCH_MODEL"),
            openrouter_key=secret("OPENROUTER_API_KEY"),
            key=secret("WORKBENCH_KEY"),
            pg_bin=Path(pg_bin) if pg_bin else None,
            endpoints=MappingProxyType(endpoints),
            endpoint_keys=MappingProxyType(keys),
            confirm_over=_number("WORKBENCH_CONFIRM_OVER", get("WORKBENCH_CONFIRM_OVER"), default=1.0),
        )


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _endpoints(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Secret]]:
    urls: dict[str, str] = {}
    keys: dict[str, Secret] = {}
    for name, value in values.items():
        if not name.startswith(_ENDPOINT_PREFIX) or not value:
            continue
        endpoint = name.removeprefix(_ENDPOINT_PREFIX)
        if endpoint.endswith("_KEY"):
            keys[_endpoint_name(endpoint.removesuffix("_KEY"))] = Secret(value)
        else:
            urls[_endpoint_name(endpoint)] = value
    return urls, keys


def _endpoint_name(text: str) -> str:
    return text.lower().replace("_", "-")


def _number(name: str, text: str | None, *, default: float) -> float:
    if text is None:
        return default
    try:
        return float(text)
    except ValueError as error:
        message = f"{name} is {text!r}, not a number"
        raise ConfigError(message, cure=f"set it to an amount in USD, such as {default}") from error

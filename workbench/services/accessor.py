"""``df.prompt.run("tone")``: prompts on a DataFrame, as soon as pandas is there.

pandas is never imported here. Where it is loaded already the accessor is added at once; else Python's import
system tells us when it has been. Light, because ``%load_ext workbench`` imports this module.
"""

from __future__ import annotations

import importlib.util
import sys
import weakref
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from workbench.core.versions import PromptVersion
    from workbench.services.estimating import Plan
    from workbench.services.run import Run
    from workbench.services.workbench import Workbench

__all__ = ["PromptAccessor", "forget", "remember", "watch_pandas"]

_NAME = "prompt"

#: The open workbenches, the last connected one last. Nothing here keeps one alive.
_open: list[weakref.ref[Workbench]] = []


class PromptAccessor:
    """What ``df.prompt`` offers: prompts answered over the rows, on the workbench that was connected last."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def run(self, prompts: str | PromptVersion | Sequence[str | PromptVersion], **options: Any) -> Run:
        """Answer every row; the same as ``wb.run(prompts, data=df, **options)``.

        Raises:
            ConfigError: no workbench is open.

        Example:
            >>> df.prompt.run("tone", scorers=["equals:@label"]).frame()  # doctest: +SKIP

        """
        return _newest().run(prompts, data=self._frame, **options)

    def plan(self, prompts: str | PromptVersion | Sequence[str | PromptVersion], **options: Any) -> Plan:
        """Estimate what ``run`` with the same arguments would call, cost and take; nothing is called."""
        return _newest().plan(prompts, data=self._frame, **options)


class _Attribute:
    """``DataFrame.prompt``. A column of that name stays what the attribute means, as everywhere in pandas."""

    def __get__(self, frame: pd.DataFrame | None, owner: type) -> Any:
        if frame is None:
            return PromptAccessor
        return frame[_NAME] if _NAME in frame.columns else PromptAccessor(frame)

    def __set__(self, frame: pd.DataFrame, value: Any) -> None:
        if _NAME not in frame.columns:
            raise AttributeError(
                f"df.{_NAME} runs prompts; a column of that name is made by df[{_NAME!r}] = …"
            )
        frame[_NAME] = value


def remember(workbench: Workbench) -> None:
    """Let ``df.prompt`` use a workbench from now on; called when it is connected."""
    _open.append(weakref.ref(workbench))
    watch_pandas()


def forget(workbench: Workbench) -> None:
    """Use it no more; called when it is closed. The one connected before comes to its place."""
    _open[:] = [each for each in _open if each() not in (None, workbench)]


def watch_pandas() -> None:
    """Add the accessor to pandas, now or as soon as it is imported."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        _add(pandas)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _newest() -> Workbench:
    for each in reversed(_open):
        found = each()
        if found is not None:
            return found
    raise ConfigError(
        f"df.{_NAME} needs an open workbench, and there is none", cure="wb = workbench.connect()"
    )


def _add(pandas: ModuleType) -> None:
    if not hasattr(pandas.DataFrame, _NAME):  # another library's accessor is left alone
        setattr(pandas.DataFrame, _NAME, _Attribute())


class _Watch(MetaPathFinder):
    """Waits for the import of pandas, then gets out of the way."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002 - the import system's protocol
        if name != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Load(spec.loader)
        return spec


class _Load(Loader):
    """Loads pandas by its own loader, and adds the accessor."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _add(module)

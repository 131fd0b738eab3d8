from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

from workbench import analysis

MODULES = [module.name for module in pkgutil.iter_modules(analysis.__path__)]


def test_importing_the_package_loads_neither_numpy_nor_scipy_nor_pandas():
    code = (
        "import sys, workbench.analysis; print({'numpy', 'scipy', 'pandas'} & set(sys.modules));"
        "workbench.analysis.mcnemar(1, 2); print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["set()", "False"]


def test_every_exported_name_is_there_and_no_module_hides_one():
    for module in MODULES:
        importlib.import_module(f"workbench.analysis.{module}")
    assert sorted(analysis.__all__) == list(analysis.__all__) == dir(analysis)
    for name in analysis.__all__:
        assert callable(getattr(analysis, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="mcnemer"):
        _ = analysis.mcnemer


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_are_true(module):
    result = doctest.testmod(importlib.import_module(f"workbench.analysis.{module}"))
    assert result.failed == 0

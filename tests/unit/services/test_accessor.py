"""``df.prompt`` in fresh interpreters: what pandas and Python's import system make of it."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from workbench.errors import ConfigError
from workbench.services.accessor import PromptAccessor, forget, remember, watch_pandas


class Bench:
    """Stands where a workbench does."""

    def __init__(self):
        self.asked = []

    def run(self, prompts, **options):
        self.asked.append((prompts, options))
        return self

    plan = run


@pytest.fixture
def df():
    watch_pandas()
    return pd.DataFrame({"text": ["a"]})


def test_the_last_connected_open_workbench_answers(df):
    first, second = Bench(), Bench()
    remember(first)
    remember(second)
    assert df.prompt.run("tone", samples=2) is second
    forget(second)
    assert df.prompt.plan("tone") is first
    forget(first)
    with pytest.raises(ConfigError, match="needs an open workbench") as caught:
        df.prompt.run("tone")
    assert "workbench.connect()" in caught.value.cure
    ((prompts, options),) = second.asked
    assert (prompts, options["samples"]) == ("tone", 2)
    assert options["data"] is df


def test_nothing_is_kept_alive(df):
    remember(Bench())
    with pytest.raises(ConfigError):
        df.prompt.run("tone")


def test_a_column_called_prompt_stays_what_the_attribute_means():
    watch_pandas()
    frame = pd.DataFrame({"prompt": ["a", "b"]})
    assert list(frame.prompt.str.upper()) == ["A", "B"]
    frame.prompt = ["c", "d"]
    assert list(frame["prompt"]) == ["c", "d"]
    other = pd.DataFrame({"text": ["a"]})
    assert isinstance(other.prompt, PromptAccessor)
    with pytest.raises(AttributeError, match="made by"):
        other.prompt = "x"
    assert pd.DataFrame.prompt is PromptAccessor


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_accessor_comes_with_pandas_whenever_it_is_imported():
    code = """
import sys
from workbench.services.accessor import watch_pandas
before = list(sys.meta_path)
watch_pandas(); watch_pandas()
assert len(sys.meta_path) == len(before) + 1
assert "pandas" not in sys.modules
import json.tool
import pandas
assert sys.meta_path == before
assert type(pandas.__spec__.loader).__name__ == type(pandas.__loader__).__name__ == "SourceFileLoader"
import importlib.resources
assert importlib.resources.files("pandas").joinpath("__init__.py").is_file()
print(type(pandas.DataFrame({"a": [1]}).prompt).__name__)
"""
    assert python(code) == ["PromptAccessor"]


def test_another_librarys_accessor_is_left_alone():
    code = """
import pandas
pandas.api.extensions.register_dataframe_accessor("prompt")(lambda df: "theirs")
from workbench.services.accessor import watch_pandas
watch_pandas()
print(pandas.DataFrame({"a": [1]}).prompt)
"""
    assert python(code) == ["theirs"]


def test_where_there_is_no_pandas_its_import_fails_as_ever():
    code = """
import sys
from workbench.services.accessor import watch_pandas
watch_pandas()
sys.path[:] = [path for path in sys.path if "packages" not in path]
try:
    import pandas
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert python(code) == ["pandas"]

"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re

import pytest
from source import PACKAGE, ROOT, name, place, python_files, tree

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = python_files("workbench")


def walk(kind, paths):
    return [(path, node) for path in paths for node in ast.walk(tree(path)) if isinstance(node, kind)]


def imported(path):
    """Give (node, top-level module name) for every import in a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module.split(".")[0]


def called(call):
    """Return the dotted name of what is called, as far as it is written out."""
    return ast.unparse(call.func) if isinstance(call.func, ast.Name | ast.Attribute) else ""


def below(*folders):
    return [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in folders]


def test_the_modules_are_found():
    assert len(MODULES) > 10


def test_no_module_is_longer_than_400_lines():
    long = {name(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_no_function_of_a_face_is_longer_than_40_lines():
    long = {
        f"{place(path, node)} {node.name}": node.end_lineno - node.lineno + 1
        for path, node in walk(FUNCTIONS, below("magics", "cli"))
        if node.end_lineno - node.lineno + 1 > 40
    }
    assert not long


def exported(path):
    """Return ``__all__``, or None where a module has none."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def only_words(path):
    """Whether a module holds nothing but its docstring and the future import."""
    return all(
        isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in tree(path).body
    )


WITH_NAMES = [path for path in MODULES if path.name != "__main__.py" and not only_words(path)]


@pytest.mark.parametrize("path", WITH_NAMES, ids=name)
def test_all_is_there_complete_and_sorted(path):
    names = exported(path)
    assert names is not None, "the module has no __all__"
    assert list(names) == sorted(names, key=isort_order)
    assert len(set(names)) == len(names)
    defined = [node.name for node in tree(path).body if isinstance(node, FUNCTIONS | ast.ClassDef)]
    assert not [each for each in defined if not each.startswith("_") and each not in names]


def isort_order(text):
    """CONSTANTS, then Classes, then functions; each in natural order (ruff's RUF022)."""
    kind = 0 if text.isupper() and len(text) > 1 else 1 if text[:1].isupper() else 2
    return kind, [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", text)]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_and_public_names_say_why_they_are_there(path):
    if path.read_text().strip():
        assert ast.get_docstring(tree(path)), "the module has no docstring"
    names = exported(path) or ()
    silent = [
        node.name
        for node in tree(path).body
        if isinstance(node, FUNCTIONS | ast.ClassDef) and node.name in names and not ast.get_docstring(node)
    ]
    assert not silent


def passes_on(handler):
    """Whether a handler only tidies up: its last statement is a bare ``raise``."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_no_error_is_caught_by_its_root():
    broad = [
        place(path, node)
        for path, node in walk(ast.ExceptHandler, python_files("workbench", "migrations"))
        if (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
        and not passes_on(node)
    ]
    assert not broad


def test_nobody_runs_a_loop_of_their_own_or_patches_a_running_one():
    calls = [place(path, call) for path, call in walk(ast.Call, MODULES) if called(call) == "asyncio.run"]
    patches = [
        place(path, node)
        for path in MODULES
        for node, top in imported(path)
        if top.startswith("nest_asyncio")
    ]
    assert not calls + patches


def test_the_global_random_generators_are_left_alone():
    drawn = re.compile(
        r"(?:random|np\.random|numpy\.random)\.(?!Random\b|SystemRandom\b|default_rng\b|Generator\b|SeedSequence\b|PCG64\b)\w+"
    )
    assert not [place(path, call) for path, call in walk(ast.Call, MODULES) if drawn.fullmatch(called(call))]


def test_only_reporting_imports_papermill_and_nbconvert():
    report = {"papermill", "nbconvert", "nbformat", "nbclient"}
    strays = [
        f"{place(path, node)} {top}"
        for path in MODULES
        if not path.is_relative_to(PACKAGE / "services") or not path.name.startswith("reporting")
        for node, top in imported(path)
        if top in report
    ]
    assert not strays


# --- what a person sees may hold a model's words: HTML is built in one place ---

TAG = re.compile(
    r"</?(?:a|b|body|br|button|code|dd|details|div|dl|dt|em|figure|h[1-6]|html|i|iframe|img|input|li|mark|ol|p|pre"
    r"|script|section|small|span|strong|style|sub|summary|sup|svg|table|tbody|td|th|thead|tr|ul)(?:\s[^<>]*)?/?>"
)
UNSAFE = {"HTML", "Markdown", "Javascript", "HTMLMath", "Markup", "Latex", "SVG"}


def test_only_views_hand_html_to_the_notebook():
    outside = [path for path in MODULES if path not in below("views")]
    keys = [
        place(path, node)
        for path, node in walk(ast.Dict, outside)
        if any(isinstance(key, ast.Constant) and key.value == "text/html" for key in node.keys)
    ]
    assert not keys


def test_only_views_html_builds_tags():
    elsewhere = [path for path in MODULES if path != PACKAGE / "views" / "html.py"]
    docstrings = {
        id(node.body[0].value)
        for path in elsewhere
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS) and ast.get_docstring(node, clean=False)
    }
    tags = [
        f"{place(path, node)} {node.value[:60]!r}"
        for path, node in walk(ast.Constant, elsewhere)
        if isinstance(node.value, str) and id(node) not in docstrings and TAG.search(node.value)
    ]
    assert not tags


def test_nothing_shows_text_as_markup():
    elsewhere = [path for path in MODULES if path != PACKAGE / "views" / "html.py"]
    calls = [
        f"{place(path, call)} {ast.unparse(call)[:60]}"
        for path, call in walk(ast.Call, elsewhere)
        if called(call).rsplit(".", 1)[-1] in UNSAFE
        or any(word.arg == "escape" and ast.unparse(word.value) == "False" for word in call.keywords)
    ]
    # The Markdown renderer's own output goes through the sanitiser in the same expression.
    allowed = {"workbench/services/reporting_export.py"}
    assert not [call for call in calls if call.split(":")[0] not in allowed]


# --- migrations and tests ---

REVISIONS = sorted((ROOT / "migrations" / "versions").glob("*.py"))


def test_every_migration_has_a_number_a_name_and_a_reason():
    assert REVISIONS
    for path in REVISIONS:
        assert re.fullmatch(r"\d{4}_[a-z0-9_]{3,}\.py", path.name), path.name
        assert ast.get_docstring(tree(path)), path.name


def test_migrations_form_one_line():
    parents = {}
    for path in REVISIONS:
        values = {}
        for node in tree(path).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                values[target.id] = ast.literal_eval(node.value)
        assert path.name.startswith(f"{values['revision']}_")
        parents[values["revision"]] = values["down_revision"]
    numbers = sorted(parents)
    assert [parents[number] for number in numbers] == [None, *numbers[:-1]]


def test_no_test_is_skipped_or_mocks_the_workbench():
    forbidden = re.compile(
        r"(?:\bpytest|\bmark|\bunittest)\.(?:skip|skipif|xfail|importorskip|mock)\b|\bMagicMock\b"
    )
    found = [
        f"{name(path)}:{number}"
        for path in python_files("tests")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if forbidden.search(line) and path.name != "test_house.py"
    ]
    assert not found

"""A reference reads in one way only."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from workbench.core.keys import find_key
from workbench.core.refs import Ref, check_label, check_title, parse_ref
from workbench.errors import InputError, NameTakenError, UnknownReferenceError


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("classify", Ref("classify")),
        ("classify@3", Ref("classify", version=3)),
        ("classify@v3", Ref("classify", version=3)),
        ("classify@V03", Ref("classify", version=3)),
        ("classify@prod", Ref("classify", label="prod")),
        ("classify@latest", Ref("classify", label="latest")),
        ("Customer tone/de@prod-2", Ref("Customer tone/de", label="prod-2")),
        ("scratch/abc@1", Ref("scratch/abc", version=1)),
        ("e\u0301te\u0301", Ref("été")),
    ],
)
def test_a_reference_reads(text, ref):
    assert parse_ref(text) == ref
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "@3",
        "a@",
        "a@0",
        "a@b@c",
        "a@3.5",
        "a@99999999999",
        "a@-1",
        "a@" + "9" * 5_000,
        "-a",
        "a\0",
        "a@ x y",
    ],
)
def test_what_is_no_reference_is_an_unknown_reference(text):
    with pytest.raises(UnknownReferenceError) as caught:
        parse_ref(text)
    assert caught.value.cure


@pytest.mark.parametrize(
    "title", ["", "  ", "a@b", "x" * 256, "a\nb", "a\0", "a\u2028b", "\ud800", "-m", "scratch/a"]
)
def test_a_title_that_is_not_allowed_is_refused(title):
    with pytest.raises(NameTakenError) as caught:
        check_title(title)
    assert caught.value.cure


def test_a_title_is_trimmed_and_composed():
    assert check_title("  e\u0301te\u0301 ") == "été"
    assert check_title("x" * 255)
    assert check_title("scratch/a", system=True)


@pytest.mark.parametrize("label", ["", "3", "v3", "V12", "a b", "a@b", "-a", "x" * 65, "latest", "a/b"])
def test_a_label_that_is_not_allowed_is_refused(label):
    with pytest.raises(NameTakenError):
        check_label(label)


@pytest.mark.parametrize("label", ["prod", "v3-beta", "été", "release.2", "vintage"])
def test_an_ordinary_label_is_allowed(label):
    assert check_label(label) == label


@settings(deadline=None)
@given(st.text(alphabet="ab@v12 -/.é\0\n") | st.text())
def test_any_text_is_a_reference_or_an_input_error(text):
    try:
        ref = parse_ref(text)
    except InputError:
        return
    assert parse_ref(str(ref)) == ref


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key = 'sk-or-v1-0123456789abcdef0123456789'", "sk-or-v1-***"),
        ("sk-proj-0123456789abcdef0123", "sk-proj-***"),
        ("(sk-ant-api03-0123456789abcdef0123)", "sk-ant-***"),
        ("sk-0123456789abcdef0123", "sk-***"),
        ("a sk-short key", None),
        ("task-0123456789abcdef0123456789", None),
        ("", None),
    ],
)
def test_a_key_is_found_and_not_repeated(text, kind):
    assert find_key(text) == kind

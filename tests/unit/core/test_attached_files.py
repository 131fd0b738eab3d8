from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import GIF, JPEG, PDF, PNG, WEBP, png
from workbench.core.attachments import (
    MAX_ATTACHMENT,
    MAX_STORED_URL,
    attach_bytes,
    attach_url,
    read_part,
)
from workbench.errors import FileError, InputError, WorkbenchError


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (WEBP, "image/webp"),
        (PDF, "application/pdf"),
    ],
)
def test_the_kind_is_read_from_the_content(data, kind):
    found = attach_bytes(data, name="x.txt")
    assert (found.media_type, found.size, found.sha256) == (kind, len(data), hashlib.sha256(data).hexdigest())
    assert base64.b64decode(found.url.partition(",")[2]) == data


def test_a_picture_and_a_document_are_different_parts():
    assert attach_bytes(PNG).part()["type"] == "image_url"
    part = attach_bytes(PDF, name="plan.pdf").part()
    assert part["file"]["filename"] == "plan.pdf"
    assert part["file"]["file_data"].startswith("data:application/pdf;base64,")
    assert attach_url("https://example.org/a.pdf?x=1").part() == {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "https://example.org/a.pdf?x=1"},
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"BM6\0", "no PNG, JPEG, GIF, WebP or PDF"),
        (PNG + bytes(MAX_ATTACHMENT), "20.0 MB"),
    ],
)
def test_what_cannot_be_attached_is_told_with_a_cure(data, words):
    with pytest.raises(FileError, match=words) as caught:
        attach_bytes(data, name="x.bmp")
    assert "x.bmp" in caught.value.message
    assert caught.value.cure


def test_a_large_file_is_stored_as_its_digest_and_a_small_one_whole():
    small, large = attach_bytes(PNG), attach_bytes(png(1000, 1000))
    assert small.part(stored=True) == small.part()
    stored = large.part(stored=True)
    assert stored["image_url"]["url"] == f"data:image/png;sha256={large.sha256};bytes={large.size}"
    assert len(large.part()["image_url"]["url"]) > MAX_STORED_URL
    read = read_part(stored)
    assert (read.sha256, read.size, read.media_type, read.is_stored) == (
        large.sha256,
        large.size,
        "image/png",
        False,
    )
    assert read.part(stored=True) == stored


@pytest.mark.parametrize("data", [PNG, PDF])
def test_a_stored_part_is_read_again(data):
    whole = attach_bytes(data, name="x.pdf" if data is PDF else "")
    assert read_part(whole.part(stored=True)) == whole
    address = attach_url("https://example.org/x.png")
    assert read_part(address.part(stored=True)) == address


def test_a_data_url_is_checked_as_bytes_are():
    url = attach_bytes(PNG).url
    assert attach_url(url) == attach_bytes(PNG)
    for wrong in ("data:image/png,abc", "data:image/png;base64,a*b", "data:image/png;base64,aGVsbG8="):
        with pytest.raises(FileError):
            attach_url(wrong)


@pytest.mark.parametrize(
    "url", ["ftp://x/a.png", "https://", "https://user:secret@example.org/a.png", "http://[::1"]
)
def test_other_addresses_are_refused_and_never_show_a_password(url):
    with pytest.raises(InputError) as caught:
        attach_url(url)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=40) | st.sampled_from([PNG, PDF, b"RIFFxxxxWEB"]), st.text(max_size=20))
def test_any_bytes_are_an_attachment_or_a_typed_error(data, name):
    try:
        found = attach_bytes(data, name=name)
    except WorkbenchError:
        return
    assert read_part(found.part()).sha256 == found.sha256


@given(st.text(max_size=60) | st.text(max_size=20).map("data:image/png;base64,{}".format))
def test_any_text_is_an_address_or_a_typed_error(text):
    with contextlib.suppress(InputError):
        attach_url(text)


def test_the_representation_does_not_hold_the_bytes():
    found = attach_bytes(png(300, 300), name="plot.png")
    assert len(repr(found)) < 250
    assert str(found) == "plot.png (image/png, 90 kB)"

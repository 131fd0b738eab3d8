from __future__ import annotations

import pytest

from tests.pictures import PDF, PNG
from workbench.core.attachments import MAX_ATTACHMENT, attach_bytes
from workbench.errors import DataError, FileError, InputError
from workbench.services.attaching import attachments_of, check_files, read_attachments


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    return path


def test_paths_bytes_addresses_and_lists_are_read(photo):
    for one in (photo, str(photo)):
        assert read_attachments(one) == (attach_bytes(PNG, name="photo.png"),)
    for one in (PNG, bytearray(PNG), memoryview(PNG), attach_bytes(PNG), attach_bytes(PNG).url):
        assert read_attachments(one) == (attach_bytes(PNG),)
    found = read_attachments([photo, PDF, "https://example.org/x.png"])
    assert [str(each).partition(" ")[0] for each in found] == ["photo.png", "attachment", "x.png"]
    assert read_attachments(()) == ()


def test_home_is_expanded(photo, monkeypatch):
    monkeypatch.setenv("HOME", str(photo.parent))
    assert read_attachments("~/photo.png")[0].size == len(PNG)


@pytest.mark.parametrize("wrong", [3, 1.5, {"a": 1}, None, [3], [None], object()])
def test_what_is_no_file_is_refused(wrong):
    with pytest.raises(InputError, match="cannot be attached"):
        read_attachments(wrong)


def test_a_file_that_cannot_be_attached_is_named(tmp_path, photo):
    with pytest.raises(FileError, match="is not there"):
        read_attachments(tmp_path / "phto.png")
    with pytest.raises(FileError, match="is a folder"):
        read_attachments(tmp_path)
    for odd in ("a\0.png", "a" * 5_000):
        with pytest.raises(FileError, match=r"is not there|cannot be read"):
            read_attachments(odd)
    text = tmp_path / "notes.png"
    text.write_text("hello")
    with pytest.raises(FileError, match=r"notes\.png is no PNG"):
        read_attachments([photo, text])
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(MAX_ATTACHMENT + 1)
    with pytest.raises(FileError, match="at most 20 MB"):
        read_attachments(large)
    with pytest.raises(InputError, match="too many"):
        read_attachments([PNG] * 51)


def test_a_row_names_its_file_or_files(photo):
    assert len(attachments_of("photo", {"photo": str(photo)})) == 1
    assert len(attachments_of("photo", {"photo": [str(photo), "https://example.org/x.png"]})) == 2


def test_rows_are_checked_before_the_first_is_paid_for(photo, tmp_path):
    good = {"photo": str(photo)}
    check_files("photo", [good, {"photo": "https://example.org/x.png"}, {"photo": [str(photo)]}])
    check_files(None, [{}])
    with pytest.raises(FileError, match=r"row 1 .*is not there"):
        check_files("photo", [good, {"photo": str(tmp_path / "gone.png")}])
    for empty in (None, "", [], 3.5):
        with pytest.raises(DataError, match="row 0"):
            check_files("photo", [{"photo": empty}])
    with pytest.raises(DataError, match="did you mean 'photo'"):
        check_files("foto", [good])
    with pytest.raises(InputError, match="names the column"):
        check_files(["photo"], [good])

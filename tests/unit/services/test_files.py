from __future__ import annotations

import os
import subprocess

import pytest

from workbench.core.body import parse_body
from workbench.errors import FileError, InputError, TemplateError
from workbench.services.files import read_prompt

TEXT = (
    "---\ntemperature: 0\nvariables:\n  text: string\n---\nsystem:\nBe terse.\n\nuser:\nTone of: {{ text }}\n"
)


def git(folder, *command):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *who, *command], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "tone.md").write_text(TEXT)
    (tmp_path / "other[1].md").write_text("Hi")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("utf-16"),
        b"\xff\xfe" + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
    ],
    ids=["plain", "BOM", "CRLF", "UTF-16", "UTF-16 with CRLF"],
)
def test_the_encoding_of_a_text_file_makes_no_difference(tmp_path, data):
    (tmp_path / "tone.md").write_bytes(data)
    found = read_prompt(tmp_path / "tone.md")
    assert found.body == parse_body(TEXT)
    assert found.title == "tone"
    assert found.origin == str(tmp_path / "tone.md")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat.yaml", "- role: system\n  content: Be terse.\n- role: user\n  content: 'user:'\n"),
        ("chat.yml", "# a chat\n\n- {role: system, content: Be terse.}\n- {role: user, content: 'user:'}\n"),
        (
            "chat.yml",
            "title: mine\nmessages:\n- {role: system, content: Be terse.}\n- {role: user, content: 'user:'}\n",
        ),
        ("chat.json", '[{"role": "system", "content": "Be terse."}, {"role": "user", "content": "user:"}]'),
        (
            "chat.JSON",
            '{"messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "user:"}]}',
        ),
    ],
)
def test_a_chat_is_read_from_yaml_and_json(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = read_prompt(tmp_path / name)
    assert found.body.system == "Be terse."
    assert [(each.role, each.text) for each in found.body.messages] == [("user", "user:")]
    assert found.title == ("mine" if "mine" in text else "chat")


def test_the_front_matters_keys_stand_beside_a_chat(tmp_path):
    (tmp_path / "chat.yaml").write_text("temperature: 0\nmessages:\n- {role: user, content: '{{ a }}'}\n")
    assert read_prompt(tmp_path / "chat.yaml").body.front_matter == {"temperature": 0}


@pytest.mark.parametrize(
    ("name", "data", "kind", "says"),
    [
        ("a.md", b"\xff\x00\x01", FileError, "no UTF-8 text: byte 0"),
        ("a.md", "Grüße".encode("latin-1"), FileError, "no UTF-8 text: byte 2"),
        ("a.md", b"a\x00b", FileError, "NUL"),
        ("a.md", b"\x89PNG\r\n\x1a\n\x00", FileError, "no UTF-8 text"),
        ("a.md", b"", FileError, "is empty"),
        ("a.md", b" \n", FileError, "is empty"),
        ("a.md", b"x" * 1_000_001, FileError, "larger than 1,000,000 bytes"),
        (
            "a.md",
            b"---\nmodle: x\n---\nHi",
            TemplateError,
            "a.md: front matter, line 2: there is no key 'modle'",
        ),
        ("a.md", b"system:\nx", TemplateError, "no user message"),
        ("a.md", b"key sk-or-v1-0123456789abcdef0123456789", InputError, "provider's key"),
        (
            "a.yaml",
            b"title: x\nmessages:\n- {role: robot, content: x}",
            TemplateError,
            "chat, line 2: message 1 has the role 'robot'",
        ),
        ("a.yaml", b"- role: user\n  content: x\n- {", TemplateError, "chat, line 3"),
        ("a.yaml", b"temprature: 1", TemplateError, "did you mean 'temperature'"),
        ("a.yaml", b"title: x", TemplateError, "there are no messages"),
        ("a.yaml", b"just text", TemplateError, "no mapping"),
        ("a.json", b"{", TemplateError, "it is no JSON"),
        ("a.json", b"3", TemplateError, "messages cannot be 3"),
        ("a.json", b'[{"role": "user", "content": "x", "name": "n"}]', TemplateError, "message 1 is {"),
        ("a.json", b'{"temperature": 9, "messages": []}', TemplateError, "temperature must be"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, name, data, kind, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(kind) as caught:
        read_prompt(tmp_path / name)
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(FileError, match="there is no file"):
        read_prompt(tmp_path / "missing.md")
    with pytest.raises(FileError, match="is a folder"):
        read_prompt(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(FileError, match="there is no file"):
        read_prompt(tmp_path / "pipe.md")
    for name in ("a\0b.md", "x" * 5_000):
        with pytest.raises(FileError):
            read_prompt(name)


def test_a_clean_file_names_the_commit_that_last_changed_it(repository):
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "-qm", "second", "--allow-empty")
    assert read_prompt(repository / "tone.md").origin == f"{repository / 'tone.md'} at {first[:12]}"
    assert read_prompt(repository / "other[1].md").origin.endswith(f" at {first[:12]}")


def test_line_ends_that_git_changes_are_no_change(repository):
    first = git(repository, "rev-parse", "HEAD")
    (repository / "tone.md").write_text(TEXT.replace("\n", "\r\n"))
    assert read_prompt(repository / "tone.md").origin.endswith(f" at {first[:12]}")


def test_a_modified_or_new_file_says_so(repository):
    first = git(repository, "rev-parse", "HEAD")
    (repository / "tone.md").write_text(TEXT + "!")
    assert read_prompt(repository / "tone.md").origin.endswith(f", modified since {first[:12]}")
    (repository / "new.md").write_text("Hi")
    assert read_prompt(repository / "new.md").origin.endswith("new.md, not committed yet")


def test_a_repository_runs_nothing_of_its_own(repository):
    for name in ("core.fsmonitor", "core.sshCommand", "filter.x.clean"):
        git(repository, "config", name, f"touch {repository}/ran; cat")
    (repository / ".gitattributes").write_text("*.md filter=x\n")
    read_prompt(repository / "tone.md")
    assert not (repository / "ran").exists()


def test_without_git_the_file_is_read_all_the_same(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert read_prompt(repository / "tone.md").origin == str(repository / "tone.md")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("b.yaml", "- role: usr\n  content: Hi\n", "message 1 has the role 'usr'\n→ did you mean 'user'?"),
        ("b.json", '[{"role": "user", "content": 5}]', "the content of message 1 is 5, not text"),
        ("b.yaml", "- role: user\n", "message 1 is {'role': 'user'}, not a role and a content"),
    ],
)
def test_a_chat_file_says_which_message_is_wrong(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(TemplateError) as caught:
        read_prompt(tmp_path / name)
    assert says in str(caught.value)
    assert name in caught.value.message

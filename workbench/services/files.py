"""Prompts from files: read with care, and told apart by the revision of the repository that they stand in."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.core.body import PromptBody, join_turns, parse_body
from workbench.core.front_matter import check_keys, read_yaml
from workbench.core.keys import find_key
from workbench.errors import FileError, InputError, TemplateError, did_you_mean

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["PromptFile", "prompt_of_file", "read_prompt"]

_MAX_BYTES: Final = 1_000_000
_MAX_CHAT: Final = 300_000
_LIST: Final = re.compile(r"(?:[ \t]*(?:#.*)?\n)*- ")
_CHAT_CURE: Final = "write a list of role and content, or such a list as messages: beside front matter's keys"
_CHATS: Final = (".yaml", ".yml", ".json")
_ROLES: Final = ("system", "user", "assistant")
_GIT_SECONDS: Final = 10
_SHORT: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptFile:
    """A file that has been read, and nothing saved yet.

    Attributes:
        path: as it was given.
        body: what it holds.
        title: the front matter's, else the file's name without its ending.
        origin: the path, and the revision of its repository: what the note says.

    """

    path: Path
    body: PromptBody
    title: str
    origin: str


def prompt_of_file(
    workbench: Workbench, path: str | Path, *, title: str | None = None, **given: Any
) -> tuple[str, PromptBody, dict[str, Any]]:
    """Return the prompt of a file as ``wb.prompts.save_body`` takes it; what is ``given`` wins over front matter.

    Raises:
        FileError: the file is missing, too large, or no text.
        TemplateError: its template or front matter is wrong.

    """
    found = read_prompt(path, system=given.pop("system", None))
    note = given.pop("note", "") or found.body.front_matter.get("note", "")
    schema = found.body.front_matter.get("schema")
    look_up = given.pop("look_up", None)
    if isinstance(schema, str):
        read = workbench.schemas.read(schema, look_up=look_up, folder=found.path.parent)
        given["settings"] = {"schema": read, **(given.get("settings") or {})}
    given["note"] = f"{note} ({found.origin})" if note else found.origin
    return title or found.title, found.body, given


def read_prompt(path: str | Path, *, system: str | None = None) -> PromptFile:
    """Read a prompt's file.

    ``.yaml``, ``.yml`` and ``.json`` hold a chat: a list of ``role`` and ``content``, or front matter's keys with
    such a list as ``messages``. Everything else is text, with front matter and role lines where wanted.

    Args:
        path: the file.
        system: a system prompt given beside it.

    Raises:
        FileError: the file is missing, too large, or no text.
        TemplateError: its template or front matter is wrong; the message names the file.
        InputError: it holds a provider's key.

    """
    where = Path(path).expanduser()
    data = _bytes(where)
    text = _text(where, data)
    if find_key(text):
        raise InputError(
            f"the file {where} holds what looks like a provider's key; nothing was saved",
            cure="remove it from the file and from its history, and revoke it; keys go into OPENROUTER_API_KEY",
        )
    try:
        if where.suffix.lower() in _CHATS:
            body = _chat(text, system, is_json=where.suffix.lower() == ".json")
        else:
            body = parse_body(text, system=system)
    except TemplateError as error:
        raise type(error)(f"{where}: {error.message}", cure=error.cure) from error
    title = str(body.front_matter.get("title") or where.stem)
    return PromptFile(path=where, body=body, title=title, origin=_origin(where, data))


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise FileError(
                f"{path} is a folder, not a prompt's file",
                cure=f"load its files one by one: for file in Path({str(path)!r}).glob('*.md'): wb.prompts.load(file)",
            )
        if not path.is_file():
            raise FileError(f"there is no file {path}", cure="give a path that this kernel can read")
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL character is a ValueError
        raise FileError(
            f"the file {str(path)!r:.300} cannot be read: {error}", cure="check its name and its rights"
        ) from error
    if len(data) > _MAX_BYTES:
        raise FileError(
            f"{path} is larger than {_MAX_BYTES:,} bytes, too large for a prompt",
            cure="pass long texts as variables: {{ text }}",
        )
    return data


def _text(path: Path, data: bytes) -> str:
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is no UTF-8 text: byte {error.start:,} is wrong", cure="save it as UTF-8"
        ) from error
    if "\x00" in text:
        raise FileError(f"{path} is no text: it holds NUL characters", cure="give a text file")
    if not text.strip():
        raise FileError(f"{path} is empty", cure="write the prompt into it")
    return text


def _chat(text: str, system: str | None, *, is_json: bool) -> PromptBody:
    found = _chat_json(text) if is_json else _chat_yaml(text)
    if "messages" not in found:
        raise TemplateError("there are no messages", cure=_CHAT_CURE)
    turns = [(each["role"], each["content"]) for each in found.pop("messages")]
    return replace(parse_body(join_turns(turns), system=system), front_matter=found)


def _chat_yaml(text: str) -> dict[str, Any]:
    is_list = _LIST.match(text) is not None
    return read_yaml(
        f"messages:\n{text}" if is_list else text,
        what="chat",
        first_line=0 if is_list else 1,
        also={"messages": _is_chat},
        limit=_MAX_CHAT,
        cure=_CHAT_CURE,
    )


def _chat_json(text: str) -> dict[str, Any]:
    try:
        loaded = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise TemplateError(f"it is no JSON: {error}", cure=_CHAT_CURE) from error
    found = loaded if isinstance(loaded, dict) else {"messages": loaded}
    check_keys(found, what="chat", also={"messages": _is_chat})
    return found


def _is_chat(value: Any) -> bool:
    """Whether a value is a list of messages; what is wrong with one of them is told.

    Raises:
        TemplateError: a message is none.

    """
    if not isinstance(value, list) or not value:
        return False
    for number, each in enumerate(value, 1):
        if not isinstance(each, dict) or {*each} != {"role", "content"}:
            raise TemplateError(
                f"message {number} is {each!r:.80}, not a role and a content", cure=_CHAT_CURE
            )
        if each["role"] not in _ROLES:
            cure = did_you_mean(str(each["role"]), _ROLES) or f"the roles are {', '.join(_ROLES)}"
            raise TemplateError(f"message {number} has the role {each['role']!r:.60}", cure=cure)
        if not isinstance(each["content"], str):
            raise TemplateError(f"the content of message {number} is {each['content']!r:.60}, not text")
    return True


def _origin(path: Path, data: bytes) -> str:
    """Return the file's name, and which revision of its repository it is."""
    lines = _git(path, "rev-parse", "--verify", "--quiet", f"HEAD:./{path.name}")
    if not lines:
        is_inside = _git(path, "rev-parse", "--is-inside-work-tree")
        return f"{path}, not committed yet" if is_inside == ["true"] else str(path)
    if lines[0] not in (_blob(data, lines[0]), _blob(data.replace(b"\r\n", b"\n"), lines[0])):
        return f"{path}, modified since {_revision(path)}"
    return f"{path} at {_revision(path)}"


def _revision(path: Path) -> str:
    """Return the commit that last changed the file."""
    return (_git(path, "rev-list", "-1", "HEAD", "--", path.name) or ["?"])[0][:_SHORT]


def _blob(data: bytes, like: str) -> str:
    """Return a content's name in git: git itself would run the repository's filters to find it."""
    digest = (
        hashlib.sha1 if len(like) == hashlib.sha1(usedforsecurity=False).digest_size * 2 else hashlib.sha256
    )
    return digest(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _git(path: Path, *command: str) -> list[str]:
    """Ask git about a file; nothing where there is no git, or no repository."""
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours, and the file's name is no pattern
            ["git", "--literal-pathspecs", "-C", str(path.parent), *command],  # noqa: S607 - the person's own git
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []

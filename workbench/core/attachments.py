"""Pictures and documents that go with a message, as values: what they are, how they are sent, what is stored of them.

The kind is read from the content, never from a file's name. Reading files is the services' business.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from workbench.errors import FileError, InputError

__all__ = ["MAX_ATTACHMENT", "MAX_STORED_URL", "Attachment", "attach_bytes", "attach_url", "read_part"]

#: The largest attachment, in bytes: 20 MB.
MAX_ATTACHMENT: Final = 20_000_000
#: A data URL of more characters is stored as its digest: rows stay small.
MAX_STORED_URL: Final = 256_000

_PDF: Final = "application/pdf"
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", _PDF),
)
_DATA_URL: Final = re.compile(
    r"data:(?P<type>[\w/+.-]*)(?:;[\w=+.-]+)*?;base64,(?P<data>.*)", re.DOTALL | re.ASCII
)
_STUB: Final = re.compile(
    r"data:(?P<type>[\w/+.-]+);sha256=(?P<sha256>[0-9a-f]{64});bytes=(?P<size>\d+)", re.ASCII
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A picture or a document.

    Attributes:
        url: a data URL with its bytes, an address that the provider reads itself, or what is left of a large one
            in the ledger: ``data:image/png;sha256=…;bytes=…``.
        media_type: such as ``image/png``; of an address that of a PDF, or empty.
        name: for people, and for the provider where it is a document.
        size: in bytes; None where only the address is known.
        sha256: of the bytes, in hex; empty where only the address is known.

    """

    url: str = field(repr=False)
    media_type: str = ""
    name: str = ""
    size: int | None = None
    sha256: str = ""

    @property
    def is_stored(self) -> bool:
        """Whether it can be sent again: its bytes are there, or its address is."""
        return _STUB.fullmatch(self.url) is None

    def part(self, *, stored: bool = False) -> dict[str, Any]:
        """Return the part of a message's content, as a provider takes it or as the ledger keeps it."""
        url = self.url
        if stored and self.sha256 and len(url) > MAX_STORED_URL:
            url = f"data:{self.media_type};sha256={self.sha256};bytes={self.size}"
        if self.media_type == _PDF:
            return {"type": "file", "file": {"filename": self.name or "document.pdf", "file_data": url}}
        return {"type": "image_url", "image_url": {"url": url}}

    def __str__(self) -> str:
        size = "" if self.size is None else f", {_size(self.size)}"
        return f"{self.name or 'attachment'} ({self.media_type or 'image'}{size})"


def attach_bytes(data: bytes, *, name: str = "") -> Attachment:
    r"""Return bytes as an attachment.

    Raises:
        FileError: they are no PNG, JPEG, GIF, WebP or PDF, more than 20 MB, or none at all.

    >>> str(attach_bytes(b"\x89PNG\r\n\x1a\n", name="dot.png"))
    'dot.png (image/png, 8 bytes)'
    """
    shown = name or "what is attached"
    if not data:
        raise FileError(f"{shown} is empty", cure="attach a picture or a PDF")
    if len(data) > MAX_ATTACHMENT:
        raise FileError(
            f"{shown} has {_size(len(data))}, more than the {_size(MAX_ATTACHMENT)} that may be attached",
            cure="make it smaller: most models scale pictures down to about 1,500 pixels anyway",
        )
    kind = _kind(data)
    if kind is None:
        raise FileError(
            f"{shown} is no PNG, JPEG, GIF, WebP or PDF: it begins with {data[:8]!r}",
            cure="convert it; the kind is read from the content, not from the name",
        )
    encoded = base64.b64encode(data).decode()
    return Attachment(
        url=f"data:{kind};base64,{encoded}",
        media_type=kind,
        name=name,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def attach_url(url: str) -> Attachment:
    """Return an address, or a data URL, as an attachment. An address is read by the provider, not from here.

    Raises:
        FileError: a data URL holds no base64, or what cannot be attached.
        InputError: the address is no https or http one, or holds a password.

    >>> attach_url("https://example.org/a/photo.png").name
    'photo.png'
    """
    if url[:5].lower() == "data:":
        match = _DATA_URL.fullmatch(url)
        if match is None:
            raise FileError(
                "a data URL must hold base64", cure="write data:image/png;base64,…, or attach the bytes"
            )
        try:
            data = base64.b64decode(match["data"], validate=True)
        except ValueError as error:
            raise FileError(
                f"a data URL holds no base64: {error}", cure="attach the bytes instead"
            ) from error
        return attach_bytes(data)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise InputError(f"{url[:80]!r} is no URL: {error}", cure="write https://…") from error
    if parts.scheme not in {"https", "http"} or not host:
        raise InputError(f"{url[:80]!r} cannot be attached", cure="attach an https address, a path, or bytes")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"the address of {host} holds a user or a password: it would be stored and sent",
            cure="download the file and attach its path",
        )
    is_pdf = parts.path.lower().endswith(".pdf")
    return Attachment(url=url, media_type=_PDF if is_pdf else "", name=parts.path.rpartition("/")[2] or host)


def read_part(part: object) -> Attachment | None:
    """Return the attachment of a stored content part; None where it holds no picture or document."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    inner = part.get(kind) if isinstance(part, Mapping) and kind in ("image_url", "file") else None
    if not isinstance(inner, Mapping):
        return None
    url, name = inner.get("url") or inner.get("file_data"), inner.get("filename") or ""
    if not isinstance(url, str):
        return None
    stub = _STUB.fullmatch(url)
    if stub is not None:
        return Attachment(
            url=url, media_type=stub["type"], name=str(name), size=int(stub["size"]), sha256=stub["sha256"]
        )
    match = _DATA_URL.fullmatch(url)
    data = _decoded(match["data"]) if match is not None else None
    if match is None or data is None:
        return Attachment(
            url=url,
            media_type=_PDF if kind == "file" else "",
            name=str(name) or url.rpartition("/")[2],
        )
    digest = hashlib.sha256(data).hexdigest()
    return Attachment(url=url, media_type=match["type"], name=str(name), size=len(data), sha256=digest)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)


def _size(size: int) -> str:
    """Return a size for people, in powers of ten.

    >>> _size(34_100), _size(812), _size(20_000_000)
    ('34 kB', '812 bytes', '20.0 MB')
    """
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1_000:.0f} kB"

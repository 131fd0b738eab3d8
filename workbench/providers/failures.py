"""From what went wrong on the wire to a typed error with a cure: the one border with aiohttp's errors."""

from __future__ import annotations

import errno
import html
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from workbench.errors import (
    AuthenticationError,
    BadResponseError,
    ContextTooLongError,
    PaymentRequiredError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
)
from workbench.providers.address import Address

__all__ = [
    "CLIENT_ERRORS",
    "Peer",
    "broken",
    "excerpt",
    "page_title",
    "rejected",
    "reported",
    "retry_after",
    "retryable",
]

#: What aiohttp, asyncio and ssl raise when a connection fails (TimeoutError is an OSError).
CLIENT_ERRORS = (aiohttp.ClientError, OSError)

_EXCERPT = 300
_RETRY_STATUS = frozenset({408, 409, 425, 429})
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Who is at the other end, for messages.

    Attributes:
        name: the provider's name.
        address: its checked base URL.
        key_cure: how to set its key.
        proxy: host of the proxy in between, or None.

    """

    name: str
    address: Address
    key_cure: str
    proxy: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.address.netloc})"


def retryable(status: int) -> bool:
    """Whether an HTTP status says that the same request may succeed later."""
    return status in _RETRY_STATUS or status >= 500


def retry_after(header: str | None, *, cap: float) -> float | None:
    """Read ``Retry-After``: seconds or an HTTP date; None when absent or unreadable, at most ``cap``.

    >>> retry_after("99999999", cap=60)
    60.0
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else float(min(max(seconds, 0.0), cap))


def excerpt(text: str) -> str:
    """Return the first 300 characters on one line, without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _EXCERPT])
    clean = " ".join(printable.split())
    return clean if len(clean) <= _EXCERPT else clean[: _EXCERPT - 1] + "…"


def rejected(peer: Peer, status: int, body: bytes, *, location: str | None = None) -> ProviderError:
    """Return the error for a status other than 200."""
    if 300 <= status < 400:
        return BadResponseError(
            f"{peer} answered {status}, a redirect to {excerpt(location or 'nowhere')}; redirects are not followed, "
            "so that the key never reaches another host",
            cure="if you trust that address, set it as the endpoint's URL",
            http_status=status,
        )
    record, message = _said(body)
    return _typed(peer, status, record, f"{peer} answered {status}" + (f": {message}" if message else ""))


def reported(peer: Peer, error: object) -> ProviderError:
    """Return the error for an ``error`` object inside an answer with status 200."""
    record = error if isinstance(error, dict) else {"message": error}
    code = record.get("code")
    status = int(code) if isinstance(code, int | str) and re.fullmatch(r"[45]\d\d", str(code)) else 200
    return _typed(peer, status, record, f"{peer} reported an error: {_message(record)}")


def broken(peer: Peer, error: Exception) -> tuple[ProviderError, str, bool]:
    """Return what a failed connection means: the error, the try's code, and whether to try again."""
    for kind, code, again, message, cure in _CONNECTION:
        if isinstance(error, kind):
            cause = (
                f"{error.status} {error.message}"
                if isinstance(error, aiohttp.ClientResponseError)
                else str(error)
            )
            values: dict[str, object] = {
                "peer": peer,
                "host": peer.address.host,
                "proxy": peer.proxy,
                "cause": excerpt(cause),
            }
            return ProviderUnavailableError(message.format(**values), cure=cure.format(**values)), code, again
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno not in _NO_NETWORK:
        text = f"nothing answers at {peer.address.netloc} ({excerpt(str(error))})"
        cure = "start the server, or correct its URL" if peer.address.loopback else _WAIT
        return ProviderUnavailableError(text, cure=cure), "connect", True
    if isinstance(error, aiohttp.ClientConnectorError):
        text = f"no network: {peer.address.netloc} cannot be reached ({excerpt(str(error))})"
        return ProviderUnavailableError(text, cure="check this machine's network connection"), "connect", True
    if isinstance(error, aiohttp.ServerDisconnectedError | OSError) and not _not_http(error):
        text = f"{peer} closed the connection without an answer"
        return ProviderUnavailableError(text, cure=_MAYBE_BILLED), "disconnected", True
    text = f"{peer} sent something that is not HTTP: {excerpt(str(error))}"
    return BadResponseError(text, cure="check the server's URL and port"), "bad_response", False


_WAIT = "wait a little and try again; look at the provider's status page"
_MAYBE_BILLED = "the request may have been carried out; try again later"
_NO_NETWORK = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})

#: The kinds of failure, the most special first: types, try's code, again?, message, cure.
_CONNECTION: tuple[tuple[type[Exception], str, bool, str, str], ...] = (
    (
        aiohttp.ClientConnectorDNSError, "dns", True,
        "no address was found for {host} ({cause})", "check the name, DNS and the network connection",
    ),
    (
        aiohttp.ClientSSLError, "tls", False,
        "no trusted TLS connection to {host}: {cause}",
        "behind a company proxy, add its CA to the system's store or point SSL_CERT_FILE to it",
    ),
    (
        aiohttp.ClientProxyConnectionError, "proxy", True,
        "the proxy {proxy} does not answer ({cause})", "check HTTPS_PROXY, or list {host} in NO_PROXY",
    ),
    (
        aiohttp.ClientHttpProxyError, "proxy", False,
        "the proxy {proxy} refused to connect to {host} ({cause})",
        "check user and password in HTTPS_PROXY, or list {host} in NO_PROXY",
    ),
    (
        aiohttp.ConnectionTimeoutError, "connect_timeout", True,
        "{peer} did not accept a connection in time", "check the network, the URL and the proxy",
    ),
    (
        aiohttp.ServerTimeoutError, "read_timeout", True,
        "{peer} fell silent", _MAYBE_BILLED,
    ),
)  # fmt: skip


def _not_http(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL)


def _typed(peer: Peer, status: int, record: Mapping[str, Any], message: str) -> ProviderError:
    metadata = record.get("metadata")
    kind: type[ProviderError]
    if status == 403 and isinstance(metadata, dict) and metadata.get("reasons"):
        kind, cure = RequestRejectedError, "the provider's moderation flagged the prompt: change it"
    elif _too_long(status, record):
        kind, cure = ContextTooLongError, "send less, or take a model with a longer context"
    elif record.get("code") == "insufficient_quota":  # OpenAI says 429, and waiting does not help
        kind, cure = _BY_STATUS[402]
    elif status in {401, 403}:
        kind, cure = AuthenticationError, peer.key_cure
    elif status in _BY_STATUS:
        kind, cure = _BY_STATUS[status]
    elif retryable(status):
        kind, cure = ProviderUnavailableError, _WAIT
    elif 400 <= status < 500:
        kind, cure = RequestRejectedError, "change the request: see the provider's words"
    else:
        kind, cure = BadResponseError, "try again; if it stays, look at the provider's status"
    return kind(message, cure=cure, http_status=status)


#: How providers say it: OpenAI and llama.cpp by a code, the others only in words.
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_TOO_LONG_WORDS = re.compile(
    r"context[ _](?:length|window|size)|(?:prompt|input) is too long|maximum (?:prompt|input) length|too many input tokens",
    re.IGNORECASE,
)


def _too_long(status: int, record: Mapping[str, Any]) -> bool:
    if {str(record.get("code")), str(record.get("type"))} & _TOO_LONG_CODES:
        return True
    metadata = record.get("metadata")
    upstream = metadata.get("raw") if isinstance(metadata, dict) else None
    words = f"{record.get('message')} {upstream if isinstance(upstream, str) else ''}"
    return status in {400, 413, 422} and _TOO_LONG_WORDS.search(words) is not None


_BY_STATUS: dict[int, tuple[type[ProviderError], str]] = {
    402: (PaymentRequiredError, "add credit to the account behind the key"),
    404: (RequestRejectedError, "check the model id and the URL"),
    407: (ProviderUnavailableError, "put the proxy's user and password into HTTPS_PROXY"),
    429: (RateLimitedError, "wait, or ask for fewer calls at once (concurrency)"),
}


def _said(body: bytes) -> tuple[Mapping[str, Any], str]:
    """Return the error record of a body, and its message in one line."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}, page_title(body) or excerpt(body.decode(errors="replace"))
    error = value.get("error", value) if isinstance(value, dict) else value
    record = error if isinstance(error, dict) else {"message": error}
    return record, _message(record)


def page_title(body: bytes) -> str:
    """Return what a web page says of itself, or an empty string when the bytes are no page."""
    if body.lstrip()[:1] != b"<":
        return ""
    found = _TITLE.search(body[:65536])
    return "a web page" + (
        f" titled {excerpt(html.unescape(found[1].decode(errors='replace')))!r}" if found else ""
    )


def _message(record: Mapping[str, Any]) -> str:
    words = next(
        (record[name] for name in ("message", "detail", "error", "type") if record.get(name)), record
    )
    metadata = record.get("metadata")
    upstream = metadata.get("provider_name") if isinstance(metadata, dict) else None
    return excerpt(words if isinstance(words, str) else _as_json(words)) + (
        f" (from {excerpt(str(upstream))})" if upstream else ""
    )


def _as_json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested too deeply, numbers beyond 64 bits, lone surrogates
        return "an error that cannot be shown"

"""One host's HTTP session: where it may connect, how often it tries, how much it reads.

Everything that a hostile or broken server can do to us ends here: redirects, endless bodies, silence,
compressed bombs, addresses inside the private network.
"""

from __future__ import annotations

import asyncio
import io
import random
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict
from yarl import URL

from workbench.core.chat import Attempt
from workbench.errors import (
    BadResponseError,
    ConfigError,
    ContextTooLongError,
    IncompleteAnswerError,
    KeyUnavailableError,
    PaymentRequiredError,
    ProviderError,
    ProviderUnavailableError,
)
from workbench.providers.address import Address, check_ip
from workbench.providers.base import Retry
from workbench.providers.failures import CLIENT_ERRORS, Peer, broken, rejected, retry_after, retryable
from workbench.secret import Secret

__all__ = ["MAX_BODY", "Http", "Reply"]

#: The longest body that is read, after decompression: 16 MiB.
MAX_BODY = 16 * 2**20
_MAX_ERROR_BODY = 64 * 1024
_ERROR_BODY_SECONDS = 5.0
_LARGE_REQUEST = 2**20

T = TypeVar("T")


class Reply:
    """An answer with status 200, read within bounds.

    Attributes:
        started: ``time.perf_counter()`` when its request was sent.
        content_type: the media type, lower case, without parameters.

    """

    __slots__ = ("_left", "_peer", "_response", "content_type", "started")

    def __init__(self, response: aiohttp.ClientResponse, peer: Peer, started: float) -> None:
        self._response = response
        self._peer = peer
        self._left = MAX_BODY
        self.started = started
        self.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def chunk(self) -> bytes:
        """Return the next bytes, decompressed; empty at the end.

        Raises:
            BadResponseError: the body is longer than 16 MiB, or its compression is broken.
            IncompleteAnswerError: the connection broke, or the server fell silent.

        """
        try:
            data = await self._response.content.readany()
        except CLIENT_ERRORS as error:
            if isinstance(error.__cause__, ContentEncodingError):
                raise BadResponseError(
                    f"{self._peer} sent a body whose compression is broken",
                    cure="look for a proxy that changes answers on their way",
                    http_status=200,
                ) from error
            silent = isinstance(error, TimeoutError)
            raise IncompleteAnswerError(
                f"{self._peer} {'fell silent' if silent else 'closed the connection'} in the middle of its answer",
                cure="try again; the provider may bill what it had produced",
                http_status=200,
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise BadResponseError(
                f"{self._peer} sent more than {MAX_BODY // 2**20} MiB; reading stopped there",
                cure="ask for a shorter answer (max_tokens), or check the server's URL",
                http_status=200,
            )
        return data

    async def read(self) -> bytes:
        """Return the whole body; raises as :meth:`chunk` does."""
        parts = []
        while data := await self.chunk():
            parts.append(data)
        return b"".join(parts)

    async def drain(self) -> None:
        """Give the server a moment to end the body, so that its connection can be used again."""
        try:
            async with asyncio.timeout(0.25):
                while not self._response.content.at_eof():
                    await self.chunk()
        except (ProviderError, TimeoutError):
            self._response.close()


class _FailedTry(Exception):  # noqa: N818 - a signal inside this module, never seen outside
    """A try that got no answer; the loop decides whether another follows."""

    def __init__(self, error: ProviderError, *, code: str, again: bool, wait: float | None = None) -> None:
        super().__init__()
        self.error = error
        self.code = code
        self.again = again
        self.wait = wait


class Http:
    """A session bound to one host and its key.

    Use it from one event loop. Proxies and company CAs of the environment are honoured for remote
    hosts and never for this machine; ``~/.netrc`` is not read.

    Args:
        peer: the other end.
        key: sent as a bearer token to this host alone.
        headers: sent with every request.
        retry: how patient a call is.

    """

    def __init__(
        self, peer: Peer, *, key: Secret | None = None, headers: Mapping[str, str] | None = None, retry: Retry
    ) -> None:
        address = peer.address
        self._proxy, self._proxy_headers = (
            (None, None) if address.loopback else _proxy(address.url, address.host)
        )
        self.peer = replace(peer, proxy=self._proxy.host if self._proxy else None)
        self._retry = retry
        sent = {"Content-Type": "application/json", "User-Agent": "prompt-workbench", **(headers or {})}
        # aiohttp would make one of any other mapping, for each request
        self._headers = CIMultiDict(sent | _authorization(peer, key))
        self._random = random.SystemRandom()
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        read: Callable[[Reply], Awaitable[T]],
        *,
        trail: list[Attempt],
        heard: Callable[[int, Mapping[str, str], float], None] | None = None,
    ) -> T:
        """Send one request, trying again as the retry policy says, and read its answer.

        Args:
            method: ``POST`` or ``GET``.
            path: below the base URL, with a leading slash.
            body: JSON, or None.
            read: reads a reply with status 200; what it raises is never retried.
            trail: each try is appended, whatever becomes of the call.
            heard: told status, headers and ``perf_counter()`` of the sending of each reply, before its body is read.

        Raises:
            ProviderError: after the last try, or at once where trying again cannot help.
            ConfigError: the host's name leads to an address that is refused.

        """
        url = URL(self.peer.address.url + path, encoded=True)
        deadline = time.perf_counter() + self._retry.total_timeout
        try:
            async with asyncio.timeout(self._retry.total_timeout) as limit:
                while True:
                    try:
                        return await self._try(method, url, body, read, trail=trail, heard=heard)
                    except _FailedTry as failed:
                        wait = self._wait(failed.wait, tries=len(trail))
                        late = time.perf_counter() + wait >= deadline
                        if not failed.again or late or self._exhausted(trail):
                            raise _counted(failed.error, len(trail)) from failed.__cause__
                    await asyncio.sleep(wait)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._late(trail) from error

    async def aclose(self) -> None:
        """Close all connections; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _try(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        read: Callable[[Reply], Awaitable[T]],
        *,
        trail: list[Attempt],
        heard: Callable[[int, Mapping[str, str], float], None] | None,
    ) -> T:
        started_at, clock = datetime.now(UTC), time.perf_counter()
        status = code = wait = None
        try:
            response = await self._send(method, url, body)
            status = response.status
            async with response:
                if heard is not None:
                    heard(status, response.headers, clock)
                if status != 200:
                    raise await self._refusal(response)
                return await read(Reply(response, self.peer, clock))
        except _FailedTry as failed:
            code, wait = failed.code, failed.wait
            raise
        except ProviderError as error:
            code = error.code
            error.message = self._redact(error.message.encode()).decode()
            raise
        except asyncio.CancelledError:
            code = "cancelled"
            raise
        finally:
            attempt = Attempt(
                n=len(trail) + 1,
                started_at=started_at,
                duration_ms=round((time.perf_counter() - clock) * 1000),
                http_status=status,
                error_code=code,
                retry_after_ms=None if wait is None else round(wait * 1000),
            )
            trail.append(attempt)

    async def _send(self, method: str, url: URL, body: bytes | None) -> aiohttp.ClientResponse:
        # aiohttp warns about long bodies given as bytes: it would write them in one piece.
        data = io.BytesIO(body) if body is not None and len(body) > _LARGE_REQUEST else body
        session = self._session or self._open()
        try:
            return await session.request(
                method,
                url,
                data=data,
                headers=self._headers,  # not the session's: aiohttp would give those to the proxy as well
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            )
        except CLIENT_ERRORS as cause:
            error, code, again = broken(self.peer, cause)
            raise _FailedTry(error, code=code, again=again) from cause

    async def _refusal(self, response: aiohttp.ClientResponse) -> _FailedTry:
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                while len(body) < _MAX_ERROR_BODY and (data := await response.content.readany()):
                    body += data
        except CLIENT_ERRORS:
            response.close()  # the status says enough
        status, headers = response.status, response.headers
        error = rejected(self.peer, status, self._redact(body), location=headers.get("Location"))
        error.retry_after = retry_after(headers.get("Retry-After"), cap=self._retry.cap)
        again = retryable(status) and not isinstance(error, PaymentRequiredError | ContextTooLongError)
        return _FailedTry(error, code=error.code, again=again, wait=error.retry_after)

    def _redact(self, body: bytes) -> bytes:
        """Take our own key out of what the provider says: some repeat a wrong key."""
        key = self._headers.get("Authorization", "").removeprefix("Bearer ")
        return body.replace(key.encode(), b"***") if key else body

    def _wait(self, asked: float | None, *, tries: int) -> float:
        if asked is not None:
            return asked + self._random.uniform(0, self._retry.base)
        return self._random.uniform(0, min(self._retry.cap, self._retry.base * 2**tries))

    def _exhausted(self, trail: list[Attempt]) -> bool:
        unanswered = sum(attempt.ambiguous for attempt in trail)
        refused = (
            sum(attempt.error_code == "connect" for attempt in trail) if self.peer.address.loopback else 0
        )
        return (
            len(trail) >= self._retry.tries
            or unanswered > self._retry.ambiguous
            or refused >= self._retry.refused
        )

    def _late(self, trail: list[Attempt]) -> ProviderError:
        if trail and trail[-1].error_code == "cancelled":
            trail[-1] = replace(trail[-1], error_code="deadline")
        message = f"{self.peer} did not finish within {self._retry.total_timeout:g} s"
        if trail and trail[-1].http_status == 200:
            return IncompleteAnswerError(
                message, cure="ask for a shorter answer (max_tokens)", http_status=200
            )
        return _counted(ProviderUnavailableError(message, cure="try again later"), len(trail))

    def _open(self) -> aiohttp.ClientSession:
        address = self.peer.address
        connector = aiohttp.TCPConnector(
            limit=0,  # how many calls are in flight is the caller's decision
            ssl=True if address.url.startswith("http:") else _tls(),
            resolver=_GuardedResolver(address),
            ttl_dns_cache=60,
        )
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._retry.connect_timeout, sock_read=self._retry.read_timeout
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self._session


class _GuardedResolver(AbstractResolver):
    """The system's resolver, refusing answers that the provider's name must not have.

    A proxy has another name and may well live in the private network: it is not checked.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host.rstrip(".") == self._address.host:
            for result in found:
                check_ip(self._address, result["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _counted(error: ProviderError, tries: int) -> ProviderError:
    if tries > 1:
        error.message += f" ({tries} tries)"
    return error


def _authorization(peer: Peer, key: Secret | None) -> dict[str, str]:
    if not key:
        return {}
    value = key.reveal().strip()
    if not (value.isascii() and value.isprintable()):
        raise KeyUnavailableError(
            f"the key for {peer.name} holds characters that no key has, such as a line break",
            cure=peer.key_cure,
        )
    return {"Authorization": f"Bearer {value}"}


def _tls() -> ssl.SSLContext:
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _proxy(url: str, host: str) -> tuple[URL | None, dict[str, str] | None]:
    """Return the environment's proxy for a remote URL, and the headers that it is to get.

    It is read once: aiohttp would read it at each request. Its password goes into a header, because
    aiohttp's errors show the proxy's URL.
    """
    found = getproxies().get(url.partition(":")[0]) or getproxies().get("all")
    if not found or proxy_bypass(host):
        return None, None
    proxy = URL(found if "://" in found else f"http://{found}")
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise ConfigError(
            f"the proxy setting for {host} names a {proxy.scheme or 'nameless'} proxy, which is not supported",
            cure="set HTTPS_PROXY to an http:// proxy, or list the host in NO_PROXY",
        )
    if proxy.user is None:
        return proxy, None
    credentials = b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return proxy.with_user(None), {"Proxy-Authorization": f"Basic {credentials}"}

"""Test equipment: a proxy before PostgreSQL that cuts, refuses, falls silent, and breaks a chosen statement.

It listens on 127.0.0.1 and leads to the server of a URL, also to one on a Unix socket. It reads as much of the protocol
as it takes to know where a statement begins and ends, so that both "it reached the server and its answer did not reach
us" and "it never reached the server" can be made.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from workbench.secret import Secret

__all__ = ["DatabaseProxy", "Fault", "Statement"]

_ENCRYPTION_ASKED = {80877103, 80877104}  # SSLRequest, GSSENCRequest
_RAISE = "DO $$BEGIN RAISE EXCEPTION 'broken on purpose' USING ERRCODE = '{}'; END$$"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of one statement: of everything that a client sends until it waits for the server.

    ``before``: it does not reach the server, and the connection is cut. ``after``: the server carries it out, and the
    connection is cut in place of the answer. ``torn``: ``size`` bytes of it reach the server. ``silent``: nothing passes
    any more in either direction, and the connection stays open until ``cut()``. ``slow``: it waits ``seconds`` on its way.
    ``error``: the server raises ``sqlstate`` instead. With ``for_good`` nobody gets in afterwards, until ``up()``.
    """

    kind: Literal["before", "after", "torn", "silent", "slow", "error"]
    sqlstate: str = "40001"
    size: int = 20
    seconds: float = 1.0
    for_good: bool = False


@dataclass(frozen=True)
class Statement:
    """One statement that a client sent: which connection it came on, and its text as far as it is known."""

    connection: int
    text: str


@dataclass
class _Breakage:
    fault: Fault
    left: int
    matching: str
    done: threading.Event = field(default_factory=threading.Event)


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, n: int, near: asyncio.StreamWriter) -> None:
        self.n = n
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.texts: dict[bytes, str] = {}
        self.swallowing: asyncio.Event | None = None
        self.silent = False

    def abort(self) -> None:
        for writer in (self.near, self.far):
            if writer is not None:
                writer.transport.abort()


class DatabaseProxy:
    """A proxy before one PostgreSQL server; use it as a context manager.

    Args:
        url: a URL of the server behind it; its host may be a directory with a Unix socket.

    Attributes:
        statements: what clients sent so far, in the order of its arrival; logging in is not counted.

    """

    def __init__(self, url: Secret) -> None:
        self._parts = urlsplit(url.reveal())
        query = dict(parse_qsl(self._parts.query))
        self._host = self._parts.hostname or query.get("host", "")
        self._far_port = int(self._parts.port or query.get("port", 5432))
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._breakages: list[_Breakage] = []
        self._listener: asyncio.Server | None = None
        self._stalled = False
        self._n = 0
        self.statements: list[Statement] = []
        self.port = 0

    @property
    def url(self) -> Secret:
        """The same login and database, through the proxy."""
        return self.lead(Secret(urlunsplit(self._parts)))

    def lead(self, url: Secret) -> Secret:
        """Return the URL of another login or database on the same server, through the proxy."""
        parts = urlsplit(url.reveal())
        kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"host", "port"}]
        login, at, _ = parts.netloc.rpartition("@")
        query = urlencode([*kept, ("sslmode", "disable"), ("gssencmode", "disable")])
        return Secret(urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}", query=query)))

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def break_at(self, n: int, fault: Fault, *, matching: str = "") -> threading.Event:
        """Break the nth statement from now, of those that contain a text; the event tells that it is."""
        breakage = _Breakage(fault, n, matching)
        self._do(lambda: self._breakages.append(breakage))
        return breakage.done

    def mend(self) -> None:
        """Forget what was to be broken."""
        self._do(self._breakages.clear)

    def cut(self) -> None:
        """Cut every connection."""
        self._do(self._cut)

    def refuse(self) -> None:
        """Refuse new connections; those that stand go on."""
        self._do(self._close_door)

    def down(self) -> None:
        """Cut every connection and refuse new ones."""
        self._do(self._down)

    def stall(self) -> None:
        """Accept everybody and pass nothing on, until ``up()``; what stands falls silent."""

        def act() -> None:
            self._stalled = True
            for link in self._links:
                link.silent = True

        self._do(act)

    def up(self) -> None:
        """Let everybody in again; connections that fell silent are cut."""

        async def act() -> None:
            self._stalled = False
            for link in [link for link in self._links if link.silent]:
                link.abort()
            if self._listener is None:
                self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def _do(self, act: Callable[[], Any]) -> None:
        async def main() -> None:
            act()

        asyncio.run_coroutine_threadsafe(main(), self._loop).result(10)

    def _serve(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        self._down()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        for link in list(self._links):
            link.abort()

    def _close_door(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _down(self) -> None:
        self._close_door()
        self._cut()

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._n += 1
        link = _Link(self._n, near)
        self._links.add(link)
        link.silent = self._stalled
        try:
            await self._link(link, reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one side went away, or the test is over
        finally:
            link.abort()
            self._links.discard(link)

    async def _link(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while link.silent:
            if not await reader.read(65536):
                return
        if self._host.startswith("/"):
            socket_file = f"{self._host}/.s.PGSQL.{self._far_port}"
            far_reader, link.far = await asyncio.open_unix_connection(socket_file)
        else:
            far_reader, link.far = await asyncio.open_connection(self._host, self._far_port)
        while True:  # the first packet has no type; a wish for encryption is declined
            head = await reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            body = await reader.readexactly(length - 8)
            if code not in _ENCRYPTION_ASKED:
                break
            link.near.write(b"N")
        link.far.write(head + body)
        pumps = [
            asyncio.create_task(self._from_client(link, reader)),
            asyncio.create_task(self._from_server(link, far_reader)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _from_client(self, link: _Link, reader: asyncio.StreamReader) -> None:
        frames, group, text = _Frames(), bytearray(), ""
        assert link.far is not None
        while data := await reader.read(65536):
            if link.silent:
                continue
            for kind, message in frames.feed(data):
                group += message
                text = _text(kind, message, link.texts) or text
                if kind in b"QS":
                    await self._statement(link, bytes(group), text)
                elif kind in b"pXHdcfF":
                    link.far.write(group)
                else:
                    continue
                group, text = bytearray(), ""
            await link.far.drain()

    async def _statement(self, link: _Link, group: bytes, text: str) -> None:
        assert link.far is not None
        self.statements.append(Statement(link.n, text))
        breakage = self._due(text)
        if breakage is None:
            link.far.write(group)
            return
        fault = breakage.fault
        if fault.kind == "after":
            link.swallowing = asyncio.Event()
            link.far.write(group)
            await link.swallowing.wait()
        elif fault.kind == "error":
            words = _RAISE.format(fault.sqlstate).encode() + b"\0"
            link.far.write(b"Q" + struct.pack("!i", len(words) + 4) + words)
        elif fault.kind == "silent":
            link.silent = True
        elif fault.kind == "slow":
            breakage.done.set()
            await asyncio.sleep(fault.seconds)
            link.far.write(group)
        elif fault.kind == "torn":
            link.far.write(group[: fault.size])
            await link.far.drain()
        if fault.for_good:
            self._close_door()
            for other in self._links - {link}:
                other.abort()
        if fault.kind in {"before", "after", "torn"}:
            link.abort()
        breakage.done.set()

    def _due(self, text: str) -> _Breakage | None:
        due = None
        for breakage in self._breakages:
            if breakage.matching in text:
                breakage.left -= 1
                due = breakage if breakage.left == 0 else due
        if due is not None:
            self._breakages.remove(due)
        return due

    async def _from_server(self, link: _Link, reader: asyncio.StreamReader) -> None:
        frames = _Frames()
        while data := await reader.read(65536):
            if link.silent:
                continue
            if link.swallowing is None:
                frames.skip(data)
                link.near.write(data)
                await link.near.drain()
            elif any(kind in b"Z" for kind, _ in frames.feed(data)):
                link.swallowing.set()


class _Frames:
    """Cuts a stream into messages: one byte of type, four of length."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._rest += data
        while len(self._rest) >= 5:
            end = 1 + struct.unpack_from("!i", self._rest, 1)[0]
            if len(self._rest) < end:
                return
            message = bytes(self._rest[:end])
            del self._rest[:end]
            yield message[:1], message

    def skip(self, data: bytes) -> None:
        for _ in self.feed(data):
            pass


def _text(kind: bytes, message: bytes, texts: dict[bytes, str]) -> str:
    """Return the statement's text where a message has it or names a statement that was prepared."""
    if kind == b"Q":
        return message[5:-1].decode(errors="replace")
    if kind == b"P":
        name, text = message[5:].split(b"\0", 2)[:2]
        texts[name] = text.decode(errors="replace")
        return texts[name]
    if kind == b"B":
        return texts.get(message[5:].split(b"\0", 2)[1], "")
    return ""

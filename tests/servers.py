"""Test equipment: a real HTTP server that does what its script says, a CONNECT proxy, a private CA.

Nothing of ours is mocked: clients speak to it over a socket. The server runs in a thread of its own, so
a test may block, and a test may kill other processes while it goes on answering.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

__all__ = [
    "Asked",
    "ConnectProxy",
    "Reply",
    "ScriptedServer",
    "completion",
    "make_ca",
    "record",
    "run",
    "sse",
    "stream_chunks",
]


def run(coroutine: Any) -> Any:
    """Run a coroutine on a fresh event loop, closing it afterwards."""
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    n: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to do with one request.

    ``body`` is bytes, or pieces: bytes are sent, numbers are seconds to wait; it may be endless.
    ``framing`` tells how the client learns the end; ``length`` overrides the Content-Length.
    ``end`` is what happens to the connection after the body: ``keep``, ``close`` (FIN), ``reset``
    (RST), or ``hang`` (stay silent). ``status=0`` sends no answer at all.
    """

    status: int = 200
    body: bytes | Iterable[bytes | float] = b""
    headers: dict[str, str] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close"] = "length"
    length: int | None = None
    end: Literal["keep", "close", "reset", "hang"] = "keep"
    delay: float = 0.0


Script = Callable[[Asked], Reply] | Sequence[Reply] | Reply


class ScriptedServer:
    """A server on 127.0.0.1; use it as a context manager.

    Args:
        script: a reply for every request; a list of replies, the last one repeated; or a callable.
        tls: a server-side SSL context, or None for plain http.
        bill: a file that gets one fsynced line of JSON for each answer with status 200, written
            before its first byte leaves: the witness of what a provider would have billed.

    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, bill: Path | None = None
    ) -> None:
        self._script = script
        self._tls = tls
        self._bill = bill
        self._bill_file: Any = None
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []
        self.billed = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        if self._bill is not None:
            self._bill_file = self._bill.open("ab")
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("the scripted server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self._bill_file is not None:
            self._bill_file.close()

    def _serve(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.CancelledError,
            ssl.SSLError,
            TimeoutError,
        ):
            pass  # the client went away, which is its right, or the test is over
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        with self._lock:
            asked = Asked(len(self.asked), method, path, headers, body, time.time())
            self.asked.append(asked)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._reply(self._next(asked), asked, writer)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _next(self, asked: Asked) -> Reply:
        if isinstance(self._script, Reply):
            return self._script
        if callable(self._script):
            return self._script(asked)
        return self._script[min(asked.n, len(self._script) - 1)]

    async def _reply(self, reply: Reply, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(reply.delay)
        if reply.status:
            if reply.status == 200:
                self._write_bill(asked)
            writer.write(_head(reply))
            for piece in (reply.body,) if isinstance(reply.body, bytes) else reply.body:
                if isinstance(piece, bytes):
                    writer.write(_framed(piece) if reply.framing == "chunked" else piece)
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if reply.framing == "chunked" and reply.end == "keep":
                writer.write(b"0\r\n\r\n")
            await writer.drain()
        if reply.end == "hang":
            await asyncio.sleep(3600)
        if reply.end == "reset":
            writer.transport.abort()
        return reply.end == "keep" and reply.framing != "close"

    def _write_bill(self, asked: Asked) -> None:
        with self._lock:
            self.billed += 1
            if self._bill_file is not None:
                line = {"n": asked.n, "at": asked.at, "body_sha256": hashlib.sha256(asked.body).hexdigest()}
                self._bill_file.write(
                    json.dumps({**line, "body": asked.body.decode(errors="replace")}).encode() + b"\n"
                )
                self._bill_file.flush()
                os.fsync(self._bill_file.fileno())


def _head(reply: Reply) -> bytes:
    headers = dict(reply.headers)
    headers.setdefault("Content-Type", "application/json")
    if reply.framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    elif reply.framing == "close":
        headers["Connection"] = "close"
    else:
        known = len(reply.body) if isinstance(reply.body, bytes) else 0
        headers["Content-Length"] = str(known if reply.length is None else reply.length)
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def record(text: str | None = "Hello", *, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return the JSON record of a whole answer; keyword arguments replace or add top-level fields."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost": 0.00012}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {
        "id": "gen-1",
        "object": "chat.completion",
        "model": "vendor/model-2026",
        "provider": "Upstream",
        "choices": [choice],
        "usage": usage,
        **more,
    }


def completion(text: str | None = "Hello", **more: Any) -> Reply:
    """Return a whole answer as a reply; see :func:`record`."""
    return Reply(body=json.dumps(record(text, **more)).encode())


def stream_chunks(
    pieces: Sequence[str], *, finish: str | None = "stop", usage: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the chunks of a stream as OpenRouter sends them: the usage chunk says null again."""
    base = {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "model": "vendor/model-2026",
        "provider": "Upstream",
    }
    deltas = [
        {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        for piece in pieces
    ]
    deltas.append({"index": 0, "delta": {"content": ""}, "finish_reason": finish})
    chunks = [{**base, "choices": [delta]} for delta in deltas]
    last = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    if usage is None:
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost": 0.00012}
    if usage:
        chunks.append({**base, "choices": [last], "usage": usage})
    return chunks


def sse(chunks: Iterable[dict[str, Any]], *, done: bool = True, end: bytes = b"\n") -> bytes:
    """Return chunks as server-sent events."""
    events = [b"data: " + json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks]
    events += [b"data: [DONE]"] if done else []
    return b"".join(event + end + end for event in events)


class ConnectProxy:
    """A proxy that answers CONNECT, sends every host to one local port, and notes who was asked for.

    Args:
        port: where every tunnel leads.
        credentials: ``user:password`` that it wants, or None.

    """

    def __init__(self, port: int, *, credentials: str | None = None) -> None:
        self._target = port
        self._credentials = credentials
        self.tunnels: list[str] = []
        self.heads: list[bytes] = []
        self.port = 0

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        wanted = base64.b64encode((self._credentials or "").encode())
        if self._credentials is not None and b"Basic " + wanted not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        self.tunnels.append(head.split(b" ")[1].decode())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def make_ca(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """Make a private CA and a certificate for a host; return the CA's file and a server context."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])

    def builder(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
        )

    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = {
        name: name in {"key_cert_sign", "crl_sign", "digital_signature"}
        for name in (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )
    }  # fmt: skip
    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca_file, leaf_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    leaf_file.write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf_file)
    return ca_file, context

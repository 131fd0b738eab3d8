"""A minimal OpenAI-compatible chat server whose own CPU cost is small, so that the client is what is measured.

python benchmarks/fast_server.py PORT [LATENCY_MS=50]: port 0 takes a free one and prints it; SO_REUSEPORT
lets two processes share one port. GET /count → requests and peak in flight. Streams (SSE, 16 chunks +
usage) when the request says "stream": true. Uses uvloop where it is installed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any

TEXT = "The quick brown fox answers the question in JSON. " * 12
USAGE = {"prompt_tokens": 100, "completion_tokens": 120, "total_tokens": 220}


class Chat(asyncio.Protocol):
    """One connection: keep-alive, one request at a time."""

    latency = 0.05
    stats = {"n": 0, "in_flight": 0, "max_in_flight": 0}  # noqa: RUF012 - shared by all connections on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Take whole requests out of what has come."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.handle(head, body)

    def handle(self, head: bytes, body: bytes) -> None:
        """Answer one request, a chat after its latency."""
        if head.startswith(b"get /count"):
            self.send(self.stats)
        elif head.startswith(b"get"):
            self.send({"object": "list", "data": [{"id": "dummy", "object": "model"}]})
        else:
            stats = self.stats
            stats["n"] += 1
            stats["in_flight"] += 1
            stats["max_in_flight"] = max(stats["max_in_flight"], stats["in_flight"])
            stream = b'"stream": true' in body or b'"stream":true' in body
            asyncio.get_running_loop().call_later(self.latency, self.answer, stream)

    def answer(self, stream: bool) -> None:  # noqa: FBT001 - given by call_later, which takes no keywords
        """Answer a chat, whole or as a stream."""
        self.stats["in_flight"] -= 1
        base = {"id": f"gen-{self.stats['n']}", "created": int(time.time()), "model": "dummy"}
        if not stream:
            message = {"role": "assistant", "content": TEXT}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.send({**base, "object": "chat.completion", "choices": [choice], "usage": USAGE})
            return
        step = len(TEXT) // 16 + 1
        parts: list[dict[str, Any]] = [
            {"index": 0, "delta": {"content": TEXT[i : i + step]}, "finish_reason": None}
            for i in range(0, len(TEXT), step)
        ]
        parts.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        events: list[dict[str, Any]] = [
            {**base, "object": "chat.completion.chunk", "choices": [part]} for part in parts
        ]
        events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
        payload = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
        self.write(b"text/event-stream", payload)

    def send(self, value: object) -> None:
        """Answer with JSON."""
        self.write(b"application/json", json.dumps(value).encode())

    def write(self, kind: bytes, payload: bytes) -> None:
        """Answer with a whole body."""
        if not self.transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(payload))
            self.transport.write(head + payload)


async def serve(port: int) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(Chat, sock=sock, backlog=1024)
    print(sock.getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    Chat.latency = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.05
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        uvloop.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()

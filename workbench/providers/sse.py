"""Server-sent events, parsed as the bytes come in.

A network cuts a stream anywhere: inside a line end, inside a character. The parser works on bytes and
hands out whole events only, so every cut gives the same events (a property test proves it).
"""

from __future__ import annotations

__all__ = ["SseParser"]


class SseParser:
    r"""Bytes in, the data of complete events out.

    Lines may end in LF, CRLF or CR; comments, event names, ids and retry fields are skipped; several
    ``data`` lines of one event are joined by LF (WHATWG HTML, section 9.2.6).

    >>> parser = SseParser()
    >>> parser.feed(b": hello\r\nda"), parser.feed(b"ta: 1\n\n")
    ([], [b'1'])
    """

    __slots__ = ("_data", "_line", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._line: list[bytes] = []  # pieces of a line whose end has not come
        self._data: list[bytes] = []  # data lines of an event whose end has not come
        self._skip_lf = False  # a CR ended the last piece: an LF now belongs to it
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the data of each event that they complete."""
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if b"\n" not in chunk and b"\r" not in chunk:
            self._line.append(chunk)
            return []
        self._skip_lf = chunk.endswith(b"\r")
        if self._line:
            chunk = b"".join((*self._line, chunk))
            self._line.clear()
        lines = chunk.splitlines()
        if not chunk.endswith((b"\n", b"\r")):
            self._line.append(lines.pop())
        return self._events(lines)

    def close(self) -> list[bytes]:
        """Return the data of a last event that the server did not end with an empty line."""
        return self.feed(b"\n\n")

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events = []
        if not self._started and lines:
            self._started = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data.clear()
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self._data.append(b"")
        return events

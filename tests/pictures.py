"""Small files of each kind that can be attached."""

from __future__ import annotations

import struct
import zlib

__all__ = ["GIF", "JPEG", "PDF", "PNG", "WEBP", "png"]


def png(width: int = 1, height: int = 1, *, noise: bytes = b"\0") -> bytes:
    """Return a PNG in grey; ``noise`` is repeated as its pixels."""
    line = (noise * (width // len(noise) + 1))[:width]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress((b"\0" + line) * height, 0)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = png()
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
GIF = b"GIF89a\x01\0\x01\0\0\0\0;"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L"
PDF = b"%PDF-1.4\n%%EOF\n"

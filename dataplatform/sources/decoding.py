"""From the bytes of a delivered file to its text: decompression and character encoding, each fault with its reason.

What the text says is judged in `csv_files.py`.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from typing import Literal

from dataplatform.sources.base import FileRefusedError, Notice, Refusal, notice

Encoding = Literal["utf-8", "latin-1"]
_GZIP_MAGIC = b"\x1f\x8b"


def decompress(name: str, content: bytes) -> bytes:
    """The bytes that were meant, whole: the checksum of a gzip file is verified. Raises FileRefusedError."""
    if not content:
        raise FileRefusedError(Refusal.EMPTY_FILE, f"{name}: holds 0 bytes; deliver it again")
    if not name.endswith(".gz"):
        return content
    try:
        data = gzip.decompress(content)
    except EOFError as error:
        raise FileRefusedError(
            Refusal.TRUNCATED_GZIP, f"{name}: ends before its compressed data does; deliver it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileRefusedError(Refusal.CORRUPT_GZIP, f"{name}: is not sound gzip: {error}; deliver it again") from error
    if not data:
        raise FileRefusedError(Refusal.EMPTY_FILE, f"{name}: holds 0 bytes once decompressed; deliver it again")
    return data


def decode(name: str, data: bytes, encoding: Encoding) -> tuple[str, tuple[str, ...]]:
    """The text, and a warning when a byte-order mark said what it is. Raises FileRefusedError.

    A byte-order mark is believed over the contract: nothing else begins with one.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(name, data, "utf-16"), (notice(Notice.UTF16, f"{name}: is UTF-16, not {encoding}"),)
    if data.startswith(codecs.BOM_UTF8):
        text = _decoded(name, data, "utf-8-sig")
        return text, (notice(Notice.BOM, f"{name}: begins with a byte-order mark"),)
    return _decoded(name, data, encoding), ()


def _decoded(name: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        hint = "deliver it in the agreed encoding"
        if data.startswith(_GZIP_MAGIC):
            hint = "it is compressed: name it .gz"
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefusedError(
            Refusal.NOT_DECODABLE, f"{name}: is not {encoding} at byte {error.start}, line {line}; {hint}"
        ) from error

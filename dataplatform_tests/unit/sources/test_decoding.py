"""Bytes to text: what is believed, what is warned about and what is refused."""

from __future__ import annotations

import codecs

import pytest

from dataplatform.sources.base import FileRefusedError
from dataplatform.sources.decoding import decode, decompress
from dataplatform_tests.deliveries import zipped

TEXT = "Invoice,Price\nA1,£2\n"


def test_a_plain_file_is_taken_as_it_is() -> None:
    assert decompress("a.csv", b"\x1f\x8b") == b"\x1f\x8b"


def test_a_gzip_file_may_have_several_members() -> None:
    assert decompress("a.csv.gz", zipped(b"Invoice\n") + zipped(b"A1\n")) == b"Invoice\nA1\n"


def test_every_truncation_of_a_gzip_file_is_refused() -> None:
    whole = zipped(TEXT.encode() * 50)
    codes = set()
    for length in range(len(whole)):
        with pytest.raises(FileRefusedError) as caught:
            decompress("a.csv.gz", whole[:length])
        codes.add(caught.value.code)
    assert codes == {"empty_file", "corrupt_gzip", "truncated_gzip"}


def test_every_flipped_bit_of_a_gzip_body_is_noticed() -> None:
    whole = zipped(TEXT.encode() * 5)
    for place in range(10, len(whole)):  # the first ten bytes are the header
        broken = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(FileRefusedError, match=r"(corrupt|truncated)_gzip: a\.csv\.gz: .*; deliver it again"):
            decompress("a.csv.gz", broken)


def test_a_gzip_file_of_nothing_is_empty() -> None:
    with pytest.raises(FileRefusedError, match=r"^empty_file: a\.csv\.gz: holds 0 bytes once decompressed"):
        decompress("a.csv.gz", zipped(b""))


def test_utf8_needs_no_warning() -> None:
    assert decode("a.csv", TEXT.encode(), "utf-8") == (TEXT, ())


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_byte_order_mark_is_removed_with_a_warning_and_believed_over_the_contract(encoding: str) -> None:
    data = codecs.BOM_UTF8 + TEXT.encode()
    text, warnings = decode("a.csv", data, "latin-1" if encoding == "latin-1" else "utf-8")
    assert (text, warnings) == (TEXT, ("bom: a.csv: begins with a byte-order mark",))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf16_is_read_when_a_byte_order_mark_says_so(mark: bytes) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    text, warnings = decode("a.csv", mark + TEXT.encode(encoding), "utf-8")
    assert (text, warnings) == (TEXT, ("utf16: a.csv: is UTF-16, not utf-8",))


def test_utf16_cut_within_a_character_is_refused() -> None:
    with pytest.raises(FileRefusedError, match=r"^not_decodable: a\.csv: is not utf-16 at byte 42"):
        decode("a.csv", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le") + b"x", "utf-8")


def test_latin1_is_read_only_where_the_contract_says_so() -> None:
    data = TEXT.encode("latin-1")
    assert decode("a.csv", data, "latin-1") == (TEXT, ())
    with pytest.raises(
        FileRefusedError,
        match=r"^not_decodable: a\.csv: is not utf-8 at byte 17, line 2; deliver it in the agreed encoding$",
    ):
        decode("a.csv", data, "utf-8")


def test_a_compressed_file_with_a_plain_name_says_how_to_name_it() -> None:
    with pytest.raises(FileRefusedError, match=r"it is compressed: name it \.gz"):
        decode("a.csv", zipped(TEXT.encode()), "utf-8")

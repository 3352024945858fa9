"""Text to records: every cell as delivered, hurt records kept apart, wrong headers refused."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplatform.sources import csv_files
from dataplatform.sources.base import FileRefusedError
from dataplatform.sources.csv_files import Records, parse
from dataplatform_tests.deliveries import csv_text

AB = ("a", "b")
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
tricky = st.text(st.sampled_from('a",;\n\r '), max_size=5)


def rows(records: Records) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in records.cells.to_pylist()]


def rejected(records: Records) -> list[tuple[int, str, str]]:
    return [(row["line_number"], row["record_text"], row["reason"]) for row in records.rejected.to_pylist()]


def read(text: str, delimiter: str = ",") -> Records:
    return parse("day.csv", text, delimiter, AB)


@settings(deadline=None)  # the first example loads Arrow
@given(st.lists(st.tuples(cells | tricky, cells | tricky)), st.sampled_from(["\n", "\r\n"]), st.integers(0, 1))
def test_what_a_csv_writer_writes_comes_back_cell_by_cell(table: list[tuple[str, str]], end: str, quoting: int) -> None:
    if end == "\n" and any("\r" in cell for row in table for cell in row):
        quoting = 1  # the writer leaves a lone \r bare unless told to quote everything
    records = read(csv_text(table, AB, lineterminator=end, quoting=quoting))
    assert rows(records) == table
    assert records.numbers.to_pylist() == list(range(1, len(table) + 1))
    assert rejected(records) == []


@settings(deadline=None)  # the first example loads Arrow
@given(st.lists(st.text(st.sampled_from('x",\n\r\0'), max_size=12), max_size=6).map("\n".join))
def test_both_ways_of_reading_agree_wherever_the_fast_one_dares(body: str) -> None:
    text = f"a,b\n{body}"
    fast = csv_files._parsed_by_arrow(text, ",", AB, 4)
    slow = csv_files._parsed_one_by_one(text, ",", AB, 4)
    if fast is None:
        assert slow.rejected.num_rows or not slow.cells.num_rows
    else:
        assert (rows(fast), rejected(fast)) == (rows(slow), [])
        assert fast.numbers == slow.numbers


@settings(deadline=None)  # the first example loads Arrow
@given(st.text(st.sampled_from('x",\n'), max_size=30))
def test_no_character_of_a_hurt_file_is_lost(body: str) -> None:
    records = csv_files._parsed_one_by_one(f"a,b\n{body}", ",", AB, 4)
    places = {*records.numbers.to_pylist(), *(number for number, _, _ in rejected(records))}
    assert places == set(range(1, len(records.numbers) + records.rejected.num_rows + 1))
    kept = "".join(cell for row in rows(records) for cell in row) + "".join(text for _, text, _ in rejected(records))
    assert kept.count("x") == body.count("x")


def test_an_empty_cell_is_an_empty_text_and_null_is_a_word() -> None:
    assert rows(read('a,b\n,NULL\nNA,""\n')) == [("", "NULL"), ("NA", "")]


def test_quotes_delimiters_and_newlines_may_stand_in_a_quoted_field() -> None:
    assert rows(read('a,b\n"7"" RECORD, BLUE","two\r\nlines"\n')) == [('7" RECORD, BLUE', "two\r\nlines")]


def test_a_quote_within_a_bare_field_is_a_character_like_others() -> None:
    assert rows(read('a,b\n7" RECORD,BLUE\n')) == [('7" RECORD', "BLUE")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way_and_blank_ones_do_not_count(end: str) -> None:
    records = read(end.join(["a,b", "1,2", "", "3,4", ""]))
    assert (rows(records), records.numbers.to_pylist()) == ([("1", "2"), ("3", "4")], [1, 2])


def test_the_last_line_needs_no_end() -> None:
    assert rows(read("a,b\n1,2\n3,")) == [("1", "2"), ("3", "")]


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n\r\n", '"a","b"\n'])
def test_a_header_alone_is_a_file_without_records(text: str) -> None:
    records = read(text)
    assert (rows(records), rejected(records)) == ([], [])


def test_records_with_too_few_or_too_many_fields_keep_their_place() -> None:
    records = read('a,b\n1,2\nlost\n3,4\n5,6,"7\n8"\n9,10\n')
    assert rows(records) == [("1", "2"), ("3", "4"), ("9", "10")]
    assert records.numbers.to_pylist() == [1, 3, 5]
    assert rejected(records) == [
        (2, "lost", "too_few_fields: 1 instead of 2"),
        (4, '5,6,"7\n8"', "too_many_fields: 3 instead of 2"),
    ]


def test_a_quote_that_is_never_closed_costs_its_own_line_alone() -> None:
    records = read('a,b\n1,"2\n3,"four"\n5,6\n')
    assert rows(records) == [("3", "four"), ("5", "6")]
    assert rejected(records) == [(1, '1,"2', "broken_quoting")]


def test_text_behind_a_closing_quote_is_broken_quoting() -> None:
    records = read('a,b\n"1"x,2\n3,4\n')
    assert (rows(records), rejected(records)) == ([("3", "4")], [(1, '"1"x,2', "broken_quoting")])


def test_a_record_with_a_nul_character_is_rejected_alone() -> None:
    records = read("a,b\n1,\0\n3,4\n")
    assert (rows(records), rejected(records)) == ([("3", "4")], [(1, "1,\0", "nul_character")])


def test_a_hurt_record_at_the_end_of_a_cut_file_is_rejected() -> None:
    records = read('a,b\n1,2\n3,"fo')
    assert (rows(records), rejected(records)) == ([("1", "2")], [(2, '3,"fo', "broken_quoting")])


def test_a_large_sound_file_is_read_by_arrow_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [(f'{n} "x"\n', "y," * (n % 7)) for n in range(60_000)]
    text = csv_text(table, AB)
    assert len(text) > 1 << 20
    monkeypatch.setattr(csv_files, "_parsed_one_by_one", None)
    assert rows(read(text)) == table


def test_other_delimiters_split_fields_when_agreed() -> None:
    assert rows(read('a;b\n1,5;"x;y"\n', ";")) == [("1,5", "x;y")]
    assert rows(read("a|b\n1|2\n", "|")) == [("1", "2")]


def test_columns_are_found_by_name_and_others_stay_beside_them() -> None:
    records = read("c,b,a\n3,2,1\n")
    assert records.header == ("c", "b", "a")
    assert records.cells.select(AB).to_pylist() == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no_header: day.csv: holds no header line; deliver it again"),
        ("\n\r\n", "no_header: day.csv: holds no header line; deliver it again"),
        ('"a,b\n1,2\n', "no_header: day.csv: the quoting of the header line is broken; deliver it again"),
        ("a;b\n1;2\n", "wrong_delimiter: day.csv: columns are separated by ';' instead of ','; deliver it as agreed"),
        ('"a"\t"b"\n', "wrong_delimiter: day.csv: columns are separated by '\\t' instead of ','; deliver it as agreed"),
        ("a,c\n1,2\n", "missing_column: day.csv: the header has no column b; it also has 'c'"),
        ("a,b_2\n1,2\n", "missing_column: day.csv: the header has no column b; was b renamed to 'b_2'?"),
        ("a\n1\n", "missing_column: day.csv: the header has no column b"),
        ("1,2\n3,4\n", "missing_column: day.csv: the header has no column a, b; it also has '1', '2'"),
        ("a,B\n1,2\n", "missing_column: day.csv: the header has no column b; it also has 'B'"),
        (
            f"a,{'x' * 100_000}\n",
            f"missing_column: day.csv: the header has no column b; it also has '{'x' * 40}…'",
        ),
        (
            "a," + ",".join(f"c{number}" for number in range(50)),
            "missing_column: day.csv: the header has no column b; it also has "
            + ", ".join(f"'c{number}'" for number in range(40))
            + ", …",
        ),
        ("a,b,a\n1,2,3\n", "duplicated_column: day.csv: the header names 'a' more than once"),
        ("a,b,x,x\n1,2,3,4\n", "duplicated_column: day.csv: the header names 'x' more than once"),
        (
            "a,b\n1,2\n".encode("utf-16-le").decode(),
            "not_decodable: day.csv: holds NUL characters; UTF-16 needs a byte-order mark to be read",
        ),
    ],
)
def test_a_header_that_is_not_the_agreed_one_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileRefusedError) as caught:
        read(text)
    assert str(caught.value) == message


def test_arrow_repairs_broken_quoting_silently_which_is_why_it_is_checked_before() -> None:
    broken = pa_csv.read_csv(pa.BufferReader(b'a,b\n"1"x,"2\n'))  # type: ignore[arg-type]
    assert broken.to_pylist() == [{"a": "1x", "b": "2\n"}]

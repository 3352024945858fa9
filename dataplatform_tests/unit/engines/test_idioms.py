"""Every idiom of the lint: refused where it is wrong, admitted as it should be written."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import pytest

from dataplatform.contracts.model import Layer
from dataplatform.engines.idioms import IDIOMS, lint

Expression = Callable[[ibis.Table], ibis.Table]

LINES = ibis.table(
    {
        "line_id": "int64",
        "amount": "decimal(18,3)",
        "share": "decimal(9,2)",
        "weight": "float64",
        "items": "int64",
        "label": "string",
        "day": "date",
        "sold_at": "timestamp('UTC', 6)",
        "local_at": "timestamp",
        "document": "json",
    },
    name="lines",
)


def _text(text: str) -> str:
    return text


trim = ibis.udf.scalar.builtin(_text, name="trim")
soundex = ibis.udf.scalar.builtin(_text, name="soundex")
shout = ibis.udf.scalar.python(_text, name="shout")


def column(build: Callable[[ibis.Table], ibis.Value]) -> Expression:
    return lambda t: t.select(t.line_id, result=build(t))


CASES: list[tuple[str, Expression, Expression]] = [
    ("strip", column(lambda t: t.label.strip()), column(lambda t: trim(t.label))),
    ("strip", column(lambda t: t.label.lstrip()), column(lambda t: t.label.re_replace(r"^\s+", ""))),
    (
        "fraction cast to integer",
        column(lambda t: t.amount.cast("int64")),
        column(lambda t: t.amount.floor().cast("int64")),
    ),
    (
        "fraction cast to integer",
        column(lambda t: t.weight.cast("int32")),
        column(lambda t: t.weight.round().cast("int32")),
    ),
    (
        "fraction cast to integer",
        column(lambda t: t.amount.round(2).cast("int64")),
        column(lambda t: t.label.cast("int64")),
    ),
    (
        "try_cast to integer",
        column(lambda t: t.label.try_cast("int64")),
        column(lambda t: ibis.cases((t.label.re_search(r"^\d{1,9}$"), t.label.cast("int64")))),
    ),
    ("decimal division", column(lambda t: t.amount / t.items), column(lambda t: t.items / 3)),
    ("decimal division", column(lambda t: t.amount // t.items), column(lambda t: t.items // 3)),
    (
        "mean of decimals",
        lambda t: t.aggregate(result=t.amount.mean()),
        lambda t: t.aggregate(total=t.amount.sum(), lines=t.amount.count(), result=t.items.mean()),
    ),
    (
        "decimal with float",
        column(lambda t: t.amount * 1.5),
        column(lambda t: t.amount * ibis.literal("1.5").cast("decimal(18,3)")),
    ),
    ("decimal with float", column(lambda t: t.amount + t.weight), column(lambda t: t.amount + t.items)),
    (
        "decimals of different scale",
        column(lambda t: t.amount * t.share),
        column(lambda t: t.amount * t.share.cast("decimal(18,3)")),
    ),
    (
        "round of a float to digits",
        column(lambda t: t.weight.round(2)),
        column(lambda t: (t.weight * 100).round() / 100),
    ),
    ("round of a float to digits", column(lambda t: t.weight.round(1)), column(lambda t: t.amount.round(2))),
    (
        "sum or mean of floats",
        lambda t: t.aggregate(result=t.weight.sum()),
        lambda t: t.aggregate(result=t.amount.sum(), counted=t.items.sum(where=t.weight > 0.5)),
    ),
    (
        "sum or mean of floats",
        lambda t: t.aggregate(result=t.weight.mean()),
        lambda t: t.aggregate(result=t.weight.max()),
    ),
    ("logarithm, power, trigonometry", column(lambda t: t.weight.log10()), column(lambda t: t.weight.abs())),
    ("logarithm, power, trigonometry", column(lambda t: t.weight**2), column(lambda t: t.weight * t.weight)),
    (
        "instant cast to text",
        column(lambda t: t.sold_at.cast("string")),
        column(lambda t: t.sold_at.strftime("%Y-%m-%d %H:%M:%S")),
    ),
    ("instant cast to text", column(lambda t: t.local_at.cast("string")), column(lambda t: t.day.cast("string"))),
    (
        "float cast to text",
        column(lambda t: t.sold_at.epoch_seconds().cast("string")),
        column(lambda t: t.sold_at.epoch_seconds().cast("int64").cast("string")),
    ),
    ("float cast to text", column(lambda t: t.weight.cast("string")), column(lambda t: t.amount.cast("string"))),
    (
        "letters in a time format",
        column(lambda t: t.sold_at.strftime("%Y-%m-%dT%H:%M:%S")),
        column(lambda t: t.day.strftime("%B %Y")),
    ),
    (
        "difference of instants or dates by minus",
        column(lambda t: t.sold_at - t.sold_at),
        column(lambda t: t.sold_at.epoch_seconds() - t.sold_at.epoch_seconds()),
    ),
    (
        "difference of instants or dates by minus",
        column(lambda t: t.day - t.day),
        column(lambda t: t.day.delta(t.day, unit="day")),
    ),
    (
        "delta other than whole days of dates",
        column(lambda t: t.day.delta(t.day, unit="month")),
        column(lambda t: t.day.delta(t.day, unit="day")),
    ),
    (
        "delta other than whole days of dates",
        column(lambda t: t.sold_at.delta(t.sold_at, unit="day")),
        column(lambda t: t.sold_at.date().delta(t.day, unit="day")),
    ),
    (
        "cast to a zone",
        column(lambda t: t.local_at.cast("timestamp('Europe/London')")),
        column(lambda t: t.local_at.cast("timestamp('UTC')")),
    ),
    (
        "cast to a zone",
        column(lambda t: t.label.try_cast("timestamp('Europe/London')")),
        column(lambda t: t.label.try_cast("timestamp")),
    ),
    (
        r"`\u` in a pattern",
        column(lambda t: t.label.re_replace(r"\u00a0", " ")),
        column(lambda t: t.label.re_replace(r"\x{00A0}", " ")),
    ),
    (
        "first or last",
        column(lambda t: t.label.first().over(group_by=t.day, order_by=t.line_id)),
        column(lambda t: t.label.argmin(t.line_id).over(group_by=t.day)),
    ),
    (
        "first or last",
        lambda t: t.group_by("day").aggregate(result=t.label.last()),
        lambda t: t.group_by("day").aggregate(result=t.label.argmax(t.line_id)),
    ),
    (
        "ordered collect",
        lambda t: t.group_by("day").aggregate(result=t.label.collect(order_by=t.line_id)),
        lambda t: t.group_by("day").aggregate(result=t.label.collect().sort()),
    ),
    (
        "ordered collect",
        lambda t: t.group_by("day").aggregate(result=t.label.group_concat(",")),
        lambda t: t.group_by("day").aggregate(result=t.label.collect().sort()),
    ),
    (
        "as-of join",
        lambda t: t.asof_join(t.view(), "line_id").select("line_id"),
        lambda t: t.join((other := t.view()), [t.day >= other.day]).select(t.line_id),
    ),
    ("hash", column(lambda t: t.label.hash()), column(lambda t: t.label.hexdigest("sha256"))),
    ("JSON", column(lambda t: t.document["a"].str), column(lambda t: t.label.length())),
    ("clock", column(lambda _: ibis.now()), column(lambda t: t.day.max().over())),
    ("clock", column(lambda _: ibis.today()), column(lambda _: ibis.date("2011-12-09"))),
    ("chance", column(lambda _: ibis.random()), column(lambda t: t.label.hexdigest("sha256"))),
    ("chance", lambda t: t.sample(0.5), lambda t: t.filter(t.line_id % 2 == 0)),
    ("any row", lambda t: t.limit(5), lambda t: t.order_by("line_id").limit(5)),
    (
        "any row",
        lambda t: t.group_by("day").aggregate(result=t.label.arbitrary()),
        lambda t: t.group_by("day").aggregate(result=t.label.min()),
    ),
    (
        "approximate aggregate",
        lambda t: t.aggregate(result=t.label.approx_nunique()),
        lambda t: t.aggregate(result=t.label.nunique()),
    ),
    ("function called by name", column(lambda t: soundex(t.label)), column(lambda t: trim(t.label))),
    (
        "memtable",
        lambda t: t.join(ibis.memtable({"line_id": [1]}), "line_id").select("line_id"),
        lambda t: t.filter(t.line_id.isin([1])),
    ),
    ("what Spark lacks", column(lambda t: t.sold_at.microsecond()), column(lambda t: t.sold_at.second())),
]


@pytest.mark.parametrize(("name", "wrong", "_right"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_idiom_that_engines_read_differently_is_refused_with_what_to_write(
    name: str, wrong: Expression, _right: Expression
) -> None:
    (idiom,) = [idiom for idiom in IDIOMS if idiom.name == name]
    found = lint(wrong(LINES), Layer.AGGREGATE)
    assert any(line.endswith(f": {idiom.name}: {idiom.why}; {idiom.instead}") for line in found), found


@pytest.mark.parametrize(("_name", "_wrong", "right"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_to_be_written_instead_is_admitted(_name: str, _wrong: Expression, right: Expression) -> None:
    assert lint(right(LINES), Layer.AGGREGATE) == []


def test_every_idiom_has_an_example() -> None:
    shown_elsewhere = {"Python function", "SQL text inside a function"}
    assert {idiom.name for idiom in IDIOMS} == {name for name, _, _ in CASES} | shown_elsewhere


def test_a_python_function_is_refused_outside_the_cleaned_layer() -> None:
    expression = column(lambda t: shout(t.label))(LINES)
    assert lint(expression, Layer.CLEANED) == []
    (line,) = lint(expression, Layer.DIMENSIONAL)
    assert "Python function: it is slow, and called with NULLs by Spark only" in line


def test_an_idiom_is_found_inside_filters_joins_and_subqueries() -> None:
    inner = LINES.filter(LINES.label.strip() == "a").select("line_id")
    expression = LINES.filter(LINES.line_id.isin(inner.line_id))
    assert [line.split(": ")[1] for line in lint(expression, Layer.CLEANED)] == ["strip"]


def test_the_message_begins_with_the_expression_and_is_given_once() -> None:
    expression = LINES.select(a=LINES.label.strip(), b=LINES.label.strip())
    (line,) = lint(expression, Layer.CLEANED)
    assert line.startswith("Strip(label): strip: ")

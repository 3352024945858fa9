"""The lint of idioms: expressions that two engines, or two runs, would answer differently, and what to write instead.

Each entry was met in practice: the same expression gave other rows on Spark than on DuckDB, or other rows on the next
run. They are found in the expression tree when a table is bound, before any data exists. What a tree cannot show
(text beyond ASCII, NULLs given to Python) stands in `docs/idioms.md`, beside these entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis.expr.operations as ops
from ibis.expr.operations.udf import InputType

from dataplatform.contracts.model import Layer
from dataplatform.engines.macros import MACRO_NAMES

if TYPE_CHECKING:
    import ibis

BUILTINS = MACRO_NAMES | {"trim"}
"""Functions that may be called by name (`ibis.udf.scalar.builtin`): every engine has them, with one meaning."""

_SHOWN = 80
Test = Callable[[Any, Layer], bool]


@dataclass(frozen=True)
class Idiom:
    """One refused idiom. `wrong` judges a node of one of `nodes`; without it every such node is refused."""

    name: str
    why: str
    instead: str
    nodes: tuple[type[ops.Node], ...]
    wrong: Test | None = None


def lint(expression: ibis.Table, layer: Layer) -> list[str]:
    """One line per refused expression: the expression, why, and what to write. Empty when all is well."""
    found = [
        f"{_shown(node)}: {idiom.name}: {idiom.why}; {idiom.instead}"
        for node in expression.op().find(_NODES)
        for idiom in IDIOMS
        if isinstance(node, idiom.nodes) and (idiom.wrong is None or idiom.wrong(node, layer))
    ]
    return list(dict.fromkeys(found))


def _shown(node: ops.Node) -> str:
    text = str(getattr(node, "name", None) or type(node).__name__)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _is_fraction(value: ops.Value) -> bool:
    return bool(value.dtype.is_floating() or (value.dtype.is_decimal() and value.dtype.scale != 0))


def _has_digits(node: ops.Round) -> bool:
    return node.digits is not None and getattr(node.digits, "value", None) != 0


def _cast_rounds(node: ops.Cast, _: Layer) -> bool:
    inner = node.arg
    settled = isinstance(inner, ops.Floor | ops.Ceil) or (isinstance(inner, ops.Round) and not _has_digits(inner))
    return bool(node.to.is_integer()) and _is_fraction(inner) and not settled


def _any_decimal(node: ops.Binary, _: Layer) -> bool:
    return any(side.dtype.is_decimal() for side in (node.left, node.right))


def _decimal_with_float(node: ops.Binary, _: Layer) -> bool:
    types = (node.left.dtype, node.right.dtype)
    return any(each.is_decimal() for each in types) and any(each.is_floating() for each in types)


def _scales_differ(node: ops.Multiply, _: Layer) -> bool:
    left, right = node.left.dtype, node.right.dtype
    return bool(left.is_decimal() and right.is_decimal() and left.scale != right.scale)


def _text_of_float(node: ops.Cast, _: Layer) -> bool:
    return node.to.is_string() and (node.arg.dtype.is_floating() or isinstance(node.arg, ops.ExtractEpochSeconds))


def _letters_in_format(node: ops.Strftime, _: Layer) -> bool:
    pattern = getattr(node.format_str, "value", None)
    return pattern is None or re.search(r"[A-Za-z]", re.sub(r"%[A-Za-z]", "", pattern)) is not None


def _other_zone(node: ops.Cast, _: Layer) -> bool:
    return node.to.is_timestamp() and node.to.timezone not in (None, "UTC")


def _unicode_escape(node: Any, _: Layer) -> bool:
    return "\\u" in str(getattr(node.pattern, "value", ""))


def _foreign_builtin(node: Any, _: Layer) -> bool:
    return node.__input_type__ is InputType.BUILTIN and node.__func_name__ not in BUILTINS


def _python(node: Any, layer: Layer) -> bool:
    return node.__input_type__ is not InputType.BUILTIN and not (
        layer is Layer.CLEANED and isinstance(node, ops.ScalarUDF)
    )


IDIOMS: tuple[Idiom, ...] = (
    Idiom(
        "strip",
        "Spark also eats the letters f and v at both ends",
        r"call `trim` by name for spaces, or `re_replace(r'^\s+|\s+$', '')`, in one helper",
        (ops.Strip, ops.LStrip, ops.RStrip),
    ),
    Idiom(
        "fraction cast to integer",
        "DuckDB rounds, Spark truncates",
        "write `.floor()` or `.round()` before the cast",
        (ops.Cast,),
        _cast_rounds,
    ),
    Idiom(
        "try_cast to integer",
        "'2.5' becomes 3 on DuckDB and NULL on Spark",
        "test the pattern first, then `cast`",
        (ops.TryCast,),
        lambda node, _: node.to.is_integer(),
    ),
    Idiom(
        "decimal division",
        "DuckDB delivers a double, Spark a decimal",
        "divide whole units as integers and take `.floor()`, in one helper",
        (ops.Divide, ops.FloorDivide),
        _any_decimal,
    ),
    Idiom(
        "mean of decimals",
        "DuckDB delivers a double, Spark a decimal",
        "take the sum and the count, and divide them as the decimal division entry says",
        (ops.Mean,),
        lambda node, _: node.arg.dtype.is_decimal(),
    ),
    Idiom(
        "decimal with float",
        "DuckDB reads a literal such as 1.5 as a decimal, Spark turns the decimal into a float",
        "write the number as `ibis.literal('1.5').cast('decimal(18,3)')`; money never passes through a float",
        (ops.Add, ops.Subtract, ops.Multiply, ops.Modulus),
        _decimal_with_float,
    ),
    Idiom(
        "decimals of different scale",
        "each engine gives the product its own precision, and Ibis a third",
        "cast both sides to one decimal type, then cast the product",
        (ops.Multiply,),
        _scales_differ,
    ),
    Idiom(
        "round of a float to digits",
        "ties fall differently",
        "use decimals, or round a whole number of units: `(x * 1000).round() / 1000`",
        (ops.Round,),
        lambda node, _: node.arg.dtype.is_floating() and _has_digits(node),
    ),
    Idiom(
        "sum or mean of floats",
        "the last digit depends on the order of rows, so every run would publish a change",
        "add decimals or integers, and divide the totals",
        (ops.Sum, ops.Mean, ops.Variance, ops.StandardDev, ops.Covariance, ops.Correlation),
        lambda node, _: any(isinstance(a, ops.Value) and a.dtype.is_floating() for a in node.args),
    ),
    Idiom(
        "logarithm, power, trigonometry",
        "the last digit differs",
        "order or compare by what stands inside it; powers of ten are literals",
        (ops.Logarithm, ops.Exp, ops.Power, ops.TrigonometricUnary, ops.TrigonometricBinary),
    ),
    Idiom(
        "instant cast to text",
        "DuckDB appends the zone, Spark does not",
        "write `strftime('%Y-%m-%d %H:%M:%S')`",
        (ops.Cast,),
        lambda node, _: node.to.is_string() and (node.arg.dtype.is_timestamp() or node.arg.dtype.is_time()),
    ),
    Idiom(
        "float cast to text",
        "DuckDB writes `170.0` where Spark writes `170` or `1.7E2`, and every hash of it differs",
        "cast to int64 or a decimal first",
        (ops.Cast,),
        _text_of_float,
    ),
    Idiom(
        "letters in a time format",
        "Spark fails on a letter that is no directive, such as T",
        "write `strftime('%Y-%m-%d %H:%M:%S')`",
        (ops.Strftime,),
        _letters_in_format,
    ),
    Idiom(
        "difference of instants or dates by minus",
        "it compiles to an interval on one engine and a number on another",
        "write `a.delta(b, unit='day')` for dates, `a.epoch_seconds() - b.epoch_seconds()` for instants",
        (ops.TimestampDiff, ops.DateDiff, ops.TimeDiff),
    ),
    Idiom(
        "delta other than whole days of dates",
        "one engine counts boundaries crossed, the other full units",
        "take `.delta(…, unit='day')` of dates, or subtract `epoch_seconds()` or year and month numbers",
        (ops.DateDelta, ops.TimestampDelta, ops.TimeDelta),
        lambda node, _: not isinstance(node, ops.DateDelta) or getattr(node.part, "value", None) != "day",
    ),
    Idiom(
        "cast to a zone",
        "the zone is dropped without a word, and the instant is wrong by its offset",
        "call `to_utc_timestamp(local, zone)`",
        (ops.Cast, ops.TryCast),
        _other_zone,
    ),
    Idiom(
        r"`\u` in a pattern",
        "DuckDB fails on it",
        r"write `\x{00A0}`",
        (ops.RegexSearch, ops.RegexExtract, ops.RegexReplace, ops.RegexSplit),
        _unicode_escape,
    ),
    Idiom(
        "first or last",
        "DuckDB keeps a NULL, Spark skips it, and no order can be given there",
        "use `argmin` or `argmax`, or filter on `row_number()`",
        (ops.First, ops.Last),
    ),
    Idiom(
        "ordered collect",
        "Spark cannot order inside an aggregate, and unordered text changes from run to run",
        "write `collect().sort()`, or `argmax`",
        (ops.ArrayCollect, ops.GroupConcat),
        lambda node, _: isinstance(node, ops.GroupConcat) or bool(node.order_by),
    ),
    Idiom(
        "as-of join",
        "Spark has none",
        "join on a range (`valid_from <= day < valid_to`), or union both and count along",
        (ops.JoinLink,),
        lambda node, _: node.how == "asof",
    ),
    Idiom("hash", "every engine has its own", "use `hexdigest('sha256')`", (ops.Hash,)),
    Idiom(
        "JSON",
        "fields come out quoted on one engine and plain on another",
        "parse JSON when the data is taken in",
        (
            ops.JSONGetItem,
            ops.UnwrapJSONString,
            ops.UnwrapJSONInt64,
            ops.UnwrapJSONFloat64,
            ops.UnwrapJSONBoolean,
            ops.ToJSONArray,
            ops.ToJSONMap,
        ),
    ),
    Idiom(
        "clock",
        "a table must be the same whenever it is made",
        "take a setting, or the newest day in the data",
        (ops.TimestampNow, ops.DateNow),
    ),
    Idiom(
        "chance",
        "a table must be the same whenever it is made",
        "derive keys from what identifies a row: `hexdigest('sha256')`",
        (ops.RandomScalar, ops.RandomUUID, ops.Sample, ops.RowID),
    ),
    Idiom(
        "any row",
        "which one is up to the engine, and changes from run to run",
        "use `min`, `max`, `argmin` or `argmax`; `order_by` a unique key before `limit`",
        (ops.Arbitrary, ops.Mode, ops.Limit),
        lambda node, _: not (isinstance(node, ops.Limit) and isinstance(node.parent, ops.Sort)),
    ),
    Idiom(
        "approximate aggregate",
        "each engine approximates in its own way",
        "use the exact one: `nunique`, `quantile`",
        (ops.ApproxCountDistinct, ops.ApproxMedian, ops.ApproxQuantile, ops.ApproxMultiQuantile),
    ),
    Idiom(
        "Python function",
        "it is slow, and called with NULLs by Spark only",
        "write an expression; Python functions are for the cleaned layer, one row at a time, guarded against NULL",
        (ops.ScalarUDF, ops.AggUDF),
        _python,
    ),
    Idiom(
        "function called by name",
        "not every engine is known to have it",
        f"use {', '.join(sorted(BUILTINS))}, or an Ibis expression",
        (ops.ScalarUDF, ops.AggUDF),
        _foreign_builtin,
    ),
    Idiom(
        "memtable",
        "rows written in code bypass contracts, and are lost when SQL is compiled",
        "take a reference table as input, or use `ibis.cases`",
        (ops.InMemoryTable,),
    ),
    Idiom(
        "SQL text inside a function",
        "nothing can look into it",
        "write expressions, or make the whole table a `.sql` file",
        (ops.SQLQueryResult, ops.SQLStringView),
    ),
    Idiom(
        "what Spark lacks",
        "Spark has no such operation",
        "compute it from `epoch_seconds()` or plain aggregates",
        (ops.ExtractMicrosecond, ops.TimestampBucket, ops.Kurtosis, ops.StringToTime),
    ),
)
_NODES = tuple({node: None for idiom in IDIOMS for node in idiom.nodes})

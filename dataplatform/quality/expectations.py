"""Great Expectations: the one adapter, used for the rules that a contract hands to it, and imported only then.

An expectation sees the rows of one partition that would be published, as a pandas batch of the columns it names
(all of them when it names none, or has a `row_condition`). Decimals reach it as floats: its statistics know no
decimals. A partition without rows is not shown to it, because the mean of nothing counts as a failure there.
Importing it costs up to 7 CPU seconds and 230 MB.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract, Rule, RuleKind
from dataplatform.errors import PermanentError
from dataplatform.quality.masking import MASK
from dataplatform.quality.results import RuleResult
from dataplatform.quality.scope import Scope

if TYPE_CHECKING:
    import ibis
    import pandas as pd

_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set", "sum_columns")
_SHOWN = 5


def judge_expectations(scope: Scope, published: ibis.Table, rows: Mapping[str, int]) -> list[RuleResult]:
    """Every expectation in every partition; `rows` are the rows of each partition of `published`."""
    rules = scope.contract.rules_of(RuleKind.EXPECTATIONS)
    if not rules:
        return []
    with warnings.catch_warnings():
        # they are about its own code and that of its dependencies, which nobody here can change
        warnings.simplefilter("ignore")
        return _judge(scope, rules, published, rows)


def _judge(scope: Scope, rules: Sequence[Rule], published: ibis.Table, rows: Mapping[str, int]) -> list[RuleResult]:
    results = []
    batches = _Batches()
    expectations = {rule.name: _expectation(scope.contract, rule) for rule in rules}
    columns = sorted(set().union(*(needed_columns(scope.contract, rule) for rule in rules)))
    for name in scope.partitions:
        if not rows[name]:
            results += [_passed_unseen(rule, name) for rule in rules]
            continue
        batch = batches.of(_frame(scope.within(published, {name}).select(columns)))
        for rule in rules:
            outcome = batch.validate(expectations[rule.name])
            results.append(_result(scope.contract, rule, name, outcome, rows[name]))
    return results


def _passed_unseen(rule: Rule, partition: str) -> RuleResult:
    return RuleResult(
        rule, partition, passed=True, expected=describe(rule), found="no rows", failed_rows=0, checked_rows=0
    )


def needed_columns(contract: Contract, rule: Rule) -> set[str]:
    """The columns that an expectation looks at."""
    arguments = _arguments(rule)
    named = _named_columns(rule)
    whole = not named or "row_condition" in arguments or "column_set" in arguments
    return set(contract.column_names) if whole else named & set(contract.column_names)


def _named_columns(rule: Rule) -> set[str]:
    values = [_arguments(rule).get(argument) for argument in _COLUMN_ARGUMENTS]
    return set().union(*({value} if isinstance(value, str) else set(value or ()) for value in values))


def describe(rule: Rule) -> str:
    """The expectation in one line: `expect_column_mean_to_be_between(column=amount, min_value=0)`."""
    shown = ", ".join(f"{name}={value}" for name, value in _arguments(rule).items())
    return f"{rule.arguments['expectation']['type']}({shown})"


def _arguments(rule: Rule) -> dict[str, Any]:
    return dict(rule.arguments["expectation"].get("kwargs") or {})


class _Batches:
    """Pandas frames as batches of one ephemeral context: nothing is stored, sent or drawn."""

    def __init__(self) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("candidate").add_dataframe_asset("candidate")
        self._definition = asset.add_batch_definition_whole_dataframe("candidate")

    def of(self, frame: pd.DataFrame) -> Any:
        return self._definition.get_batch(batch_parameters={"dataframe": frame})


def _expectation(contract: Contract, rule: Rule) -> Any:
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        return get_expectation_impl(rule.arguments["expectation"]["type"])(**_arguments(rule))
    except (GreatExpectationsError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PermanentError(
            f"{contract.full_name}: rule {rule.name}: {describe(rule)} is not an expectation: {reason}; "
            f"correct it in {contract.path.name}"
        ) from error


def _frame(rows: ibis.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    data = rows.to_pyarrow()
    frame = pd.DataFrame({})
    for field, column in zip(data.schema, data.columns, strict=True):
        frame[field.name] = (column.cast(pa.float64()) if pa.types.is_decimal(field.type) else column).to_pandas()
    return frame


def _result(contract: Contract, rule: Rule, partition: str, outcome: Any, rows: int) -> RuleResult:
    passed = bool(outcome.success)  # may be a numpy bool
    private = bool(contract.private_columns & _named_columns(rule))
    found = _raised(outcome.exception_info, private=private) or _found(outcome.result or {}, private=private)
    failed = 0 if passed else int((outcome.result or {}).get("unexpected_count") or 0)
    return RuleResult(rule, partition, passed, describe(rule), found, failed, rows)


def _raised(info: Mapping[str, Any] | None, *, private: bool) -> str:
    """Why it could not be evaluated, or nothing: one flat mapping normally, one per metric when something raised."""
    details = [info] if info and "raised_exception" in info else list((info or {}).values())
    messages = [str(detail.get("exception_message")) for detail in details if detail and detail.get("raised_exception")]
    if not messages:
        return ""
    return f"it could not be evaluated: {MASK if private else _cut('; '.join(dict.fromkeys(messages)))}"


def _found(result: Mapping[str, Any], *, private: bool) -> str:
    unexpected = result.get("unexpected_count")
    if unexpected is None:
        return MASK if private else _cut(str(result.get("observed_value")))
    examples = ", ".join(dict.fromkeys(str(value) for value in result.get("partial_unexpected_list", ())))
    such = f", such as {MASK if private else _cut(examples)}" if unexpected else ""
    of_all = f" of {result['element_count']}" if "element_count" in result else ""
    return f"{unexpected}{of_all} values otherwise{such}"


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}…"

"""Whether all that came in is published or in quarantine: one verdict per table, told as the check `reconciliation`.

What is compared is `operations.reconciliation`. Only what was made from the rows its input has now is judged: what is
behind differs for a reason, of which people are told by the plan.

Annotations are evaluated here (no `from __future__ import annotations`), as in `assets/definition.py`.
"""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.contracts.model import WHOLE, Rule, RuleKind
from dataplatform.operations.text import count
from dataplatform.quality.results import RuleResult
from dataplatform.serving.reconciliation import reconciliation_sql, steps

if TYPE_CHECKING:
    from dataplatform.project import Project

RECONCILIATION = "reconciliation"
"""The name of the rule in the history and of the asset check in Dagster."""
DIFFERENT = "SELECT * FROM operations.reconciliation WHERE differs"
_SHOWN = 5
_DESCRIPTION = "All rows and amounts that came into the table, by day, are published in it or in its quarantine."
_RULE = Rule(RECONCILIATION, RuleKind.TABLE, RECONCILIATION, description=_DESCRIPTION)
_EXPECTED = "all that came in, published or quarantined"
_BY_TABLE = """
SELECT table_name, count(difference), count(*) FILTER (WHERE is_behind),
    list({'step': step, 'partition': partition, 'measure': measure, 'amount_in': amount_in, 'amount_out': amount_out,
          'quarantined': quarantined, 'difference': difference} ORDER BY partition, step, measure)
        FILTER (WHERE differs)
FROM (%s) GROUP BY table_name
"""


def reconciled(project: "Project", only: Mapping[str, Collection[str]] | None = None) -> dict[str, RuleResult]:
    """The verdict on every table that has something to compare, over all its partitions, or those in `only`."""
    with project.session() as session:
        sql = _BY_TABLE % reconciliation_sql(session.connection, project.catalog, project.lake, only)
        rows = session.connection.execute(sql).fetchall()
    return {
        str(table): _result(compared, behind, differing or []) for table, compared, behind, differing in sorted(rows)
    }


def _result(compared: int, behind: int, differing: list[dict[str, Any]]) -> RuleResult:
    waits = f"; {behind:,} behind what they are made from" if behind else ""
    if not differing:
        found = f"no difference in {count(compared, 'comparison')}"
    else:
        shown = "; ".join(_line(each) for each in differing[:_SHOWN])
        more = f"; and {len(differing) - _SHOWN:,} more" if len(differing) > _SHOWN else ""
        found = f"{len(differing):,} of {count(compared, 'comparison')} differ: {shown}{more}"
    return RuleResult(_RULE, WHOLE, not differing, _EXPECTED, found + waits, 0, 0)


def _line(each: Mapping[str, Any]) -> str:
    kept = f", {each['quarantined']:,} quarantined" if each["quarantined"] else ""
    amounts = f"{_amount(each['amount_in'])} in, {_amount(each['amount_out'])} out{kept}"
    what = f"{each['partition']} {each['measure']} ({each['step']})"
    return f"{what}: {amounts}, difference {_amount(each['difference'])}"


def _amount(value: Decimal) -> str:
    return f"{value.normalize():,f}"


def difference_lines(project: "Project", found: Mapping[str, RuleResult]) -> list[str]:
    """One line per table whose rows or amounts are not those of its inputs, with what to do."""
    return [
        f'{project.catalog.get(table).full_name}: {result}; see `dataplatform query "{DIFFERENT}"` '
        "and the runbook's entry on it"
        for table, result in found.items()
        if not result.passed
    ]


def evaluation(result: RuleResult) -> dict[str, Any]:
    """The verdict as Dagster shows it."""
    return {
        "passed": result.passed,
        "severity": dg.AssetCheckSeverity.ERROR,
        "description": result.found,
        "metadata": {"expected": result.expected, "every comparison": "operations.reconciliation"},
    }


def build_reconciliation_checks(project: "Project") -> list[dg.AssetChecksDefinition]:
    """The check `reconciliation` of every table that stands in a chain, made by one step; none without such."""
    keys = {step.contract.name: asset_key(step.contract) for step in steps(project.catalog)}
    if not keys:
        return []

    @dg.multi_asset_check(
        name=RECONCILIATION,
        specs=[dg.AssetCheckSpec(RECONCILIATION, asset=key, description=_DESCRIPTION) for key in keys.values()],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        found = reconciled(project.current())
        wanted = {key.asset_key for key in context.selected_asset_check_keys}
        for name, key in keys.items():
            if key in wanted:
                result = found.get(name) or _result(0, 0, [])
                yield dg.AssetCheckResult(asset_key=key, **evaluation(result))

    return [check]

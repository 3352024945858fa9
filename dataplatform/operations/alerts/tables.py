"""What is wrong with tables now: rules that did not pass, deliveries, contracts, and slices that nothing makes.

From the plan and the verdicts that stand, so that whatever mends a slice also ends its problem. Private values are
masked already where verdicts are made; what a refused file's header holds is masked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dataplatform.contracts.model import Contract, Grain
from dataplatform.operations.alerts.problem import ONCE, Kind, Problem, problem
from dataplatform.operations.text import count
from dataplatform.quality.masking import MASK
from dataplatform.quality.results import Status

if TYPE_CHECKING:
    from dataplatform.operations.alerts.verdicts import Standing
    from dataplatform.planner.plan import Plan, SliceName
    from dataplatform.project import Project

READABLE = "delivery:readable"
"""The rule that a refused delivery breaks."""
_DEFAULT_LATENCY = timedelta(hours=24)
"""How long after its day a file may come where the contract does not say."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def table_problem(kind: Kind, contract: Contract, partitions: Sequence[str], **details: Any) -> Problem:
    """A problem of some partitions of a table, for its owner."""
    return problem(
        kind, contract.full_name, partitions=tuple(partitions), owner=contract.owner, is_table=True, **details
    )


def failed_slices(plan: Plan, verdicts: Sequence[Standing]) -> set[SliceName]:
    """The slices that a rule or a refused file keeps from being made.

    A failure counts only while its slice is stale: a file that was put back as it was needs no new verdict.
    """
    failed = {(each.table, each.partition) for each in verdicts if each.status is Status.FAILED}
    return {(table, partition) for table, partition in failed if partition in plan.stale.get(table, {})}


def rule_problems(project: Project, verdicts: Sequence[Standing], failed: set[SliceName]) -> Iterator[Problem]:
    """One problem per table, rule and what came of it, over all partitions it holds for."""
    groups: dict[tuple[str, str, Status], list[Standing]] = {}
    for each in verdicts:
        is_known = each.table in project.catalog.names
        if is_known and (each.status is not Status.FAILED or (each.table, each.partition) in failed):
            groups.setdefault((each.table, each.rule, each.status), []).append(each)
    for (table, rule, status), group in groups.items():
        contract, newest = project.catalog.get(table), group[-1]
        kind = _KINDS[status] if rule != READABLE or status is not Status.FAILED else Kind.DELIVERY_REFUSED
        yield table_problem(
            kind,
            contract,
            [each.partition for each in group],
            rule=rule,
            expected=newest.expected,
            found=_found(contract, newest, kind),
            run_id=newest.run_id,
        )


_KINDS: Mapping[Status, Kind] = {
    Status.FAILED: Kind.RULE_FAILED,
    Status.WARNED: Kind.RULE_WARNED,
    Status.QUARANTINED: Kind.ROWS_QUARANTINED,
}


def _found(contract: Contract, newest: Standing, kind: Kind) -> str:
    """A file without a header has a row of values where column names are expected, and the reason quotes them."""
    text = masked(contract, newest.found) if kind is Kind.DELIVERY_REFUSED else newest.found
    return text if contract.grain is Grain.NONE else f"{newest.partition}: {text}"


def masked(contract: Contract, text: str) -> str:
    """A text that was not masked where it was made, without what it quotes when the table has private columns."""
    return _QUOTED.sub(f"'{MASK}'", text) if contract.private_columns else text


def missing_files(project: Project, plan: Plan, now: datetime) -> Iterator[Problem]:
    """Open days without a file that are late."""
    zone = ZoneInfo(project.settings.business_zone)
    for table, late in late_files(project, plan, now).items():
        contract = project.catalog.get(table)
        found = f"no file, {late[-1]} was due {_due(contract, late[-1], zone):%Y-%m-%d %H:%M %Z}"
        yield table_problem(Kind.FILE_MISSING, contract, late, expected="a file for every open day", found=found)


def late_files(project: Project, plan: Plan, now: datetime) -> dict[str, list[str]]:
    """Table -> open days without a file for which the contract's latency after the day's end has passed."""
    zone = ZoneInfo(project.settings.business_zone)
    late = {
        table: [partition for partition in partitions if _due(project.catalog.get(table), partition, zone) <= now]
        for table, partitions in plan.missing_files.items()
    }
    return {table: partitions for table, partitions in late.items() if partitions}


def _due(contract: Contract, partition: str, zone: ZoneInfo) -> datetime:
    promised = contract.sla.get("latency")
    if promised is None:
        latency = _DEFAULT_LATENCY
    else:
        latency = timedelta(**{"hours" if promised["unit"] == "h" else "days": promised["value"]})
    end_of_day = datetime.combine(date.fromisoformat(partition) + timedelta(days=1), time(), zone)
    return (end_of_day.astimezone(UTC) + latency).astimezone(zone)  # in hours that pass, not on the clock's face


def changed_contracts(project: Project, plan: Plan) -> Iterator[Problem]:
    """Tables that wait for a rebuild."""
    for table, changes in plan.refused.items():
        contract = project.catalog.get(table)
        waiting = ", ".join(project.catalog.descendants(table))
        yield table_problem(
            Kind.CONTRACT_CHANGED,
            contract,
            [ONCE],
            expected=f"`dataplatform rebuild {table} --yes`, or the contract as it was",
            found="; ".join(changes) + (f" (waiting for it: {waiting})" if waiting else ""),
        )


def held_tables(project: Project, plan: Plan) -> Iterator[Problem]:
    """Tables on hold: somebody wanted it so, and everybody is told."""
    for table, held in plan.held.items():
        contract = project.catalog.get(table)
        waiting = f"; waiting: {count(len(held.waiting), 'slice')}" if held.waiting else ""
        yield table_problem(
            Kind.TABLE_HELD,
            contract,
            [ONCE],
            expected=f"`dataplatform release {table}` when what it was held for is over",
            found=f"held since {held.hold.since} ({held.hold.reason}){waiting}",
        )


def stale_slices(project: Project, plan: Plan, grace: float) -> Iterator[Problem]:
    """Slices that could be made and are not; of those that wait for others only the first are named.

    `plan` leaves out what has failed. They are told when they have stood for `grace` seconds: until then it is the
    ordinary state of things that arrive.
    """
    for table, slices in plan.stale.items():
        first = [each for each in slices.values() if not each.after]
        if first:
            contract = project.catalog.get(table)
            yield table_problem(
                Kind.SLICE_STALE,
                contract,
                [each.partition for each in first],
                expected="made soon after it became stale",
                found=f"{first[-1].reason}; nothing that could make it is at work",
                grace=grace,
            )

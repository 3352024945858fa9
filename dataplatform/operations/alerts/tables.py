"""What is wrong with tables now: rules that did not pass, deliveries, contracts, and slices that nothing makes.

From the plan and the verdicts that stand, so that whatever mends a slice also ends its problem. Private values are
masked already where verdicts are made; what a refused file's header holds is masked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dataplatform.contracts.model import WHOLE, Contract, Latency
from dataplatform.operations.alerts.problem import ONCE, Kind, Problem, problem
from dataplatform.operations.reconciliation import RECONCILIATION
from dataplatform.operations.text import count
from dataplatform.planner.freshness import Freshness, FreshnessState, Promise
from dataplatform.quality.masking import MASK
from dataplatform.quality.results import Status

if TYPE_CHECKING:
    from dataplatform.operations.alerts.verdicts import Standing
    from dataplatform.planner.plan import Plan, SliceName
    from dataplatform.project import Project

READABLE = "delivery:readable"
"""The rule that a refused delivery breaks."""
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
    groups: dict[tuple[str, str, Kind], list[Standing]] = {}
    for each in verdicts:
        if each.table in project.catalog:
            kind = _kind(project.catalog.get(each.table), each)
            if kind not in _BLOCKING or (each.table, each.partition) in failed:
                groups.setdefault((each.table, each.rule, kind), []).append(each)
    for (table, rule, kind), group in groups.items():
        contract, newest = project.catalog.get(table), group[-1]
        yield table_problem(
            kind,
            contract,
            [each.partition for each in group],
            rule=rule,
            expected=newest.expected,
            found=_found(contract, newest, kind),
            run_id=newest.run_id,
        )


_BLOCKING = {Kind.RULE_FAILED, Kind.DELIVERY_REFUSED}
"""What keeps a slice from being made; it is over when the slice is not stale."""


def _kind(contract: Contract, verdict: Standing) -> Kind:
    if verdict.status is not Status.FAILED:
        return _KINDS[verdict.status]
    if verdict.rule == RECONCILIATION:
        return Kind.NOT_RECONCILED
    if contract.is_partitioned and verdict.partition == WHOLE:  # the daily check speaks of what is published
        return Kind.KEY_HELD_TWICE
    return Kind.DELIVERY_REFUSED if verdict.rule == READABLE else Kind.RULE_FAILED


_KINDS: Mapping[Status, Kind] = {
    Status.WARNED: Kind.RULE_WARNED,
    Status.QUARANTINED: Kind.ROWS_QUARANTINED,
}


def _found(contract: Contract, newest: Standing, kind: Kind) -> str:
    """A file without a header has a row of values where column names are expected, and the reason quotes them."""
    text = masked(contract, newest.found) if kind is Kind.DELIVERY_REFUSED else newest.found
    return text if newest.partition == WHOLE else f"{newest.partition}: {text}"


def masked(contract: Contract, text: str) -> str:
    """A text that was not masked where it was made, without what it quotes when the table has private columns."""
    return _QUOTED.sub(f"'{MASK}'", text) if contract.private_columns else text


def late_tables(project: Project, plan: Plan, states: Mapping[str, Freshness]) -> Iterator[Problem]:
    """Tables that are not as fresh as promised. What only follows from another of the same owner is not told twice."""
    for table, state in states.items():
        contract = project.catalog.get(table)
        causes = [states[name] for name in project.catalog.ancestors(table) if name in states]
        owned = [each for each in causes if project.catalog.get(each.table).owner == contract.owner]
        if state.state is FreshnessState.FRESH or any(each.state is state.state for each in owned):
            continue
        is_late = state.state is FreshnessState.LATE
        missing = set(state.late).intersection(plan.missing_files.get(table, ()))
        yield table_problem(
            Kind.TABLE_LATE if is_late else Kind.TABLE_NEARLY_LATE,
            contract,
            (state.late if is_late else state.soon) or [ONCE],
            expected=f"data within {contract.latency.value:g} {contract.latency.unit}" if contract.latency else "",
            found="; ".join(state.reasons) + ("; no file was delivered" if missing else ""),
        )


def missing_files(project: Project, plan: Plan, now: datetime, states: Mapping[str, Freshness]) -> Iterator[Problem]:
    """Open days without a file that are due, where no promise of freshness says so already."""
    for table, late in late_files(project, plan, now).items():
        told = states[table].late if table in states else ()
        untold = [partition for partition in late if partition not in told]
        if untold:
            contract = project.catalog.get(table)
            found = f"no file for {count(len(untold), 'open day')}, the last of them {untold[-1]}"
            yield table_problem(Kind.FILE_MISSING, contract, untold, expected="a file for every open day", found=found)


def late_files(project: Project, plan: Plan, now: datetime) -> dict[str, list[str]]:
    """Table -> open days without a file that were due by now."""
    late = {
        table: [partition for partition in partitions if _due(project, project.catalog.get(table), partition) <= now]
        for table, partitions in plan.missing_files.items()
    }
    return {table: partitions for table, partitions in late.items() if partitions}


def _due(project: Project, contract: Contract, partition: str) -> datetime:
    """When the contract promises the data; where it does not, a day after the partition's own has ended."""
    latency = contract.latency or Latency(48, "h")
    return Promise(latency, contract.grain, ZoneInfo(project.settings.business_zone)).due(partition)


def sources_down(project: Project, plan: Plan) -> Iterator[Problem]:
    """Raw tables of which nothing can be planned."""
    for table, reason in plan.down.items():
        yield table_problem(
            Kind.SOURCE_DOWN, project.catalog.get(table), [ONCE], expected="the source answers", found=reason
        )


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

"""Looks at the lake: files, what is left undone and why, sources, rows put aside, and who was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.errors import PlatformError
from dataplatform.lake.platform_tables import OPERATIONS, QUALITY, QUARANTINE, PlatformTables
from dataplatform.lake.soundness import Part, damages, delta_folders
from dataplatform.operations.alerts.problem import Kind as Told
from dataplatform.operations.alerts.problem import Problem, scrubbed
from dataplatform.operations.doctor.finding import Finding, Kind, error, warning
from dataplatform.operations.text import count, ranges

if TYPE_CHECKING:
    from dataplatform.operations.doctor.patient import Patient

_RUN = "dataplatform run"
_MENDS: Mapping[Told, str] = {
    Told.SOURCE_DOWN: "see that it answers; then dataplatform run",
    Told.TABLE_LATE: _RUN,
    Told.TABLE_NEARLY_LATE: _RUN,
    Told.FILE_MISSING: "have it delivered; then dataplatform run",
    Told.SLICE_FAILED: "mend what the reason names; then dataplatform run",
    Told.CONTRACT_CHANGED: "dataplatform rebuild {table} --yes",
    Told.TABLE_HELD: "dataplatform release {table}",
}


def definitions(patient: Patient) -> Iterator[Finding]:
    """Whether contracts and functions load and the graph can be made of them."""
    from dataplatform.project import Project

    try:
        patient.build(Project.load(patient.settings)).get_repository_def()
    except PlatformError as refused:
        for line in str(refused).splitlines():
            yield error(Told.DEFINITIONS_BROKEN, line, "mend the file it names; then dataplatform run --dry-run")


def unreadable_tables(patient: Patient) -> Iterator[Finding]:
    """Tables whose log, files or records are damaged; needs no contract."""
    for folder in delta_folders(patient.settings.lake_dir):
        for damage in damages(folder):
            what = f"{folder.parent.name}.{folder.name}: {damage.text}"
            if damage.part is Part.RECORDS:
                yield warning(Kind.RECORD_DAMAGED, what, "dataplatform run, then dataplatform maintain --yes")
            else:
                yield error(Kind.TABLE_UNREADABLE, what, _remake(folder, damage.part))


def _remake(folder: Path, part: Part) -> str:
    if folder.parent.name in (QUALITY, OPERATIONS):
        return f"dataplatform restore SOURCE, or move {folder} away: its history begins anew"
    if folder.parent.name == QUARANTINE or part is Part.LOG:
        return f"dataplatform restore SOURCE, or move {folder} away and dataplatform run"
    return f"dataplatform rebuild {folder.name} --yes"


def undone(patient: Patient) -> Iterator[Finding]:
    """What is stale, failed, missing, late, refused or held now."""
    from dataplatform.operations.alerts import tables
    from dataplatform.planner.freshness import freshness

    project, plan = patient.project.current(), patient.plan
    states = freshness(project, patient.now)
    problems = [
        *tables.sources_down(project, plan),
        *tables.changed_contracts(project, plan),
        *_failed(patient),
        *tables.late_tables(project, plan, states),
        *tables.held_tables(project, plan),
        *tables.missing_files(project, plan, patient.now, states),
    ]
    for each in problems:
        yield _finding(patient, scrubbed(each))
    # soon after a delivery that is the ordinary state of things: `table_late` says when it is none
    for each in tables.stale_slices(project, plan, 0.0):
        what = f"{each.subject}: stale{_which(patient, each)}: {each.found.partition('; ')[0]}"
        yield warning(Told.SLICE_STALE, what, _RUN)


def _failed(patient: Patient) -> Iterator[Problem]:
    from dataplatform.operations.alerts.tables import masked, table_problem

    for table, waits in patient.plan.waiting.items():
        contract = patient.project.catalog.get(table)
        reason = masked(contract, list(waits.values())[-1].reason)
        yield table_problem(Told.SLICE_FAILED, contract, sorted(waits), found=reason)


def _finding(patient: Patient, found: Problem) -> Finding:
    mend = _MENDS[found.kind].format(table=found.subject.rpartition(".")[2])
    return Finding(found.kind, found.severity, f"{found.title}{_which(patient, found)}: {found.found}", mend)


def _which(patient: Patient, found: Problem) -> str:
    """`(2 partitions: 2011-01-05..2011-01-06)`; nothing for a table without partitions."""
    keys = patient.project.keys(patient.project.catalog.get(found.subject.rpartition(".")[2]))
    partitions = [each for each in found.partitions if each in keys]
    which = ranges(partitions, keys)
    return f" ({count(len(partitions), 'partition')}: {which})" if which else ""


def outages(patient: Patient) -> Iterator[Finding]:
    """Sources that gave no answer when they were last asked: known also where nothing can be planned."""
    from dataplatform.sources import BREAKERS
    from dataplatform.sources.breaker import outages as known

    for outage in known(patient.settings.tmp_dir / BREAKERS):
        yield warning(Told.SOURCE_DOWN, str(outage), _MENDS[Told.SOURCE_DOWN])


def quarantine(patient: Patient) -> Iterator[Finding]:
    """Rows that wait in quarantine, and since when the oldest of them does."""
    lake = PlatformTables(patient.contracts.lake.root)
    for contract in patient.contracts.catalog:
        counts = lake.quarantined_counts(contract.name)
        rows = sum(counts.values())
        if rows:
            since = _oldest(lake.quarantine_uri(contract.name))
            over = ranges(counts, patient.contracts.keys(contract))
            what = f"{contract.full_name}: {count(rows, 'row')} in quarantine{since}{f' ({over})' if over else ''}"
            yield warning(Told.ROWS_QUARANTINED, what, f"dataplatform quarantine show {contract.name}")


def _oldest(uri: Path) -> str:
    """From the statistics of the files alone."""
    import pyarrow as pa

    from dataplatform.lake.handles import newest

    handle = newest(uri)
    actions: list[dict[str, Any]] = [] if handle is None else pa.table(handle.get_add_actions(flatten=True)).to_pylist()
    times = [action.get("min._quarantined_at") for action in actions]
    oldest = min((time for time in times if time is not None), default=None)
    return "" if oldest is None else f", the oldest since {oldest:%Y-%m-%d %H:%M} UTC"


def telling(patient: Patient) -> Iterator[Finding]:
    """Receivers that cannot be reached, and problems that nobody was told of although somebody should have been."""
    from dataplatform.operations.alerts.outbox import read_outbox
    from dataplatform.operations.alerts.setting import AlertSettingError, load_alert_setting
    from dataplatform.operations.alerts.standing import untold
    from dataplatform.operations.alerts.telling import Teller

    try:
        setting = load_alert_setting(patient.settings.alerts)
    except AlertSettingError as refused:
        yield error(Kind.RECEIVERS_REFUSED, str(refused), "mend the file; then dataplatform alerts check")
        return
    with read_outbox(patient.settings.data_dir) as outbox:
        if outbox is None or not setting.receivers:
            return
        for each in Teller(patient.settings, setting).unreachable(outbox, patient.now.timestamp()):
            name = each.subject.removeprefix("receiver ")
            what = f"{each.title}: {scrubbed(each).found}"
            yield error(each.kind, what, f"mend what the reason names; then dataplatform alerts check {name}")
        for line in untold(patient.project.current(), outbox, setting, patient.now):
            yield error(Kind.PROBLEM_UNTOLD, f"nobody was told: {line}", "dataplatform alerts send")

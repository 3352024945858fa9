"""What people ask about before they use a table: which there are, what one promises, and what is set.

Read from contracts and the lake's publication records alone; no function is loaded and no row is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Column, Contract, Input, Rule
from dataplatform.lake.predicates import describe_partitions
from dataplatform.lake.table import Lake
from dataplatform.lake.versions import versions
from dataplatform.operations.text import count, table
from dataplatform.planner.freshness import freshness

if TYPE_CHECKING:
    from dataplatform.lake.records import Slice
    from dataplatform.lake.table import LakeTable
    from dataplatform.lake.versions import Version
    from dataplatform.project import Project
    from dataplatform.settings import Settings


def settings_text(settings: Settings) -> str:
    """Every setting: its variable, its value, which tier decided it, and what it is for."""
    from dataplatform.settings import PREFIX

    rows = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        shown = "" if value is None else value
        rows.append((f"{PREFIX}{name.upper()}", shown, settings.origin(name), field.description))
    return table(("setting", "value", "from", "meaning"), rows, indent="")


def tables_text(project: Project, now: datetime) -> str:
    """Every table in the order in which data moves, with what is published of it and whether that is fresh at `now`.

    Then those on hold, and what is wrong with those that are not fresh.
    """
    rows, held = [], []
    promised = freshness(project, now)
    for contract in project.catalog:
        opened = project.lake.table(contract).open()
        slices = opened.state.slices
        held += [] if opened.hold is None else [opened.hold.of(contract.full_name)]
        newest = max((entry.published_at for entry in slices.values()), default="never")
        total = sum(entry.rows for entry in slices.values())
        state = promised[contract.name].state if contract.name in promised else ""
        rows.append((contract.full_name, contract.grain.value, len(slices), total, newest, state, contract.description))
    headers = ("table", "by", "partitions", "rows", "published", "fresh", "what it is")
    wrong = [f"{project.catalog.get(n).full_name} is {f.state}: {f}" for n, f in promised.items() if f.reasons]
    return "\n".join([table(headers, rows, indent=""), *held, *wrong])


def describe_text(contract: Contract, lake: Lake) -> str:
    """The contract as people read it, and what is published of the table."""
    opened = lake.table(contract).open()
    held = [] if opened.hold is None else ["", opened.hold.of(contract.full_name)]
    return "\n".join([*_sections(contract, opened.state.slices), *held])


def history_text(lake_table: LakeTable, limit: int) -> str:
    """A table's versions as far as its log goes back, newest first."""
    known = versions(lake_table)
    if not known:
        return f"{lake_table.contract.full_name} has never been published"
    rows = [
        (version.number, version.at.isoformat(timespec="seconds"), version.run_id, _replaced(version))
        for version in reversed(known)
    ]
    text = table(("version", "at", "run", "what changed"), rows[:limit], indent="")
    return text if len(rows) <= limit else f"{text}\n… and {count(len(rows) - limit, 'older version')}; see --limit"


def _replaced(version: Version) -> str:
    if not version.partitions:
        return f"no rows ({version.operation.lower()})" if version.partitions == () else version.operation.lower()
    return "rows" if version.partitions == (WHOLE,) else describe_partitions(version.partitions)


def _sections(contract: Contract, slices: Mapping[str, Slice]) -> Iterator[str]:
    yield f"{contract.full_name}  (version {contract.version})"
    yield f"  {contract.description}"
    yield ""
    yield from (f"  {word + ':':<12}{text}" for word, text in _facts(contract) if text)
    yield "\nColumns"
    yield table(("column", "type", "needed", "unit", "privacy", "meaning"), map(_column, contract.columns))
    if contract.inputs:
        yield "\nMade from"
        yield table(("parameter", "table", "window", "uses"), map(_input, contract.inputs))
    if contract.settings:
        yield "\nSettings"
        yield table(("setting", "value"), contract.settings.items())
    if contract.rules:
        yield "\nRules"
        yield table(("rule", "severity", "checks"), ((r.name, r.severity, rule_text(r)) for r in contract.rules))
    yield "\nPublished"
    yield f"  {_published(slices)}"


def _facts(contract: Contract) -> Iterator[tuple[str, str]]:
    yield "grain", contract.grain_text
    yield "key", ", ".join(contract.primary_key)
    stored = "" if contract.physical == "partitioned" else ", stored in one piece"
    yield "slices", f"by {contract.grain} of {contract.partition_column}{stored}" if contract.is_partitioned else "one"
    if contract.source is not None:
        yield "source", ", ".join(f"{key} {value}" for key, value in contract.source.items())
    yield "owner", contract.owner
    yield "promises", "; ".join(_promise(name, promise) for name, promise in contract.sla.items())
    yield "tags", ", ".join(contract.tags)
    yield "contract", str(contract.path)


def _promise(name: str, promise: Mapping[str, object]) -> str:
    of = f" of {promise['column']}" if promise.get("column") else ""
    return f"{name}{of} {promise['value']} {promise.get('unit') or ''}".rstrip()


def _column(column: Column) -> tuple[object, ...]:
    privacy = column.classification or ""
    return column.name, column.type, column.required, column.unit, privacy, column.description


def _input(wanted: Input) -> tuple[object, ...]:
    uses = ", ".join(wanted.columns)
    if wanted.lookup is not None:
        uses = f"{', '.join(wanted.lookup.uses)} by {wanted.lookup.column} = {wanted.lookup.references}"
    return wanted.parameter, wanted.table, str(wanted.window), uses


def rule_text(rule: Rule) -> str:
    """What a rule checks, in one line: its own description, or its test and arguments."""
    if rule.description:
        return rule.description
    arguments = rule.arguments
    if rule.test == "relationship":
        return f"is one of {arguments['table']}.{arguments['column']}"
    given = [str(value) if name == "value" else f"{name} {value}" for name, value in arguments.items()]
    return " ".join([rule.test, *given])


def _published(slices: Mapping[str, Slice]) -> str:
    if not slices:
        return "never; make it with `dataplatform run`"
    names, newest = sorted(slices), max(slices.values(), key=lambda entry: (entry.published_at, entry.order))
    quarantined = sum(entry.quarantined for entry in slices.values())
    partitions = "" if names == [WHOLE] else f"{count(len(names), 'partition')} ({names[0]}..{names[-1]}), "
    aside = f", {count(quarantined, 'row')} in quarantine" if quarantined else ""
    rows = count(sum(entry.rows for entry in slices.values()), "row")
    return f"{partitions}{rows}{aside}; last by run {newest.run_id} at {newest.published_at}"

"""What people see of a table in Dagster's UI: columns, links, lineage, verdicts, rows per partition, a preview."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.contracts.model import WHOLE, Contract

if TYPE_CHECKING:
    from dataplatform.assets.slices import Outcome, SliceOutcome
    from dataplatform.engines.lineage import Origin
    from dataplatform.project import Project
    from dataplatform.quality.report import CheckSummary


def definition_metadata(project: Project, contract: Contract) -> dict[str, Any]:
    """Known before any run: columns with types and descriptions, table name, links to contract and code."""
    function = project.functions.get(contract.name)
    places = [(contract.path, 1, "contract")]
    if function is not None:
        places.insert(0, (function.source_path, function.line, "code"))
    references = [
        dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=label) for path, line, label in places
    ]
    return {
        "dagster/column_schema": column_schema(contract),
        "dagster/table_name": contract.full_name,
        "dagster/uri": str(project.lake.table(contract).uri),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references),
        "contract": dg.MetadataValue.path(str(contract.path)),
        "grain": contract.grain_text,
    }


def column_schema(contract: Contract) -> dg.TableSchema:
    """The contract's columns as Dagster shows them: type, description with unit, keys, privacy as a tag."""
    unique = {rule.columns[0] for rule in contract.rules if rule.test == "unique" and len(rule.columns) == 1}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.type),
                description=f"{column.description} [{column.unit}]" if column.unit else column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required, unique=column.name in unique),
                tags={"classification": column.classification} if column.classification else None,
            )
            for column in contract.columns
        ]
    )


def partition_metadata(slice_: SliceOutcome) -> dict[str, Any]:
    """Small facts of one partition; they are stored once per partition and run."""
    name = "dagster/row_count" if slice_.partition == WHOLE else "dagster/partition_row_count"
    found: dict[str, Any] = {name: slice_.rows, "revision": slice_.revision}
    if slice_.quarantined:
        found["quarantined_rows"] = slice_.quarantined
    if slice_.warnings:
        found["warnings"] = "; ".join(slice_.warnings)
    return found


def run_metadata(project: Project, contract: Contract, outcome: Outcome) -> dict[str, Any]:
    """Heavier facts of one run: Delta version, column lineage, a preview with private values masked, a chart."""
    details: dict[str, Any] = {
        "delta_version": outcome.version,
        "seconds": round(outcome.seconds, 3),
        "preview": _table(contract.column_names, outcome.preview, width=58),
    }
    binding = project.bindings.get(contract.name)
    if binding is not None and binding.lineage:
        details |= _lineage_metadata(project, binding.lineage)
    chart = _chart(project, contract)
    if chart is not None:
        details["chart"] = dg.MetadataValue.md(chart)
    return details


def _chart(project: Project, contract: Contract) -> str | None:
    if "chart" not in contract.tags:
        return None
    from dataplatform.charts import chart_for

    with project.session() as session:
        rows = session.open(project.lake.table(contract).open())
        return chart_for(contract.name, session.connection.sql(str(session.backend.compile(rows))).to_arrow_table())


def _lineage_metadata(project: Project, lineage: Mapping[str, Collection[Origin]]) -> dict[str, Any]:
    """Once as Dagster's own lineage, which its open-source UI does not draw, and once as a table that it shows."""
    shown = [
        {"column": column, "made from": ", ".join(f"{table}.{source}" for table, source in sorted(sources))}
        for column, sources in lineage.items()
    ]
    drawn = {
        column: [
            dg.TableColumnDep(dg.AssetKey([project.catalog.get(table).layer.value, table]), source)
            for table, source in sorted(sources)
        ]
        for column, sources in lineage.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(drawn), "lineage": _table(["column", "made from"], shown)}


def check_metadata(summary: CheckSummary) -> dict[str, Any]:
    """The verdict of every rule of one kind, and what was found where a rule was not kept."""
    found: dict[str, Any] = {"rules": _table(list(summary.rules[0]), summary.rules)}
    if summary.findings:
        found["findings"] = dg.MetadataValue.md(summary.findings)
    if summary.courses:
        from dataplatform.charts import course_chart

        found |= {name: dg.MetadataValue.md(course_chart(course)) for name, course in summary.courses.items()}
    return found


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, object]], width: int = 200) -> dg.TableMetadataValue:
    """Rows as the UI shows them in place. All values are texts: a browser cannot hold a 64-bit key."""

    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return text if len(text) <= width else f"{text[: width - 1]}…"

    records = [dg.TableRecord({name: cell(row.get(name)) for name in columns}) for row in rows]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))

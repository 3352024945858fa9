"""What people see of a table in Dagster's UI: columns, links, lineage, rows per partition, a masked preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.contracts.model import WHOLE, Contract

if TYPE_CHECKING:
    from dataplatform.assets.slices import Outcome, SliceOutcome
    from dataplatform.project import Project


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
        "preview": dg.MetadataValue.md(preview_markdown(outcome.preview)),
    }
    binding = project.bindings.get(contract.name)
    if binding is not None and binding.lineage:
        details["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(dg.AssetKey([project.catalog.get(table).layer.value, table]), source)
                    for table, source in sorted(sources)
                ]
                for column, sources in binding.lineage.items()
            }
        )
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


def preview_markdown(rows: list[dict[str, object]]) -> str:
    """Rows as a Markdown table; cells are shortened, and pipes and line breaks cannot break out of them."""
    if not rows:
        return "no rows"

    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return (text[:57] + "…" if len(text) > 58 else text).replace("|", "\\|").replace("\n", " ")

    lines = ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row.values())) + " |" for row in rows)])

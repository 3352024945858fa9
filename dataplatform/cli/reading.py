"""Commands that only look: settings, tables, describe, check, query."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dataplatform.cli.app import app, at_least_one, examples, load_project, load_settings

Table = Annotated[str, typer.Argument(metavar="TABLE")]
"""A table's name, alone or as layer.table."""


@app.command(epilog=examples("settings", "--data-dir /tmp/trial settings"))
def settings(ctx: typer.Context) -> None:
    """Show every setting, its value, and where the value came from."""
    from dataplatform.operations.describe import settings_text

    typer.echo(settings_text(load_settings(ctx)))


@app.command(epilog=examples("tables"))
def tables(ctx: typer.Context) -> None:
    """List every table with what is published of it, and whether that is as fresh as promised."""
    from dataplatform.operations.describe import tables_text
    from dataplatform.project import Project
    from dataplatform.settings import utc_now

    typer.echo(tables_text(Project.of_contracts(load_settings(ctx)), utc_now()))


@app.command(epilog=examples("describe fact_sales", "describe aggregate.daily_sales"))
def describe(ctx: typer.Context, table: Table) -> None:
    """Show a table's contract as people read it: columns, rules, inputs, owner, and what is published."""
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.lake.table import Lake
    from dataplatform.operations.describe import describe_text

    found = load_settings(ctx)
    typer.echo(describe_text(load_catalog(found.tables_dir).get(table), Lake(found.lake_dir)))


@app.command(epilog=examples("check fact_sales", "check sales_lines --partition 2011-11-30"))
def check(
    ctx: typer.Context,
    table: Table,
    partition: Annotated[
        str | None, typer.Option(metavar="PARTITION", help="Only this day, or month's first day.")
    ] = None,
) -> None:
    """Judge what is published now by today's contract; publishes nothing, and exits 1 when a rule is broken."""
    from dataplatform.operations.check import check_text
    from dataplatform.operations.partitions import checked_partition

    project = load_project(load_settings(ctx))
    contract = project.catalog.get(table)
    chosen = None if partition is None else checked_partition(project, contract, partition)
    text, is_good = check_text(project, contract, chosen)
    typer.echo(text)
    raise typer.Exit(0 if is_good else 1)


@app.command(
    epilog=examples(
        'query "SELECT * FROM aggregate.daily_sales ORDER BY business_date DESC LIMIT 7"',
        'query --format csv "SELECT country, sum(net_amount) FROM aggregate.daily_country_sales GROUP BY country"',
        'query --format parquet --output sales.parquet "FROM aggregate.daily_sales"',
        "query \"SELECT * FROM quality.rule_results WHERE status <> 'passed'\"",
        'query --as-of 2011-12-08 "FROM aggregate.daily_sales"     # as it stood at the end of that day',
    )
)
def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, csv, json or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to a file, whole or not at all.")] = None,
    limit: Annotated[
        int | None, typer.Option(callback=at_least_one, metavar="ROWS", help="Cut the answer off after so many rows.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="VERSION|RUN|TIME", help="Tables as they were; see `dataplatform history TABLE`."),
    ] = None,
) -> None:
    """Answer a question from the lake: one statement that reads, in DuckDB's dialect.

    Every table is there as layer.table, besides quarantine.TABLE, quality.rule_results and operations.table_runs.
    """
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.serving.query import run_query
    from dataplatform.serving.writers import write_answer

    found = load_settings(ctx)
    with run_query(found, load_catalog(found.tables_dir), sql, limit=limit, as_of=as_of) as answer:
        write_answer(answer, form, output)

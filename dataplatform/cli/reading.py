"""Commands that only look: settings, tables, describe, check, query."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplatform.cli.app import app, examples, load_settings

Table = Annotated[str, typer.Argument(metavar="TABLE", help="A table's name, alone or as layer.table.")]


@app.command(epilog=examples("settings", "--data-dir /tmp/trial settings"))
def settings(ctx: typer.Context) -> None:
    """Show every setting, its value, and where the value came from."""
    from dataplatform.operations.describe import settings_text

    typer.echo(settings_text(load_settings(ctx)))


@app.command(epilog=examples("tables"))
def tables(ctx: typer.Context) -> None:
    """List every table with what is published of it."""
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.lake.table import Lake
    from dataplatform.operations.describe import tables_text

    found = load_settings(ctx)
    typer.echo(tables_text(load_catalog(found.tables_dir), Lake(found.lake_dir)))


@app.command(epilog=examples("describe fact_sales", "describe aggregate.daily_sales"))
def describe(ctx: typer.Context, table: Table) -> None:
    """Show a table's contract as people read it: columns, rules, inputs, owner, and what is published."""
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.lake.table import Lake
    from dataplatform.operations.describe import describe_text

    found = load_settings(ctx)
    typer.echo(describe_text(load_catalog(found.tables_dir).get(table), Lake(found.lake_dir)))

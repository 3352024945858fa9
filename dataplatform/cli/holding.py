"""Commands that keep a table as it is: hold, release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import app, examples, load_settings
from dataplatform.cli.reading import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dataplatform.contracts.model import Contract
    from dataplatform.lake.table import Lake


@app.command(epilog=examples("hold fact_sales --reason 'wrong prices since Monday'"))
def hold(
    ctx: typer.Context,
    table: Table,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Told to everybody who would make it.")] = "by hand",
) -> None:
    """Keep a table as it is: nothing publishes it, however it is asked, until it is released."""
    from dataplatform.operations.holds import hold_table

    _apply(ctx, table, lambda lake, contract: hold_table(lake, contract, reason))


@app.command(epilog=examples("release fact_sales"))
def release(ctx: typer.Context, table: Table) -> None:
    """End a table's hold: the next run makes what is stale of it."""
    from dataplatform.operations.holds import release_table

    _apply(ctx, table, release_table)


def _apply(ctx: typer.Context, table: str, change: Callable[[Lake, Contract], str]) -> None:
    """Contracts alone are read, and no lock is taken: a hold is wanted when something is wrong or at work."""
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.lake.table import Lake
    from dataplatform.operations.holds import tell_dagster
    from dataplatform.operations.instance import open_instance

    settings = load_settings(ctx)
    contract, lake = load_catalog(settings.tables_dir).get(table), Lake(settings.lake_dir)
    typer.echo(change(lake, contract))
    with open_instance(settings) as instance:
        tell_dagster(instance, contract, lake)

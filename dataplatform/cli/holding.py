"""Commands that keep a table as it is, or make it what it was: hold, release, rollback, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import app, at_least_one, examples, load_project, load_settings
from dataplatform.cli.reading import Table
from dataplatform.cli.running import Yes

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


@app.command(
    epilog=examples(
        "rollback fact_sales --to 12",
        "rollback fact_sales --to 2011-12-08 --yes",
        "rollback fact_sales --to 2011-12-08T18:00Z --yes",
        "rollback fact_sales --to 6a0f9c1e --yes     # as that run left it",
    )
)
def rollback(
    ctx: typer.Context,
    table: Table,
    to: Annotated[str, typer.Option(metavar="VERSION|RUN|TIME", help="See `dataplatform history TABLE`.")],
    yes: Yes = False,
) -> None:
    """Give a table the rows it had, in one commit, and hold it; what reads it is stale where they differ.

    TIME is an instant with its zone, or a day: then the table as it stood at the end of that day.
    """
    from dataplatform.operations import rollback as rollbacks
    from dataplatform.operations.instance import open_instance

    settings = load_settings(ctx)
    project = load_project(settings)
    contract = project.catalog.get(table)
    if not yes:
        typer.echo(rollbacks.rollback_text(project, contract, to))
        typer.echo("nothing was done; do it with --yes")
        return
    with open_instance(settings) as instance:
        typer.echo(rollbacks.roll_back(project, contract, to, instance))


@app.command(epilog=examples("history fact_sales", "history fact_sales --limit 100"))
def history(
    ctx: typer.Context,
    table: Table,
    limit: Annotated[int, typer.Option(callback=at_least_one, metavar="ROWS", help="How many versions.")] = 20,
) -> None:
    """List a table's versions, the newest first: when, by which run, and which partitions changed."""
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.lake.table import Lake
    from dataplatform.operations.describe import history_text

    settings = load_settings(ctx)
    contract = load_catalog(settings.tables_dir).get(table)
    typer.echo(history_text(Lake(settings.lake_dir).table(contract), limit))


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

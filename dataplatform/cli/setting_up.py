"""Commands that prepare: init, up, new-table."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplatform.cli.app import app, examples, load_settings


@app.command(epilog=examples("init", "--data-dir /srv/shop init"))
def init(ctx: typer.Context) -> None:
    """Make the data folder and its Dagster instance. Safe to repeat, also in two terminals at once."""
    from dataplatform.operations.instance import ensure_instance

    typer.echo(f"the instance is ready in {ensure_instance(load_settings(ctx))}")


@app.command(epilog=examples("up", "up --port 8080"))
def up(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(metavar="PORT", help="Where the UI listens, on this machine only.")] = 3000,
) -> None:
    """Start Dagster's UI, daemon and code server on the settings in force; Ctrl-C stops them all."""
    from dataplatform.operations.instance import ensure_instance
    from dataplatform.operations.serve import HOST, forget_daemons, refuse_taken, serve

    settings = load_settings(ctx)
    refuse_taken(port)
    ensure_instance(settings)
    typer.echo(f"the UI will answer at http://{HOST}:{port}; Ctrl-C stops everything")
    try:
        serve(settings, port)
    except KeyboardInterrupt:
        forget_daemons(settings)
        raise
    finally:
        typer.echo("everything is stopped")


@app.command(
    "new-table",
    epilog=examples(
        "new-table aggregate weekly_returns",
        "new-table aggregate daily_postage --sql",
        "new-table dimensional dim_supplier",
        "run --select weekly_returns",
    ),
)
def new_table(
    ctx: typer.Context,
    layer: Annotated[str, typer.Argument(metavar="LAYER")],
    name: Annotated[str, typer.Argument(metavar="NAME")],
    sql: Annotated[bool, typer.Option("--sql", help="Write the table as a .sql file.")] = False,
    pandas: Annotated[bool, typer.Option("--pandas", help="Write the table as a function on pandas frames.")] = False,
) -> None:
    """Write the contract and the function of a new table, ready to edit; they build as they stand.

    LAYER is raw, cleaned, dimensional or aggregate; NAME follows docs/naming.md.
    """
    from dataplatform.operations import scaffold

    if sql and pandas:
        raise typer.BadParameter("choose --sql or --pandas")
    settings = load_settings(ctx)
    paths = scaffold.new_table(settings, layer, name, "sql" if sql else "pandas" if pandas else "ibis")
    for path in paths:
        typer.echo(f"wrote {path}")
    typer.echo(scaffold.next_step(settings, paths))

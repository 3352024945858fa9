"""Commands for the day on which everything is lost: backup, restore."""

from __future__ import annotations

from typing import Annotated

import typer

from dataplatform.cli.app import app, at_least_one, examples, load_project, load_settings
from dataplatform.cli.running import Yes


@app.command(epilog=examples("backup /mnt/backups/shop", "backup s3://bucket/backups --keep 30"))
def backup(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A folder or s3://bucket/prefix that is empty or holds backups.")
    ],
    keep: Annotated[
        int | None, typer.Option(callback=at_least_one, metavar="COUNT", help="Forget all but so many, afterwards.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file there back, not only those that are new.")
    ] = False,
) -> None:
    """Copy lake, quarantine, history and Dagster's instance to another place, also while runs are at work.

    Only files that are not there yet are copied. What runs make again (the warehouse, reports) and what people deliver
    (the landing) is no part of it.
    """
    from dataplatform.contracts.catalog import load_catalog
    from dataplatform.operations.backups.make import back_up

    settings = load_settings(ctx)
    typer.echo(back_up(settings, load_catalog(settings.tables_dir), target, keep=keep, verify=verify))


@app.command(
    epilog=examples(
        "restore /mnt/backups/shop",
        "restore /mnt/backups/shop --yes",
        "restore /mnt/backups/shop --to 2011-12-08 --yes     # as of the end of that day",
    )
)
def restore(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Where `backup` put it.")],
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="The newest backup of then: a day, or an instant with its zone.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Put a backup back. What is in the data folder is replaced only with --yes, and moved aside.

    Then says what is stale: `run` makes exactly that.
    """
    from dataplatform.operations.backups import restore as restores
    from dataplatform.operations.plan_text import plan_text
    from dataplatform.planner.plan import make_plan

    settings = load_settings(ctx)
    chosen = restores.choose_backup(settings, source, to)
    if restores.existing(settings) and not yes:
        typer.echo(restores.restore_text(settings, chosen))
        typer.echo("nothing was done; do it with --yes")
        return
    typer.echo(restores.restore(settings, chosen))
    project = load_project(settings)
    typer.echo(plan_text(project, make_plan(project)))

"""Commands that look after the platform itself: maintain."""

from __future__ import annotations

import typer

from dataplatform.cli.app import app, examples, load_project, load_settings
from dataplatform.cli.running import Yes


@app.command(epilog=examples("maintain", "maintain --yes"))
def maintain(ctx: typer.Context, yes: Yes = False) -> None:
    """Compact small files, and remove what is past its retention: replaced files, old histories, Dagster's old runs.

    No row that is published changes, and nothing becomes stale. Runs may go on meanwhile.
    """
    from dataplatform.operations.instance import open_instance
    from dataplatform.operations.maintain import maintain as keep_house
    from dataplatform.operations.maintain_text import maintenance_text

    settings = load_settings(ctx)
    project = load_project(settings)
    with open_instance(settings) as instance:
        report = keep_house(project, instance, dry_run=not yes)
    typer.echo(maintenance_text(report))
    if not yes:
        typer.echo("nothing was done; do it with --yes")
    raise typer.Exit(report.exit_code)

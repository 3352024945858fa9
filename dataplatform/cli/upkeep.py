"""Commands that look after the platform itself: doctor, maintain."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dataplatform.cli.app import app, examples, load_project, load_settings
from dataplatform.cli.running import Yes


class Format(StrEnum):
    """How the doctor answers."""

    TEXT, JSON = "text", "json"


@app.command(epilog=examples("doctor", "doctor --fix", "doctor --exit-code --format json"))
def doctor(
    ctx: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe to mend: dead runs, slots, old leftovers.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when an error was found and not fixed: for cron or a monitor.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.TEXT,
) -> None:
    """Look at everything the platform stands on; say what is wrong and the command that mends it.

    Changes nothing without --fix. One bad thing never hides the others.
    """
    from dataplatform.build import build_definitions
    from dataplatform.operations.doctor.examination import examine
    from dataplatform.operations.doctor.report import as_json, as_text
    from dataplatform.settings import SettingsError

    try:
        settings, refusal = load_settings(ctx), ""
    except SettingsError as error:
        settings, refusal = None, str(error)
    found = examine(settings, build_definitions, refusal=refusal, fix=fix)
    typer.echo(as_json(found) if format_ is Format.JSON else as_text(found))
    raise typer.Exit(found.exit_code if exit_code else 0)


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

"""Commands that make and remove published rows: run, rebuild, delete-partition. One at a time per data folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import app, examples, load_project, load_settings
from dataplatform.cli.reading import Table

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.operations.run import RunSummary
    from dataplatform.planner.plan import SliceName
    from dataplatform.project import Project

Wait = Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for another run to end.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this, it only says what it would do.")]


@contextmanager
def writing(ctx: typer.Context, wait: float) -> Iterator[tuple[Project, DagsterInstance]]:
    """The project and its instance, held against every other run on the same data folder."""
    from dataplatform.operations.lock import run_lock

    settings = load_settings(ctx)
    with run_lock(settings.data_dir, wait=wait):
        from dataplatform.operations.backups.restore import finish_interrupted
        from dataplatform.operations.instance import open_instance

        if finish_interrupted(settings.data_dir):
            typer.echo("finished the restore that was interrupted")
        project = load_project(settings)
        with open_instance(settings) as instance:
            yield project, instance


def make(
    project: Project,
    instance: DagsterInstance,
    *,
    select: tuple[str, ...] | None = None,
    days: tuple[str, str] = ("", "9999"),
    force: set[SliceName] | None = None,
) -> None:
    """Makes what is stale (and `force`), with progress and summary; exits with the run's code."""
    from dataplatform.build import build_definitions
    from dataplatform.cli.progress import progress
    from dataplatform.operations.run import run_stale

    with progress() as report:
        summary = run_stale(
            project,
            build_definitions,
            instance,
            select=select,
            first=days[0],
            last=days[1],
            force=force or set(),
            report=report,
        )
    conclude(project, instance, summary)


def conclude(project: Project, instance: DagsterInstance, summary: RunSummary) -> None:
    """Prints what a run came to, tells those who are to be told, and exits with the run's code."""
    from dataplatform.operations.alerts.commands import at_run_end
    from dataplatform.operations.summary import summary_text

    typer.echo(summary_text(project, summary))
    for line in at_run_end(project, instance):
        typer.echo(line)
    raise typer.Exit(summary.exit_code)


@app.command(
    epilog=examples(
        "run",
        "run --dry-run",
        "run --from 2011-11-01 --to 2011-11-30",
        "run --select daily_sales --select fact_sales",
        "run --select +daily_sales     # with everything it is made from",
        "run --wait 600",
    )
)
def run(
    ctx: typer.Context,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLES", help="table, layer.table or layer.*; + before or after adds what it needs or feeds."
        ),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="First business day.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last business day.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made, and why.")] = False,
    wait: Wait = 0,
) -> None:
    """Make everything that is stale or missing, in order; what is up to date is left alone."""
    from dataplatform.operations.partitions import checked_range

    if dry_run:
        project = load_project(load_settings(ctx))
        _show_plan(project, project.catalog.select(select or ()), checked_range(project, first, last))
        return
    with writing(ctx, wait) as (project, instance):
        days = checked_range(project, first, last)
        make(project, instance, select=project.catalog.select(select) if select else None, days=days)


def _show_plan(project: Project, tables: tuple[str, ...], days: tuple[str, str]) -> None:
    from dataplatform.operations.plan_text import never_possible, plan_text
    from dataplatform.planner.plan import make_plan

    plan = make_plan(project, select=tables, first=days[0], last=days[1])
    typer.echo(plan_text(project, plan))
    if not len(plan):
        for line in never_possible(project, tables):
            typer.echo(line)


@app.command(epilog=examples("rebuild fact_sales", "rebuild fact_sales --yes"))
def rebuild(ctx: typer.Context, table: Table, yes: Yes = False, wait: Wait = 0) -> None:
    """Rewrite a table, rows and schema, in one commit: for a contract that changed on published rows."""
    if not yes:
        from dataplatform.operations.plan_text import rebuild_text

        project = load_project(load_settings(ctx))
        typer.echo(rebuild_text(project, project.catalog.get(table)))
        typer.echo("nothing was done; do it with --yes")
        return
    with writing(ctx, wait) as (project, instance):
        from dataplatform.build import build_definitions
        from dataplatform.cli.progress import progress
        from dataplatform.operations import run as runs

        contract = project.catalog.get(table)
        with progress() as report:
            summary = runs.rebuild(project, build_definitions, instance, contract.name, report)
        conclude(project, instance, summary)


@app.command(
    "delete-partition",
    epilog=examples("delete-partition sales_lines 2011-11-30", "delete-partition sales_lines 2011-11-30 --yes"),
)
def delete_partition(
    ctx: typer.Context,
    table: Table,
    partition: Annotated[str, typer.Argument(metavar="PARTITION")],
    yes: Yes = False,
    wait: Wait = 0,
) -> None:
    """Empty one partition. Nothing brings its rows back until what they are made from changes."""
    from dataplatform.operations.edit_partitions import delete_plan, empty_slices
    from dataplatform.operations.partitions import checked_partition

    if not yes:
        project = load_project(load_settings(ctx))
        contract = project.catalog.get(table)
        typer.echo(delete_plan(project, contract, checked_partition(project, contract, partition)))
        typer.echo("nothing was done; do it with --yes")
        return
    with writing(ctx, wait) as (project, instance):
        contract = project.catalog.get(table)
        version = empty_slices(project, contract, [checked_partition(project, contract, partition)], instance)
        typer.echo(
            f"{contract.full_name} {partition} is empty, in version {version}; run `dataplatform run` for the rest"
        )

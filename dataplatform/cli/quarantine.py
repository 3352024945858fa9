"""Commands about rows that could not be published: quarantine list, show, replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import Commands, app, at_least_one, examples, load_project, load_settings
from dataplatform.cli.reading import Table
from dataplatform.cli.running import Wait, Yes, make, writing

if TYPE_CHECKING:
    from dataplatform.contracts.model import Contract
    from dataplatform.project import Project

Partition = Annotated[
    str | None, typer.Option("--partition", metavar="PARTITION", help="Only this day, or month's first day.")
]

quarantine = typer.Typer(cls=Commands, rich_markup_mode=None, no_args_is_help=True)
app.add_typer(quarantine, name="quarantine", help="Look at rows that could not be published, and make them again.")


@quarantine.command("list", epilog=examples("quarantine list"))
def list_(ctx: typer.Context) -> None:
    """Show which rows are kept aside: tables, partitions, counts and reasons."""
    from dataplatform.operations.quarantine import list_text

    typer.echo(list_text(load_project(load_settings(ctx))))


@quarantine.command(
    epilog=examples("quarantine show sales_lines", "quarantine show sales_lines --partition 2011-11-30 --limit 50")
)
def show(
    ctx: typer.Context,
    table: Table,
    partition: Partition = None,
    limit: Annotated[int, typer.Option(callback=at_least_one, metavar="ROWS", help="How many rows.")] = 20,
) -> None:
    """Show rows that are kept aside, with every reason; private columns are masked."""
    from dataplatform.operations.quarantine import show_text

    project = load_project(load_settings(ctx))
    contract = project.catalog.get(table)
    typer.echo(show_text(project, contract, _checked(project, contract, partition), limit))


@quarantine.command(
    epilog=examples("quarantine replay sales_lines", "quarantine replay sales_lines --partition 2011-11-30 --yes")
)
def replay(ctx: typer.Context, table: Table, partition: Partition = None, yes: Yes = False, wait: Wait = 0) -> None:
    """Make slices that hold quarantined rows again with today's code; edits no data by itself."""
    from dataplatform.operations.quarantine import replay_plan

    if yes:
        with writing(ctx, wait) as (project, instance):
            from dataplatform.operations.run import forced_slices

            make(project, instance, force=forced_slices(project, table, _held(project, table, partition)))
    project = load_project(load_settings(ctx))
    typer.echo(replay_plan(project, project.catalog.get(table), _held(project, table, partition)))
    typer.echo("nothing was done; make these slices again with --yes")


def _held(project: Project, table: str, partition: str | None) -> list[str]:
    """The partitions to make again; ends the command when there are none."""
    from dataplatform.operations.quarantine import held_partitions

    contract = project.catalog.get(table)
    partitions = held_partitions(project, contract, _checked(project, contract, partition))
    if not partitions:
        typer.echo(f"nothing of {contract.full_name} is in quarantine")
        raise typer.Exit
    return partitions


def _checked(project: Project, contract: Contract, partition: str | None) -> str | None:
    from dataplatform.operations.partitions import checked_partition

    return None if partition is None else checked_partition(project, contract, partition)

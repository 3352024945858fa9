"""Commands about what is wrong and who is told: alerts list, send, check, silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import Commands, app, examples, load_settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.operations.alerts.runs import Watched
    from dataplatform.project import Project

alerts = typer.Typer(cls=Commands, rich_markup_mode=None, no_args_is_help=True)
app.add_typer(alerts, name="alerts", help="What is wrong now, and who was told.")


@contextmanager
def _looking(project: Project) -> Iterator[tuple[DagsterInstance, Watched]]:
    """The project's instance, and what of its graph is watched besides tables."""
    from dataplatform.build import build_definitions
    from dataplatform.operations.alerts.runs import Watched
    from dataplatform.operations.instance import open_instance

    with open_instance(project.settings) as instance:
        yield instance, Watched.of(build_definitions(project).get_repository_def())


@alerts.command("list", epilog=examples("alerts list", "alerts list --exit-code"))
def list_(
    ctx: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when a partition is left and nobody was told.")
    ] = False,
) -> None:
    """Look for what is wrong now and list it, with since when and who was told. Sends nothing."""
    from dataplatform.operations.alerts.commands import look_and_list
    from dataplatform.project import Project

    project = Project.load(load_settings(ctx))
    with _looking(project) as (instance, watched):
        text, left = look_and_list(project, instance, watched)
    typer.echo(text)
    raise typer.Exit(1 if exit_code and left else 0)


@alerts.command(epilog=examples("alerts send"))
def send(ctx: typer.Context) -> None:
    """Look for what is wrong now and tell those who are to be told; exits 1 when somebody could not be.

    For cron, as a watch over the daemon from outside of it. A receiver that failed before is tried again at once.
    """
    from dataplatform.errors import PlatformError
    from dataplatform.operations.alerts.commands import look_and_tell, tell_broken
    from dataplatform.project import Project

    settings = load_settings(ctx)
    try:
        project = Project.load(settings)
        with _looking(project) as (instance, watched):
            told = look_and_tell(project, instance, watched)
    except PlatformError as error:  # nothing runs, and this command alone can say so
        for line in tell_broken(settings, error).lines():
            typer.echo(line)
        raise
    for line in told.lines():
        typer.echo(line)
    if not any(True for _ in told.lines()):
        typer.echo("there was nothing to tell")
    raise typer.Exit(1 if told.failed else 0)


@alerts.command(epilog=examples("alerts check", "alerts check sales-slack"))
def check(
    ctx: typer.Context,
    receiver: Annotated[str | None, typer.Argument(metavar="RECEIVER", help="Only this one.")] = None,
) -> None:
    """Validate the file of receivers and send each a test message; exits 1 when one does not accept it."""
    from dataplatform.operations.alerts.commands import check_receivers

    lines, is_good = check_receivers(load_settings(ctx), receiver)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if is_good else 1)


@alerts.command(epilog=examples("alerts silence 0bdbb3ed2306 --for 2h"))
def silence(
    ctx: typer.Context,
    fingerprint: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="As `alerts list` shows it.")],
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="Such as 30m, 2h or 1d.")] = "2h",
) -> None:
    """Say nothing of one open problem for a while. It stays on the list, and is told afterwards if it still stands."""
    from dataplatform.operations.alerts.commands import silence_problem

    typer.echo(silence_problem(load_settings(ctx), fingerprint, duration))

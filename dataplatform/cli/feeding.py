"""The command that lets a newcomer watch the machine at work: feed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dataplatform.cli.app import app, examples, load_settings

if TYPE_CHECKING:
    from dataplatform.operations.feed import World


@app.command(
    epilog=examples(
        "feed", "feed --every 2s --from 2011-11-01", "feed --into /tmp/shop --port 3001", "feed --no-up --every 0s"
    )
)
def feed(
    ctx: typer.Context,
    every: Annotated[str, typer.Option(metavar="SPAN", help="How long to wait between two days, such as 10s.")] = "10s",
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The world's own folder; data/feed when not given.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day to play.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day to play.")] = None,
    up: Annotated[bool, typer.Option(help="Start Dagster's UI, daemon and code server on that world.")] = True,
    port: Annotated[int, typer.Option(metavar="PORT", help="Where the UI listens, on this machine only.")] = 3000,
) -> None:
    """Play the delivered days, one after the other, into a world of its own, and watch it in Dagster's UI.

    Nothing that is built already is touched. Started again, it goes on where it was stopped; Ctrl-C stops everything.
    """
    from dataplatform.operations.feed import open_world, seconds_of
    from dataplatform.operations.serve import refuse_taken

    settings, seconds = load_settings(ctx), seconds_of(every)
    if up:
        refuse_taken(port)
    world = open_world(settings, into or settings.data_dir / "feed", first, last)
    typer.echo(f"playing {len(world.days)} days into {world.folder}")
    if up:
        _served(world, seconds, port)
    else:
        _play(world, seconds, threading.Event())
    typer.echo(f"look closer: cd {world.folder} && dataplatform tables")


def _play(world: World, seconds: float, stopped: threading.Event) -> None:
    from dataplatform.operations.feed import play

    play(world, seconds, typer.echo, stopped.wait)


def _served(world: World, seconds: float, port: int) -> None:
    """Plays beside the services. What goes wrong with the playing is said, and is the command's end once they stop."""
    from dataplatform.errors import PlatformError
    from dataplatform.operations.instance import ensure_instance
    from dataplatform.operations.serve import HOST, serve

    ensure_instance(world.settings, world.folder)
    typer.echo(f"the UI will answer at http://{HOST}:{port}; Ctrl-C stops everything")
    stopped, failed = threading.Event(), []

    def playing() -> None:
        try:
            _play(world, seconds, stopped)
        except (PlatformError, OSError) as error:
            failed.append(error)
            typer.echo(f"nothing more is played: {error}", err=True)

    player = threading.Thread(target=playing, daemon=True)
    player.start()
    try:
        serve(world.settings, port)
    except KeyboardInterrupt:
        if failed:
            raise failed[0] from None
        raise
    finally:
        stopped.set()
        player.join()
        typer.echo("everything is stopped")

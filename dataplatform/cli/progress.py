"""What people see while a run works: a bar where there is a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from dataplatform.operations.text import count

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dataplatform.assets.slices import Outcome
    from dataplatform.operations.run import RunReporter, WaveResult
    from dataplatform.planner.waves import Wave


_NAMED = 4


@contextmanager
def progress() -> Iterator[RunReporter]:
    """A reporter for the place where the output goes."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, transient=True) as bars:
        yield Bars(bars)


def wave_line(wave: Wave) -> str:
    """`2011-01-01..2011-01-31: raw_orders, orders`, or the number of tables where there are many."""
    names = ", ".join(wave.tables) if len(wave.tables) <= _NAMED else count(len(wave.tables), "table")
    return f"{wave.title}: {names}" if wave.title else names


def outcome_line(outcome: Outcome) -> str:
    """What became of a table's slices, with rows and seconds."""
    published = outcome.published
    changed = sum(slice_.status == "published" for slice_ in published)
    parts = [count(changed, "slice") + " published"] if changed else []
    parts += [count(len(published) - changed, "slice") + " unchanged"] if len(published) > changed else []
    parts += [count(len(outcome.failed), "slice") + " FAILED"] if outcome.failed else []
    left = sum(slice_.status == "left" for slice_ in outcome.slices.values())
    parts += [count(left, "slice") + " left as it was"] if left else []
    parts.append(count(sum(slice_.rows for slice_ in published), "row"))
    quarantined = sum(slice_.quarantined for slice_ in published)
    parts += [f"{quarantined:,} quarantined"] if quarantined else []
    return f"  {outcome.table}: {', '.join(parts)}  ({outcome.seconds:.1f} s)"


def finished_line(result: WaveResult) -> str:
    """How a run ended, and its id in Dagster."""
    return f"  {'done' if result.success else 'FAILED'} in {result.seconds:.1f} s, run {result.run_id}"


class Lines:
    """One line per event."""

    def wave_started(self, wave: Wave) -> None:
        typer.echo(wave_line(wave))

    def table_finished(self, table: str, outcome: Outcome) -> None:  # noqa: ARG002 - the outcome names its table
        typer.echo(outcome_line(outcome))

    def wave_finished(self, result: WaveResult) -> None:
        typer.echo(finished_line(result))


class Bars:
    """The same lines above a bar that counts the tables of the wave at work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def wave_started(self, wave: Wave) -> None:
        self._say(wave_line(wave))
        self._task = self._bars.add_task(wave.title or wave.tables[0], total=len(wave.tables))

    def table_finished(self, table: str, outcome: Outcome) -> None:
        self._say(outcome_line(outcome))
        if self._task is not None:
            self._bars.update(self._task, advance=1, description=f"after {table}")

    def wave_finished(self, result: WaveResult) -> None:
        self._say(finished_line(result))
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def _say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False)

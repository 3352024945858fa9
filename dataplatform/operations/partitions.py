"""Partitions as people name them on the command line: checked against what a table can have."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Contract, Grain
from dataplatform.errors import PermanentError

if TYPE_CHECKING:
    from dataplatform.project import Project

_FORMS = {Grain.DAY: "a day", Grain.MONTH: "the first day of a month"}


class PartitionError(PermanentError):
    """A day, or a partition, that does not exist; the message names the expected form."""

    exit_code = 2


def checked_partition(project: Project, contract: Contract, name: str) -> str:
    """`name`, if the table can have such a partition. Raises PartitionError."""
    keys = project.keys(contract)
    if name in keys:
        return name
    if contract.grain is Grain.NONE:
        raise PartitionError(f"{contract.full_name} has no partitions; its one slice is called {WHOLE}, not {name!r}")
    raise PartitionError(
        f"{contract.full_name} has no partition {name!r}; "
        f"write {_FORMS[contract.grain]} from {keys[0]} to {keys[-1]}, such as {keys[-1]}"
    )


def checked_range(project: Project, first: str | None, last: str | None) -> tuple[str, str]:
    """The business days `first` to `last` (the platform's own first and last when None), for the planner.

    Raises PartitionError for what is no day, a range that ends before it starts, and one without business days.
    """
    days = project.days
    if not days:
        raise PartitionError(f"there is no business day yet: the first is {project.settings.start_date}")
    first = "" if first is None else _day("--from", first, days[-1])
    last = "9999" if last is None else _day("--to", last, days[-1])
    if first > last:
        raise PartitionError(f"--from {first} is after --to {last}; no day lies between them")
    if first > days[-1] or last < days[0]:
        raise PartitionError(f"the business days go from {days[0]} to {days[-1]}; none of them was asked for")
    return first, last


def _day(option: str, text: str, example: str) -> str:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise PartitionError(f"{option} {text!r} is not a day; write one such as {example}") from None
    return day.isoformat()

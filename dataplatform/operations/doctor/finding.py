"""A finding: what the doctor saw, how bad it is, and the command that mends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dataplatform.contracts.model import Severity
from dataplatform.operations.alerts import problem as alerts
from dataplatform.operations.alerts.problem import anchor


class Kind(StrEnum):
    """What the doctor alone finds. What alerts tell of as well has its kind there, and the same entry."""

    LOOK_FAILED = "look_failed"
    SETTINGS_REFUSED = "settings_refused"
    FOLDER_UNUSABLE = "folder_unusable"
    DAGSTER_HOME_DISAGREES = "dagster_home_disagrees"
    INSTANCE_DAMAGED = "instance_damaged"
    RUN_STUCK = "run_stuck"
    SLOTS_LEAKED = "slots_leaked"
    TABLE_UNREADABLE = "table_unreadable"
    RECORD_DAMAGED = "record_damaged"
    PROBLEM_UNTOLD = "problem_untold"
    RECEIVERS_REFUSED = "receivers_refused"
    DISK_LOW = "disk_low"
    LEFTOVERS = "leftovers"
    VERSIONS_DIFFER = "versions_differ"
    TIME_ZONE_DIFFERS = "time_zone_differs"


ENTRIES: Mapping[Kind, str] = {
    Kind.LOOK_FAILED: "The doctor could not look",
    Kind.SETTINGS_REFUSED: "A setting is refused",
    Kind.FOLDER_UNUSABLE: "A folder cannot be used",
    Kind.DAGSTER_HOME_DISAGREES: "`DAGSTER_HOME=… is not the instance of the data folder`",
    Kind.INSTANCE_DAMAGED: "The instance is broken or lost",
    Kind.RUN_STUCK: "A run stands as started and its process is gone",
    Kind.SLOTS_LEAKED: "Slots of a pool are held by runs that ended",
    Kind.TABLE_UNREADABLE: "A table cannot be read",
    Kind.RECORD_DAMAGED: "A record beside a table is damaged",
    Kind.PROBLEM_UNTOLD: "A problem was told to nobody",
    Kind.RECEIVERS_REFUSED: "Who is told",
    Kind.DISK_LOW: "The disk is nearly full",
    Kind.LEFTOVERS: "Files are left of processes that ended",
    Kind.VERSIONS_DIFFER: "Installed packages are not the locked ones",
    Kind.TIME_ZONE_DIFFERS: "The time zone database differs",
}
"""Kind -> the heading of its entry in the runbook."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `mend` is the command, or else what to do in a few words.

    `fix` is there when `--fix` may do it: it changes nothing that anybody needs, and gives what it did in words.
    """

    kind: Kind | alerts.Kind
    severity: Severity
    what: str
    mend: str
    fix: Callable[[], str] | None = None

    @property
    def entry(self) -> str:
        """The runbook's heading."""
        return ENTRIES[self.kind] if isinstance(self.kind, Kind) else alerts.ABOUT[self.kind].entry

    @property
    def runbook(self) -> str:
        """The runbook's entry, as a page and a place in it."""
        return f"{alerts.RUNBOOK}#{anchor(self.entry)}"


def error(kind: Kind | alerts.Kind, what: str, mend: str, fix: Callable[[], str] | None = None) -> Finding:
    """Something that does not work now, or that shows wrong or no rows."""
    return Finding(kind, Severity.ERROR, what, mend, fix)


def warning(kind: Kind | alerts.Kind, what: str, mend: str, fix: Callable[[], str] | None = None) -> Finding:
    """Something to know of, which keeps nothing from working."""
    return Finding(kind, Severity.WARNING, what, mend, fix)

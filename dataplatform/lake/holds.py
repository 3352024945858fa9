"""A hold: nothing publishes a table until it is released, whoever asks for it.

It is a property in the table's own Delta log. So it travels with every copy of the table, every process that opens
the table sees it, and Delta itself settles who was first: a change of properties conflicts with each publication
that was under way, whose step is then run again, finds the hold and stops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from dataplatform.errors import OvertakenError, PermanentError

if TYPE_CHECKING:
    from deltalake import DeltaTable

PROPERTY = "dataplatform.held"
SLICES = "dataplatform.slices"
"""Key of a commit's own metadata: the partitions it replaced; none where it changes no rows."""
_ATTEMPTS = 20


class HeldError(PermanentError):
    """A held table was asked to publish. The message says since when, why, and how the hold ends."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a table is held, and since when (UTC, ISO 8601)."""

    reason: str
    since: str

    def of(self, table: str) -> str:
        """What everybody is told of a held `table` (`layer.table`), with the way out."""
        release = f"`dataplatform release {table.rpartition('.')[2]}`"
        return f"{table} is held since {self.since} ({self.reason}); nothing publishes it until {release}"


def read_hold(handle: DeltaTable | None) -> Hold | None:
    """The hold of an opened table; None when it has none, or does not exist."""
    written = "" if handle is None else handle.metadata().configuration.get(PROPERTY) or ""
    return _parsed(written) if written else None


def _parsed(written: str) -> Hold:
    try:
        content: Mapping[str, str] = json.loads(written)
        return Hold(content["reason"], content["since"])
    except (ValueError, LookupError, TypeError):  # set by another hand: a hold all the same
        return Hold(written, "an unknown time")


def write_hold(table: str, uri: str, hold: Hold | None) -> None:
    """Sets the hold of the Delta table at `uri`, or ends it (None). Raises OvertakenError when it is never at rest."""
    from deltalake import CommitProperties, DeltaTable
    from deltalake.exceptions import CommitFailedError

    value = "" if hold is None else json.dumps(asdict(hold), ensure_ascii=False)
    for _ in range(_ATTEMPTS):
        try:
            DeltaTable(uri).alter.set_table_properties(
                {PROPERTY: value},
                raise_if_not_exists=False,
                commit_properties=CommitProperties(custom_metadata={SLICES: "[]"}, max_commit_retries=0),
            )
        except CommitFailedError:  # a publication came first; the next attempt stands on it
            continue
        return
    raise OvertakenError(f"{table} is published all the time; hold it again, or stop what publishes it")

"""The change set of a dimension: which members, on which days, are no longer what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import WHOLE, Contract, Dimension
from dataplatform.lake.records import ChangeSet

if TYPE_CHECKING:
    import ibis

    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.table import Opened

LIMIT = 5_000
"""More differing rows than this are not listed: every reader is then concerned."""
FIRST_DAY, OPEN_END = "1900-01-01", "9999-12-31"
EVERY_COLUMN = ("*",)
Member = tuple[str | None, int | None, str, str, tuple[str, ...]]


def change_set(
    session: DuckDBSession,
    published: Opened,
    candidate: ibis.Table,
    contract: Contract,
    identity: Dimension,
    revision: str,
) -> ChangeSet:
    """Compares `candidate` with what is published: rows of (id, key, from, to, changed columns).

    An added or removed version concerns its whole interval and every column; a moved end concerns the days between
    the two ends; a changed attribute concerns that column alone. `from` is inclusive, `to` exclusive.
    """
    before = published.state.slices.get(WHOLE)
    known = before.revision if before else ""
    old = session.open(published).select(*contract.column_names)
    new = candidate.select(*contract.column_names)
    differing = [_rows(session, a.difference(b)) for a, b in ((old, new), (new, old))]
    if differing[0] is None or differing[1] is None:
        return ChangeSet((0, 0), known, revision, None)
    gone, come = ({_version(row, identity): row for row in rows} for rows in differing if rows is not None)
    members: list[Member] = []
    for name in {**gone, **come}:
        members += _differences(gone.get(name), come.get(name), identity, contract.column_names)
    return ChangeSet((0, 0), known, revision, tuple(sorted(set(members), key=str)))


def _version(row: Mapping[str, Any], identity: Dimension) -> tuple[str, str]:
    return str(row[identity.id]), _interval(row, identity)[0]


def _rows(session: DuckDBSession, rows: ibis.Table) -> list[dict[str, Any]] | None:
    found = session.connection.sql(str(session.backend.compile(rows.limit(LIMIT + 1)))).to_arrow_table().to_pylist()
    return None if len(found) > LIMIT else found


def _differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, identity: Dimension, columns: tuple[str, ...]
) -> list[Member]:
    row = after or before or {}
    natural = None if row[identity.id] is None else str(row[identity.id])
    key = row[identity.key]
    start, end = _interval(row, identity)
    if before is None or after is None:
        return [(natural, key, start, end, EVERY_COLUMN)]
    found: list[Member] = []
    old_end, new_end = _interval(before, identity)[1], end
    if old_end != new_end:
        found.append((natural, key, min(old_end, new_end), max(old_end, new_end), EVERY_COLUMN))
    changed = tuple(c for c in columns if before[c] != after[c] and c != identity.valid_to)
    if changed:
        found.append((natural, key, start, end, changed))
        if before[identity.key] != key:
            found.append((natural, before[identity.key], start, end, changed))
    return found


def _interval(row: Mapping[str, Any], identity: Dimension) -> tuple[str, str]:
    start = str(row[identity.valid_from]) if identity.valid_from else FIRST_DAY
    end = str(row[identity.valid_to]) if identity.valid_to else OPEN_END
    return start, end

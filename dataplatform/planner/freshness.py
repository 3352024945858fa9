"""Whether each table is as fresh as its contract promises: by the time of its data, and by the time of its last run.

A partition (of an unpartitioned table: a business day) is *due* once the contract's latency has passed since it began,
unless its sources are closed on that day. What is due and not there is late. Everything is read from the records of
publications and a clock that is handed in; no row is read, and nothing is decided about what is made again.

An end date needs no rule of its own: no partition lies beyond it, so that an ended ledger stays fresh for ever.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dataplatform.contracts.model import Contract, Grain, Latency
from dataplatform.planner.windows import month_of

if TYPE_CHECKING:
    from dataplatform.lake.records import Slice
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project
    from dataplatform.sources.base import Source

FRESHNESS_CHECK = "freshness"
"""The name of the asset check that shows it in Dagster."""
_SHOWN = 5


class FreshnessState(StrEnum):
    """What a table's promise of freshness has come to, from good to bad."""

    FRESH = "fresh"
    WARNING = "warning"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Freshness:
    """One table's promise at one moment.

    `newest` is the last partition (or day) that holds data. `late` are partitions that are due and not there, `soon`
    those that will be late unless they come; `published_at` is the last publication, or verification that found
    equal rows. `reasons` says in one line each what is wrong, and is empty when nothing is.
    """

    table: str
    state: FreshnessState
    newest: str | None
    published_at: datetime | None
    late: tuple[str, ...]
    soon: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if self.reasons:
            return "; ".join(self.reasons)
        return f"data up to {self.newest}" if self.newest else "nothing is due yet"


def freshness(project: Project, now: datetime) -> dict[str, Freshness]:
    """The state of every table whose contract promises a latency, by name, at `now` (aware)."""
    judge = _Judge(replace(project, last_date=project.settings.last_date(project.settings.today(lambda: now))), now)
    return {
        contract.name: judge.table(contract, latency)
        for contract in project.catalog
        if (latency := contract.latency) is not None
    }


@dataclass(frozen=True)
class Promise:
    """When the partitions of one table begin, are due, and are worth a warning, as instants in UTC."""

    latency: Latency
    grain: Grain
    zone: ZoneInfo

    def starts(self, key: str) -> datetime:
        """Midnight in the business's zone: a day on which clocks change lasts 23 or 25 hours."""
        return self._instant(date.fromisoformat(key))

    def ends(self, key: str) -> datetime:
        day = date.fromisoformat(key)
        if self.grain is Grain.MONTH:
            return self._instant(date(day.year + day.month // 12, day.month % 12 + 1, 1))
        return self._instant(day + timedelta(days=1))

    def due(self, key: str) -> datetime:
        return self._after(key, self.latency.value)

    def warns(self, key: str) -> datetime:
        """As the contract says; else half-way between when the partition can be complete and when it is due."""
        if self.latency.warn_after is not None:
            return self._after(key, self.latency.warn_after)
        due, end = self.due(key), self.ends(key)
        start = end if end < due else self.starts(key)
        return start + (due - start) / 2

    def _after(self, key: str, value: float) -> datetime:
        if self.latency.unit == "h":
            return self.starts(key) + timedelta(hours=value)
        # days are counted in the calendar: to the same time of the day, whatever clocks did in between
        wall = datetime.combine(date.fromisoformat(key), datetime.min.time()) + timedelta(days=value)
        return wall.replace(tzinfo=self.zone).astimezone(UTC)

    def _instant(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)


@dataclass
class _Judge:
    """One moment's judgement over all tables; what was opened and asked is kept for its duration."""

    project: Project
    now: datetime
    _opened: dict[str, Opened] = field(default_factory=dict)
    _sources: dict[str, Mapping[str, Source]] = field(default_factory=dict)
    _closed: dict[tuple[str, ...], bool] = field(default_factory=dict)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.project.settings.business_zone)

    def table(self, contract: Contract, latency: Latency) -> Freshness:
        promise = Promise(latency, contract.grain, self._zone)
        keys = self.project.keys(contract) if contract.is_partitioned else self.project.days
        due = keys[: bisect_right(keys, self.now, key=promise.due)]
        nearly = keys[len(due) : bisect_right(keys, self.now, key=promise.warns)]
        published_at = self._published_at(contract)
        newest = self._newest(contract, latency)
        late, soon = (self._not_there(contract, latency, each, newest) for each in (due, nearly))
        wrong: list[str] = []
        if late:
            held = f"the newest with data is {newest}" if newest else "there is no data"
            held = "which has data of some of its days" if newest == late[-1] else held
            wrong.append(f"{_named(late)} late; {held}")
        if due and (published_at is None or self._began_since(contract, promise, due, published_at)):
            wrong.append(self._not_since(published_at))
        worrying: list[str] = []
        if soon:
            worrying.append(f"{_named(soon)} not there yet, and due by {self._local(promise.due(soon[-1]))}")
        elif not wrong and published_at and self._began_since(contract, promise, nearly, published_at):
            worrying.append(self._not_since(published_at))
        state = FreshnessState.LATE if wrong else FreshnessState.WARNING if worrying else FreshnessState.FRESH
        return Freshness(contract.name, state, newest, published_at, late, soon, (*wrong, *worrying))

    def _published_at(self, contract: Contract) -> datetime | None:
        newest = max((entry.published_at for entry in self._slices(contract).values()), default=None)
        return None if newest is None else datetime.fromisoformat(newest)

    # by the time of the data

    def _newest(self, contract: Contract, latency: Latency) -> str | None:
        """The last partition with rows; of an unpartitioned table the day of its column's largest value."""
        if contract.is_partitioned:
            return max((key for key, entry in self._slices(contract).items() if entry.rows), default=None)
        value = self._open(contract).largest(latency.column) if latency.column else None
        if isinstance(value, datetime):
            value = value.astimezone(self._zone).date()
        return value.isoformat() if isinstance(value, date) else None

    def _not_there(
        self, contract: Contract, latency: Latency, keys: Sequence[str], newest: str | None
    ) -> tuple[str, ...]:
        if not contract.is_partitioned:
            promised = keys if latency.column else ()
            missing = [key for key in promised if newest is None or key > newest]
        else:
            missing = [key for key in keys if not self._is_there(contract, key, newest)]
        return tuple(key for key in missing if self._is_open(contract, key))

    def _is_there(self, contract: Contract, key: str, newest: str | None) -> bool:
        """Whether a partition holds its data. An empty one before the newest with rows was simply an empty one."""
        entry = self._slices(contract).get(key)
        if entry is None or (contract.grain is Grain.MONTH and not self._is_whole(contract, key, entry)):
            return False
        return bool(entry.rows) or (newest is not None and key < newest) or self._may_be_empty(contract, key, entry)

    def _may_be_empty(self, contract: Contract, key: str, entry: Slice) -> bool:
        """Whether no rows is an answer: nothing was delivered and that was recorded, or what it is made from has rows.

        A file without records on an open day is none: its sender has nothing to say yet, or something broke.
        """
        if contract.source is not None:
            return not entry.source.get("fingerprint")
        inputs = [self.project.catalog.get(wanted.table) for wanted in contract.inputs if wanted.window.kind == "same"]
        daily = [upstream for upstream in inputs if upstream.grain is contract.grain]
        read = [(upstream, each) for upstream in daily if (each := self._slices(upstream).get(key)) is not None]
        return not daily or any(each.rows or self._may_be_empty(upstream, key, each) for upstream, each in read)

    def _is_whole(self, contract: Contract, month: str, entry: Slice) -> bool:
        """Whether a month was made from all of its open days: it is there from its first day on, and grows."""
        days = [day for day in self.project.days if month_of(day) == month]
        for wanted in contract.inputs:
            upstream = self.project.catalog.get(wanted.table)
            if wanted.window.kind == "same" and upstream.grain is Grain.DAY:
                read = entry.inputs.get(wanted.parameter, {})
                if any(day not in read and self._is_open(upstream, day) for day in days):
                    return False
        return True

    # by the time of the last run

    def _began_since(self, contract: Contract, promise: Promise, keys: Sequence[str], published_at: datetime) -> bool:
        """Whether one of `keys` began after the last publication: nothing can have been made for it."""
        after = keys[bisect_right(keys, published_at, key=promise.starts) :]
        return any(self._is_open(contract, key) for key in after)

    def _not_since(self, published_at: datetime | None) -> str:
        if published_at is None:
            return "never published"
        return f"not published or verified since {self._local(published_at)}"

    # what is known of tables and days

    def _open(self, contract: Contract) -> Opened:
        if contract.name not in self._opened:
            self._opened[contract.name] = self.project.lake.table(contract).open()
        return self._opened[contract.name]

    def _slices(self, contract: Contract) -> Mapping[str, Slice]:
        return self._open(contract).state.slices

    def _is_open(self, contract: Contract, key: str) -> bool:
        """Whether any daily source of the table delivers then; a month is open whatever its days are."""
        if contract.grain is Grain.MONTH:
            return True
        if contract.name not in self._sources:
            origins = [contract, *map(self.project.catalog.get, self.project.catalog.ancestors(contract.name))]
            daily = [each for each in origins if each.source is not None and each.grain is Grain.DAY]
            self._sources[contract.name] = {each.name: self.project.source(each) for each in daily}
        sources = self._sources[contract.name]
        question = (key, *sources)
        if question not in self._closed:
            self._closed[question] = bool(sources) and all(source.is_closed(key) for source in sources.values())
        return not self._closed[question]

    def _local(self, instant: datetime) -> str:
        return f"{instant.astimezone(self._zone):%Y-%m-%d %H:%M} {self._zone.key}"


def _named(keys: Sequence[str]) -> str:
    """`2011-12-08 is`, or several, the first of them by name."""
    shown = ", ".join(keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
    return f"{shown}{more} {'is' if len(keys) == 1 else 'are'}"

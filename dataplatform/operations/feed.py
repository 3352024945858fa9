"""Plays deliveries day by day into a world of its own: a landing, a data folder and a clock below one folder.

The world has a clock because its days are long gone: what has not been played yet has not come, and nobody is warned
that it is missing. The clock is moved to a day just before the day's files arrive, and jumps over closed days. Its
`.env` holds the world's settings, so that every command that is run in the folder is about the world.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dataplatform.errors import PermanentError
from dataplatform.settings import PREFIX, Settings

if TYPE_CHECKING:
    from dataplatform.project import Project

CLOCK, SPAN = "clock", "feed.json"
_EVERY = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


class FeedError(PermanentError):
    """The world cannot be played as asked; the message says what to give instead."""

    exit_code = 2


@dataclass(frozen=True)
class World:
    """A folder in which deliveries are played, its settings, and the files of each day to come in order."""

    folder: Path
    settings: Settings
    days: Mapping[str, tuple[str, ...]]
    source: Project
    """Where the files come from; read, never written."""

    @property
    def clock(self) -> Path:
        return self.folder / CLOCK

    def played(self) -> list[str]:
        """The days that were played before, in order: their files are there and the clock has come to them."""
        today = self.settings.today().isoformat()
        return [day for day, names in self.days.items() if day <= today and all(map(self._is_there, names))]

    def to_play(self) -> list[str]:
        done = set(self.played())
        return [day for day in self.days if day not in done]

    def deliver(self, day: str) -> int:
        """Moves the clock to a day and lets its files arrive, each in one piece. Returns how many there are."""
        self.show(date.fromisoformat(day), time(12))
        for name in self.days[day]:
            target = self.folder / "landing" / name
            partial = self.folder / "arriving" / Path(name).name  # not in the landing, where it would be a stray file
            for folder in (target.parent, partial.parent):
                folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(self.source.landing.read(name))
            partial.replace(target)
        return len(self.days[day])

    def show(self, day: date, at: time) -> None:
        """Puts the clock to a time of a day, whole or not at all."""
        now = datetime.combine(day, at, ZoneInfo(self.settings.business_zone))
        partial = self.clock.with_suffix(".new")
        partial.write_text(now.isoformat(), encoding="utf-8")
        partial.replace(self.clock)

    def end(self) -> None:
        """After the last day: it is over, too."""
        self.show(date.fromisoformat(list(self.days)[-1]) + timedelta(days=1), time(6))

    def _is_there(self, name: str) -> bool:
        return (self.folder / "landing" / name).exists()


def seconds_of(text: str) -> float:
    """`10s`, `2m`, `0.5h` or a number of seconds. Raises FeedError."""
    match = _EVERY.fullmatch(text.strip())
    if match is None:
        raise FeedError(f"--every {text!r} is no span of time; write one such as 10s or 2m")
    return float(match[1]) * _SECONDS[match[2]]


def open_world(settings: Settings, folder: Path, first: str | None = None, last: str | None = None) -> World:
    """The world in `folder`, made when it is not there; one that was begun goes on, over the days it began with.

    `settings` say what is played: their landing, tables, days and zone. Raises FeedError when the folder holds
    anything else, when it was begun with other days, and when there is nothing to play.
    """
    from dataplatform.project import Project

    folder = folder.resolve()
    _refuse_other_folders(settings, folder)
    began = _began(folder)
    span = (first or began.get("from") or settings.start_date.isoformat(),
            last or began.get("to") or settings.last_date().isoformat())  # fmt: skip
    if began and span != (began["from"], began["to"]):
        raise FeedError(f"{folder} plays {began['from']} to {began['to']}; choose another folder with --into")
    source = Project.of_contracts(settings)
    files = _files(source, *_checked(*span))
    if not files:
        raise FeedError(f"there is nothing to play in {settings.landing} from {span[0]} to {span[1]}")
    world = World(folder, _settings(settings, folder, *span), files, source)
    if not began:
        (folder / "landing").mkdir(parents=True, exist_ok=True)
        world.show(date.fromisoformat(span[0]), time(0))
        _write_env(world)
        (folder / SPAN).write_text(json.dumps({"from": span[0], "to": span[1]}), encoding="utf-8")
    return world


def play(world: World, every: float, say: Callable[[str], None], pause: Callable[[float], bool]) -> None:
    """Delivers what has not been played, a day at a time; `pause` waits so many seconds and says whether to stop."""
    days, done = world.to_play(), len(world.played())
    if done:
        say(f"going on after {done} of {len(world.days)} days")
    for number, day in enumerate(days, done + 1):
        count = world.deliver(day)
        say(f"{day}: {count} file{'s' if count > 1 else ''} delivered, day {number} of {len(world.days)}")
        if pause(every):
            return
    world.end()
    say("everything is delivered")


def _refuse_other_folders(settings: Settings, folder: Path) -> None:
    for mine in (settings.data_dir, settings.landing):
        if isinstance(mine, Path) and mine.is_relative_to(folder):
            raise FeedError(f"--into {folder} is where this platform has its own data; choose a folder of its own")
    for mine in (settings.landing, settings.lake_dir, settings.dagster_home):
        if isinstance(mine, Path) and folder.is_relative_to(mine):
            raise FeedError(f"--into {folder} is where this platform has its own data; choose a folder of its own")
    with suppress(FileNotFoundError, NotADirectoryError):
        if not (folder / SPAN).exists() and any(folder.iterdir()):
            raise FeedError(f"--into {folder} holds other things; choose an empty folder, or one that is not there")
    if folder.exists() and not folder.is_dir():
        raise FeedError(f"--into {folder} is no folder")


def _began(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / SPAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _checked(first: str, last: str) -> tuple[str, str]:
    for option, day in (("--from", first), ("--to", last)):
        try:
            is_day = date.fromisoformat(day).isoformat() == day
        except ValueError:
            is_day = False
        if not is_day:
            raise FeedError(f"{option} {day!r} is not a day; write one such as 2011-11-30")
    if first > last:
        raise FeedError(f"--from {first} is after --to {last}")
    return first, last


def _files(source: Project, first: str, last: str) -> dict[str, tuple[str, ...]]:
    """The files of each day for which anything is delivered, by day."""
    found: dict[str, list[str]] = {}
    for contract in source.catalog:
        if (contract.source or {}).get("kind") == "landing":
            for day, offer in source.source(contract).offers(first, last).items():
                found.setdefault(day, []).extend(offer.files)
    return {day: tuple(names) for day, names in sorted(found.items())}


def _settings(settings: Settings, folder: Path, first: str, last: str) -> Settings:
    return Settings.load(
        data_dir=folder / "data", landing=folder / "landing", clock=folder / CLOCK, start_date=first, end_date=last,
        business_zone=settings.business_zone, memory_limit=settings.memory_limit, tables=settings.tables,
        daily_close=settings.daily_close, automation_off=settings.automation_off, profile=settings.profile,
    )  # fmt: skip


def _write_env(world: World) -> None:
    """So that `dataplatform query`, `tables` and `run` in the folder are about this world."""
    settings = world.settings
    named = ("data_dir", "landing", "clock", "start_date", "end_date", "business_zone", "tables")
    lines = [f"{PREFIX}{name.upper()}={json.dumps(str(getattr(settings, name)))}" for name in named]
    lines.append(f"DAGSTER_HOME={json.dumps(str(settings.dagster_home))}")
    (world.folder / ".env").write_text("\n".join(lines) + "\n", encoding="utf-8")

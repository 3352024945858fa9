"""A world that is played: its own folder, files that arrive whole, a clock, and going on where it was stopped."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest

from dataplatform.operations.feed import FeedError, World, open_world, play, seconds_of
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.command import call, options, start
from dataplatform_tests.small_shop import DAYS, FIRST_FILES, deliver, make_shop


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The shop that is played: files on the first four of six days, and none on the second."""
    found = make_shop(tmp_path / "shop")
    (tmp_path / "shop" / "landing" / "orders" / f"{DAYS[1]}.csv").unlink()
    return found


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    return open_world(settings, tmp_path / "world")


def stop_after(count: int) -> object:
    paused = iter(range(1, 99))
    return lambda _seconds: next(paused) >= count


def arrived(world: World) -> list[str]:
    return sorted(path.name for path in (world.folder / "landing").rglob("*") if path.is_file())


def test_days_are_played_one_by_one_with_their_clock(world: World) -> None:
    said: list[str] = []
    play(world, 0, said.append, stop_after(2))  # type: ignore[arg-type] # says when to stop
    assert said == [f"{DAYS[0]}: 1 file delivered, day 1 of 3", f"{DAYS[2]}: 1 file delivered, day 2 of 3"]
    assert arrived(world) == [f"{DAYS[0]}.csv", f"{DAYS[2]}.csv"]
    assert world.settings.today().isoformat() == DAYS[2]


def test_what_has_not_been_played_is_neither_a_day_nor_missing(world: World) -> None:
    play(world, 0, lambda _: None, stop_after(2))  # type: ignore[arg-type] # says when to stop
    project = Project.load(world.settings)
    assert project.days[-1] == DAYS[2]
    plan = make_plan(project)
    assert plan.slices_of("raw_shop_orders") == [DAYS[0], DAYS[2]]
    assert plan.missing_files == {"raw_shop_orders": [DAYS[1]]}, "the day that never came, and none after the clock"


def test_a_world_that_was_stopped_goes_on_where_it_was(settings: Settings, world: World) -> None:
    play(world, 0, lambda _: None, stop_after(1))  # type: ignore[arg-type] # says when to stop
    said: list[str] = []
    play(open_world(settings, world.folder), 0, said.append, lambda _: False)
    assert said[0] == "going on after 1 of 3 days"
    assert said[-1] == "everything is delivered"
    assert arrived(world) == [f"{day}.csv" for day in (DAYS[0], DAYS[2], DAYS[3])]
    last = Project.load(world.settings)
    assert last.has_ended(DAYS[3])
    assert open_world(settings, world.folder).to_play() == []


def test_files_arrive_as_they_are_and_leave_nothing_half(settings: Settings, world: World) -> None:
    play(world, 0, lambda _: None, lambda _: False)
    for day in (DAYS[0], DAYS[3]):
        there = world.folder / "landing" / "orders" / f"{day}.csv"
        assert there.read_bytes() == (settings.landing_folder / "orders" / f"{day}.csv").read_bytes()
    assert list((world.folder / "arriving").iterdir()) == []


def test_what_is_played_is_not_touched(settings: Settings, world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in settings.landing_folder.rglob("*")}
    play(world, 0, lambda _: None, lambda _: False)
    assert {path: path.stat().st_mtime_ns for path in settings.landing_folder.rglob("*")} == before
    assert not settings.data_dir.exists()


def test_commands_in_the_folder_are_about_its_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    found = Settings.load()
    assert (found.data_dir, found.landing, found.clock) == (
        world.folder / "data", world.folder / "landing", world.folder / "clock",
    )  # fmt: skip


# what is refused


def test_a_folder_with_other_things_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(FeedError, match="holds other things; choose an empty folder"):
        open_world(settings, tmp_path / "mine")


@pytest.mark.parametrize("mine", ["data", "landing", ".", "landing/orders", "data/lake/raw"])
def test_the_platforms_own_folders_are_refused(settings: Settings, mine: str) -> None:
    with pytest.raises(FeedError, match="is where this platform has its own data"):
        open_world(settings, settings.data_dir.parent / mine)


def test_other_days_than_it_began_with_are_refused(settings: Settings, world: World) -> None:
    with pytest.raises(FeedError, match=f"plays {DAYS[0]} to {DAYS[-1]}; choose another folder with --into"):
        open_world(settings, world.folder, first=DAYS[1])


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("yesterday", None, "--from 'yesterday' is not a day; write one such as 2011-11-30"),
        (DAYS[3], DAYS[1], f"--from {DAYS[3]} is after --to {DAYS[1]}"),
        (DAYS[4], DAYS[5], "there is nothing to play"),
    ],
)
def test_days_that_cannot_be_played_are_refused(
    settings: Settings, tmp_path: Path, first: str, last: str | None, says: str
) -> None:
    with pytest.raises(FeedError, match=re.escape(says)):
        open_world(settings, tmp_path / "world", first, last)
    assert not (tmp_path / "world").exists()


def test_spans_of_time() -> None:
    assert [seconds_of(text) for text in ("10s", "2m", "0.5h", "3")] == [10, 120, 1800, 3]
    with pytest.raises(FeedError, match="--every 'soon' is no span of time; write one such as 10s or 2m"):
        seconds_of("soon")


# the command


def test_the_command_plays_without_services_and_says_where(settings: Settings, tmp_path: Path) -> None:
    into = str(tmp_path / "world")
    result = call(settings, "feed", "--no-up", "--every", "0s", "--into", into, "--from", DAYS[0], "--to", DAYS[2])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"playing 2 days into {into}",
        f"{DAYS[0]}: 1 file delivered, day 1 of 2",
        f"{DAYS[2]}: 1 file delivered, day 2 of 2",
        "everything is delivered",
        f"look closer: cd {into} && dataplatform tables",
    ]


def test_ctrl_c_ends_it_and_the_next_call_goes_on(settings: Settings, tmp_path: Path) -> None:
    into = str(tmp_path / "world")
    arguments = [*options(settings), "feed", "--no-up", "--every", "10m", "--into", into]
    with start(arguments, tmp_path) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(DAYS[0]):
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    deliver(tmp_path / "shop", {DAYS[1]: FIRST_FILES[DAYS[1]]})
    said = call(settings, "feed", "--no-up", "--every", "0s", "--into", into).output
    assert "going on after 1 of 4 days" in said


def test_a_taken_port_is_refused_before_anything_is_made(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = call(settings, "feed", "--into", str(tmp_path / "world"), "--port", port)
    assert result.exit_code == 1
    assert not (tmp_path / "world").exists()

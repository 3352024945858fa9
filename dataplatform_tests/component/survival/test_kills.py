"""`kill -9` at any moment, followed by a new run: the end is that of an undisturbed lake, cell by cell."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dataplatform.operations.instance import open_instance
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import kills, victims
from dataplatform_tests.component.survival.conftest import NOTHING, Undisturbed, assert_nothing_is_half
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop

CHAINS = 2
"""How many runs of each kind are killed; the run that follows each is killed too."""


def moments(seed: int) -> list[tuple[float, float]]:
    """Shares of a run's time, spread over it: when it is killed, and when the run after it is."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    return [((number + chance.random()) / CHAINS, chance.uniform(0.05, 0.95)) for number in range(CHAINS)]


def kill(settings: Settings, seconds: float, output: Path) -> None:
    """Kills a run after so many seconds; sooner when it had ended by then."""
    while not victims.kill_after(settings, seconds, "run", output=output):
        seconds *= 0.7


def assert_it_recovers(settings: Settings, expected: Mapping[str, Any], output: Path) -> None:
    """A new run ends well, and everything is as it would have been; Dagster knows it too."""
    run = victims.start(settings, "run", output=output)
    assert run.ends() == 0, run.printed
    project = Project.load(settings)
    assert everything(project) == expected
    with open_instance(settings) as instance:
        assert reconcile_events(project, instance) == 0


@pytest.mark.parametrize(("first", "second"), moments(20101201))
def test_a_first_run_that_is_killed_and_killed_again_ends_as_if_undisturbed(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path, first: float, second: float
) -> None:
    for share in (first, second):
        kill(fresh, share * undisturbed.first_seconds, tmp_path / "killed")
        assert_nothing_is_half(Project.load(fresh), NOTHING, undisturbed.first)
    assert_it_recovers(fresh, undisturbed.first, tmp_path / "recovered")


@pytest.mark.parametrize(("first", "second"), moments(20111209))
def test_an_update_that_is_killed_and_killed_again_ends_as_if_undisturbed(
    ran: Callable[[str], Settings], undisturbed: Undisturbed, tmp_path: Path, first: float, second: float
) -> None:
    settings = ran("first")
    deliver(settings.landing_folder.parent, LATER_FILES)
    for share in (first, second):
        kill(settings, share * undisturbed.later_seconds, tmp_path / "killed")
        assert_nothing_is_half(Project.load(settings), undisturbed.first, undisturbed.later)
    assert_it_recovers(settings, undisturbed.later, tmp_path / "recovered")


@pytest.mark.parametrize("seed", range(4))
def test_twenty_kills_during_a_backfill_are_each_recovered_from_by_a_new_run(
    undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    """Five by five; `make soak` makes a thousand."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    for number in range(5):
        settings = make_shop(tmp_path / str(number))
        kill(settings, chance.uniform(0.02, 1) * undisturbed.first_seconds, tmp_path / "killed")
        assert_nothing_is_half(Project.load(settings), NOTHING, undisturbed.first)
        assert_it_recovers(settings, undisturbed.first, tmp_path / "recovered")


def test_the_soak_kills_every_kind_of_command_and_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    kills.main(["--kills", "4", "--seed", "1"])
    said = capsys.readouterr().out
    assert said.startswith("4 kills, seed 1;")
    assert "4 of 4 recovered as if undisturbed" in said

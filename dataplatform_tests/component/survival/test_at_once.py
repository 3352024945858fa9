"""Runs at once on one data folder: one works and the other waits or is told so; an overtaken run cannot win."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataplatform.operations.instance import open_instance
from dataplatform.operations.lock import FILE
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import victims
from dataplatform_tests.component.survival.conftest import Undisturbed
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop, published, run
from dataplatform_tests.victims import Victim


def paused_holder(settings: Settings, output: Path) -> Victim:
    """A run that holds the data folder, and is stopped there."""
    victim = victims.start(settings, "run", output=output)
    lock = settings.data_dir / FILE
    while not (lock.exists() and lock.read_text(encoding="utf-8") == f"{victim.pid}\n"):
        assert victim.wait(0.01) is None, victim.printed
    assert victim.pause(), victim.printed
    return victim


def served(state: dict[str, Any]) -> dict[str, Any]:
    """What a run leaves without Dagster and without the serving layer."""
    return {name: value for name, value in state.items() if name != "warehouse"}


def test_a_second_run_is_told_who_is_at_work_and_changes_nothing(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    holder = paused_holder(fresh, tmp_path / "holder")
    refused = run(fresh, code=75)
    holder.go_on()
    assert refused.startswith(f"process {holder.pid} is at work in {fresh.data_dir}; ")
    assert holder.ends() == 0, holder.printed
    assert everything(Project.load(fresh)) == undisturbed.first


def test_a_second_run_that_waits_finds_nothing_left_to_do(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    holder = paused_holder(fresh, tmp_path / "holder")
    waiting = victims.start(fresh, "run", "--wait", "100", output=tmp_path / "waiting")
    holder.go_on()
    assert holder.ends() == 0, holder.printed
    assert waiting.ends() == 0, waiting.printed
    assert "nothing to do" in waiting.printed
    assert everything(Project.load(fresh)) == undisturbed.first


def test_a_killed_holder_frees_the_data_folder_at_once(fresh: Settings, tmp_path: Path) -> None:
    paused_holder(fresh, tmp_path / "holder").kill()
    run(fresh)


def test_two_first_starts_at_once_make_one_lake_and_one_instance(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    both = [victims.start(fresh, "run", "--wait", "100", output=tmp_path / str(number)) for number in range(2)]
    for each in both:
        assert each.ends() == 0, each.printed
    project = Project.load(fresh)
    assert everything(project) == undisturbed.first
    with open_instance(fresh) as instance:
        assert reconcile_events(project, instance) == 0


@pytest.mark.parametrize("attempt", range(2))
def test_two_ways_in_that_know_nothing_of_each_other_lose_nothing(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path, attempt: int
) -> None:
    both = [victims.settle(fresh, tmp_path / str(number)) for number in range(2)]
    for each in both:
        assert each.ends() == 0, each.printed
    assert served(everything(Project.load(fresh))) == served(undisturbed.first), f"attempt {attempt}"


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_a_run_that_was_asleep_while_corrections_were_published_does_not_bring_back_what_it_read(
    ran: Callable[[str], Settings], undisturbed: Undisturbed, tmp_path: Path, share: float
) -> None:
    seconds = share * undisturbed.first_seconds
    for number in range(10):
        settings = make_shop(tmp_path / f"shop-{number}")
        sleeper = victims.settle(settings, tmp_path / f"sleeper-{number}")
        if sleeper.wait(seconds) is None and sleeper.pause():
            break
        seconds *= 0.7
    else:
        pytest.fail("each run had ended before it could be stopped")
    deliver(settings.landing_folder.parent, LATER_FILES)
    corrected = victims.settle(settings, tmp_path / "corrected")
    assert corrected.ends() == 0, corrected.printed
    sleeper.go_on()
    assert sleeper.ends() == 0, sleeper.printed
    project = Project.load(settings)
    assert published(project) == undisturbed.later["rows"]
    assert served(everything(project)) == served(undisturbed.later)

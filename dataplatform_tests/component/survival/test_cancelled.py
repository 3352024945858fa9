"""A run that is cancelled, at any moment: nothing is half-written, and the next run ends as if undisturbed.

The UI's button reaches a run's process as an interrupt in the middle of whatever Python does; here a real run on the
instance, in a process of its own, gets the same.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.operations.instance import open_instance
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import victims
from dataplatform_tests.component.survival.conftest import Undisturbed, assert_nothing_is_half
from dataplatform_tests.in_dagster import QUIET, RANGE_END, RANGE_START
from dataplatform_tests.small_shop import DAYS, LATER_FILES, deliver, everything, published, run

MOMENTS = 6
"""How many runs are cancelled, each later in its life than the one before."""


def work(settings: Settings) -> None:
    """What a run's process does: executes a run over all days on the instance, until it ends or is interrupted."""
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    from dataplatform.assets.definition import asset_key
    from dataplatform.build import build_definitions

    project = Project.load(settings)
    keys = [asset_key(contract) for contract in project.catalog]
    job = build_definitions(project).resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
    with open_instance(settings) as instance:
        tags = {RANGE_START: DAYS[0], RANGE_END: DAYS[4]}
        made = instance.create_run_for_job(job, run_config=QUIET, tags=tags, asset_selection=frozenset(keys))
        execute_run(InMemoryJob(job), made, instance)


def cancel_after(settings: Settings, seconds: float, output: Path) -> bool:
    """Cancels a run after so many seconds; whether it was still at work then. It must end by itself."""
    victim = victims.Victim(work, [settings], output)
    if victim.wait(seconds) is not None:
        return False
    with suppress(ProcessLookupError):
        os.kill(victim.pid, signal.SIGINT)
    victim.ends()
    return True


def test_the_run_that_is_cancelled_here_does_the_work_when_it_is_not(
    ran: Callable[[str], Settings], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    settings = ran("first")
    deliver(settings.landing_folder.parent, LATER_FILES)
    victim = victims.Victim(work, [settings], tmp_path / "whole")
    assert victim.ends() == 0, victim.printed
    assert published(Project.load(settings)) == undisturbed.later["rows"]


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_cancelled_run_leaves_nothing_half_and_the_next_one_does_the_rest(
    ran: Callable[[str], Settings], undisturbed: Undisturbed, tmp_path: Path, number: int
) -> None:
    settings = ran("first")
    deliver(settings.landing_folder.parent, LATER_FILES)
    chance = random.Random(number)  # noqa: S311 - moments, not secrets
    seconds = undisturbed.later_seconds * (number + chance.random()) / MOMENTS
    while not cancel_after(settings, seconds, tmp_path / "cancelled"):
        seconds *= 0.7
    project = Project.load(settings)
    assert_nothing_is_half(project, undisturbed.first, undisturbed.later)
    with open_instance(settings) as instance:
        at_work = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert at_work == [], "a cancelled run ends"
    run(settings)
    assert everything(Project.load(settings)) == undisturbed.later
    assert list(settings.lake_dir.rglob("*.partial")) == []

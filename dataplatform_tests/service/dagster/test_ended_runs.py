"""Runs of the real daemon that end before their time: cancelled in the UI, or their process killed."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from dataplatform.operations.instance import open_instance
from dataplatform_tests.service.dagster.ledger_week import DAYS, left_to_do
from dataplatform_tests.service.dagster.served import Served, until
from dataplatform_tests.service.dagster.test_commands import tables_hold
from dataplatform_tests.service.dagster.test_launched import lose

pytestmark = pytest.mark.xdist_group("ledger week")

LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation ($id: String!) { terminateRun(runId: $id) { __typename } }"""
FACT = {"path": ["dimensional", "fact_sales"]}


def launch(served: Served) -> str:
    """A run of the facts of all days, as the UI's dialog launches one."""
    where = {"repositoryLocationName": "dataplatform", "repositoryName": "__repository__", "jobName": "__ASSET_JOB"}
    ends = {"start": DAYS[0], "end": DAYS[-1]}
    tags = [{"key": f"dagster/asset_partition_range_{end}", "value": day} for end, day in ends.items()]
    params = {
        "selector": {**where, "assetSelection": [FACT]},
        "mode": "default",
        "executionMetadata": {"tags": tags},
    }
    launched = served.ask(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def at_work(served: Served, run_id: str) -> int:
    """The id of the run's process, once it is executing."""

    def look() -> int | None:
        with open_instance(served.week.settings) as instance:
            run = instance.get_run_by_id(run_id)
            said = [entry.message for entry in instance.all_logs(run_id)]
        found = re.search(r"\(pid: (\d+)\)", " ".join(said))
        return int(found[1]) if run is not None and run.status.value == "STARTED" and found else None

    return until("the run's process", look)


def ended(served: Served, run_id: str) -> str:
    def look() -> str | None:
        with open_instance(served.week.settings) as instance:
            run = instance.get_run_by_id(run_id)
        return run.status.value if run is not None and run.is_finished else None

    return until("the run's end", look)


def test_a_run_cancelled_in_the_ui_leaves_nothing_half_and_a_new_one_does_the_rest(served: Served) -> None:
    project = served.week.project()
    lose(project, "fact_sales")
    run_id = launch(served)
    at_work(served, run_id)
    assert served.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    assert ended(served, run_id) in {"CANCELED", "SUCCESS"}  # it may have been about to end
    state = project.lake.table(project.catalog.get("fact_sales")).open().state
    assert len(state.slices) in {0, len(DAYS)}, "one commit for all days, or none"
    assert ended(served, launch(served)) == "SUCCESS"
    tables_hold(project, DAYS)
    assert not [line for line in left_to_do(project) if line.startswith("fact_sales")]


def test_a_run_whose_process_is_killed_is_launched_once_more_by_itself(served: Served) -> None:
    """Pain 20: a stuck run is found dead, said so, and its work is done without anybody."""
    project = served.week.project()
    lose(project, "fact_sales")
    run_id = launch(served)
    os.kill(at_work(served, run_id), signal.SIGKILL)
    assert ended(served, run_id) == "FAILURE"

    def again() -> Any:
        with open_instance(served.week.settings) as instance:
            return next((run for run in instance.get_runs() if run.parent_run_id == run_id), None)

    second = until("the run that takes its place", again)
    assert ended(served, second.run_id) == "SUCCESS"
    tables_hold(project, DAYS)
    assert not [line for line in left_to_do(project) if line.startswith("fact_sales")]

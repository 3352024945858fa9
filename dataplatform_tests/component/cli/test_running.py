"""Commands that make and remove published rows, from the first run to a replay."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from dataplatform.operations import lock
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.command import call, options, start
from dataplatform_tests.component.cli.conftest import deliver

MISSING = "warning: raw_shop_orders: file_missing on open days: 2011-01-03, 2011-01-04"


def amounts(project: Project) -> dict[str, str]:
    """The published sum of each day."""
    return {str(day): str(total) for day, _, total in shop.rows(project, "daily_orders")}


def test_a_first_run_makes_every_table_and_says_what_came_of_it(first_run: tuple[Path, Result]) -> None:
    _, result = first_run
    assert result.exit_code == 0, result.output
    for said in (
        "2011-01-01..2011-01-02: 5 tables\n",
        "  orders: 2 slices published, 3 rows, 1 quarantined  (",
        "  aggregate.daily_orders        2     2            0         2           0\n",
        "  cleaned.orders  order_amount:minimum     1  row kept out\n",
        "aggregate.daily_orders on 2011-01-02\n",
        "  order_count       1\n",
        "  total_amount  0.250  GBP\n",
        MISSING,
        "next: dataplatform up",
        'dataplatform query "SELECT * FROM aggregate.daily_orders ORDER BY business_date DESC LIMIT 7"\n',
    ):
        assert said in result.stdout


def test_a_second_run_finds_nothing_to_do_and_says_so(project: Project) -> None:
    result = call(project.settings, "run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("nothing to do: every table is up to date\n")
    assert len(result.stdout.splitlines()) == 3
    assert MISSING in result.stdout
    assert result.stdout.endswith("2 warnings: see `dataplatform alerts list`; nobody is told of them\n")


def test_a_dry_run_shows_the_plan_and_makes_nothing(project: Project) -> None:
    deliver(project, "2011-01-03", "5,7,UK,1")
    result = call(project.settings, "run", "--dry-run", "--select", "raw_shop_orders", "--select", "orders")
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.stdout.splitlines()[3:5]] == [
        ["raw.raw_shop_orders", "1", "2011-01-03", "new", "delivery", "certainly"],
        ["cleaned.orders", "1", "2011-01-03", "never", "published", "certainly"],
    ]
    assert "2011-01-03" not in amounts(project)


def test_a_corrected_file_is_taken_up_with_what_it_changes(project: Project) -> None:
    deliver(project, "2011-01-02", "3,7,UK,0.75", "4,8,FR,1")
    result = call(project.settings, "run")
    assert result.exit_code == 0, result.output
    assert amounts(project) == {"2011-01-01": "7.500", "2011-01-02": "1.750"}


def test_a_refused_file_exits_1_and_the_other_days_go_on(project: Project) -> None:
    (project.settings.landing_folder / "orders" / "2011-01-03.csv").touch()
    deliver(project, "2011-01-04", "5,7,UK,1")
    result = call(project.settings, "run")
    assert result.exit_code == 1
    assert "failed: raw.raw_shop_orders 2011-01-03: " in result.stdout
    assert "next: put right what is named above" in result.stdout
    assert set(amounts(project)) == {"2011-01-01", "2011-01-02", "2011-01-04"}


def test_tables_and_days_bound_a_run(project: Project) -> None:
    for day in ("2011-01-03", "2011-01-04", "2011-01-05"):
        deliver(project, day, f"{day[-1]}0,7,UK,1")
    result = call(project.settings, "run", "--select", "+orders", "--from", "2011-01-04", "--to", "2011-01-04")
    assert result.exit_code == 0, result.output
    assert {str(row[0]) for row in shop.rows(project, "orders", "order_id")} == {"1", "2", "3", "40"}
    assert "2011-01-04" not in amounts(project)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "daily_order"], "no table called 'daily_order'; did you mean daily_orders, fact_orders, orders?"),
        (["--from", "tomorrow"], "--from 'tomorrow' is not a day; write one such as 2011-01-10"),
        (["--dry-run", "--to", "1.1.2011"], "--to '1.1.2011' is not a day; write one such as 2011-01-10"),
    ],
)
def test_wrong_names_and_days_exit_2_with_one_line(project: Project, arguments: list[str], message: str) -> None:
    result = call(project.settings, "run", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1


def test_two_runs_at_once_end_with_75_and_the_pid(project: Project) -> None:
    with lock.run_lock(project.settings.data_dir):
        process = start([*options(project.settings), "run"], project.settings.landing_folder)
        output, errors = process.communicate()
    assert (process.returncode, output) == (75, "")
    holder = (project.settings.data_dir / "run.lock").read_text(encoding="utf-8").strip()
    assert errors == f"process {holder} is at work in {project.settings.data_dir}; wait for it with --wait SECONDS\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["rebuild", "orders", "--yes"],
        ["delete-partition", "orders", "2011-01-01", "--yes"],
        ["quarantine", "replay", "orders", "--yes"],
    ],
    ids=" ".join,
)
def test_whatever_writes_takes_the_same_lock(project: Project, arguments: list[str]) -> None:
    with lock.run_lock(project.settings.data_dir):
        assert call(project.settings, *arguments).exit_code == 75


def test_a_run_waits_for_another_when_asked_to(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lock.run_lock(project.settings.data_dir)
    other.__enter__()
    ended = []

    def the_other_ends(_: float) -> None:
        ended.append(other.__exit__(None, None, None))

    monkeypatch.setattr(lock, "run_lock", partial(lock.run_lock, pause=the_other_ends))
    assert call(project.settings, "run", "--wait", "60").exit_code == 0
    assert ended


def test_an_interrupted_run_exits_130_and_the_next_does_the_rest(project: Project) -> None:
    deliver(project, "2011-01-03", *(f"{number},7,UK,1" for number in range(100, 20_000)))
    process = start([*options(project.settings), "run"], project.settings.landing_folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "2011-01-03: 5 tables\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("interrupted\n")
    assert call(project.settings, "run").exit_code == 0
    assert amounts(project)["2011-01-03"] == "19900.000"


def test_a_changed_contract_waits_for_its_rebuild(project: Project) -> None:
    contract = project.settings.tables_dir / "aggregate" / "daily_orders.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("BIGINT", "INTEGER"), encoding="utf-8")
    refused = call(project.settings, "run")
    assert refused.exit_code == 1
    assert "run `dataplatform rebuild daily_orders --yes`" in refused.stdout
    dry = call(project.settings, "rebuild", "daily_orders")
    assert dry.exit_code == 0
    assert "contract against what is published: column order_count was BIGINT and is INTEGER\n" in dry.stdout
    assert dry.stdout.endswith("nothing was done; do it with --yes\n")
    done = call(project.settings, "rebuild", "daily_orders", "--yes")
    assert done.exit_code == 0
    assert amounts(project) == {"2011-01-01": "7.500", "2011-01-02": "0.250"}
    assert call(project.settings, "run").exit_code == 0


def test_a_deleted_partition_stays_empty_and_what_reads_it_follows(project: Project) -> None:
    """Pain 5: as people do it."""
    dry = call(project.settings, "delete-partition", "orders", "2011-01-01")
    assert dry.exit_code == 0
    assert dry.stdout.endswith("nothing was done; do it with --yes\n")
    assert amounts(project) == {"2011-01-01": "7.500", "2011-01-02": "0.250"}
    done = call(project.settings, "delete-partition", "orders", "2011-01-01", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("cleaned.orders 2011-01-01 is empty, in version ")
    assert call(project.settings, "run").exit_code == 0
    assert amounts(project) == {"2011-01-02": "0.250"}
    assert call(project.settings, "run").stdout.startswith("nothing to do")


def test_a_wrong_partition_names_the_expected_form(project: Project) -> None:
    result = call(project.settings, "delete-partition", "orders", "1.1.2011", "--yes")
    assert result.exit_code == 2
    assert result.stderr == (
        "cleaned.orders has no partition '1.1.2011'; write a day from 2011-01-01 to 2011-01-10, such as 2011-01-10\n"
    )


def test_the_quarantine_is_listed_shown_and_replayed(project: Project) -> None:
    assert "order_amount:minimum" in call(project.settings, "quarantine", "list").stdout
    shown = call(project.settings, "quarantine", "show", "orders", "--partition", "2011-01-02", "--limit", "5").stdout
    assert "order_amount:minimum: -3.500\n    order_id 4, buyer_id ***, country FR" in shown
    function = project.settings.tables_dir / "cleaned" / "orders.py"
    text = function.read_text(encoding="utf-8")
    function.write_text(text.replace('decimal(18,3)")', 'decimal(18,3)").abs()'), encoding="utf-8")
    dry = call(project.settings, "quarantine", "replay", "orders")
    assert dry.exit_code == 0
    assert [line.split() for line in dry.stdout.splitlines()[2:]] == [
        ["2011-01-02", "1", "0", "2"],
        ["nothing", "was", "done;", "make", "these", "slices", "again", "with", "--yes"],
    ]
    assert amounts(project)["2011-01-02"] == "0.250"
    assert call(project.settings, "quarantine", "replay", "orders", "--yes").exit_code == 0
    assert amounts(project)["2011-01-02"] == "3.750"
    assert call(project.settings, "quarantine", "list").stdout == "the quarantine is empty\n"
    after = call(project.settings, "quarantine", "replay", "orders", "--yes")
    assert (after.exit_code, after.stdout) == (0, "nothing of cleaned.orders is in quarantine\n")


def test_a_replay_makes_slices_again_that_are_not_stale(project: Project) -> None:
    result = call(project.settings, "quarantine", "replay", "orders", "--partition", "2011-01-02", "--yes")
    assert result.exit_code == 0, result.output
    assert "  orders: 1 slice unchanged, 1 row, 1 quarantined  (" in result.stdout


def test_a_check_exits_1_when_a_rule_is_broken(project: Project) -> None:
    assert call(project.settings, "check", "orders").exit_code == 0
    contract = project.settings.tables_dir / "cleaned" / "orders.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("minimum: 0", "minimum: 1"), encoding="utf-8")
    broken = call(project.settings, "check", "orders", "--partition", "2011-01-02")
    assert broken.exit_code == 1
    assert "  2011-01-02: order_amount:minimum: expected order_amount >= 1, found 1 of 1 rows" in broken.stdout
    assert call(project.settings, "check", "orders", "--partition", "2011-01-01").exit_code == 0


def test_a_question_is_answered_in_the_format_asked_for(project: Project) -> None:
    sql = "SELECT business_date, total_amount FROM aggregate.daily_orders ORDER BY 1"
    result = call(project.settings, "query", "--format", "csv", sql)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ['"business_date","total_amount"', "2011-01-01,7.500", "2011-01-02,0.250"]
    refused = call(project.settings, "query", "DELETE FROM aggregate.daily_orders")
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1


def test_a_new_table_is_built_by_one_more_command(project: Project) -> None:
    written = call(project.settings, "new-table", "aggregate", "monthly_things", "--sql")
    assert written.exit_code == 0
    assert written.stdout.splitlines()[-1] == "edit them; build it with: dataplatform run --select monthly_things"
    assert call(project.settings, "run", "--select", "monthly_things").exit_code == 0
    assert [row[1] for row in shop.rows(shop.reload(project), "monthly_things")] == [3]


def test_two_forms_of_one_table_are_refused(project: Project) -> None:
    result = call(project.settings, "new-table", "aggregate", "monthly_things", "--sql", "--pandas")
    assert (result.exit_code, result.stderr) == (2, "Invalid value: choose --sql or --pandas\n")

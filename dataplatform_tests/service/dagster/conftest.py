"""The ledger's last week, made by the lines of the README; each state is made once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dataplatform_tests.service.dagster.ledger_week import DAYS, LedgerWeek, readme_lines
from dataplatform_tests.service.dagster.served import Served, serving


@pytest.fixture(scope="package", autouse=True)
def _nobodys_environment() -> Iterator[None]:
    """What `_nobodys_settings` does for each test, for fixtures that outlive one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("DATAPLATFORM_") or name == "DAGSTER_HOME":
                patch.delenv(name)
        yield


@pytest.fixture(scope="package")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> LedgerWeek:
    """A fresh data folder after the README's lines for a range; the last day's file has not come."""
    week = LedgerWeek.make(tmp_path_factory.mktemp("ledger") / "three_days")
    week.deliver(*DAYS[:-1])
    for line in readme_lines("a range"):
        week.run(line)
    return week


@pytest.fixture(scope="package")
def four_days(three_days: LedgerWeek, tmp_path_factory: pytest.TempPathFactory) -> LedgerWeek:
    """The same after the last day's file came, and the README's lines for a day."""
    week = three_days.copy(tmp_path_factory.mktemp("ledger") / "four_days")
    week.deliver(DAYS[-1])
    for line in readme_lines("a day"):
        week.run(line)
    return week


@pytest.fixture(scope="package")
def served(four_days: LedgerWeek, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The UI over a copy of the four days. Tests that make something stale bring it up to date again."""
    with serving(four_days.copy(tmp_path_factory.mktemp("ledger") / "served")) as found:
        yield found

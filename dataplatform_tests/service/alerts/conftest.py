"""Receivers that run, and an outbox to tell them from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dataplatform.operations.alerts.outbox import Outbox
from dataplatform.operations.alerts.problem import Problem
from dataplatform.operations.alerts.setting import load_alert_setting
from dataplatform.operations.alerts.telling import Teller, Told
from dataplatform.settings import Settings
from dataplatform_tests.receiving import HttpReceiver, http_receiver, set_receivers

START = datetime(2011, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to this machine goes to this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "data", landing=tmp_path / "landing")


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def other() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@dataclass
class Bench:
    """One platform's telling: problems in, messages out, and a clock that is moved by hand."""

    settings: Settings
    environ: dict[str, str]
    budget: float = 8.0
    timeout: float = 4.0
    now: datetime = START
    problems: list[Problem] = field(default_factory=list)

    @property
    def teller(self) -> Teller:
        setting = load_alert_setting(self.settings.alerts)
        return Teller(self.settings, setting, environ=self.environ, budget=self.budget, timeout=self.timeout)

    def tick(self, *problems: Problem, after: timedelta = timedelta(minutes=1), is_patient: bool = True) -> Told:
        """One look, a minute after the last: exactly `problems` are wrong."""
        self.now += after
        now = self.now

        def observe(outbox: Outbox) -> None:
            outbox.observe("tables", problems, now.timestamp())

        return replace(self.teller, is_patient=is_patient).tell(now, observe)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(settings: Settings) -> MakeBench:
    """A bench over a file of receivers and the variables it names."""

    def make(text: str, **environ: str) -> Bench:
        return Bench(set_receivers(settings, text), environ)

    return make

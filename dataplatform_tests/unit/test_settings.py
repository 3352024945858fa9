"""Settings: which tier decides, what is refused, and which day it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from dataplatform import settings as module
from dataplatform.errors import PermanentError, UnknownNameError
from dataplatform.settings import CHECKOUT, Settings, SettingsError


def test_without_anything_given_every_setting_has_its_default() -> None:
    settings = Settings.load()
    assert settings.data_dir == CHECKOUT / "data"
    assert settings.landing == CHECKOUT / "data" / "landing"
    assert (settings.start_date, settings.end_date) == (date(2010, 12, 1), date(2011, 12, 9))
    assert (settings.daily_close, settings.switched_off, settings.clock) == ("06:00", frozenset(), None)
    assert {settings.origin(name) for name in Settings.model_fields} == {"default"}


def test_the_environment_goes_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_MEMORY_LIMIT", "2GB")
    settings = Settings.load()
    assert (settings.memory_limit, settings.origin("memory_limit")) == ("2GB", "environment")


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_MEMORY_LIMIT", "2GB")
    settings = Settings.load(memory_limit="3GB")
    assert (settings.memory_limit, settings.origin("memory_limit")) == ("3GB", "argument")


def test_the_profile_goes_before_the_default_and_after_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROFILES", {"local": {}, "big": {"memory_limit": "64GB", "end_date": "2012-01-01"}})
    monkeypatch.setenv("DATAPLATFORM_END_DATE", "2011-01-01")
    settings = Settings.load(profile="big")
    assert (settings.memory_limit, settings.origin("memory_limit")) == ("64GB", "profile")
    assert (settings.end_date, settings.origin("end_date")) == (date(2011, 1, 1), "environment")


def test_an_argument_that_is_none_leaves_the_other_tiers_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_BUSINESS_ZONE", "Europe/Paris")
    assert Settings.load(business_zone=None).business_zone == "Europe/Paris"


def test_an_empty_variable_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_DATA_DIR", "")
    assert Settings.load().origin("data_dir") == "default"


def test_an_empty_end_date_means_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_END_DATE", "")
    settings = Settings.load()
    assert (settings.end_date, settings.origin("end_date")) == (None, "environment")
    assert settings.last_date(date(2015, 3, 29)) == date(2015, 3, 29)


def test_an_end_date_that_has_come_is_the_last_day_whatever_today_is() -> None:
    assert Settings.load().last_date(date(2015, 3, 29)) == date(2011, 12, 9)


def test_an_end_date_that_has_not_come_leaves_today_the_last_day() -> None:
    assert Settings.load().last_date(date(2011, 3, 27)) == date(2011, 3, 27)


def test_sensors_and_schedules_that_start_off_are_named_with_commas() -> None:
    settings = Settings.load(automation_off="monthly_close, keep_current,")
    assert settings.switched_off == {"monthly_close", "keep_current"}


@pytest.mark.parametrize("time", ["6", "24:00", "6:00", "06:60", "06:00:00", "noon"])
def test_a_daily_close_is_a_time_of_the_day(time: str) -> None:
    with pytest.raises(SettingsError, match=r"DAILY_CLOSE=.*: not a time of the day; write one such as 06:00"):
        Settings.load(daily_close=time)


@pytest.mark.parametrize(
    ("zone", "now", "day"),
    [
        ("Europe/London", datetime(2011, 6, 30, 22, 59, tzinfo=UTC), date(2011, 6, 30)),
        ("Europe/London", datetime(2011, 6, 30, 23, 0, tzinfo=UTC), date(2011, 7, 1)),
        ("Europe/London", datetime(2011, 12, 31, 23, 30, tzinfo=UTC), date(2011, 12, 31)),
        ("Pacific/Auckland", datetime(2011, 12, 31, 11, 0, tzinfo=UTC), date(2012, 1, 1)),
    ],
)
def test_today_is_the_day_of_the_business_and_not_of_the_machine(zone: str, now: datetime, day: date) -> None:
    assert Settings.load(business_zone=zone).today(lambda: now) == day


def test_everything_made_lies_below_the_data_folder() -> None:
    settings = Settings.load(data_dir="/somewhere")
    made = [settings.lake_dir, settings.warehouse_dir, settings.reports_dir, settings.dagster_home, settings.tmp_dir]
    assert [path.name for path in made] == ["lake", "warehouse", "reports", "dagster", "tmp"]
    assert {path.parent for path in made} == {Path("/somewhere")}


def test_a_relative_folder_is_made_absolute_from_the_working_folder() -> None:
    assert Settings.load(data_dir="made/../here").data_dir == Path.cwd() / "here"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().memory_limit = "2GB"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("profile", "s3", "only the profile local is available in this version"),
        ("profile", "spark", "only the profile local is available in this version"),
        ("landing", "gs://bucket/drops", "only folders on this machine are available in this version"),
        ("landing", "s3://B/drops", "not a place in a bucket; write one such as s3://bucket/landing"),
        ("landing", "s3://bucket/../other", "not a place in a bucket; write one such as s3://bucket/landing"),
        ("data_dir", "s3://bucket/data", "only folders on this machine are available in this version"),
        ("s3_endpoint", "localhost:9000", "not the address of a server; write one such as https://s3.example.com:9000"),
        ("s3_endpoint", "http://h/b", "not the address of a server; write one such as https://s3.example.com:9000"),
        ("start_date", "20101201", "not a day; write one such as 2011-12-09"),
        ("end_date", "tomorrow", "not a day; write one such as 2011-12-09"),
        ("end_date", "2009-12-31", "before start_date, which is 2010-12-01"),
        ("business_zone", "Mars/Olympus", "not a time zone; write one such as Europe/London"),
        ("memory_limit", "plenty", "not a size; write one such as 500MB or 2GB"),
    ],
)
def test_a_wrong_setting_is_named_with_its_tier_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"DATAPLATFORM_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value) == f"DATAPLATFORM_{name.upper()}={value} (environment): {message}"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("s3://my-bucket", "s3://my-bucket"),
        ("s3://my-bucket/", "s3://my-bucket"),
        ("s3://my-bucket/landing/shop/", "s3://my-bucket/landing/shop"),
    ],
)
def test_the_landing_may_be_a_place_in_a_bucket(value: str, place: str) -> None:
    settings = Settings.load(landing=value)
    assert str(settings.landing) == place
    assert Settings.load(landing=str(settings.landing)).landing == settings.landing
    with pytest.raises(PermanentError, match=rf"^{place} is no folder of this machine"):
        _ = settings.landing_folder


@pytest.mark.parametrize("name", ["landing", "s3_endpoint"])
def test_credentials_in_an_address_are_refused_and_not_repeated(name: str) -> None:
    scheme = "s3" if name == "landing" else "https"
    for value in (f"{scheme}://key:hush@bucket/drops", f"{scheme}://bucket/drops?secret=hush"):
        with pytest.raises(SettingsError) as caught:
            Settings.load(**{name: value})
        assert "hush" not in str(caught.value)
        assert "holds credentials or parameters; give those in AWS_ACCESS_KEY_ID" in str(caught.value)


@pytest.mark.parametrize("made", ["lake", "warehouse", "reports", "dagster", "tmp"])
def test_deliveries_never_arrive_in_what_the_platform_makes(made: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(data_dir="/data", landing=f"/data/{made}/drops")
    expected = f"DATAPLATFORM_LANDING=/data/{made}/drops (argument): inside /data/{made}, which the platform makes"
    assert str(caught.value).startswith(expected)


def test_several_wrong_settings_are_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_MEMORY_LIMIT", "plenty")
    with pytest.raises(SettingsError) as caught:
        Settings.load(business_zone="Mars")
    assert [line.split("=")[0] for line in str(caught.value).splitlines()] == [
        "DATAPLATFORM_BUSINESS_ZONE",
        "DATAPLATFORM_MEMORY_LIMIT",
    ]


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no setting called 'memory'; did you mean memory_limit"):
        Settings.load(memory="1GB")

"""The platform's settings: one typed, frozen object, and where each value came from.

Here lives what differs between machines: folders, dates, the business's zone, the memory of a step. What a table
needs to know (thresholds, fiscal years) is not here but in its contract. Precedence, highest first: argument,
environment (`DATAPLATFORM_…`), `.env` in the working folder, the profile, the default. Credentials are no settings:
storage takes them from AWS's own variables, or from the role of the machine, when it is first asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from dataplatform.errors import PermanentError, UnknownNameError

Tier = Literal["argument", "environment", ".env", "profile", "default"]

PREFIX = "DATAPLATFORM_"
CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that holds `data/`, `dagster.yaml` and `workspace.yaml`."""

PROFILES: Mapping[str, Mapping[str, str]] = {"local": {}}
"""What each profile changes of the defaults. `local` *is* the defaults: files on this machine, DuckDB."""

_MADE = ("lake", "warehouse", "reports", "dagster", "tmp")
_SIZE = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECRET_IN_ADDRESS = re.compile(r"(?<=://)[^/]*@|\?.*")
"""What an address may not hold, and what no message repeats: a user with a password, and parameters."""


class SettingsError(PermanentError):
    """One or more settings are wrong: one line each, naming the variable and the tier it came from."""

    exit_code = 2


def utc_now() -> datetime:
    """The machine's clock. Which day it is, is asked of the settings: `Settings.now`, `Settings.today`."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class S3Prefix:
    """A place in an S3 bucket; `prefix` has no slash at its ends and is empty for the whole bucket."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def _landing(value: Any) -> Any:
    """A folder on this machine, or `s3://bucket/prefix`."""
    if not isinstance(value, str) or not value.startswith("s3://"):
        return _folder(value)
    _no_secret(value)
    bucket, _, prefix = value.removeprefix("s3://").partition("/")
    parts = PurePosixPath(prefix).parts
    if not _BUCKET.fullmatch(bucket) or ".." in parts or prefix.startswith("/"):
        raise ValueError("not a place in a bucket; write one such as s3://bucket/landing")
    return S3Prefix(bucket, "/".join(parts))


def _no_secret(address: str) -> None:
    if _SECRET_IN_ADDRESS.search(address):
        raise ValueError("holds credentials or parameters; give those in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def _folder(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        raise ValueError("only folders on this machine are available in this version")
    return Path(value).expanduser().resolve() if isinstance(value, str | Path) else value


def _day(value: Any) -> Any:
    """Only `YYYY-MM-DD`: pydantic would read 20111209 as seconds since 1970."""
    if isinstance(value, str):
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            raise ValueError("not a day; write one such as 2011-12-09") from None
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]
Landing = Annotated[Path | S3Prefix, BeforeValidator(_landing)]
Day = Annotated[date, BeforeValidator(_day)]


class Settings(BaseSettings):
    """Everything that differs between machines. `Settings.load(…)`; paths are absolute, dates are business days."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_prefix=PREFIX, env_file=".env", validate_default=True
    )

    profile: str = Field("local", description="where tables live and what computes them; only local in this version")
    data_dir: Folder = Field(CHECKOUT / "data", description="everything that is made goes below this folder")
    landing: Landing = Field(CHECKOUT / "data" / "landing", description="where deliveries arrive; also s3://…")
    start_date: Day = Field(date(2010, 12, 1), description="first business day")
    end_date: Day | None = Field(date(2011, 12, 9), description="last business day, inclusive; empty means today")
    business_zone: str = Field("Europe/London", description="the zone whose calendar the business day follows")
    memory_limit: str = Field("1GB", description="what DuckDB may use in one step before it spills to disk")
    s3_endpoint: str = Field("", description="address of the S3 server; empty means AWS")
    s3_region: str = Field("", description="region of the bucket; empty means AWS_REGION, else us-east-1")
    s3_path_style: bool = Field(default=True, description="whether the bucket stands in the path, not in the host name")
    version_days: int = Field(30, ge=1, description="how many days replaced rows and older versions stay readable")
    run_days: int = Field(30, ge=1, description="how many days Dagster's runs, their logs and ticks are kept")
    history_days: int = Field(730, ge=1, description="how many days of history quality.* and operations.* keep")
    alerts: Folder | None = Field(None, description="file that says who is told of problems; empty: nobody")
    ui_url: str = Field("http://127.0.0.1:3000", description="where people open Dagster's UI, for links in alerts")
    tables: Folder = Field(CHECKOUT / "dataplatform" / "tables", description="contracts and functions of the tables")
    daily_close: str = Field("06:00", description="time in the business's zone at which the day before is closed")
    automation_off: str = Field("", description="sensors and schedules that start switched off, commas between")
    clock: Folder | None = Field(
        None, description="a file with the time of a world that is played (feed); empty means the machine's clock"
    )

    _origins: Mapping[str, Tier] = PrivateAttr(default_factory=dict)

    def __init__(self, **arguments: Any) -> None:
        """Raises SettingsError with one line per wrong setting."""
        values, origins = _resolve(arguments)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(_line(problem, values, origins) for problem in error.errors())) from None
        self._origins = origins

    @classmethod
    def load(cls, **arguments: Any) -> Settings:
        """The settings in force. Arguments that are None were not given and leave the other tiers to decide."""
        return cls(**{name: value for name, value in arguments.items() if value is not None})

    @classmethod
    def settings_customise_sources(  # the signature is pydantic's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `_resolve` found, so that a value and its origin cannot disagree."""
        return (init_settings,)

    def origin(self, name: str) -> Tier:
        """The tier that decided the field called `name`."""
        return self._origins.get(name, "default")

    @field_validator("profile")
    @classmethod
    def _profile_exists(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"only the profile {', '.join(PROFILES)} is available in this version")
        return value

    @field_validator("end_date", mode="before")
    @classmethod
    def _empty_means_today(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("business_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (KeyError, ValueError, OSError):  # a missing zone, a path, a folder of the zone database
            raise ValueError("not a time zone; write one such as Europe/London") from None

    @field_validator("memory_limit")
    @classmethod
    def _memory_is_a_size(cls, value: str) -> str:
        if not _SIZE.fullmatch(value.strip()):
            raise ValueError("not a size; write one such as 500MB or 2GB")
        return value.strip()

    @field_validator("ui_url")
    @classmethod
    def _ui_is_an_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/@]+(/[^\s?#@]*)?", value):
            raise ValueError("not the address of a web page; write one such as http://127.0.0.1:3000")
        return value.rstrip("/")

    @field_validator("daily_close")
    @classmethod
    def _close_is_a_time_of_day(cls, value: str) -> str:
        if not _TIME_OF_DAY.fullmatch(value.strip()):
            raise ValueError("not a time of the day; write one such as 06:00")
        return value.strip()

    @field_validator("end_date")
    @classmethod
    def _end_is_not_before_start(cls, value: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get("start_date")
        if value is not None and start is not None and value < start:
            raise ValueError(f"before start_date, which is {start}")
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _endpoint_is_an_address(cls, value: str) -> str:
        if not value:
            return value
        _no_secret(value)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("not the address of a server; write one such as https://s3.example.com:9000")
        return value.rstrip("/")

    @field_validator("landing")
    @classmethod
    def _landing_is_not_made(cls, value: Path | S3Prefix, info: ValidationInfo) -> Path | S3Prefix:
        if isinstance(value, S3Prefix):
            return value
        data_dir = info.data.get("data_dir")
        made = [data_dir / name for name in _MADE] if data_dir is not None else []
        for folder in made:
            if value.is_relative_to(folder.resolve()):
                raise ValueError(f"inside {folder}, which the platform makes and may delete")
        return value

    @property
    def landing_folder(self) -> Path:
        """The landing, where it is a folder of this machine. PermanentError where it is not."""
        if isinstance(self.landing, S3Prefix):
            raise PermanentError(f"{self.landing} is no folder of this machine; choose one with DATAPLATFORM_LANDING")
        return self.landing

    @property
    def lake_dir(self) -> Path:
        return self.data_dir / "lake"

    @property
    def warehouse_dir(self) -> Path:
        return self.data_dir / "warehouse"

    @property
    def reports_dir(self) -> Path:
        return self.data_dir / "reports"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance's folder."""
        return self.data_dir / "dagster"

    @property
    def tmp_dir(self) -> Path:
        """Where engines spill; safe to delete while nothing runs."""
        return self.data_dir / "tmp"

    @property
    def tables_dir(self) -> Path:
        return self.tables

    @property
    def switched_off(self) -> frozenset[str]:
        """The sensors and schedules named in `automation_off`, as they are written there."""
        return frozenset(filter(None, (name.strip() for name in self.automation_off.split(","))))

    def now(self) -> datetime:
        """What time it is for the business: the machine's, or that of the world that is played."""
        if self.clock is None:
            return utc_now()
        try:
            return datetime.fromisoformat(self.clock.read_text(encoding="utf-8").strip()).astimezone(UTC)
        except (OSError, ValueError) as error:
            raise PermanentError(
                f"{PREFIX}CLOCK={self.clock}: holds no time such as 2011-12-09T12:00:00+00:00 ({error}); "
                "`dataplatform feed` writes it"
            ) from error

    def today(self, clock: Callable[[], datetime] | None = None) -> date:
        """The current day in the business's zone, by `clock` (which gives an aware datetime), else by `now`."""
        return (clock or self.now)().astimezone(ZoneInfo(self.business_zone)).date()

    def last_date(self, today: date | None = None) -> date:
        """The last business day there is, inclusive: `today`, or the end date when that has come."""
        today = today or self.today()
        return today if self.end_date is None else min(self.end_date, today)


def _resolve(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tier]]:
    """The value of each field that any tier sets, and which tier that is."""
    for unknown in arguments.keys() - Settings.model_fields.keys():
        raise UnknownNameError("setting", unknown, Settings.model_fields)
    tiers: dict[Tier, Mapping[str, Any]] = {
        "argument": arguments,
        "environment": _given(EnvSettingsSource(Settings)()),
        ".env": _given(DotEnvSettingsSource(Settings)()),
    }
    profile = next((tier["profile"] for tier in tiers.values() if "profile" in tier), "local")
    tiers["profile"] = PROFILES.get(str(profile), {})
    values: dict[str, Any] = {}
    origins: dict[str, Tier] = {}
    for tier, given in tiers.items():
        for name in given.keys() - values.keys():
            values[name], origins[name] = given[name], tier
    return values, origins


def _given(variables: Mapping[str, Any]) -> dict[str, Any]:
    """An empty variable was not given, except for the end date, where empty means today."""
    return {name: value for name, value in variables.items() if value != "" or name == "end_date"}


def _line(problem: Any, values: Mapping[str, Any], origins: Mapping[str, Tier]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    shown = _SECRET_IN_ADDRESS.sub("•••", str(values.get(name)))
    return f"{PREFIX}{name.upper()}={shown} ({origins.get(name, 'default')}): {message}"

"""Who is told: the file that `DATAPLATFORM_ALERTS` names, read and validated.

It holds no secret: addresses of webhooks, keys and passwords are named there by the environment variable that holds
them, and a file with anything else is refused. What the variables hold is read when something is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dataplatform.contracts.model import Severity
from dataplatform.errors import PermanentError
from dataplatform.operations.alerts.problem import RUNBOOK, Problem

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SECRETS = {"url": "url_env", "webhook": "url_env", "password": "password_env", "secret": "secret_env"}
"""Keys under which people would write a secret, and the key that belongs there."""
_LOOKS_SECRET = re.compile(r"(?i)^https?://|://[^\s/]*@")


class AlertSettingError(PermanentError):
    """The file of receivers is wrong: one line per problem, without a value that could be a secret."""

    exit_code = 2


def seconds(value: Any) -> float:
    """`90s`, `30m`, `24h` or `2d` as seconds."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a duration; write one such as 30m, 24h or 2d")
    return float(match[1]) * _SECONDS[match[2]]


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("not the name of an environment variable; the secret itself stands in the variable")
    return value


Variable = Annotated[str, AfterValidator(_variable)]
Duration = Annotated[float, BeforeValidator(seconds)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slack(_Strict):
    """A webhook that takes Slack's messages; Mattermost, Rocket.Chat and others do."""

    kind: Literal["slack"]
    url_env: Variable


class Webhook(_Strict):
    """A webhook that takes JSON, signed when a key is given."""

    kind: Literal["webhook"]
    url_env: Variable
    secret_env: Variable | None = None


class Mail(_Strict):
    """Mail through a server. `auto` encrypts when the server offers it, and never sends a password without."""

    kind: Literal["mail"]
    host: str
    port: int = Field(587, ge=1, le=65535)
    security: Literal["auto", "starttls", "tls", "none"] = "auto"
    user_env: Variable | None = None
    password_env: Variable | None = None
    ca_file: Path | None = None
    sender: str
    to: tuple[str, ...] = Field(min_length=1)


Receiver = Annotated[Slack | Webhook | Mail, Field(discriminator="kind")]


class Route(_Strict):
    """Who hears of an owner's problems; `severity: error` leaves the warnings out. `*` stands for any text."""

    owner: str
    to: tuple[str, ...] = Field(min_length=1)
    severity: Severity = Severity.WARNING

    def takes(self, found: Problem) -> bool:
        return self.severity is Severity.WARNING or found.severity is Severity.ERROR


class Limits(_Strict):
    """How often and when messages are sent."""

    messages_per_hour: int = Field(20, ge=1)
    remind_after: Duration = 86400.0
    stale_after: Duration = 7200.0
    """How long a slice may be stale, with nothing at work, before somebody is told."""


class _File(_Strict):
    receivers: dict[str, Receiver] = Field(min_length=1)
    routes: tuple[Route, ...] = ()
    default: tuple[str, ...] = Field(min_length=1)
    limits: Limits = Limits()
    runbook: str = RUNBOOK


@dataclass(frozen=True)
class AlertSetting:
    """Receivers by name, and the routes to them. Without a file there are none, and nobody is told."""

    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    default: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    runbook: str = RUNBOOK

    def receivers_of(self, found: Problem) -> tuple[str, ...]:
        """Whom a problem is told to: what the routes of its owner say; the default when no route names the owner.

        Never a receiver of its own unreachability.
        """
        routes = [route for route in self.routes if found.owner and fnmatchcase(found.owner, route.owner)]
        names = [name for route in routes if route.takes(found) for name in route.to] if routes else self.default
        return tuple(name for name in dict.fromkeys(names) if found.subject != subject_of(name))


def subject_of(receiver: str) -> str:
    """What a problem of the receiver itself is about."""
    return f"receiver {receiver}"


def load_alert_setting(path: Path | None) -> AlertSetting:
    """The file's receivers and routes; none when there is no file. Raises AlertSettingError, one line per problem."""
    if path is None:
        return AlertSetting()
    document = _parsed(path)
    problems = list(_inline_secrets(document, ""))
    if not problems:
        try:
            found = _File.model_validate(document)
        except ValidationError as error:
            problems = [_line(each) for each in error.errors(include_input=False, include_url=False)]
        else:
            problems = list(_unknown_names(found))
    if problems:
        raise AlertSettingError("\n".join(f"{path}: {line}" for line in dict.fromkeys(problems)))
    return AlertSetting(found.receivers, found.routes, found.default, found.limits, found.runbook)


def _parsed(path: Path) -> Any:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AlertSettingError(f"{path}: {error.strerror}; DATAPLATFORM_ALERTS names it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)  # the error's own text quotes the file
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise AlertSettingError(f"{path}: not YAML{where}; see the runbook's `Who is told`") from None
    if not isinstance(document, dict):
        raise AlertSettingError(f"{path}: holds no receivers; see the runbook's `Who is told`")
    return document


def _inline_secrets(node: Any, place: str) -> Iterator[str]:
    """Where a secret stands, or seems to. The values are not repeated."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{place}.{key}" if place else str(key)
            if str(key).lower() in _SECRETS:
                better = _SECRETS[str(key).lower()]
                yield f"{here}: a secret must not stand in the file; write {better}: and the name of a variable"
            elif here != "runbook":
                yield from _inline_secrets(value, here)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _inline_secrets(value, f"{place}[{number}]")
    elif isinstance(node, str) and _LOOKS_SECRET.search(node):
        yield f"{place}: an address that may hold a secret must not stand in the file; name a variable that holds it"


def _unknown_names(found: _File) -> Iterator[str]:
    named = [("default", found.default)]
    named += [(f"routes[{number}].to", route.to) for number, route in enumerate(found.routes)]
    for place, names in named:
        for name in names:
            if name not in found.receivers:
                yield f"{place}: no receiver called {name!r}; there are: {', '.join(found.receivers)}"
    for name, receiver in found.receivers.items():
        if isinstance(receiver, Mail) and (receiver.user_env is None) != (receiver.password_env is None):
            yield f"receivers.{name}: user_env and password_env belong together"


def _line(problem: Any) -> str:
    parts = [str(part) for part in problem["loc"]]
    if parts[0] == "receivers":  # pydantic names the kind it chose after the receiver
        del parts[2:3]
    place = ".".join(parts)
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"

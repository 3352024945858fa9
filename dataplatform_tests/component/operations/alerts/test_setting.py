"""The file of receivers: what it means, and one line for each mistake, without a value that could be a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataplatform.operations.alerts.problem import ABOUT, Kind, anchor, problem
from dataplatform.operations.alerts.setting import AlertSettingError, load_alert_setting
from dataplatform.settings import CHECKOUT

DOCUMENT = (CHECKOUT / "docs" / "alerts.md").read_text(encoding="utf-8")
HOOK = "receivers: {hook: {kind: slack, url_env: HOOK}}\ndefault: [hook]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "alerts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_of_the_document_is_a_good_file(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    setting = load_alert_setting(write(tmp_path, example))
    assert list(setting.receivers) == ["sales-slack", "pager", "sales-mail"]
    assert (setting.limits.remind_after, setting.limits.stale_after) == (86400, 7200)
    warned = problem(Kind.RULE_WARNED, "t", owner="sales-data@example.com")
    failed = problem(Kind.RULE_FAILED, "t", owner="sales-data@example.com")
    assert setting.receivers_of(warned) == ("sales-slack",)
    assert setting.receivers_of(failed) == ("sales-slack", "pager")
    assert setting.receivers_of(problem(Kind.DAEMON_DEAD, "daemon SENSOR")) == ("sales-mail",)


def test_the_document_names_every_kind_with_its_severity() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (error|warning) \|", DOCUMENT, flags=re.MULTILINE))
    assert rows == {kind.value: about.severity.value for kind, about in ABOUT.items()}


def test_the_runbook_has_the_entry_that_each_message_links_to() -> None:
    page = (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8")
    anchors = {anchor(heading) for heading in re.findall(r"^## (.+)$", page, flags=re.MULTILINE)}
    linked = {problem(kind, "x").anchor for kind in Kind} | {"who-is-told"}
    assert linked - anchors == set()


def test_without_a_file_nobody_is_told() -> None:
    setting = load_alert_setting(None)
    assert setting.receivers_of(problem(Kind.DAEMON_DEAD, "daemon SENSOR")) == ()


def test_a_receiver_is_not_told_that_it_cannot_be_reached(tmp_path: Path) -> None:
    setting = load_alert_setting(write(tmp_path, HOOK))
    assert setting.receivers_of(problem(Kind.RECEIVER_UNREACHABLE, "receiver hook")) == ()
    assert setting.receivers_of(problem(Kind.RECEIVER_UNREACHABLE, "receiver other")) == ("hook",)


PAGE = "https://hooks.slack.com/services/T0/B0/s3cr3t"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"receivers: {{hook: {{kind: slack, url: '{PAGE}'}}}}",
            "receivers.hook.url: a secret must not stand in the file; write url_env: and",
        ),
        (
            "receivers: {m: {kind: mail, password: s3cr3t}}",
            "receivers.m.password: a secret must not stand in the file; write password_env:",
        ),
        (
            f"receivers: {{hook: {{kind: slack, url_env: '{PAGE}'}}}}",
            "receivers.hook.url_env: an address that may hold a secret must not",
        ),
        (HOOK.replace("HOOK", "'s3cr3t-x y'"), "receivers.hook.url_env: not the name of an environment variable;"),
        (HOOK.replace("slack", "pigeon"), "receivers.hook: input tag 'pigeon'"),
        (HOOK.replace("[hook]", "[hok]"), "default: no receiver called 'hok'; there are: hook"),
        (HOOK + "routes: [{owner: a@b.c, to: [hok]}]", "routes[0].to: no receiver called 'hok'"),
        (HOOK + "limits: {remind_after: soon}", "limits.remind_after: not a duration; write one such as"),
        (HOOK + "color: red", "color: extra inputs are not permitted"),
        (HOOK.replace("default: [hook]", ""), "default: field required"),
        ("receivers: [s3cr3t", "not YAML at line 1"),
        ("- s3cr3t", "holds no receivers"),
    ],
)
def test_a_mistake_is_one_line_without_the_value(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(AlertSettingError) as caught:
        load_alert_setting(path)
    assert f"{path}: {line}" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AlertSettingError, match="No such file or directory; DATAPLATFORM_ALERTS names it"):
        load_alert_setting(tmp_path / "none.yaml")

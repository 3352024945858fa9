"""A bucket that gives no answer, is silent or refuses: how often it is asked, how long it takes, and what is said."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dataplatform.errors import SourceDownError, SourceRefusedError, TransientError
from dataplatform.settings import S3Prefix, Settings
from dataplatform.sources import s3
from dataplatform.sources.base import FileRefusedError
from dataplatform.sources.breaker import WINDOW, Breaker
from dataplatform.sources.files import Files
from dataplatform.sources.guarded import LONGEST_PAUSE, GuardedFiles
from dataplatform_tests.s3 import KEY, SECRET, Bucket
from dataplatform_tests.service.sources.conftest import files_of

NAMES = [f"sales/2011-01-{day:02}.csv" for day in range(1, 29)]


class Clock:
    """Tells a breaker the time, which goes on as always and may be moved on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(bucket: Bucket, tmp_path: Path, clock: Clock) -> Callable[[], Files]:
    """Gives the landing as a process has it: a client and a breaker of its own, on the file they all share."""
    bucket.put(dict.fromkeys(NAMES, b"x"))
    settings = Settings.load(data_dir=tmp_path / "data", **bucket.settings)
    assert isinstance(settings.landing, S3Prefix)
    place = settings.landing

    def made() -> Files:
        breaker = Breaker(tmp_path / "data" / "tmp" / "one.json", f"the landing {place}", clock=clock)
        return GuardedFiles(s3.S3Files(place, settings), breaker, pause=lambda _seconds: None)

    return made


def ask_for_all(files: Files) -> list[Exception]:
    """Asks for every file, as a range of partitions does, and gives the errors."""
    errors: list[Exception] = []
    for name in NAMES:
        try:
            files.read(name)
        except TransientError as error:
            errors.append(error)
    return errors


def test_a_stopped_server_is_asked_three_times_a_minute_by_three_processes_for_28_files(
    bucket: Bucket, process: Callable[[], Files], clock: Clock
) -> None:
    processes = [process() for _ in range(3)]
    bucket.server.stop()
    for files in processes:
        errors = ask_for_all(files)
        assert len(errors) == len(NAMES)
        assert isinstance(errors[-1], SourceDownError)
    assert len(bucket.gate.asked) == 3
    clock.ahead += WINDOW
    for files in processes:
        ask_for_all(files)
    assert len(bucket.gate.asked) == 6


def test_a_server_that_is_started_again_is_read_as_if_nothing_had_been(
    bucket: Bucket, process: Callable[[], Files], clock: Clock
) -> None:
    files, other = process(), process()
    assert ask_for_all(files) == []
    bucket.server.stop()
    clock.ahead += WINDOW  # the answers that came a moment ago prove nothing any more
    assert len(ask_for_all(files)) == len(NAMES)
    bucket.server.start()
    assert isinstance(ask_for_all(other)[0], SourceDownError), "nobody asks within the minute, though it is up again"
    clock.ahead += WINDOW
    assert ask_for_all(other) == ask_for_all(files) == []


def test_a_server_that_stops_while_it_is_read_is_asked_three_times_more(
    bucket: Bucket, process: Callable[[], Files]
) -> None:
    files = process()
    bucket.gate.shut_after = 10
    errors = ask_for_all(files)
    assert len(errors) == len(NAMES) - 10
    assert len(bucket.gate.asked) == 10 + 3


def test_one_answer_that_is_lost_costs_one_more_request(bucket: Bucket, process: Callable[[], Files]) -> None:
    files = process()
    bucket.gate.mode = "shut"

    def open_again(_seconds: float) -> None:
        bucket.gate.mode = "open"

    assert isinstance(files, GuardedFiles)
    files._pause = open_again
    assert files.read(NAMES[0]) == b"x"
    assert len(bucket.gate.asked) == 2


def test_a_server_that_takes_requests_and_is_silent_is_given_up_in_bounded_time(
    bucket: Bucket, process: Callable[[], Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SILENT_SECONDS", 0.5)
    bucket.gate.mode = "silent"
    started = time.monotonic()
    with pytest.raises(SourceDownError, match=r"\(no answer in time\)"):
        process().list("sales")
    assert len(ask_for_all(process())) == len(NAMES)
    assert time.monotonic() - started < 10
    assert len(bucket.gate.asked) == 3


def test_a_list_and_its_attempts_take_less_than_a_tick_of_a_sensor_may() -> None:
    """Pain 20: within a tick's 60 seconds: three silent attempts, and the longest pauses between them."""
    assert 3 * s3.SILENT_SECONDS + 2 * LONGEST_PAUSE < 60


def test_a_wait_for_a_silent_server_ends_with_ctrl_c(bucket: Bucket, process: Callable[[], Files]) -> None:
    bucket.gate.mode = "silent"
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        process().list("sales")
    assert time.monotonic() - started < s3.SILENT_SECONDS / 2


# an answer that is no


def refused(files: Files) -> str:
    with pytest.raises(SourceRefusedError) as caught:
        files.list("sales")
    cause: BaseException | None = caught.value
    while cause is not None:
        assert KEY not in str(cause)
        assert SECRET not in str(cause)
        cause = cause.__cause__
    return str(caught.value)


def test_refused_credentials_are_told_without_them_and_are_no_outage(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET[::-1])
    said = refused(files_of(bucket, tmp_path))
    assert said.startswith(
        "s3://deliveries/landing/sales cannot be listed: the credentials are refused (HTTP 403 SignatureDoesNotMatch); "
    )
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert len(bucket.gate.asked) == 1, "another try would be refused too"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert files_of(bucket, tmp_path).list("sales") == []


def test_an_unknown_key_is_refused_like_a_wrong_one(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    said = refused(files_of(bucket, tmp_path))
    assert "the credentials are refused" in said
    assert "AKIANOBODY" not in said


def test_a_machine_without_credentials_is_told_so(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")  # where a machine in the cloud finds its role
    assert "there are no credentials; set AWS_ACCESS_KEY_ID" in refused(files_of(bucket, tmp_path))


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket, tmp_path: Path) -> None:
    settings = {**bucket.settings, "landing": "s3://elsewhere/landing"}
    files = s3.S3Files(S3Prefix("elsewhere", "landing"), Settings.load(data_dir=tmp_path / "data", **settings))
    assert refused(files) == (
        "s3://elsewhere/landing/sales cannot be listed: there is no bucket elsewhere; set DATAPLATFORM_LANDING"
    )
    with pytest.raises(FileRefusedError):
        files.read("sales/x.csv")


def test_nothing_of_the_credentials_is_in_what_is_shown_of_the_landing(bucket: Bucket, tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "data", **bucket.settings)
    assert isinstance(settings.landing, S3Prefix)
    files = s3.S3Files(settings.landing, settings)
    shown = " ".join(map(repr, (settings, files, files._store)))
    assert KEY not in shown
    assert SECRET not in shown


def test_a_bucket_in_the_host_name_is_asked_there(tmp_path: Path) -> None:
    settings = Settings.load(
        data_dir=tmp_path, landing="s3://my-bucket/x", s3_endpoint="https://store.example", s3_path_style=False
    )
    assert isinstance(settings.landing, S3Prefix)
    assert s3.open_store(settings.landing, settings).config["endpoint"] == "https://my-bucket.store.example"

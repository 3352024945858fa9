"""Making the instance, and the services in the foreground, with Dagster's own processes."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from dataplatform.operations.serve import HOST
from dataplatform_tests import shop
from dataplatform_tests.command import call, options, start

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def ask(port: int, question: str) -> Any:
    """Dagster's answer to a GraphQL query, as soon as it answers."""
    patient = Retry(total=None, connect=200, read=20, backoff_factor=0.1, backoff_max=0.5, allowed_methods=None)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=patient))
        return session.post(f"http://{HOST}:{port}/graphql", json={"query": question}, timeout=60).json()["data"]


def processes_of(home: Path) -> list[psutil.Process]:
    """The running processes that were started on this instance."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it ended, or is not ours to look at
            if process.environ().get("DAGSTER_HOME") == str(home):
                found.append(process)
    return found


def addresses(processes: Iterable[psutil.Process]) -> set[str]:
    """Where they listen."""
    sockets = [each for process in processes for each in process.net_connections("inet")]
    return {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN}


def test_init_makes_the_instance_and_can_be_repeated(tmp_path: Path) -> None:
    shop.shop_tables(tmp_path)
    settings = shop.load(tmp_path).settings
    for _ in range(2):
        result = call(settings, "init")
        assert (result.exit_code, result.stdout) == (0, f"the instance is ready in {settings.dagster_home}\n")
    assert (settings.dagster_home / "dagster.yaml").exists()


def test_up_serves_the_settings_in_force_and_ctrl_c_leaves_nothing_running(tmp_path: Path, port: int) -> None:
    """Pain 18: without any sign-in, so it answers on this machine alone."""
    shop.shop_tables(tmp_path)
    settings = shop.load(tmp_path).settings
    process = start([*options(settings), "up", "--port", str(port)], tmp_path)
    try:
        (location,) = ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]
        assert location["name"] == "dataplatform"
        assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation", location
        assets = ask(port, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        assert ["cleaned", "orders"] in [asset["assetKey"]["path"] for asset in assets]
        processes = processes_of(settings.dagster_home)
        assert len(processes) >= 4
        assert addresses(processes) == {HOST}
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert output.startswith(f"the UI will answer at http://{HOST}:{port}; Ctrl-C stops everything\n")
    assert output.endswith("everything is stopped\n")
    assert processes_of(settings.dagster_home) == []


def test_a_taken_port_is_refused_in_one_line(tmp_path: Path) -> None:
    shop.shop_tables(tmp_path)
    settings = shop.load(tmp_path).settings
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        result = call(settings, "up", "--port", str(number))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"port {number} cannot be used: Address already in use; choose another with --port\n"

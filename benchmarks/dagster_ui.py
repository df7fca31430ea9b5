"""The UI of a home, started as an operator starts it, and asked by GraphQL as its pages ask it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
RUNS = (
    "{ runsOrError(limit: 1000) { ... on Runs { results { runId jobName status creationTime startTime endTime } } } }"
)
UNFINISHED = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}
LONGEST_START_SECONDS = 900


class DagsterUi:
    """What a person does in the browser."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer.

        Raises:
            RuntimeError: if the answer has errors.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address, data=body, headers=headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            told = json.load(answer)
        if told.get("errors"):
            raise RuntimeError(told["errors"][0]["message"])
        data: dict[str, Any] = told["data"]
        return data

    def launch(self, job: str, *, night: date | None = None, asset: str | None = None) -> str:
        """Start a job for a night, or one asset (job `__ASSET_JOB`); the run's id.

        Raises:
            RuntimeError: if Dagster does not take it.
        """
        selector: dict[str, Any] = {
            "repositoryLocationName": "ecom_pipeline.definitions",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if asset is not None:
            selector |= {"assetSelection": [{"path": [asset]}], "assetCheckSelection": []}
        tags = [] if night is None else [{"key": "dagster/partition", "value": night.isoformat()}]
        params = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
        answer = self.ask(LAUNCH, params=params)["launchPipelineExecution"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"{job} was not started: {answer}")
        return str(answer["run"]["runId"])

    def runs(self) -> dict[str, dict[str, Any]]:
        """All runs by their ids."""
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}


@contextmanager
def ui_of(home: Path, log: Path) -> Iterator[DagsterUi]:
    """`ecom-pipeline ui` of the home, daemon and all, until the block ends.

    Raises:
        RuntimeError: if it does not answer in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ecom_pipeline", "ui", "--home", str(home), "--port", str(port)],
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ui = DagsterUi(port)
        started = time.monotonic()
        while True:
            try:
                ui.ask("{ version }")
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if process.poll() is not None or time.monotonic() - started > LONGEST_START_SECONDS:
                    raise RuntimeError(f"the UI does not answer; see {log}") from None
                time.sleep(1)
        yield ui
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

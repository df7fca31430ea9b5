"""Alerts against a local server that is well, slow, down, or answers 500; and the log of steps."""

import json
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ecom_pipeline.operations import alerts
from ecom_pipeline.operations.alerts import Alert, alert_of, send
from ecom_pipeline.operations.step_log import log_step
from ecom_pipeline.orchestration.alerting import alert_sensors, failed_before, newly_wrong_trainings
from ecom_pipeline.orchestration.questions import TRAININGS
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.operations.conftest import SECRET, Server


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """The port of a server that answers everybody with some bytes and hangs up; or, with None, says nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopped = threading.Event()

        def serve() -> None:
            while True:
                connection, _ = listening.accept()
                with connection:
                    if stopped.is_set():
                        return
                    connection.settimeout(0.1)  # a mail client waits to be greeted
                    with suppress(OSError):
                        connection.recv(65_536)
                    with suppress(OSError):
                        connection.sendall(answer or b"")

        thread = threading.Thread(target=serve)
        if answer is not None:  # otherwise nobody takes up what the system has accepted
            thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            if answer is not None:
                socket.create_connection(listening.getsockname()).close()
                thread.join()


def an_alert(home: Home, message: str = "core: the disk is full") -> Alert:
    return alert_of("failure", home, job="nightly", night="2024-01-05", run_id="r1", message=message)


def test_an_alert_is_what_slack_takes_with_the_facts_beside_it(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "shop")
    assert send(home, an_alert(home)) == ()
    (got,) = server.got
    assert got["text"] == "shop: nightly for the night 2024-01-05 failed. core: the disk is full"
    assert (got["kind"], got["job"], got["night"], got["run_id"]) == ("failure", "nightly", "2024-01-05", "r1")


def test_a_server_that_answers_500_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.answers = [500, 503]
    home = Home(tmp_path)
    assert send(home, an_alert(home)) == ()
    assert len(server.got) == 1


@pytest.mark.parametrize("answers", [[500] * 3, [404], [429] * 3])
def test_what_cannot_be_delivered_waits_and_goes_out_first(server: Server, tmp_path: Path, answers: list[int]) -> None:
    server.answers = list(answers)
    home = Home(tmp_path)
    (error,) = send(home, an_alert(home, "first"))
    assert str(answers[0]) in error
    assert SECRET not in error
    assert send(home, an_alert(home, "second")) == ()
    assert [got["message"] for got in server.got] == ["first", "second"]
    assert list((tmp_path / "logs").iterdir()) == []


def test_a_slow_server_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", 0.1)
    server.pause = 0.4
    home = Home(tmp_path)
    began = time.monotonic()
    (error,) = send(home, an_alert(home))
    assert time.monotonic() - began < 2
    assert "could not be reached" in error
    assert SECRET not in error


@pytest.mark.parametrize(
    "url",
    [f"http://127.0.0.1:9/{SECRET}", f"http://127.0.0.1:9/a b {SECRET}", f"file:///etc/{SECRET}", f"{SECRET}"],
)
def test_a_server_that_is_down_or_no_server_harms_nothing_and_is_not_shown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(alerts.URL_VARIABLE, url)
    home = Home(tmp_path)
    (error,) = send(home, an_alert(home))
    assert SECRET not in error
    assert SECRET not in (tmp_path / "logs" / "alerts-waiting.jsonl").read_text()


@pytest.mark.parametrize("answer", [b"", b"this is no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000])
def test_a_server_that_answers_nonsense_harms_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with listener(answer) as port:
        monkeypatch.setenv(alerts.URL_VARIABLE, f"http://127.0.0.1:{port}/{SECRET}")
        home = Home(tmp_path)
        (error,) = send(home, an_alert(home, "first"))
        assert "could not be reached" in error
        assert SECRET not in error
    monkeypatch.setenv(alerts.URL_VARIABLE, server.url)
    assert send(home, an_alert(home, "second")) == ()
    assert [got["message"] for got in server.got] == ["first", "second"]


@pytest.mark.parametrize("mail_server", ["down", "slow", "nonsense"])
def test_a_mail_server_that_cannot_be_reached_holds_up_no_webhook_and_nothing_is_told_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail_server: str
) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv(alerts.EMAIL_VARIABLE, "ops@example.org")
    home = Home(tmp_path)
    with listener({"slow": None, "nonsense": b"this is no SMTP\r\n"}.get(mail_server)) as port:
        monkeypatch.setenv(alerts.SMTP_VARIABLE, f"127.0.0.1:{9 if mail_server == 'down' else port}")
        for message in ("first", "second"):
            (error,) = send(home, an_alert(home, message))
            assert error.startswith("the alert's mail server could not be reached")
            assert "example" not in error
    assert [got["message"] for got in server.got] == ["first", "second"]
    sent: list[str] = []
    monkeypatch.setattr(alerts, "_mail", lambda address, alert: sent.append(alert.message))
    assert send(home, an_alert(home, "third")) == ()
    assert sent == ["first", "second", "third"]
    assert [got["message"] for got in server.got] == ["first", "second", "third"]


def test_alerts_of_two_runs_that_fail_at_once_both_wait(server: Server, tmp_path: Path) -> None:
    server.answers, server.pause = [404, 404], 0.2
    home = Home(tmp_path)
    with ThreadPoolExecutor(2) as both:
        told = list(both.map(lambda message: send(home, an_alert(home, message)), ["one", "another"]))
    assert [len(errors) for errors in told] == [1, 1]
    server.pause = 0.0
    assert send(home, an_alert(home, "last")) == ()
    assert sorted(got["message"] for got in server.got) == ["another", "last", "one"]


def test_alerts_that_an_older_version_kept_go_out(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "logs").mkdir()
    kept = tmp_path / "logs" / "alerts-waiting.jsonl"
    kept.write_text(json.dumps(asdict(an_alert(home, "first"))) + "\n")
    assert send(home, an_alert(home, "second")) == ()
    assert [got["message"] for got in server.got] == ["first", "second"]
    assert not kept.exists()


def test_an_alert_that_cannot_even_be_kept_harms_nothing(server: Server, tmp_path: Path) -> None:
    server.answers = [404]
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (home.root / "logs").write_text("a file where the folder should be")
    told = send(home, an_alert(home))
    assert len(told) == 2
    assert "404" in told[0]
    assert "could not be kept" in told[1]


def test_mail_goes_out_with_the_alert_in_its_subject(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    class Mail:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            assert (host, port) == ("mail.example", 2525)

        def __enter__(self) -> "Mail":
            return self

        def __exit__(self, *error: object) -> None:
            return None

        def send_message(self, message: object) -> None:
            sent.append(message)

    monkeypatch.setattr(smtplib, "SMTP", Mail)
    monkeypatch.delenv(alerts.URL_VARIABLE)
    monkeypatch.setenv(alerts.EMAIL_VARIABLE, "ops@example.org")
    monkeypatch.setenv(alerts.SMTP_VARIABLE, "mail.example:2525")
    home = Home(tmp_path / "shop")
    assert send(home, an_alert(home)) == ()
    assert "shop: nightly failure" in str(sent[0]["Subject"])


def test_nobody_to_tell_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(alerts.URL_VARIABLE, raising=False)
    monkeypatch.delenv(alerts.EMAIL_VARIABLE, raising=False)
    home = Home(tmp_path)
    assert send(home, an_alert(home)) == ()
    assert list(tmp_path.iterdir()) == []


def test_the_sensors_tell_of_a_failure_and_of_the_first_success_after_it(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "shop")
    fails = True

    @dg.op
    def work() -> None:
        if fails:
            raise RuntimeError("the disk is full")

    @dg.job
    def nightly() -> None:
        work()

    failure, recovery, _ = alert_sensors(home, default_status=dg.DefaultSensorStatus.RUNNING)
    with dg.DagsterInstance.ephemeral() as instance:
        failed = nightly.execute_in_process(instance=instance, raise_on_error=False)
        assert isinstance(failure, dg.RunStatusSensorDefinition)
        assert isinstance(recovery, dg.RunStatusSensorDefinition)
        event = failed.get_run_failure_event()
        failure(
            dg.build_run_status_sensor_context("failure_alert", event, instance, failed.dagster_run).for_run_failure()
        )
        fails = False
        well = nightly.execute_in_process(instance=instance)
        recovery(
            dg.build_run_status_sensor_context(
                "recovery_alert", well.get_run_success_event(), instance, well.dagster_run
            )
        )
        again = nightly.execute_in_process(instance=instance)
        assert not failed_before(instance, again.dagster_run)
    assert [(got["kind"], got["job"]) for got in server.got] == [("failure", "nightly"), ("recovery", "nightly")]


def test_a_training_that_goes_wrong_is_told_once_and_again_when_something_else_goes_wrong(
    server: Server, tmp_path: Path
) -> None:
    home = Home(tmp_path / "shop")
    observed = ""

    @dg.asset
    def model_versions() -> None:
        """Of a night."""

    @dg.asset_check(asset=model_versions, name=TRAININGS)
    def trainings() -> dg.AssetCheckResult:
        passed = not observed
        return dg.AssetCheckResult(
            passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata={"observed": observed or "fine"}
        )

    definitions = dg.Definitions(
        assets=[model_versions], asset_checks=[trainings], jobs=[dg.define_asset_job("nightly", selection="*")]
    )
    _, _, training = alert_sensors(home, default_status=dg.DefaultSensorStatus.RUNNING)
    assert isinstance(training, dg.RunStatusSensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        for night, observed in enumerate(  # noqa: B007 - the check reads it
            ("", "next_item 2024-01-02: diverged", "next_item 2024-01-03: diverged", "next_item: no rows", "")
        ):
            run = definitions.resolve_job_def("nightly").execute_in_process(instance=instance)
            event = run.get_run_success_event()
            training(dg.build_run_status_sensor_context("training_alert", event, instance, run.dagster_run))
            assert bool(newly_wrong_trainings(instance, run.dagster_run)) == (night in (1, 3))
    assert [(got["kind"], got["message"]) for got in server.got] == [
        ("warning", "next_item 2024-01-02: diverged"),
        ("warning", "next_item: no rows"),
    ]
    assert server.got[0]["text"] == "shop: nightly was published, with a warning: next_item 2024-01-02: diverged"


def test_a_failed_step_is_logged_with_the_first_line_of_its_error(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log_step(home, "failed", run_id="r", as_of=None, asset="core", seconds=1.5, error=ValueError("bad\nmore"))
    (file,) = (tmp_path / "logs").iterdir()
    line = json.loads(file.read_text())
    assert (line["level"], line["error"], line["asset"]) == ("error", "ValueError: bad", "core")
    assert file.stat().st_mode & 0o077 == 0

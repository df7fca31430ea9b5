"""Alerts: a message to a webhook that takes what Slack takes, to an e-mail address, or to both.

Addresses are secrets and come from the environment; no message, log or error shows them. An alert that cannot be
delivered never harms a run: it waits in a file and goes out before the next one.

    ECOM_PIPELINE_ALERT_URL        webhook: Slack, Mattermost, Teams workflows, or anything that takes JSON by POST
    ECOM_PIPELINE_ALERT_EMAIL      address that gets a mail
    ECOM_PIPELINE_SMTP             host:port of the mail server; default localhost:25
    ECOM_PIPELINE_SMTP_USER, ECOM_PIPELINE_SMTP_PASSWORD   if it asks for them (then over STARTTLS)
"""

import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ecom_pipeline.settings import Home

Kind = Literal["failure", "recovery", "warning"]
_SAID: dict[Kind, str] = {
    "failure": "failed.",
    "recovery": "is well again.",
    "warning": "was published, with a warning:",
}
URL_VARIABLE = "ECOM_PIPELINE_ALERT_URL"
EMAIL_VARIABLE = "ECOM_PIPELINE_ALERT_EMAIL"
SMTP_VARIABLE = "ECOM_PIPELINE_SMTP"
TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 3.0)
"""Before the second and the third try."""
MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told of one run."""

    kind: Kind
    shop: str
    job: str
    night: str | None
    run_id: str
    message: str
    at: str

    @property
    def text(self) -> str:
        """One line for people."""
        night = f" for the night {self.night}" if self.night is not None else ""
        return f"{self.shop}: {self.job}{night} {_SAID[self.kind]} {self.message}".strip()


def alert_of(kind: Kind, home: Home, *, job: str, night: str | None, run_id: str, message: str) -> Alert:
    """An alert of now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Alert(kind, home.root.name, job, night, run_id, message, at)


def is_wanted() -> bool:
    """Whether the environment names anybody to be told."""
    return bool(os.environ.get(URL_VARIABLE) or os.environ.get(EMAIL_VARIABLE))


def send(home: Home, alert: Alert) -> tuple[str, ...]:
    """Deliver what waited and then the alert; the errors, without addresses. Undelivered alerts wait for the next."""
    if not is_wanted():
        return ()
    waiting = [*_waiting(home), alert]
    errors: list[str] = []
    while waiting and not (errors := _deliver(waiting[0])):
        waiting.pop(0)
    _keep(home, waiting[-MOST_WAITING:])
    return tuple(errors)


def _deliver(alert: Alert) -> list[str]:
    errors = []
    if url := os.environ.get(URL_VARIABLE):
        errors += _tried(lambda: _post(url, alert), "the alert's webhook")
    if address := os.environ.get(EMAIL_VARIABLE):
        errors += _tried(lambda: _mail(address, alert), "the alert's mail server")
    return errors


def _tried(deliver: Callable[[], None], what: str) -> list[str]:
    reason = ""
    for pause in (0.0, *PAUSES_SECONDS):
        time.sleep(pause)
        try:
            deliver()
        except urllib.error.HTTPError as error:
            reason = f"answered {error.code}"
            if HTTPStatus.BAD_REQUEST <= error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code != 429:
                break  # another try would get the same answer
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # the class alone: messages may hold the address
            reason = f"could not be reached ({type(error).__name__})"
        else:
            return []
    return [f"{what} {reason}"]


def _post(url: str, alert: Alert) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("the webhook is no http or https address")
    request = urllib.request.Request(  # noqa: S310 - checked above
        url,
        data=json.dumps({"text": alert.text, **asdict(alert)}).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "ecom-pipeline"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
        answer.read(1)


def _mail(address: str, alert: Alert) -> None:
    host, _, port = os.environ.get(SMTP_VARIABLE, "localhost:25").partition(":")
    message = EmailMessage()
    message["Subject"] = f"[ecom-pipeline] {alert.shop}: {alert.job} {alert.kind}"
    message["From"] = os.environ.get(f"{SMTP_VARIABLE}_FROM", f"ecom-pipeline@{alert.shop}.localdomain")
    message["To"] = address
    message.set_content(f"{alert.text}\n\nrun {alert.run_id}, {alert.at}\n")
    with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT_SECONDS) as server:
        user = os.environ.get(f"{SMTP_VARIABLE}_USER")
        if user:
            server.starttls(context=ssl.create_default_context())
            server.login(user, os.environ.get(f"{SMTP_VARIABLE}_PASSWORD", ""))
        server.send_message(message)


def _spool(home: Home) -> Path:
    return home.root / "logs" / "alerts-waiting.jsonl"


def _waiting(home: Home) -> list[Alert]:
    file = _spool(home)
    if not file.exists():
        return []
    return [Alert(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines() if line]


def _keep(home: Home, alerts: list[Alert]) -> None:
    file = _spool(home)
    if not alerts:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    incoming = file.with_name(f".{file.name}.{os.getpid()}")
    incoming.write_text("".join(json.dumps(asdict(alert)) + "\n" for alert in alerts), encoding="utf-8")
    incoming.replace(file)

"""Alerts: a message to a webhook that takes what Slack takes, to an e-mail address, or to both.

Addresses are secrets and come from the environment; no message, log or error shows them. An alert that cannot be
delivered never harms a run: it waits in a file and goes out before the next one.

    ECOM_PIPELINE_ALERT_URL        webhook: Slack, Mattermost, Teams workflows, or anything that takes JSON by POST
    ECOM_PIPELINE_ALERT_EMAIL      address that gets a mail
    ECOM_PIPELINE_SMTP             host:port of the mail server; default localhost:25
    ECOM_PIPELINE_SMTP_USER, ECOM_PIPELINE_SMTP_PASSWORD   if it asks for them (then over STARTTLS)
"""

import fcntl
import http.client
import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ecom_pipeline.settings import Home

Channel = Literal["webhook", "mail server"]
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


@dataclass(frozen=True, slots=True)
class _Owed:
    """An alert that waits for a channel to be reached; None stands for both."""

    alert: Alert
    channel: Channel | None


def alert_of(kind: Kind, home: Home, *, job: str, night: str | None, run_id: str, message: str) -> Alert:
    """An alert of now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Alert(kind, home.root.name, job, night, run_id, message, at)


def is_wanted() -> bool:
    """Whether the environment names anybody to be told."""
    return bool(os.environ.get(URL_VARIABLE) or os.environ.get(EMAIL_VARIABLE))


def send(home: Home, alert: Alert) -> tuple[str, ...]:
    """Deliver what waited and then the alert; the errors, without addresses. Undelivered alerts wait for the next.

    Webhook and mail server wait each for itself: one that is down holds up nothing of the other.
    """
    if not is_wanted():
        return ()
    with _one_at_a_time(home):
        waiting = _waiting(home)
        left: list[_Owed] = []
        errors: list[str] = []
        channels: tuple[Channel, ...] = ("webhook", "mail server")
        for channel in channels:
            deliver = _delivery(channel)
            owed = [one for one in waiting if one.channel == channel or (one.channel is None and deliver is not None)]
            if deliver is not None:
                owed.append(_Owed(alert, channel))
                error = None
                while owed and (error := _tried(partial(deliver, owed[0].alert), f"the alert's {channel}")) is None:
                    owed.pop(0)
                errors += [error] if error is not None else []
            left += [replace(one, channel=channel) for one in owed[-MOST_WAITING:]]
        try:
            _keep(home, left)
        except OSError as unkept:
            errors.append(f"what waits could not be kept ({unkept.strerror})")
    return tuple(errors)


@contextmanager
def _one_at_a_time(home: Home) -> Iterator[None]:
    """Of two runs that tell at once one waits: else both would send what waits, and one would forget the other's."""
    try:
        _spool(home).parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(_spool(home).parent, os.O_RDONLY)
    except OSError:  # nothing can wait where there is no folder
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _delivery(channel: Channel) -> Callable[[Alert], None] | None:
    """What sends an alert there; None if the environment names no such address."""
    if channel == "webhook":
        url = os.environ.get(URL_VARIABLE)
        return partial(_post, url) if url else None
    address = os.environ.get(EMAIL_VARIABLE)
    return partial(_mail, address) if address else None


def _tried(deliver: Callable[[], None], what: str) -> str | None:
    """Why it could not be delivered, None if it was."""
    reason = ""
    for pause in (0.0, *PAUSES_SECONDS):
        time.sleep(pause)
        try:
            deliver()
        except urllib.error.HTTPError as error:
            reason = f"answered {error.code}"
            if HTTPStatus.BAD_REQUEST <= error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code != 429:
                break  # another try would get the same answer
        except (OSError, http.client.HTTPException, smtplib.SMTPException, ValueError) as error:
            # the class alone: messages may hold the address
            reason = f"could not be reached ({type(error).__name__})"
        else:
            return None
    return f"{what} {reason}"


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


def _waiting(home: Home) -> list[_Owed]:
    file = _spool(home)
    if not file.exists():
        return []
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    # lines of older versions name no channel: they wait for both
    return [_Owed(channel=line.pop("channel", None), alert=Alert(**line)) for line in kept]


def _keep(home: Home, left: list[_Owed]) -> None:
    file = _spool(home)
    if not left:
        file.unlink(missing_ok=True)
        return
    incoming = file.with_name(f".{file.name}.{os.getpid()}")
    lines = [json.dumps({"channel": one.channel, **asdict(one.alert)}) + "\n" for one in left]
    incoming.write_text("".join(lines), encoding="utf-8")
    incoming.replace(file)

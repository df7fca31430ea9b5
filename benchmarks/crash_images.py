"""Moments of nights that are stopped and copied instead of killed: `python -m benchmarks.crashes --images`.

What SIGKILL leaves is what the kernel has of the files, no more. A night that is stopped (SIGSTOP) has left the same,
so a copy of its home is what a kill would have left, and the night can go on to its next step.
"""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.crashes import (
    AFTER_LAST,
    BEFORE_FIRST,
    FORK,
    Moment,
    after_the_next_night,
    in_child,
    told_night,
    what_is_left,
)
from ecom_pipeline.settings import Home


def images_of_nights(
    work: Path, plan: dict[str, Any], *, moments: int, seed: int, every: int, minutes: float | None
) -> list[dict[str, Any]]:
    """So many moments, of one night after the other; each is kept as soon as it is judged."""
    journal = work / "images.jsonl"
    done = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    while len(done) < moments and (ends is None or time.monotonic() < ends):
        for moment in _images_of_night(work, plan, first=len(done), seed=seed, every=every):
            done.append(asdict(moment))
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
            verdict = "; ".join(moment.lost) or "nothing lost"
            again = ", the night again" if moment.compared else ""
            print(f"{len(done):4d}  {moment.step:28s} {moment.published:8s} {verdict}{again}", flush=True)
            if len(done) == moments or (ends is not None and time.monotonic() > ends):
                break
    return done


def _images_of_night(work: Path, plan: dict[str, Any], *, first: int, seed: int, every: int) -> Iterator[Moment]:
    """Run the night on a copy of the base; stop it once in each step, and look at what lies on the disk."""
    home, image, night = Home(work / "stopped"), Home(work / "image"), date.fromisoformat(plan["night"])
    shutil.rmtree(home.root, ignore_errors=True)
    shutil.copytree(work / "base", home.root)
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=told_night, args=(home.root, night, theirs))
    child.start()
    theirs.close()
    number, steps = first, {BEFORE_FIRST: 0.5, **plan["steps"], AFTER_LAST: 0.3}
    try:
        while True:
            _, step = ours.recv()
            share = random.Random(f"{seed}/{number}").random()  # noqa: S311 - a moment is no secret
            child.join(share * steps[step])
            if child.pid is None or not _stopped(child.pid):
                break
            began = time.monotonic()
            shutil.rmtree(image.root, ignore_errors=True)
            shutil.copytree(home.root, image.root)
            lost, published = in_child(what_is_left, image.root, plan)
            if is_compared := number % every == every - 1:
                lost += after_the_next_night(image, night, plan)
            if lost:
                shutil.copytree(image.root, work / f"lost-image-{number}", dirs_exist_ok=True)
            os.kill(child.pid, signal.SIGCONT)
            seconds = round(time.monotonic() - began, 1)
            yield Moment(number, step, round(share, 3), True, published, is_compared, tuple(lost), seconds)
            number += 1
    except EOFError:
        return  # the night has ended
    finally:
        child.kill()
        child.join()
        ours.close()


def _stopped(pid: int) -> bool:
    """Stop the process, all its threads; False if it has ended before."""
    os.kill(pid, signal.SIGSTOP)
    found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if found is None or found.si_code != os.CLD_STOPPED:
        return False
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)  # so that the next stop is not taken for this one
    return True

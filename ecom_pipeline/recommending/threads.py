"""Blocks of users worked on by several threads.

What belongs here: how many threads there are, and their results in order. NumPy, SciPy and TensorFlow let other threads
run while they count, so that threads do what processes would, and share the model.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

MOST_THREADS = 16  # each holds the scores of a block, which for large catalogues are some hundred MB


def threads() -> int:
    """As many as there are processors for this process, or as OMP_NUM_THREADS says, by which a Spark worker or a busy
    machine keeps numerical libraries to their share."""
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(told) if told.isdigit() else allowed, MOST_THREADS))


def in_order(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """`work` of each part, in the order of the parts, which are taken up only as their turn comes near.

    An error in a part is raised where its result would stand; parts that nobody waits for any more are not begun.
    """
    n = threads()
    if n == 1:
        yield from map(work, parts)
        return
    pool = ThreadPoolExecutor(n, thread_name_prefix="block")
    begun: deque[Future[Result]] = deque()
    try:
        for part in parts:
            begun.append(pool.submit(work, part))
            if len(begun) > n:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

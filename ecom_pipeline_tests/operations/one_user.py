"""A night of a shop in which one user, a robot say, makes a million events: what it costs beside the shop without him.

python -m ecom_pipeline_tests.operations.one_user --events 1000000
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from ecom_pipeline_tests.operations.odd_shops import BROWSE_HEADER, ask, at, land, night, open_home, trade

DAYS = 30


def main() -> None:
    """Run the night and print rows, seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--model", default="gru", help="the setting next_item_model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = open_home(Path(scratch) / "home", next_item_model=arguments.model, next_item_time_budget_seconds=20)
        land(home, "usual", trade(0, DAYS))
        with (home.landing / "browse" / "robot.csv").open("w", encoding="utf-8") as file:
            file.write(BROWSE_HEADER)
            a_day = -(-arguments.events // DAYS)
            for n in range(arguments.events):
                second = n % a_day * 80_000 // a_day
                file.write(f"robot,item{n % 6},view,{at(n // a_day, 4, second // 60).replace(second=second % 60)}\n")
        began, used = time.monotonic(), time.process_time()
        night(home, DAYS)
        seconds, used = time.monotonic() - began, time.process_time() - used
        ((events, users),) = ask(
            home, "SELECT count(*) FILTER (WHERE user_id = 'robot'), count(DISTINCT user_id) FROM user_events"
        )
        ((listed,),) = ask(home, "SELECT count(DISTINCT user_id) FROM recommendations")
        slowest = ask(home, "SELECT step, round(seconds, 1) FROM runs ORDER BY seconds DESC LIMIT 5")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform != "darwin" else 1024**3)
    print(f"events of one user: {events:,}; users: {users}; users with recommendations: {listed}")
    print(f"the night: {seconds:.0f} s, of the processor {used:.0f} s; peak memory {peak:.2f} GiB")
    print("slowest steps: " + ", ".join(f"{step} {taken} s" for step, taken in slowest))


if __name__ == "__main__":
    main()

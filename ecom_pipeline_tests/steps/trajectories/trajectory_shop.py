"""A shop whose visits tests write by hand, and the queries that several of them ask."""

from typing import Any

from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline_tests.steps.core_rows import CoreRows, day, moment

SESSIONS = """
SELECT sessions, sessions_with_view, sessions_with_cart, sessions_with_purchase, sessions_view_then_cart,
       sessions_view_then_purchase
FROM funnel_daily
"""


class TrajectoryShop(CoreRows):
    """Builds the features and the trajectory tables of a night."""

    def trajectories(self, n: int, **settings: Any) -> None:
        self.build(n, **settings)
        chosen = self.settings.model_copy(update=settings)
        for table_name in TRAJECTORY_ORDER:
            build_trajectory(self.warehouse, table_name, profile=self.profile, settings=chosen, as_of=day(n))

    def visit(self, n: int, *events: str, user: str = "u1", hour: int = 12, **more: Any) -> None:
        """A session of one event a minute, each written as 'event' or 'event item'."""
        for minute, text in enumerate(events):
            event, _, item = text.partition(" ")
            self.event(n, item or "a", event, user_id=user, at=moment(n, hour, minute), **more)

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(sql)

"""Recency, frequency, value, and the segments that follow."""

from ecom_pipeline.contracts.trajectories import RFM_SEGMENTS
from ecom_pipeline_tests.steps.core_rows import day
from ecom_pipeline_tests.steps.trajectories.trajectory_shop import TrajectoryShop


def buy(shop: TrajectoryShop, user: str, *days: int, price: float | None = 10.0) -> None:
    for n in days:
        shop.event(n, "a", "purchase", user_id=user, price=price)


def test_recency_frequency_and_value_are_those_of_the_purchases_net_of_returns(shop: TrajectoryShop) -> None:
    shop.event(0, "a", "purchase", price=10.0, quantity=3.0)
    shop.event(0, "b", "purchase", price=1.0)
    shop.event(4, "a", "purchase", price=8.0)
    shop.event(6, "a", "return", price=10.0, quantity=2.0)
    shop.visit(9, "view")
    shop.visit(9, "view", "cart", user="never bought")
    shop.event(9, "a", "return", user_id="bought before the data begins", price=10.0)
    shop.trajectories(10)
    rows = shop.select(
        "SELECT user_id, first_purchase, last_purchase, recency_days, frequency, units, monetary FROM user_rfm"
    )
    assert rows == [("u1", day(0), day(4), 6, 2, 3.0, 19.0)]


def test_scores_are_fifths_of_the_buyers_and_equal_figures_score_alike(shop: TrajectoryShop) -> None:
    for n in range(10):
        buy(shop, f"u{n}", n, price=10.0 + n)
    buy(shop, "u9", 3, 4)
    shop.trajectories(9)
    rows = shop.select("SELECT user_id, recency_score, frequency_score, monetary_score FROM user_rfm ORDER BY user_id")
    assert rows == [(f"u{n}", n // 2 + 1, 5 if n == 9 else 1, n // 2 + 1) for n in range(10)]


def test_without_prices_there_is_no_monetary_score(shop: TrajectoryShop) -> None:
    buy(shop, "u1", 0, price=None)
    shop.trajectories(3)
    rows = shop.select("SELECT recency_days, monetary, monetary_score, recency_score, segment FROM user_rfm")
    assert rows == [(3, None, None, 5, "new customers")]
    assert shop.select("SELECT users, monetary, monetary_share FROM rfm_segment_sizes WHERE users > 0") == [
        (1, None, None)
    ]


def test_segments_follow_from_recency_and_frequency(shop: TrajectoryShop) -> None:
    # 25 buyers, one for each pair of scores: five last days, and one to five days of purchases.
    for recency in range(5):
        for frequency in range(5):
            buy(shop, f"r{recency + 1} f{frequency + 1}", *(10 * recency + 60 - n for n in range(frequency + 1)))
    shop.trajectories(100)
    rows = shop.select("SELECT user_id, recency_score, frequency_score, segment FROM user_rfm ORDER BY user_id")
    assert all(user == f"r{recency} f{frequency}" for user, recency, frequency, _ in rows)
    segments = {user: segment for user, _, _, segment in rows}
    expected = {
        "r1": ["hibernating", "hibernating", "at risk", "at risk", "cannot lose them"],
        "r2": ["hibernating", "hibernating", "at risk", "at risk", "cannot lose them"],
        "r3": ["about to sleep", "about to sleep", "need attention", "loyal", "loyal"],
        "r4": ["promising", "potential loyalists", "potential loyalists", "loyal", "loyal"],
        "r5": ["new customers", "potential loyalists", "potential loyalists", "champions", "champions"],
    }
    assert segments == {f"{r} f{f + 1}": name for r, names in expected.items() for f, name in enumerate(names)}


def test_the_sizes_of_all_segments_are_kept_night_by_night(shop: TrajectoryShop) -> None:
    buy(shop, "u1", 0)
    shop.trajectories(0)
    buy(shop, "u2", 1, price=30.0)
    shop.trajectories(1)
    rows = shop.select(
        "SELECT as_of, segment, users, share, monetary, monetary_share, mean_recency_days, mean_frequency "
        "FROM rfm_segment_sizes WHERE users > 0 ORDER BY as_of, segment"
    )
    assert rows == [
        (day(0), "new customers", 1, 1.0, 10.0, 1.0, 0.0, 1.0),
        (day(1), "about to sleep", 1, 0.5, 10.0, 0.25, 1.0, 1.0),
        (day(1), "new customers", 1, 0.5, 30.0, 0.75, 0.0, 1.0),
    ]
    assert shop.select(
        "SELECT as_of, count(DISTINCT segment) FROM rfm_segment_sizes GROUP BY as_of ORDER BY as_of"
    ) == [
        (day(0), len(RFM_SEGMENTS)),
        (day(1), len(RFM_SEGMENTS)),
    ]

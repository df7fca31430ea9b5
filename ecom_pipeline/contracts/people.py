"""Contracts of what the models say of people: segments by the sequence network's states, and next steps."""

from ecom_pipeline.contracts.model import Between, Column, Holds, OneOf, Table

STEPS = ("nothing", "view", "favourite", "cart", "purchase")
CURVES = (*STEPS, "buys")

_AS_OF = Column(
    "as_of", "DATE", "Night: nothing after the end of this day (shop's time zone) was known.", nullable=False
)
_MODEL_VERSION = Column(
    "model_version", "VARCHAR", "Version of the next-item model that it comes from.", nullable=False
)
_SEGMENT = Column(
    "segment", "INTEGER", "Number of the segment; it means the same as long as model_version is.", nullable=False
)

USER_SEGMENTS = Table(
    name="user_segments",
    layer="marts",
    meaning="The segment of each active user: groups of users of whom the sequence network expects alike next steps.",
    columns=(_AS_OF, Column("user_id", "VARCHAR", "User.", nullable=False), _SEGMENT, _MODEL_VERSION),
    key=("as_of", "user_id"),
    rules=(Between("segment", minimum=1),),
    by_night=True,
    published_as="user_segments",
)

SEGMENTS = Table(
    name="segments",
    layer="marts",
    meaning="The segments of user_segments: how many users, what sets them apart in words, and their typical products.",
    columns=(
        _AS_OF,
        _SEGMENT,
        Column("users", "BIGINT", "Users in the segment.", nullable=False),
        Column("share", "DOUBLE", "Share of all users with a segment, 0 to 1.", nullable=False),
        Column(
            "description",
            "VARCHAR",
            "What sets the segment apart from the other users, strongest first, with its figure against theirs.",
            nullable=False,
        ),
        Column("typical_items", "VARCHAR", "Names of its most typical products, separated by '; '; null for none."),
        Column("events_a_user", "DOUBLE", "Mean number of events of a user in the period.", nullable=False),
        Column("purchase_days_a_user", "DOUBLE", "Mean number of days on which a user bought.", nullable=False),
        Column("value_a_user", "DOUBLE", "Mean value that a user bought; null where no price is known."),
        Column(
            "stability",
            "DOUBLE",
            "Share of the segment's pairs of users that are together where half of the users are grouped anew, 0 to 1.",
            nullable=False,
        ),
        Column("period_days", "INTEGER", "Days up to and including the night that the row is about.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "segment"),
    rules=(
        Between("segment", minimum=1),
        Between("users", minimum=0),
        Between("share", minimum=0, maximum=1),
        Between("stability", minimum=0, maximum=1),
    ),
    by_night=True,
    published_as="segments",
)

SEGMENT_ITEMS = Table(
    name="segment_items",
    layer="marts",
    meaning="The products most typical of each segment: what its users turn to more often than other users do.",
    columns=(
        _AS_OF,
        _SEGMENT,
        Column("rank", "INTEGER", "1 for the most typical.", nullable=False),
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("users", "BIGINT", "Users of the segment who did something with it in the period.", nullable=False),
        Column("share", "DOUBLE", "Share of the segment's users, 0 to 1.", nullable=False),
        Column(
            "lift",
            "DOUBLE",
            "Share by that of all users, shrunk towards 1 where few users are behind it.",
            nullable=False,
        ),
        _MODEL_VERSION,
    ),
    key=("as_of", "segment", "rank"),
    rules=(
        Between("segment", minimum=1),
        Between("rank", minimum=1),
        Between("users", minimum=1),
        Between("share", minimum=0, maximum=1),
        Between("lift", minimum=0),
    ),
    by_night=True,
    published_as="segment_items",
)

NEXT_STEPS = Table(
    name="next_steps",
    layer="marts",
    meaning="For each active user calibrated probabilities of the next kind of event in the window after the night, or "
    "of nothing, and of buying anything in it.",
    columns=(
        _AS_OF,
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("last_event", "VARCHAR", "Kind of the user's last event.", nullable=False),
        Column("p_nothing", "DOUBLE", "Probability that the user does nothing in the window, 0 to 1.", nullable=False),
        *(
            Column(f"p_{step}", "DOUBLE", f"Probability that the next event is {words}, 0 to 1.", nullable=False)
            for step, words in (
                ("view", "a view"),
                ("favourite", "a favourite"),
                ("cart", "an addition to the cart"),
                ("purchase", "a purchase"),
            )
        ),
        Column("likeliest", "VARCHAR", f"Likeliest of {', '.join(STEPS)}.", nullable=False),
        Column(
            "p_buys",
            "DOUBLE",
            "Probability that the user buys anything in the window, whatever comes first, 0 to 1.",
            nullable=False,
        ),
        Column("window_days", "INTEGER", "Days after the night that it speaks of.", nullable=False),
        Column(
            "next_fallback",
            "BOOLEAN",
            "True where a floor (what mostly follows the last kind of event, or any) stands in for the next step.",
            nullable=False,
        ),
        Column("buys_fallback", "BOOLEAN", "True where a floor stands in for buying.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "user_id"),
    rules=(
        OneOf("likeliest", STEPS),
        OneOf("last_event", STEPS[1:]),
        *(Between(f"p_{step}", minimum=0, maximum=1) for step in (*STEPS, "buys")),
        Between("window_days", minimum=1),
        Holds("the next steps add up to 1", f"abs({' + '.join(f'p_{step}' for step in STEPS)} - 1) < 0.000001"),
        Holds("who buys next, buys", "p_buys >= p_purchase"),
    ),
    by_night=True,
    published_as="next_steps",
)

NEXT_STEP_RELIABILITY = Table(
    name="next_step_reliability",
    layer="marts",
    meaning="What the probabilities of next_steps were worth on the held-out days of their model: users in ten equal "
    "groups by probability, and how many of each group did it.",
    columns=(
        _AS_OF,
        Column(
            "outcome", "VARCHAR", "What was predicted: a next step, or buys (anything in the window).", nullable=False
        ),
        Column("bin", "INTEGER", "Place of the group, 1 for the least probable.", nullable=False),
        Column("predicted", "DOUBLE", "Mean probability of the group, 0 to 1.", nullable=False),
        Column("observed", "DOUBLE", "Share of the group that did it, 0 to 1.", nullable=False),
        Column("users", "BIGINT", "Users in the group.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "outcome", "bin"),
    rules=(
        OneOf("outcome", CURVES),
        Between("bin", minimum=1),
        Between("predicted", minimum=0, maximum=1),
        Between("observed", minimum=0, maximum=1),
        Between("users", minimum=1),
    ),
    by_night=True,
    published_as="next_step_reliability",
)

PEOPLE_TABLES = (USER_SEGMENTS, SEGMENTS, SEGMENT_ITEMS, NEXT_STEPS, NEXT_STEP_RELIABILITY)

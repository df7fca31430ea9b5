"""Contracts of the shopping trajectories: funnel, paths, time to convert, cohorts and RFM segments.

Tables that carry a date or one row a user hold one state, that of the last night built; small summaries are kept
night by night (`as_of`), so that a change over weeks can be seen.
"""

from ecom_pipeline.contracts.model import Between, Column, Holds, OneOf, Table

USER_TYPES = ("new", "returning")
STATE_KINDS = ("event", "category")
OUTCOMES = ("purchase", "leave")
CONVERSION_MEASURES = ("product", "user")
COHORT_BASES = ("event", "purchase")
COHORT_GRAINS = ("week", "month")
RFM_SEGMENTS = (
    "champions",
    "loyal",
    "potential loyalists",
    "new customers",
    "promising",
    "need attention",
    "about to sleep",
    "at risk",
    "cannot lose them",
    "hibernating",
)

_AS_OF = Column(
    "as_of", "DATE", "Night: nothing after the end of this day (shop's time zone) was known.", nullable=False
)
_PERIOD_DAYS = Column(
    "period_days", "INTEGER", "Days up to and including the night that the row is about.", nullable=False
)
_GROUP = (
    Column("level", "VARCHAR", "total or category.", nullable=False),
    Column("series_id", "VARCHAR", "'total', or the category.", nullable=False),
)

FUNNEL_DAILY = Table(
    name="funnel_daily",
    layer="marts",
    meaning="How many sessions and known users came, looked, filled a cart and bought, by day, category, channel and "
    "new or returning user. Sessions and users add up over channels and user types, not over categories or days.",
    columns=(
        Column("date", "DATE", "Day in the shop's time zone.", nullable=False),
        *_GROUP,
        Column(
            "channel", "VARCHAR", "Channel of the (day's first) session; 'unknown' where no feed says.", nullable=False
        ),
        Column("user_type", "VARCHAR", "new on the user's first day in the data, returning later.", nullable=False),
        Column("sessions", "BIGINT", "Sessions that began on the day (and touched the category).", nullable=False),
        Column("sessions_with_view", "BIGINT", "Of these, with a view.", nullable=False),
        Column("sessions_with_cart", "BIGINT", "Of these, with an addition to the cart.", nullable=False),
        Column("sessions_with_purchase", "BIGINT", "Of these, with a purchase.", nullable=False),
        Column("sessions_view_then_cart", "BIGINT", "With an addition to the cart after a view.", nullable=False),
        Column("sessions_view_then_purchase", "BIGINT", "With a purchase after a view.", nullable=False),
        Column("users", "BIGINT", "Users who did something on the day.", nullable=False),
        Column("users_with_view", "BIGINT", "Of these, with a view on the day.", nullable=False),
        Column("users_with_cart", "BIGINT", "Of these, with an addition to the cart on the day.", nullable=False),
        Column("users_with_purchase", "BIGINT", "Of these, with a purchase on the day.", nullable=False),
        Column(
            "users_view_then_cart",
            "BIGINT",
            "With a view on the day and an addition to the cart after it, up to window_days later.",
            nullable=False,
        ),
        Column(
            "users_view_then_purchase",
            "BIGINT",
            "With a view on the day and a purchase after it, up to window_days later.",
            nullable=False,
        ),
        Column("window_days", "INTEGER", "Days after the day in which the user may still convert.", nullable=False),
        Column(
            "window_over",
            "BOOLEAN",
            "False for the last days, whose users may still convert.",
            nullable=False,
        ),
    ),
    key=("date", "level", "series_id", "channel", "user_type"),
    rules=(
        OneOf("level", ("total", "category")),
        OneOf("user_type", USER_TYPES),
        Holds(
            "no step of the sessions' funnel has more sessions than came",
            "sessions_with_view <= sessions AND sessions_with_cart <= sessions AND sessions_with_purchase <= sessions "
            "AND sessions_view_then_cart <= sessions_with_view AND sessions_view_then_purchase <= sessions_with_view",
        ),
        Holds(
            "no step of the users' funnel has more users than came",
            "users_with_view <= users AND users_with_cart <= users AND users_with_purchase <= users "
            "AND users_view_then_cart <= users_with_view AND users_view_then_purchase <= users_with_view",
        ),
    ),
    published_as="funnel_daily",
)

SESSION_PATHS = Table(
    name="session_paths",
    layer="marts",
    meaning="The path of each session of the period: to its first purchase or, without one, to leaving. Repeats of one "
    "state count as one step; of long paths the last six steps are told.",
    columns=(
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("session_number", "INTEGER", "Number of the user's session, 1 for the first.", nullable=False),
        Column("kind", "VARCHAR", "event (kinds of events) or category.", nullable=False),
        Column("date", "DATE", "Day on which the session began, in the shop's time zone.", nullable=False),
        Column("outcome", "VARCHAR", "purchase or leave.", nullable=False),
        Column("path", "VARCHAR", "Steps in order, separated by ' > '; begins with '…' where cut.", nullable=False),
        Column("steps", "INTEGER", "Steps that the path tells, at most 6.", nullable=False),
    ),
    key=("user_id", "session_number", "kind"),
    along="date",
    rules=(OneOf("kind", STATE_KINDS), OneOf("outcome", OUTCOMES), Between("steps", minimum=1, maximum=6)),
)

TRANSITIONS_DAILY = Table(
    name="transitions_daily",
    layer="marts",
    meaning="What follows what within a session, for kinds of events and for categories, by the day on which the "
    "session began, for the days of the period.",
    columns=(
        Column("date", "DATE", "Day on which the sessions began, in the shop's time zone.", nullable=False),
        Column("kind", "VARCHAR", "event (kinds of events) or category.", nullable=False),
        Column("from_state", "VARCHAR", "Event or category before; '(start)' of the session.", nullable=False),
        Column("to_state", "VARCHAR", "Event or category after; '(end)' of the session.", nullable=False),
        Column("transitions", "BIGINT", "How often the one followed directly on the other.", nullable=False),
    ),
    key=("date", "kind", "from_state", "to_state"),
    rules=(OneOf("kind", STATE_KINDS), Between("transitions", minimum=1)),
)

PATH_TRANSITIONS = Table(
    name="path_transitions",
    layer="marts",
    meaning="What follows what within a session, for kinds of events and for categories: the most frequent steps of "
    "the sessions that began in the period.",
    columns=(
        _AS_OF,
        Column("kind", "VARCHAR", "event (kinds of events) or category.", nullable=False),
        Column("from_state", "VARCHAR", "Event or category before; '(start)' of the session.", nullable=False),
        Column("to_state", "VARCHAR", "Event or category after; '(end)' of the session.", nullable=False),
        Column("transitions", "BIGINT", "How often the one followed directly on the other.", nullable=False),
        Column("probability", "DOUBLE", "Share of what follows from_state, 0 to 1.", nullable=False),
        Column(
            "lift",
            "DOUBLE",
            "Probability by the share of to_state in all steps: above 1, more often than by chance.",
            nullable=False,
        ),
        _PERIOD_DAYS,
    ),
    key=("as_of", "kind", "from_state", "to_state"),
    rules=(
        OneOf("kind", STATE_KINDS),
        Between("transitions", minimum=1),
        Between("probability", minimum=0, maximum=1),
        Between("lift", minimum=0),
    ),
    by_night=True,
    published_as="path_transitions",
)

PATH_SEQUENCES = Table(
    name="path_sequences",
    layer="marts",
    meaning="The most frequent paths of sessions to their first purchase and, in sessions without one, to leaving. "
    "Repeats of one state count as one step; of long paths the last six steps are told.",
    columns=(
        _AS_OF,
        Column("kind", "VARCHAR", "event (kinds of events) or category.", nullable=False),
        Column("outcome", "VARCHAR", "purchase or leave.", nullable=False),
        Column("rank", "INTEGER", "1 for the most frequent path of its kind and outcome.", nullable=False),
        Column("path", "VARCHAR", "Steps in order, separated by ' > '; begins with '…' where cut.", nullable=False),
        Column("steps", "INTEGER", "Steps that the path tells, at most 6.", nullable=False),
        Column("sessions", "BIGINT", "Sessions with this path.", nullable=False),
        Column("users", "BIGINT", "Different users of these sessions.", nullable=False),
        Column("share", "DOUBLE", "Share of the sessions of this kind and outcome, 0 to 1.", nullable=False),
        _PERIOD_DAYS,
    ),
    key=("as_of", "kind", "outcome", "rank"),
    rules=(
        OneOf("kind", STATE_KINDS),
        OneOf("outcome", OUTCOMES),
        Between("rank", minimum=1),
        Between("steps", minimum=1, maximum=6),
        Between("sessions", minimum=1),
        Between("share", minimum=0, maximum=1),
    ),
    by_night=True,
    published_as="path_sequences",
)

CONVERSIONS_DAILY = Table(
    name="conversions_daily",
    layer="marts",
    meaning="First purchases after the first view, by the day of the purchase and the days since the view, for the "
    "days of the period.",
    columns=(
        Column("date", "DATE", "Day of the purchase in the shop's time zone.", nullable=False),
        Column(
            "measure",
            "VARCHAR",
            "product: a user's first view of a product and first purchase of it; user: of anything.",
            nullable=False,
        ),
        *_GROUP,
        Column("same_session", "BOOLEAN", "Whether view and purchase were in one session.", nullable=False),
        Column("days", "INTEGER", "Days from view to purchase.", nullable=False),
        Column("conversions", "BIGINT", "Such purchases.", nullable=False),
    ),
    key=("date", "measure", "level", "series_id", "same_session", "days"),
    rules=(
        OneOf("measure", CONVERSION_MEASURES),
        OneOf("level", ("total", "category")),
        Between("days", minimum=0),
        Between("conversions", minimum=1),
    ),
)

TIME_TO_CONVERT = Table(
    name="time_to_convert",
    layer="marts",
    meaning="How long it took from the first view to the first purchase after it, for purchases of the period.",
    columns=(
        _AS_OF,
        Column(
            "measure",
            "VARCHAR",
            "product: from a user's first view of a product to buying it; user: from the first view of anything to the "
            "first purchase of anything.",
            nullable=False,
        ),
        *_GROUP,
        Column("bucket", "INTEGER", "Place of the bucket, 1 for the shortest time.", nullable=False),
        Column("label", "VARCHAR", "Bucket in words.", nullable=False),
        Column("from_days", "INTEGER", "Least days from view to purchase.", nullable=False),
        Column("to_days", "INTEGER", "Most days from view to purchase; null: no limit."),
        Column("conversions", "BIGINT", "Purchases in the bucket.", nullable=False),
        Column("share", "DOUBLE", "Share of the conversions of the measure and series, 0 to 1.", nullable=False),
        Column("cumulative_share", "DOUBLE", "Share of this and all shorter buckets, 0 to 1.", nullable=False),
        _PERIOD_DAYS,
    ),
    key=("as_of", "measure", "level", "series_id", "bucket"),
    rules=(
        OneOf("measure", CONVERSION_MEASURES),
        OneOf("level", ("total", "category")),
        Between("bucket", minimum=1, maximum=9),
        Between("conversions", minimum=0),
        Between("share", minimum=0, maximum=1),
        Between("cumulative_share", minimum=0, maximum=1),
    ),
    by_night=True,
    published_as="time_to_convert",
)

COHORT_RETENTION = Table(
    name="cohort_retention",
    layer="marts",
    meaning="Users by the week or month in which they were first seen or first bought, and how many came back (or "
    "bought again) in each week or month since. Periods in which nobody at all was active have no rows.",
    columns=(
        Column(
            "basis",
            "VARCHAR",
            "event (any event but a return counts) or purchase (only purchases count).",
            nullable=False,
        ),
        Column("grain", "VARCHAR", "week (Monday to Sunday) or month.", nullable=False),
        Column("cohort", "DATE", "First day of the period of the user's first event or purchase.", nullable=False),
        Column("period", "INTEGER", "Periods since, 0 for the cohort's own.", nullable=False),
        Column("period_start", "DATE", "First day of the period.", nullable=False),
        Column("users", "BIGINT", "Users of the cohort.", nullable=False),
        Column("active_users", "BIGINT", "Of these, active in the period.", nullable=False),
        Column("retention", "DOUBLE", "Share active in the period, 0 to 1.", nullable=False),
        Column("value", "DOUBLE", "Value that the cohort bought in the period; null where no price is known."),
        Column(
            "period_over", "BOOLEAN", "False for the period that the night lies in, unless it ends it.", nullable=False
        ),
    ),
    key=("basis", "grain", "cohort", "period"),
    rules=(
        OneOf("basis", COHORT_BASES),
        OneOf("grain", COHORT_GRAINS),
        Between("period", minimum=0),
        Between("retention", minimum=0, maximum=1),
        Holds("all of a cohort are active in its first period", "period > 0 OR active_users = users"),
    ),
    published_as="cohort_retention",
)

USER_RFM = Table(
    name="user_rfm",
    layer="marts",
    meaning="Every known user who ever bought: recency, frequency and monetary value, scores of one to five, and the "
    "segment that follows from them.",
    columns=(
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("first_purchase", "DATE", "Day of the first purchase.", nullable=False),
        Column("last_purchase", "DATE", "Day of the last purchase.", nullable=False),
        Column("recency_days", "INTEGER", "Days from the last purchase to the night.", nullable=False),
        Column("frequency", "BIGINT", "Days on which the user bought something.", nullable=False),
        Column("units", "DOUBLE", "Units bought, net of returns.", nullable=False),
        Column("monetary", "DOUBLE", "Value bought, net of returns; null where no price is known."),
        Column(
            "recency_score",
            "INTEGER",
            "5 for the fifth of buyers who bought most recently, 1 for the longest ago; equal days score alike.",
            nullable=False,
        ),
        Column("frequency_score", "INTEGER", "5 for the most frequent fifth, 1 for the least.", nullable=False),
        Column(
            "monetary_score",
            "INTEGER",
            "5 for the fifth with the greatest value, 1 for the least; null without prices.",
        ),
        Column(
            "segment",
            "VARCHAR",
            "Segment by the scores of recency and frequency: " + ", ".join(RFM_SEGMENTS) + ".",
            nullable=False,
        ),
    ),
    key=("user_id",),
    rules=(
        OneOf("segment", RFM_SEGMENTS),
        Between("recency_days", minimum=0),
        Between("frequency", minimum=1),
        Between("recency_score", minimum=1, maximum=5),
        Between("frequency_score", minimum=1, maximum=5),
        Between("monetary_score", minimum=1, maximum=5),
        Holds("the first purchase is not after the last", "first_purchase <= last_purchase"),
    ),
    published_as="user_rfm",
)

RFM_SEGMENT_SIZES = Table(
    name="rfm_segment_sizes",
    layer="marts",
    meaning="How many buyers each RFM segment had in each night, and what they are worth.",
    columns=(
        _AS_OF,
        Column("segment", "VARCHAR", "Segment.", nullable=False),
        Column("users", "BIGINT", "Buyers in the segment; 0 where there are none.", nullable=False),
        Column("share", "DOUBLE", "Share of all buyers, 0 to 1.", nullable=False),
        Column("monetary", "DOUBLE", "Value that they bought, net of returns; null where no price is known."),
        Column(
            "monetary_share", "DOUBLE", "Share of the value of all buyers; null where none is known or it nets to zero."
        ),
        Column("mean_recency_days", "DOUBLE", "Mean days from their last purchase to the night; null for no buyers."),
        Column("mean_frequency", "DOUBLE", "Mean number of days on which they bought; null for no buyers."),
    ),
    key=("as_of", "segment"),
    rules=(OneOf("segment", RFM_SEGMENTS), Between("users", minimum=0), Between("share", minimum=0, maximum=1)),
    by_night=True,
    published_as="rfm_segment_sizes",
)

TRAJECTORY_TABLES = (
    FUNNEL_DAILY,
    SESSION_PATHS,
    TRANSITIONS_DAILY,
    PATH_TRANSITIONS,
    PATH_SEQUENCES,
    CONVERSIONS_DAILY,
    TIME_TO_CONVERT,
    COHORT_RETENTION,
    USER_RFM,
    RFM_SEGMENT_SIZES,
)

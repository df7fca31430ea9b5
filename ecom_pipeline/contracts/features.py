"""Contracts of the feature tables: what was known at the end of one night, ready for the models."""

from ecom_pipeline.contracts.core import EVENTS
from ecom_pipeline.contracts.model import Between, Column, Holds, OneOf, Table

LEVELS = ("total", "category", "product")

FEAT_ITEMS = Table(
    name="feat_items",
    layer="features",
    meaning="Every product known at the end of the night, with the latest that was known of it.",
    columns=(
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("name", "VARCHAR", "Name: from the products feed, else as last written on an order line."),
        Column(
            "category",
            "VARCHAR",
            "Widest category, 'uncategorised' where only others have one; null where the shop has none.",
        ),
        Column("category_path", "VARCHAR", "Categories from the widest to the narrowest, separated by ' > '."),
        Column("brand", "VARCHAR", "Brand."),
        Column("price", "DOUBLE", "List price, else the price last paid."),
        Column("stock", "DOUBLE", "Units in stock; null where the shop does not say."),
        Column("active_from", "DATE", "First day on sale: as the shop says, else the first day seen."),
        Column("active_to", "DATE", "Last day on sale; null: still sold."),
        Column("first_seen", "DATE", "Day of its first event or order line."),
        Column("last_seen", "DATE", "Day of its last event or order line."),
        Column("last_sold", "DATE", "Day of its last sale."),
    ),
    key=("item_id",),
    published_as="items",
)

FEAT_ITEM_CLICKS = Table(
    name="feat_item_clicks",
    layer="features",
    meaning="What was done with each product on each day, by known users and others, as the browse feed tells it.",
    columns=(
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("date", "DATE", "Day in the shop's time zone.", nullable=False),
        Column("views", "BIGINT", "Views.", nullable=False),
        Column("carts", "BIGINT", "Additions to the cart.", nullable=False),
        Column("purchases", "BIGINT", "Purchases (lines) that the browse feed tells.", nullable=False),
        Column("last_paid_at", "TIMESTAMP", "Time of the day's last purchase with a price, UTC."),
        Column("last_price", "DOUBLE", "Price of one unit in that purchase."),
    ),
    key=("item_id", "date"),
    rules=(Between("views", minimum=0), Between("carts", minimum=0), Between("purchases", minimum=0)),
)

FEAT_USER_EVENTS = Table(
    name="feat_user_events",
    layer="features",
    meaning="What each known user did with products, in order: the sequences that the next-item model reads.",
    columns=(
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("position", "INTEGER", "Place in the user's history, 1 for the first event.", nullable=False),
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("event", "VARCHAR", "view, favourite, cart, remove, purchase or return.", nullable=False),
        Column("event_ts", "TIMESTAMP", "Time of the event, UTC.", nullable=False),
        Column("event_date", "DATE", "Day of the event in the shop's time zone.", nullable=False),
        Column("session_number", "INTEGER", "Number of the user's session, 1 for the first.", nullable=False),
        Column("quantity", "DOUBLE", "Units, where the event has them."),
        Column("price", "DOUBLE", "Price of one unit, where the event has it."),
        Column("channel", "VARCHAR", "Device, store or country, where the feed says."),
    ),
    key=("user_id", "position"),
    along="event_date",
    rules=(OneOf("event", EVENTS), Between("position", minimum=1), Between("session_number", minimum=1)),
    published_as="user_events",
)

FEAT_SESSIONS = Table(
    name="feat_sessions",
    layer="features",
    meaning="Visits: as the feed tells them apart, else a user's events with no gap longer than the setting "
    "session_gap_minutes.",
    columns=(
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("session_number", "INTEGER", "Number of the user's session, 1 for the first.", nullable=False),
        Column("started_at", "TIMESTAMP", "Time of the first event, UTC.", nullable=False),
        Column("ended_at", "TIMESTAMP", "Time of the last event, UTC.", nullable=False),
        Column("session_date", "DATE", "Day of the first event in the shop's time zone.", nullable=False),
        Column("minutes", "DOUBLE", "Minutes from the first event to the last.", nullable=False),
        Column("events", "BIGINT", "Events.", nullable=False),
        Column("items", "BIGINT", "Different products.", nullable=False),
        Column("views", "BIGINT", "Views.", nullable=False),
        Column("carts", "BIGINT", "Additions to the cart.", nullable=False),
        Column("purchases", "BIGINT", "Purchases (lines).", nullable=False),
        Column("converted", "BOOLEAN", "Whether something was bought.", nullable=False),
        Column("value", "DOUBLE", "Value bought, where prices are known."),
        Column("entry_item_id", "VARCHAR", "Product of the first event.", nullable=False),
        Column("exit_item_id", "VARCHAR", "Product of the last event.", nullable=False),
        Column("channel", "VARCHAR", "Channel of the first event, where the feed says."),
    ),
    key=("user_id", "session_number"),
    along="session_number",
    rules=(
        Holds("a session does not end before it starts", "ended_at >= started_at"),
        Between("events", minimum=1),
    ),
    published_as="sessions",
)

_SERIES = (
    Column("level", "VARCHAR", "total, category or product.", nullable=False),
    Column("series_id", "VARCHAR", "'total', the category, or the product.", nullable=False),
    Column("date", "DATE", "Day in the shop's time zone.", nullable=False),
)

_KNOWN_FUTURE = (
    Column(
        "on_promotion",
        "BOOLEAN",
        "Whether it (for categories and the total: any of its products) was promoted.",
        nullable=False,
    ),
    Column("promotion_share", "DOUBLE", "Share of its products that were promoted, 0 to 1.", nullable=False),
    Column(
        "promotion_depth",
        "DOUBLE",
        "Mean discount of its promoted products as a share of the price; 0 without one.",
        nullable=False,
    ),
    Column("is_holiday", "BOOLEAN", "Public holiday in the shop's country.", nullable=False),
    Column(
        "is_closed",
        "BOOLEAN",
        "The shop takes no orders on this day: a weekday or holiday on which it never did so far.",
        nullable=False,
    ),
)

FEAT_PROMOTION_DAYS = Table(
    name="feat_promotion_days",
    layer="features",
    meaning="Each product on each day of a promotion of it or of its category, from the first day of the shop to the "
    "last day to forecast.",
    columns=(
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("date", "DATE", "Day in the shop's time zone.", nullable=False),
        Column("promotions", "BIGINT", "Promotions that run on the day.", nullable=False),
        Column("depth", "DOUBLE", "Deepest discount among them as a share of the price; null where none has one."),
    ),
    key=("item_id", "date"),
    rules=(Between("promotions", minimum=1), Between("depth", minimum=0, maximum=1)),
)

FEAT_SALES_DAILY = Table(
    name="feat_sales_daily",
    layer="features",
    meaning="Sales by day, net of returns and cancellations, for the total, each category and each product; "
    "days without a sale are zero from the first day on sale to the last.",
    columns=(
        *_SERIES,
        Column(
            "quantity",
            "DOUBLE",
            "Units sold, net of returns; null where the product was out of stock all day and its demand is unknown.",
        ),
        Column(
            "revenue",
            "DOUBLE",
            "Value sold, net of returns; null where no price is known or the product was out of stock.",
        ),
        Column("orders", "BIGINT", "Orders with at least one sale.", nullable=False),
        Column("average_price", "DOUBLE", "Revenue of sales by units of sales; null on days without a sale."),
        Column("views", "BIGINT", "Views of its products on the day; 0 without a browse feed.", nullable=False),
        Column(
            "carts",
            "BIGINT",
            "Additions to the cart of its products on the day; 0 without a browse feed.",
            nullable=False,
        ),
        *_KNOWN_FUTURE,
    ),
    key=("level", "series_id", "date"),
    rules=(
        OneOf("level", LEVELS),
        Between("promotion_share", minimum=0, maximum=1),
        Between("promotion_depth", minimum=0, maximum=1),
        Between("orders", minimum=0),
    ),
    published_as="sales_daily",
)

FEAT_SALES_FUTURE = Table(
    name="feat_sales_future",
    layer="features",
    meaning="What is known of the days to forecast: calendar and planned promotions, for each series still sold.",
    columns=(*_SERIES, *_KNOWN_FUTURE),
    key=("level", "series_id", "date"),
    rules=(OneOf("level", LEVELS),),
)

FEATURE_TABLES = (
    FEAT_ITEM_CLICKS,
    FEAT_ITEMS,
    FEAT_PROMOTION_DAYS,
    FEAT_USER_EVENTS,
    FEAT_SESSIONS,
    FEAT_SALES_DAILY,
    FEAT_SALES_FUTURE,
)

"""Contracts of the core tables: clean, typed, deduplicated facts, whatever their dates."""

from ecom_pipeline.contracts.model import Between, Column, Holds, NotNull, OneOf, Table

EVENTS = ("view", "search", "favourite", "cart", "remove", "purchase", "return")

_PROVENANCE = (
    Column("file_id", "INTEGER", "File that the row came in (ingest_files).", nullable=False),
    Column("line", "BIGINT", "Line of that file.", nullable=False),
)

CORE_ORDER_LINES = Table(
    name="core_order_lines",
    layer="core",
    meaning="Order lines: sales, returns and cancellations, products and charges, with or without a known customer.",
    columns=(
        Column("order_id", "VARCHAR", "Order (invoice, basket) that the line belongs to.", nullable=False),
        Column("user_id", "VARCHAR", "Customer; null for guests."),
        Column("item_id", "VARCHAR", "Product, in one spelling.", nullable=False),
        Column("item_name", "VARCHAR", "Name of the product as the order line has it."),
        Column(
            "quantity",
            "DOUBLE",
            "Units: positive for sales, negative for returns and cancellations.",
            nullable=False,
        ),
        Column(
            "unit_price",
            "DOUBLE",
            "Price of one unit in the order's currency, before the sign of the quantity.",
        ),
        Column(
            "amount",
            "DOUBLE",
            "Value of the line in the order's currency; negative for returns and cancellations.",
        ),
        Column("currency", "VARCHAR", "ISO 4217 code of the currency."),
        Column("status", "VARCHAR", "sale, return or cancellation.", nullable=False),
        Column(
            "is_product",
            "BOOLEAN",
            "False for postage, fees, vouchers and other codes that are not products.",
            nullable=False,
        ),
        Column(
            "channel",
            "VARCHAR",
            "Shop, store, country or device that the order came through, where the feed says.",
        ),
        Column("ordered_at", "TIMESTAMP", "Time of the order, UTC.", nullable=False),
        Column("order_date", "DATE", "Day of the order in the shop's time zone.", nullable=False),
        *_PROVENANCE,
    ),
    key=("file_id", "line"),
    rules=(
        OneOf("status", ("sale", "return", "cancellation")),
        Holds(
            "sales have a positive quantity, returns and cancellations a negative one",
            "(status = 'sale' AND quantity > 0) OR (status <> 'sale' AND quantity < 0)",
        ),
        Between("unit_price", minimum=0),
        NotNull("amount", severity="warn"),
    ),
)

CORE_EVENTS = Table(
    name="core_events",
    layer="core",
    meaning="One stream of what people did: browse events, and purchases and returns of products from the orders.",
    columns=(
        Column("user_id", "VARCHAR", "User; null where the shop does not know."),
        Column("session_id", "VARCHAR", "Session as the feed has it; null where it has none."),
        Column("item_id", "VARCHAR", "Product; null for searches."),
        Column("event", "VARCHAR", "view, search, favourite, cart, remove, purchase or return.", nullable=False),
        Column("quantity", "DOUBLE", "Units, where the event has them (positive)."),
        Column("price", "DOUBLE", "Price of one unit, where the event has it."),
        Column("channel", "VARCHAR", "Device, store or country, where the feed says."),
        Column(
            "event_ts",
            "TIMESTAMP",
            "Time of the event, UTC; the start of the day where the feed knows only the day.",
            nullable=False,
        ),
        Column("event_date", "DATE", "Day of the event in the shop's time zone.", nullable=False),
        Column("feed", "VARCHAR", "Feed that the event came from: orders or browse.", nullable=False),
        *_PROVENANCE,
    ),
    key=("feed", "file_id", "line"),
    rules=(OneOf("event", EVENTS), OneOf("feed", ("orders", "browse"))),
)

CORE_PRODUCTS = Table(
    name="core_products",
    layer="core",
    meaning="What the products feed says of each product, one row for each state of it.",
    columns=(
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("valid_from", "DATE", "Day from which this state holds; null: always."),
        Column("name", "VARCHAR", "Name."),
        Column("category_path", "VARCHAR", "Categories from the widest to the narrowest, separated by ' > '."),
        Column("brand", "VARCHAR", "Brand."),
        Column("price", "DOUBLE", "List price of one unit."),
        Column("stock", "DOUBLE", "Units in stock; null where the shop does not say."),
        Column("active_from", "DATE", "First day on sale."),
        Column("active_to", "DATE", "Last day on sale; null: still sold."),
        *_PROVENANCE,
    ),
    key=("file_id", "line"),
    rules=(
        Between("price", minimum=0),
        Holds("active_from is not after active_to", "active_from <= active_to"),
    ),
)

CORE_PROMOTIONS = Table(
    name="core_promotions",
    layer="core",
    meaning="Promotions of items or whole categories, past and planned.",
    columns=(
        Column("promotion_id", "VARCHAR", "Promotion, as the feed names it."),
        Column("item_id", "VARCHAR", "Product that is promoted; null: a whole category."),
        Column(
            "category",
            "VARCHAR",
            "Category that is promoted (a prefix of the category path); null: one product.",
        ),
        Column("kind", "VARCHAR", "discount, coupon, ad, feature, …", nullable=False),
        Column("starts_on", "DATE", "First day.", nullable=False),
        Column("ends_on", "DATE", "Last day.", nullable=False),
        Column(
            "announced_on",
            "DATE",
            "Day on which it was in the plan; nights before do not know it. Null: known all along.",
        ),
        Column("depth", "DOUBLE", "Discount as a share of the price, 0 to 1; null where there is none."),
        *_PROVENANCE,
    ),
    key=("file_id", "line"),
    rules=(
        Holds("a promotion is of an item or of a category", "(item_id IS NULL) <> (category IS NULL)"),
        Holds("starts_on is not after ends_on", "starts_on <= ends_on"),
        Between("depth", minimum=0, maximum=1),
    ),
)

CORE_TABLES = (CORE_ORDER_LINES, CORE_EVENTS, CORE_PRODUCTS, CORE_PROMOTIONS)

"""Contracts of the marts: what a night says, kept night by night (`as_of`)."""

from ecom_pipeline.contracts.features import LEVELS
from ecom_pipeline.contracts.model import Between, Column, Holds, OneOf, Table

MEASURES = ("quantity", "revenue")
QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
QUANTILE_COLUMNS = tuple(f"p{round(100 * quantile):02d}" for quantile in QUANTILES)

_AS_OF = Column(
    "as_of", "DATE", "Night: nothing after the end of this day (shop's time zone) was known.", nullable=False
)
_MODEL_VERSION = Column(
    "model_version",
    "VARCHAR",
    "Version of the model in the registry; it saw no data after as_of.",
    nullable=False,
)
_ORDERED_QUANTILES = Holds(
    "quantiles do not cross",
    "p05 <= p10 AND p10 <= p25 AND p25 <= p50 AND p50 <= p75 AND p75 <= p90 AND p90 <= p95",
)
_SERIES = (
    Column("level", "VARCHAR", "total, category or product.", nullable=False),
    Column("series_id", "VARCHAR", "'total', the category, or the product.", nullable=False),
    Column("measure", "VARCHAR", "quantity (units) or revenue (currency of the shop).", nullable=False),
    Column("target_date", "DATE", "Day that is forecast.", nullable=False),
    Column("horizon", "INTEGER", "Days from the night to the target date, 1 for the next day.", nullable=False),
)

SALES_FORECASTS = Table(
    name="sales_forecasts",
    layer="marts",
    meaning="Sales forecast for each series and day ahead. Means add up: products to categories to the total.",
    columns=(
        _AS_OF,
        *_SERIES,
        Column("mean", "DOUBLE", "Expected sales.", nullable=False),
        *(
            Column(name, "DOUBLE", f"Sales stay below this with a probability of {quantile:g}.", nullable=False)
            for name, quantile in zip(QUANTILE_COLUMNS, QUANTILES, strict=True)
        ),
        Column(
            "baseline",
            "DOUBLE",
            "The seasonal profile's forecast of the mean, to compare with.",
            nullable=False,
        ),
        Column(
            "model",
            "VARCHAR",
            "What made the forecast: the network's cell, recent_mean (the long tail of products), or seasonal_profile.",
            nullable=False,
        ),
        _MODEL_VERSION,
        Column(
            "fallback",
            "BOOLEAN",
            "True where the baseline stands in because no model could be used.",
            nullable=False,
        ),
    ),
    key=("as_of", "level", "series_id", "measure", "target_date"),
    rules=(
        OneOf("level", LEVELS),
        OneOf("measure", MEASURES),
        _ORDERED_QUANTILES,
        Between("p05", minimum=0),
        Between("mean", minimum=0),
        Between("horizon", minimum=1),
        Holds("the forecast is of a day after the night", "target_date > as_of"),
    ),
    by_night=True,
    published_as="sales_forecasts",
)

SALES_FORECAST_ACCURACY = Table(
    name="sales_forecast_accuracy",
    layer="marts",
    meaning="Forecasts made in past nights beside what came. Rows appear once the target date is over.",
    columns=(
        Column("as_of", "DATE", "Night that made the forecast.", nullable=False),
        *_SERIES,
        Column("actual", "DOUBLE", "What was sold.", nullable=False),
        Column("mean", "DOUBLE", "Forecast mean.", nullable=False),
        Column("p50", "DOUBLE", "Forecast median.", nullable=False),
        Column("p10", "DOUBLE", "Forecast quantile .1.", nullable=False),
        Column("p90", "DOUBLE", "Forecast quantile .9.", nullable=False),
        Column("baseline", "DOUBLE", "The seasonal profile's forecast in that night.", nullable=False),
        Column("abs_error", "DOUBLE", "|actual - mean|.", nullable=False),
        Column("baseline_abs_error", "DOUBLE", "|actual - baseline|.", nullable=False),
        Column("in_80", "BOOLEAN", "Whether the actual lies between p10 and p90.", nullable=False),
        Column("model", "VARCHAR", "What made the forecast.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "level", "series_id", "measure", "target_date"),
    rules=(
        OneOf("level", LEVELS),
        OneOf("measure", MEASURES),
        Between("abs_error", minimum=0),
        Between("baseline_abs_error", minimum=0),
    ),
    by_day="target_date",
    published_as="sales_forecast_accuracy",
)

RECOMMENDATIONS = Table(
    name="recommendations",
    layer="marts",
    meaning="For each user the products that come next, best first.",
    columns=(
        _AS_OF,
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("rank", "INTEGER", "1 for the best.", nullable=False),
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("score", "DOUBLE", "Score of the model; comparable within one user.", nullable=False),
        Column(
            "source",
            "VARCHAR",
            "What proposed it most: network, co_visitation, popularity, …",
            nullable=False,
        ),
        Column("reason", "VARCHAR", "Why, in words.", nullable=False),
        Column("reason_item_id", "VARCHAR", "Product of the user's history that weighed most."),
        Column("is_repeat", "BOOLEAN", "Whether the user had it before.", nullable=False),
        Column(
            "fallback",
            "BOOLEAN",
            "True where the user or the model gave too little to go by.",
            nullable=False,
        ),
        _MODEL_VERSION,
    ),
    key=("as_of", "user_id", "rank"),
    rules=(Between("rank", minimum=1),),
    by_night=True,
    published_as="recommendations",
)

PURCHASE_PREDICTIONS = Table(
    name="purchase_predictions",
    layer="marts",
    meaning="Calibrated probability that a user buys a recommended product within the window after the night.",
    columns=(
        _AS_OF,
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("probability", "DOUBLE", "Probability, 0 to 1.", nullable=False),
        Column("window_days", "INTEGER", "Days after the night that it speaks of.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "user_id", "item_id"),
    rules=(Between("probability", minimum=0, maximum=1), Between("window_days", minimum=1)),
    by_night=True,
    published_as="purchase_predictions",
)

SIMILAR_ITEMS = Table(
    name="similar_items",
    layer="marts",
    meaning="For each product the products most like it in what people do with them.",
    columns=(
        _AS_OF,
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("rank", "INTEGER", "1 for the most similar.", nullable=False),
        Column("similar_item_id", "VARCHAR", "The other product.", nullable=False),
        Column("score", "DOUBLE", "Similarity; comparable within one product.", nullable=False),
        _MODEL_VERSION,
    ),
    key=("as_of", "item_id", "rank"),
    rules=(
        Between("rank", minimum=1),
        Holds("no product is similar to itself", "item_id <> similar_item_id"),
    ),
    by_night=True,
    published_as="similar_items",
)

MODEL_METRICS = Table(
    name="model_metrics",
    layer="marts",
    meaning="Accuracy of each model version on held-out time, beside its baseline on the same rows.",
    columns=(
        _AS_OF,
        Column("model", "VARCHAR", "sales_forecaster or next_item.", nullable=False),
        _MODEL_VERSION,
        Column(
            "is_champion",
            "BOOLEAN",
            "Whether this version makes the published results of the night.",
            nullable=False,
        ),
        Column(
            "dataset",
            "VARCHAR",
            "What was held out, and for which level, measure or kind of event.",
            nullable=False,
        ),
        Column(
            "metric",
            "VARCHAR",
            "wape, rmsse, wpl_90, coverage_80, bias, hr_10, ndcg_10, mrr_10, …",
            nullable=False,
        ),
        Column("value", "DOUBLE", "The model's figure.", nullable=False),
        Column(
            "baseline_value",
            "DOUBLE",
            "The baseline's figure on the same rows: seasonal profile, or the better of popularity and co-visitation.",
        ),
        Column("n", "BIGINT", "Rows or cases that were scored.", nullable=False),
    ),
    key=("as_of", "model", "model_version", "dataset", "metric"),
    by_night=True,
    published_as="model_metrics",
)

MODEL_VERSIONS = Table(
    name="model_versions",
    layer="marts",
    meaning="Model versions in the registry: what each saw, and whether it was promoted and why.",
    columns=(
        Column("model", "VARCHAR", "sales_forecaster or next_item.", nullable=False),
        Column("model_version", "VARCHAR", "Version in the registry.", nullable=False),
        Column("data_cutoff", "DATE", "Last day of data that the version saw.", nullable=False),
        Column("data_fingerprint", "VARCHAR", "Hash of the data that it was trained on.", nullable=False),
        Column("decision", "VARCHAR", "promoted, rejected or rolled_back.", nullable=False),
        Column("reason", "VARCHAR", "The decision's figures, in words.", nullable=False),
        Column("seed", "INTEGER", "Random seed.", nullable=False),
        Column("code_version", "VARCHAR", "Version of ecom_pipeline that trained it.", nullable=False),
    ),
    key=("model", "model_version"),
    rules=(OneOf("decision", ("promoted", "rejected", "rolled_back")),),
    published_as="model_versions",
)

MART_TABLES = (
    SALES_FORECASTS,
    SALES_FORECAST_ACCURACY,
    RECOMMENDATIONS,
    PURCHASE_PREDICTIONS,
    SIMILAR_ITEMS,
    MODEL_METRICS,
    MODEL_VERSIONS,
)

"""What scenarios and reorder suggestions look like, declared as every table is."""

from ecom_pipeline.contracts import Column, Table

SALES_SCENARIOS = Table(
    name="sales_scenarios",
    layer="marts",
    meaning="Forecasts under a scenario beside those of the plan, by series and day; one forecaster made both. "
    "docs/what-if.md says what the difference assumes.",
    columns=(
        Column("scenario", "VARCHAR", "Name of the scenario.", nullable=False),
        Column("as_of", "DATE", "Night whose knowledge both forecasts have.", nullable=False),
        Column("level", "VARCHAR", "total, category or product.", nullable=False),
        Column("series_id", "VARCHAR", "'total', the category, or the product.", nullable=False),
        Column("measure", "VARCHAR", "quantity (units) or revenue (currency of the shop).", nullable=False),
        Column("target_date", "DATE", "Day that is forecast.", nullable=False),
        Column("horizon", "INTEGER", "Days from the night to the target date.", nullable=False),
        Column(
            "changed", "BOOLEAN", "Whether the scenario changes the plan of this series on this day.", nullable=False
        ),
        Column("plan_mean", "DOUBLE", "Expected sales under the plan, as in sales_forecasts.", nullable=False),
        Column("plan_p10", "DOUBLE", "Quantile .1 under the plan.", nullable=False),
        Column("plan_p90", "DOUBLE", "Quantile .9 under the plan.", nullable=False),
        Column("mean", "DOUBLE", "Expected sales under the scenario.", nullable=False),
        Column("p10", "DOUBLE", "Quantile .1 under the scenario.", nullable=False),
        Column("p90", "DOUBLE", "Quantile .9 under the scenario.", nullable=False),
        Column("difference", "DOUBLE", "mean less plan_mean.", nullable=False),
        Column(
            "difference_low",
            "DOUBLE",
            "Lower end of the difference if the day goes as well or badly in both.",
            nullable=False,
        ),
        Column("difference_high", "DOUBLE", "Upper end of the difference in the same sense.", nullable=False),
        Column("model_version", "VARCHAR", "Version of the forecaster that made both.", nullable=False),
    ),
    key=("scenario", "as_of", "level", "series_id", "measure", "target_date"),
)

REORDER_SUGGESTIONS = Table(
    name="reorder_suggestions",
    layer="marts",
    meaning="How much of each product to order tonight, so that stock lasts until the next order arrives with the "
    "wanted probability (newsvendor). docs/what-if.md has the assumptions.",
    columns=(
        Column("as_of", "DATE", "Night whose forecasts were used.", nullable=False),
        Column("item_id", "VARCHAR", "Product.", nullable=False),
        Column("name", "VARCHAR", "Its name."),
        Column("category", "VARCHAR", "Its category."),
        Column("stock", "DOUBLE", "Units in stock on the night; null where the shop does not say."),
        Column("lead_time_days", "INTEGER", "Days from ordering to arrival.", nullable=False),
        Column("review_days", "INTEGER", "Days until the next order can be made.", nullable=False),
        Column("service_level", "DOUBLE", "Probability that stock lasts through both.", nullable=False),
        Column("expected_demand", "DOUBLE", "Expected units in lead time and review.", nullable=False),
        Column("demand_sd", "DOUBLE", "Standard deviation of these units.", nullable=False),
        Column("order_up_to", "BIGINT", "Units that stock and order together should come to.", nullable=False),
        Column("safety_stock", "DOUBLE", "order_up_to less expected_demand.", nullable=False),
        Column("order_units", "BIGINT", "Units to order tonight; null where stock is not known."),
        Column("days_of_stock", "DOUBLE", "Days that the stock lasts at expected demand; null where it is not known."),
        Column(
            "stock_out_probability",
            "DOUBLE",
            "Probability that the stock of tonight does not last through the lead time; null where it is not known.",
        ),
    ),
    key=("as_of", "item_id"),
)

"""Which questions are asked of which table: its contract always, and what looks beyond one table where it belongs."""

from collections.abc import Callable
from functools import partial

import dagster as dg

from ecom_pipeline.contracts import Table, table, tables_of_layer
from ecom_pipeline.contracts.people import PEOPLE_TABLES
from ecom_pipeline.orchestration.assets.ingest import FEEDS, core_tables, raw_table
from ecom_pipeline.orchestration.checks import Question, table_checks
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop
from ecom_pipeline.quality import (
    TableValidation,
    check_bad_row_share,
    check_conservation,
    check_forecasts,
    check_health,
    check_model_cutoffs,
    check_recommendations,
    check_track_record,
    check_trainings,
    validate,
)
from ecom_pipeline.quality.gx import SCHEMA_RULE
from ecom_pipeline.quality.health import FeedTable
from ecom_pipeline.registry import Registry
from ecom_pipeline.registry.manifest import MODEL_NAMES
from ecom_pipeline.sources.profile import Feed, SourceProfile

TRAININGS = "trainings"
"""The check that alerts tell of, although it does not keep a night from being published."""
MADE_BY_MODELS = (
    "sales_forecasts",
    "recommendations",
    "purchase_predictions",
    "similar_items",
    *(declared.name for declared in PEOPLE_TABLES),
)


def all_checks(profile: SourceProfile) -> list[dg.AssetChecksDefinition]:
    """The checks of every table, one step a table."""
    tables = (
        *core_tables(),
        *(table(name) for name in ("quarantine_summary", "rescored_users")),
        *tables_of_layer("features"),
        *tables_of_layer("marts"),
    )
    return [
        *(table_checks(f"raw_{feed}", [contract_question(raw_table(profile, feed), feed=feed)]) for feed in FEEDS),
        *(
            table_checks(declared.name, [contract_question(declared), *_beyond_contract().get(declared.name, ())])
            for declared in tables
        ),
    ]


def contract_question(declared: Table, *, feed: Feed | None = None) -> Question:
    """Whether all rules of the table's contract hold, its schema among them."""
    rules = [SCHEMA_RULE, *(rule.words for rule in declared.all_rules)]  # what its result counts
    return Question(
        name="contract",
        description=f"The {len(rules)} rules of the table's contract: {'; '.join(rules)}.",
        blocking=True,
        ask=partial(_ask_contract, declared, feed),
    )


def _ask_contract(declared: Table, feed: Feed | None, shop: Shop, step: Step) -> TableValidation:
    if feed is not None and not shop.profile.readers(feed):
        return TableValidation(table_name=declared.name, suite="contract", as_of=step.as_of, results=())
    return validate(shop.warehouse, declared, as_of=step.as_of, run_id=step.run_id)


def _beyond_contract() -> dict[str, list[Question]]:
    """Table -> what is asked of it beyond its contract."""
    questions = {
        "core_order_lines": [_health("core_order_lines", "orders")],
        "core_events": [_health("core_events", "browse")],
        "ingest_files": [
            Question(
                name="nothing_lost",
                description="Rows in = rows in core + in quarantine + duplicates, for every file.",
                blocking=True,
                ask=lambda shop, step: check_conservation(shop.warehouse, as_of=step.as_of, run_id=step.run_id),
            ),
            Question(
                name="few_bad_rows",
                description="The share of quarantined rows in new files is at most the setting max_bad_row_share.",
                blocking=True,
                ask=_with_settings(check_bad_row_share),
            ),
        ],
    }
    for name in MADE_BY_MODELS:
        questions[name] = [
            Question(
                name="no_future_data",
                description="Every model version behind the rows of the night saw no data after the night.",
                blocking=True,
                ask=partial(_ask_cutoffs, table(name)),
                deps=("model_versions",),
            )
        ]
    questions["sales_forecasts"].append(
        Question(
            name="complete",
            description="Means add up, every series has every day ahead, every series still sold is forecast.",
            blocking=True,
            ask=_with_settings(check_forecasts),
            deps=("feat_sales_future",),
        )
    )
    questions["sales_forecast_accuracy"] = [
        Question(
            name="track_record",
            description="Forecasts of the last eight weeks kept their promises: 80 % intervals hold 80 % of what came, "
            "means are right on average and better than the seasonal profile's.",
            blocking=False,
            ask=lambda shop, step: check_track_record(shop.warehouse, as_of=step.as_of, run_id=step.run_id),
            deps=("feat_sales_daily",),
        )
    ]
    questions["model_versions"] = [
        Question(
            name=TRAININGS,
            description="The last training of every model ended with a model: no loss that is no number, enough data.",
            blocking=False,
            ask=_ask_trainings,
        )
    ]
    questions["recommendations"].append(
        Question(
            name="complete",
            description="Every active user gets recommendations, ranked without gaps or repetitions.",
            blocking=True,
            ask=_with_settings(check_recommendations),
            deps=("feat_user_events",),
        )
    )
    return questions


def _health(name: FeedTable, feed: Feed) -> Question:
    def ask(shop: Shop, step: Step) -> TableValidation:
        return check_health(
            shop.warehouse, name, as_of=step.as_of, run_id=step.run_id, country=shop.profile.shop.country
        )

    return Question(
        name="volume_and_freshness",
        description=f"The {feed} feed has about as many rows as is usual for the weekday, and is not overdue.",
        blocking=False,
        ask=ask,
    )


def _ask_cutoffs(declared: Table, shop: Shop, step: Step) -> TableValidation:
    return check_model_cutoffs(shop.warehouse, declared, as_of=step.as_of, run_id=step.run_id)


def _ask_trainings(shop: Shop, step: Step) -> TableValidation:
    registry = Registry(shop.home, shop.settings)
    versions = [registry.latest(model, step.as_of) for model in MODEL_NAMES]
    trained_last = [version for version in versions if version is not None]
    return check_trainings(shop.warehouse, trained_last, as_of=step.as_of, run_id=step.run_id)


def _with_settings(check: Callable[..., TableValidation]) -> Callable[[Shop, Step], TableValidation]:
    def ask(shop: Shop, step: Step) -> TableValidation:
        return check(shop.warehouse, settings=shop.settings, as_of=step.as_of, run_id=step.run_id)

    return ask

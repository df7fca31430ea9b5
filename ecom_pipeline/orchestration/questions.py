"""Which questions are asked of which table: its contract always, and what looks beyond one table where it belongs."""

from functools import partial

import dagster as dg

from ecom_pipeline.contracts import Table, table, tables_of_layer
from ecom_pipeline.orchestration.assets.ingest import FEEDS, core_tables, raw_table
from ecom_pipeline.orchestration.checks import Question, table_checks
from ecom_pipeline.orchestration.recording import Step
from ecom_pipeline.orchestration.resources import Shop
from ecom_pipeline.quality import TableValidation, validate
from ecom_pipeline.sources.profile import Feed, SourceProfile


def all_checks(profile: SourceProfile) -> list[dg.AssetChecksDefinition]:
    """The checks of every table, one step a table."""
    return [
        *(table_checks(f"raw_{feed}", [_contract(raw_table(profile, feed), feed=feed)]) for feed in FEEDS),
        *(
            table_checks(declared.name, [_contract(declared)])
            for declared in (
                *core_tables(),
                table("quarantine_summary"),
                *tables_of_layer("features"),
                *tables_of_layer("marts"),
            )
        ),
    ]


def _contract(declared: Table, *, feed: Feed | None = None) -> Question:
    return Question(
        name="contract",
        description=f"The {len(declared.all_rules)} rules of the table's contract: "
        + "; ".join(rule.words for rule in declared.all_rules)
        + ".",
        blocking=True,
        ask=partial(_ask_contract, declared, feed),
    )


def _ask_contract(declared: Table, feed: Feed | None, shop: Shop, step: Step) -> TableValidation:
    if feed is not None and not shop.profile.readers(feed):
        return TableValidation(table_name=declared.name, suite="contract", as_of=step.as_of, results=())
    return validate(shop.warehouse, declared, as_of=step.as_of, run_id=step.run_id)

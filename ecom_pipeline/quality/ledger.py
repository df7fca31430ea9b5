"""What became of the files: nothing lost between landing and core, and not too much of it bad."""

from datetime import date, datetime

from ecom_pipeline.quality.queries import kept, wrong_rows
from ecom_pipeline.quality.results import CheckResult, TableValidation
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse import Warehouse

# Rows of each file where they are now; purchases that core_events derives from order lines are counted as those.
# The rows of lookups complete those of other files; of them the ledger's own counts are taken.
_ROWS_NOW = """
SELECT file_id, count(*) AS n FROM core_order_lines GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM core_events WHERE feed = 'browse' GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM core_products GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM core_promotions GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM quarantine_orders GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM quarantine_browse GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM quarantine_products GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM quarantine_promotions GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM duplicates_orders GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM duplicates_browse GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM duplicates_products GROUP BY file_id
UNION ALL SELECT file_id, count(*) AS n FROM duplicates_promotions GROUP BY file_id
UNION ALL SELECT file_id, rows_core + rows_quarantined + rows_duplicate AS n FROM ingest_files
WHERE starts_with(feed, 'lookup_') AND in_core
"""

LOST_ROWS = f"""
WITH here AS (SELECT file_id, sum(n) AS n FROM (
{_ROWS_NOW}) AS parts GROUP BY file_id)
SELECT files.path AS file, here.file_id AS file_id, files.rows_in AS rows_in, coalesce(here.n, 0) AS rows_found
FROM ingest_files AS files
FULL OUTER JOIN here ON here.file_id = files.file_id
WHERE files.file_id IS NULL OR (files.in_core AND files.rows_in <> coalesce(here.n, 0))
ORDER BY file, file_id
"""

PUBLISHING_STEP = "analytics"

_LAST_PUBLISHED = f"""
SELECT coalesce(max(started_at), TIMESTAMP '1970-01-01') FROM runs
WHERE step = '{PUBLISHING_STEP}' AND status = 'succeeded'
"""

_NEW_FILES = """
SELECT path, rows_in, rows_quarantined FROM ingest_files WHERE rows_in > 0 AND loaded_at > :since
"""


def check_conservation(warehouse: Warehouse, *, as_of: date, run_id: str) -> TableValidation:
    """Rows in = rows in core + in quarantine + duplicates for every file, counted in the tables themselves."""
    files = warehouse.scalar("SELECT count(*) FROM ingest_files")
    results = [
        wrong_rows(
            warehouse,
            "ingest_files",
            rule="the rows of every file are in core, in quarantine or among the duplicates",
            name="rows_are_conserved",
            sql=LOST_ROWS,
            parameters={},
            rows_checked=files,
            to_do="Run the night again; if it stays, move the warehouse away: it is rebuilt from landing.",
        ),
        wrong_rows(
            warehouse,
            "ingest_files",
            rule="every file that was loaded has reached the core tables",
            name="files_reach_core",
            sql="SELECT path AS file, feed, rows_in FROM ingest_files WHERE NOT in_core ORDER BY path",
            parameters={},
            rows_checked=files,
            to_do="Run the step that makes the core tables.",
        ),
        wrong_rows(
            warehouse,
            "ingest_files",
            rule="every file could be read",
            name="files_are_readable",
            sql="SELECT path AS file, feed, error FROM ingest_files WHERE status = 'refused' ORDER BY path",
            parameters={},
            rows_checked=files,
            severity="warn",
            to_do="Mend the file in landing as the error says; it is read again on the next night.",
        ),
    ]
    return kept(warehouse, "ingest_files", "ledger", results, as_of=as_of, run_id=run_id)


def check_bad_row_share(warehouse: Warehouse, *, settings: Settings, as_of: date, run_id: str) -> TableValidation:
    """The share of quarantined rows in the new files is at most the setting `max_bad_row_share`.

    New are the files that were loaded since an earlier night was last published, so that a night run again is asked the
    same; and, by themselves, those that were loaded since anything was last published, so that what came late is not
    lost in the crowd. A night that this check has stopped stays stopped until the files are mended.
    """
    limit = settings.max_bad_row_share
    since = warehouse.scalar(f"{_LAST_PUBLISHED} AND as_of < :as_of", {"as_of": as_of})
    files, rows, bad = _bad_rows(warehouse, since)
    latest = warehouse.scalar(_LAST_PUBLISHED)
    late_files, late_rows, late_bad = _bad_rows(warehouse, latest)
    if late_bad > limit * late_rows:
        since, files, rows, bad = latest, late_files, late_rows, late_bad
    rule = f"at most {limit:.1%} of the rows of new files are bad"
    worst = tuple(
        warehouse.arrow(
            f"SELECT path AS file, rows_in, rows_quarantined FROM ({_NEW_FILES}) AS new WHERE rows_quarantined > 0 "
            "ORDER BY rows_quarantined DESC, path LIMIT 5",
            {"since": since},
        ).to_pylist()
    )
    success = bad <= limit * rows
    observed = f"{bad:,} of {rows:,} rows of {files:,} new files ({bad / max(rows, 1):.1%})"
    sentence = f"ingest_files: {rule}: {observed}."
    if not success:
        sentence = (
            f"ingest_files: expected that {rule}, but {observed} are, most of them in {worst[0]['file']}. Look at the "
            "table quarantine_summary for the reasons; mend the files, or the source profile, or raise the setting "
            "max_bad_row_share, and run the night again. What was published before stays as it is."
        )
    share = CheckResult(
        rule=rule,
        expectation="bad_row_share_is_small",
        severity="error",
        success=success,
        observed=observed,
        rows_checked=rows,
        rows_unexpected=bad,
        examples=worst if not success else (),
        sentence=sentence,
    )
    return kept(warehouse, "ingest_files", "bad_rows", [share], as_of=as_of, run_id=run_id)


def _bad_rows(warehouse: Warehouse, since: datetime) -> tuple[int, int, int]:
    """Files, rows and quarantined rows that were loaded after `since` (UTC)."""
    ((files, rows, bad),) = warehouse.rows(
        f"SELECT count(*), coalesce(sum(rows_in), 0), coalesce(sum(rows_quarantined), 0) FROM ({_NEW_FILES}) AS new",
        {"since": since},
    )
    return files, rows, bad

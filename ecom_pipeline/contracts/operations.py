"""Contracts of the tables that say what came in, what was wrong, what ran."""

from ecom_pipeline.contracts.model import Between, Column, Holds, OneOf, Table

FEEDS = ("orders", "browse", "products", "promotions")

INGEST_FILES = Table(
    name="ingest_files",
    layer="operations",
    meaning="The ledger: one row for every file that was ever seen in landing, with what became of its rows.",
    columns=(
        Column("file_id", "INTEGER", "Number of the file; rows of raw and core tables carry it.", nullable=False),
        Column("feed", "VARCHAR", "Feed that the file belongs to.", nullable=False),
        Column("path", "VARCHAR", "Path below the landing folder.", nullable=False),
        Column("bytes", "BIGINT", "Size of the file in bytes.", nullable=False),
        Column("modified_at", "TIMESTAMP", "Modification time of the file, UTC."),
        Column("sha256", "VARCHAR", "SHA-256 of the file's contents, hexadecimal.", nullable=False),
        Column(
            "status",
            "VARCHAR",
            "loaded, refused (unreadable as a whole) or removed (no longer in landing; rows kept).",
            nullable=False,
        ),
        Column("rows_in", "BIGINT", "Rows of the feed found in the file.", nullable=False),
        Column("rows_core", "BIGINT", "Rows that reached the core tables.", nullable=False),
        Column("rows_quarantined", "BIGINT", "Rows put in quarantine.", nullable=False),
        Column(
            "rows_duplicate",
            "BIGINT",
            "Rows dropped because an earlier row has the same key.",
            nullable=False,
        ),
        Column(
            "in_core",
            "BOOLEAN",
            "False between the loading of the raw rows and their arrival in core.",
            nullable=False,
        ),
        Column("error", "VARCHAR", "Why the file was refused: file, line, column and mend."),
        Column("loaded_at", "TIMESTAMP", "When the file was loaded, UTC.", nullable=False),
        Column("run_id", "VARCHAR", "Run that loaded it.", nullable=False),
    ),
    key=("file_id",),
    rules=(
        Holds(
            "feed is a feed, or lookup_ and the name of a lookup",
            "feed IN ('orders', 'browse', 'products', 'promotions') OR feed LIKE 'lookup_%'",
        ),
        OneOf("status", ("loaded", "refused", "removed")),
        Holds(
            "rows in = rows in core + in quarantine + duplicates, for every file",
            "NOT in_core OR rows_in = rows_core + rows_quarantined + rows_duplicate",
        ),
    ),
    published_as="ingest_files",
)

INGEST_STATE = Table(
    name="ingest_state",
    layer="operations",
    meaning="What raw and core tables were built with, so that a changed profile rebuilds what it must.",
    columns=(
        Column("part", "VARCHAR", "Feed and layer, or another fact of the ingest.", nullable=False),
        Column("value", "VARCHAR", "Fingerprint of what it was built with.", nullable=False),
    ),
    key=("part",),
)

_QUARANTINE_COLUMNS = (
    Column("file_id", "INTEGER", "File that the row came in.", nullable=False),
    Column(
        "line",
        "BIGINT",
        "Line of the file (the header is line 1), or row number in a Parquet file.",
        nullable=False,
    ),
    Column("rule", "VARCHAR", "Name of the rule that the row breaks.", nullable=False),
    Column("reason", "VARCHAR", "What was wrong, in words.", nullable=False),
    Column("raw", "VARCHAR", "The row as it came: its text, or a JSON object of its columns.", nullable=False),
    Column("run_id", "VARCHAR", "Run that put it here.", nullable=False),
)

QUARANTINE_TABLES = tuple(
    Table(
        name=f"quarantine_{feed}",
        layer="operations",
        meaning=f"Rows of the {feed} feed that break a rule, as they came, each under the first rule broken.",
        columns=_QUARANTINE_COLUMNS,
        key=("file_id", "line"),
    )
    for feed in FEEDS
)

QUARANTINE_LOOKUPS = Table(
    name="quarantine_lookups",
    layer="operations",
    meaning="Rows of lookup files that cannot be read or have no key, as they came.",
    columns=_QUARANTINE_COLUMNS,
    key=("file_id", "line"),
)

DUPLICATE_TABLES = tuple(
    Table(
        name=f"duplicates_{feed}",
        layer="operations",
        meaning=f"Rows of the {feed} feed that were dropped because another row tells the same.",
        columns=(
            Column("file_id", "INTEGER", "File that the row came in.", nullable=False),
            Column("line", "BIGINT", "Line of that file.", nullable=False),
            Column("kept_file_id", "INTEGER", "File of the row that was kept; null: the orders feed tells it."),
            Column("kept_line", "BIGINT", "Line of the row that was kept; null: the orders feed tells it."),
        ),
        key=("file_id", "line"),
    )
    for feed in FEEDS
)

QUARANTINE_SUMMARY = Table(
    name="quarantine_summary",
    layer="operations",
    meaning="How many rows of each file are in quarantine, by rule, with one example.",
    columns=(
        Column("feed", "VARCHAR", "Feed.", nullable=False),
        Column("path", "VARCHAR", "File, below the landing folder.", nullable=False),
        Column("rule", "VARCHAR", "Rule that the rows break.", nullable=False),
        Column("reason", "VARCHAR", "What was wrong, in words (of the first such row)."),
        Column("rows", "BIGINT", "Rows in quarantine.", nullable=False),
        Column("first_line", "BIGINT", "Line of the first such row."),
        Column("example", "VARCHAR", "That row as it came."),
    ),
    key=("feed", "path", "rule"),
    rules=(Between("rows", minimum=1),),
    published_as="quarantine_summary",
)

VALIDATION_RESULTS = Table(
    name="validation_results",
    layer="operations",
    meaning="Every validation that ran: what was expected of a table, what was found.",
    columns=(
        Column("as_of", "DATE", "Night.", nullable=False),
        Column("run_id", "VARCHAR", "Run.", nullable=False),
        Column("table_name", "VARCHAR", "Table that was checked.", nullable=False),
        Column(
            "suite",
            "VARCHAR",
            "contract (the table's own rules), or what else asked: health, ledger, bad_rows, models, completeness, "
            "track_record.",
            nullable=False,
        ),
        Column("rule", "VARCHAR", "What was expected, in words.", nullable=False),
        Column(
            "expectation",
            "VARCHAR",
            "Great Expectations' type of the expectation, or the name of a check beyond contracts.",
            nullable=False,
        ),
        Column("severity", "VARCHAR", "error (blocks publishing) or warn.", nullable=False),
        Column("success", "BOOLEAN", "Whether it held.", nullable=False),
        Column("observed", "VARCHAR", "What was observed."),
        Column("rows_checked", "BIGINT", "Rows that were checked."),
        Column("rows_unexpected", "BIGINT", "Rows that break it."),
        Column("examples", "VARCHAR", "A few rows that break it, as a JSON array of objects."),
        Column(
            "sentence", "VARCHAR", "What was expected, what was found and what to do, in one sentence.", nullable=False
        ),
    ),
    key=("as_of", "table_name", "suite", "rule"),
    rules=(OneOf("severity", ("error", "warn")),),
    by_night=True,
    published_as="validation_results",
)

RUNS = Table(
    name="runs",
    layer="operations",
    meaning="What ran: one row for every step of every run that reached this file.",
    columns=(
        Column("run_id", "VARCHAR", "Run.", nullable=False),
        Column("as_of", "DATE", "Night that the run was for; null for runs that only load files."),
        Column("step", "VARCHAR", "Step of the run, usually the table or model that it makes.", nullable=False),
        Column("status", "VARCHAR", "succeeded or failed.", nullable=False),
        Column("started_at", "TIMESTAMP", "Start, UTC.", nullable=False),
        Column("seconds", "DOUBLE", "Duration in seconds.", nullable=False),
        Column("rows", "BIGINT", "Rows that the step wrote, where it writes a table."),
        Column("peak_memory_mb", "DOUBLE", "Peak resident memory of the process so far, in MiB."),
        Column("code_version", "VARCHAR", "Version of ecom_pipeline.", nullable=False),
    ),
    key=("run_id", "step"),
    rules=(OneOf("status", ("succeeded", "failed")), Between("seconds", minimum=0)),
    published_as="runs",
)

FEATURE_NIGHTS = Table(
    name="feature_nights",
    layer="operations",
    meaning="The night whose state each feature table holds now.",
    columns=(
        Column("table_name", "VARCHAR", "Feature table.", nullable=False),
        Column("as_of", "DATE", "Night whose state it holds.", nullable=False),
        Column("rows", "BIGINT", "Rows in it.", nullable=False),
        Column("made", "VARCHAR", "What was made anew for that night; where it was everything, why."),
        Column(
            "made_with", "VARCHAR", "Fingerprint of settings, SQL and engine; null where it is always made as a whole."
        ),
    ),
    key=("table_name",),
)

FEATURE_DAYS = Table(
    name="feature_days",
    layer="operations",
    meaning="The rows that a feature table was made from, day by day: what differs from it now is made anew.",
    columns=(
        Column("table_name", "VARCHAR", "Feature table.", nullable=False),
        Column("day", "DATE", "Day of the rows that it reads.", nullable=False),
        Column("bucket", "INTEGER", "Which of the users' rows it is about.", nullable=False),
        Column("stamp", "VARCHAR", "Of these rows: equal stamps, equal rows. Null: it reads none."),
        Column("reach", "DATE", "Earliest day of the sessions that may end on the day, where it reads sessions."),
    ),
    key=("table_name", "day", "bucket"),
)

PASSED_FILES = Table(
    name="passed_files",
    layer="operations",
    meaning="Files whose rows held all rules of a raw or core table: while they stay as they are, they are not asked "
    "again.",
    columns=(
        Column("table_name", "VARCHAR", "Table.", nullable=False),
        Column("file_id", "INTEGER", "File (ingest_files).", nullable=False),
        Column("stamp", "VARCHAR", "Of its rows and of the rules: equal stamps, equal rows and rules.", nullable=False),
    ),
    key=("table_name", "file_id"),
)

TABLE_READINGS = Table(
    name="table_readings",
    layer="operations",
    meaning="Tables whose rows were all checked, published, or (forecasts) scored: rows written since, which are in "
    "row_changes, are enough the next time.",
    columns=(
        Column("reader", "VARCHAR", "checks, publishing or accuracy.", nullable=False),
        Column("table_name", "VARCHAR", "Table.", nullable=False),
        Column("read_with", "VARCHAR", "Fingerprint of the rules, or of the published file.", nullable=False),
        Column("parts", "INTEGER", "Times that only changed rows were read, since all were.", nullable=False),
    ),
    key=("reader", "table_name"),
    rules=(OneOf("reader", ("checks", "publishing", "accuracy")), Between("parts", minimum=0)),
)

ROW_CHANGES = Table(
    name="row_changes",
    layer="operations",
    meaning="Rows of a table that were written since a reader read it (table_readings).",
    columns=(
        Column("reader", "VARCHAR", "checks, publishing or accuracy.", nullable=False),
        Column("table_name", "VARCHAR", "Table.", nullable=False),
        Column("day", "DATE", "Night or day whose rows they are, of a table that is written by day."),
        Column("user_id", "VARCHAR", "User whose rows they are, of a table by user; null: of all users."),
        Column("since", "VARCHAR", "Day or session of the user's from which on they are."),
    ),
)

RESCORED_USERS = Table(
    name="rescored_users",
    layer="operations",
    meaning="Users who got new recommendations since a night, because they did something after it.",
    columns=(
        Column("as_of", "DATE", "Night whose recommendations were replaced.", nullable=False),
        Column("user_id", "VARCHAR", "User.", nullable=False),
        Column("events", "BIGINT", "Events that the user's recommendations know.", nullable=False),
    ),
    key=("as_of", "user_id"),
    by_night=True,
)

ABOUT = Table(
    name="about",
    layer="operations",
    meaning="One row that says what this file is: which nights it holds, and when and by what it was made.",
    columns=(
        Column("as_of", "DATE", "Latest night in the file; null before the first."),
        Column("first_night", "DATE", "Earliest night in the file; null before the first."),
        Column("nights", "INTEGER", "Nights in the file.", nullable=False),
        Column("published_at", "TIMESTAMP", "When the file was made, UTC.", nullable=False),
        Column("code_version", "VARCHAR", "Version of ecom_pipeline that made it.", nullable=False),
        Column("profile", "VARCHAR", "Source profile of the shop."),
        Column(
            "is_synthetic",
            "BOOLEAN",
            "True where the data is of a made-up shop (the sample) and says nothing about a real one.",
            nullable=False,
        ),
    ),
    rules=(Between("nights", minimum=0),),
    published_as="about",
)

OPERATIONS_TABLES = (
    INGEST_FILES,
    INGEST_STATE,
    *QUARANTINE_TABLES,
    QUARANTINE_LOOKUPS,
    *DUPLICATE_TABLES,
    QUARANTINE_SUMMARY,
    VALIDATION_RESULTS,
    RUNS,
    FEATURE_NIGHTS,
    FEATURE_DAYS,
    PASSED_FILES,
    TABLE_READINGS,
    ROW_CHANGES,
    RESCORED_USERS,
    ABOUT,
)

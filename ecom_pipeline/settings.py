"""Every setting once: name, type, default, unit and meaning. Where files of a shop home lie is here too.

A shop home is a folder: settings.yaml, landing/<feed>/, warehouse/, models/, published/, .dagster/.
Secrets are never settings: they come from the environment.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecom_pipeline.documents import read_document
from ecom_pipeline.precision import Precision
from ecom_pipeline.spark.files import mounted_path

Cell = Literal["lstm", "gru", "simple_rnn"]
Engine = Literal["duckdb", "spark"]
NextItemModel = Literal["blend", "lstm", "gru", "simple_rnn", "transformer", "co_visitation", "popularity"]
SETTINGS_FILE = "settings.yaml"


class Settings(BaseModel):
    """What an operator may want to change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field(description="Source profile: the name of a bundled one, or a path below the home.")
    seed: int = Field(0, ge=0, description="Random seed of everything that is random.")

    session_gap_minutes: int = Field(30, gt=0, description="Minutes without an event that end a session.")
    cancellation_match_days: int = Field(
        30,
        ge=0,
        description="Days within which a cancellation of a whole order line undoes the sale on its own day.",
    )
    max_bad_row_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of quarantined rows in a night's new files above which nothing is published.",
    )

    horizon_days: int = Field(28, gt=0, le=365, description="Days that sales are forecast ahead.")
    forecast_cell: Cell = Field("lstm", description="Recurrent cell of the sales forecaster.")
    forecast_time_budget_seconds: int = Field(
        120, gt=0, description="Seconds that training the forecaster may take; they set how much is trained."
    )
    forecast_active_days: int = Field(
        120, gt=0, description="Products get a forecast if they sold within so many days before the night."
    )
    backtest_windows: int = Field(2, gt=0, description="Rolling cutoffs on which a newly trained model is judged.")

    next_item_model: NextItemModel = Field("blend", description="Model that recommends.")
    next_item_time_budget_seconds: int = Field(
        120, gt=0, description="Seconds that training the recommender may take; they set how much is trained."
    )
    next_item_events: int = Field(
        50_000_000,
        gt=0,
        description="Events that the recommender learns from, at most: the whole histories of users drawn at random.",
    )
    repeats: Literal["allow", "exclude"] = Field("allow", description="Whether to recommend what a user already had.")
    recommendations_per_user: int = Field(20, gt=0, le=1000, description="Recommendations for each user.")
    blocked_items: tuple[str, ...] = Field((), description="Products that are never recommended.")
    only_available_items: bool = Field(
        True, description="Whether to leave out what is out of stock, no longer sold, or long untouched by everybody."
    )
    item_boosts: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="Factor on the score of a product, such as {sku-1: 1.5}; above 1 lifts it, 0 sinks it."
    )
    most_per_category: int | None = Field(
        None, gt=0, description="Recommendations of one category for each user; default: no limit."
    )
    popularity_penalty: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Trades popular products for coverage: scores are divided by (1 + events) to this power.",
    )
    repurchase_days: Annotated[int, Field(gt=0)] | Literal["learnt"] | None = Field(
        None,
        description="Days after a purchase in which the user does not get the product recommended; learnt takes for "
        "each product what the shop's purchases show; default: none.",
    )
    similar_items_per_item: int = Field(20, gt=0, le=1000, description="Similar products for each product.")
    active_user_days: int = Field(
        180,
        gt=0,
        description="Users get recommendations if they did something within so many days before the night.",
    )
    purchase_window_days: int = Field(7, gt=0, description="Days after the night that purchase predictions speak of.")
    test_days: int = Field(7, gt=0, description="Last days before the night held out to judge the recommender.")

    trajectory_days: int = Field(
        90, gt=0, description="Days up to and including the night that paths and times to convert are about."
    )
    conversion_window_days: int = Field(
        7,
        ge=0,
        description="Days after the day of a view within which the funnel still counts a purchase as its result.",
    )
    paths_kept: int = Field(
        100, gt=0, description="Most frequent paths, and transitions of each kind, that a night keeps."
    )

    retrain_after_days: int = Field(7, gt=0, description="Age in days at which a model is trained anew.")
    keep_nights: int = Field(
        90, gt=0, description="Past nights kept in the published file; the warehouse keeps them all."
    )

    schedule_time: str = Field(
        "02:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="Start of the night, in the shop's time zone.",
    )
    isolate_steps: bool = Field(
        False,
        description="Whether each step of a run that the Dagster daemon starts gets a process of its own; slower.",
    )
    threads: int | None = Field(None, gt=0, description="Threads of DuckDB; default: all cores.")
    memory_limit: str | None = Field(
        None,
        pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$",
        description="Memory of DuckDB, such as 8GB; default: 80 % of the machine's.",
    )
    engine: Engine = Field(
        "duckdb",
        description="What computes feature tables and marts: DuckDB on this machine, or a Spark cluster (extra spark).",
    )
    spark_master: str | None = Field(
        None, description="URL of the cluster, such as spark://host:7077; needed where engine is spark."
    )
    spark_storage: str | None = Field(
        None,
        description="Where tables lie as Parquet: the absolute path of a folder that this machine and every worker "
        "reach under that path, or a URL that Spark reads (hdfs://host:8020/shop); needed where engine is spark.",
    )
    spark_options: dict[str, str] = Field(
        {}, description="Settings of the Spark session, such as {spark.executor.memory: 8g}."
    )
    training_hosts: tuple[str, ...] = Field(
        (),
        description="Workers that train the networks together, as host:port each, such as [a:7000, b:7000]; default: "
        "this process.",
    )
    training_storage: str | None = Field(
        None,
        description="Absolute path of a folder that this machine and all that train reach under that path; needed with "
        "training_hosts, and with spark_training_workers where spark_storage is a URL.",
    )
    spark_training_workers: int | None = Field(
        None,
        gt=0,
        description="Cores of the Spark cluster that train the networks together; default: this process trains.",
    )
    training_precision: Precision = Field(
        "float32",
        description="Precision in which networks are trained; mixed_bfloat16 multiplies in bfloat16, which "
        "pays only on a GPU or a processor with instructions for it.",
    )
    training_xla: bool = Field(
        False, description="Whether XLA compiles the training step of the sales forecaster; meant for a GPU."
    )
    hash_user_ids: bool = Field(
        False,
        description="Whether everything published has keyed hashes in the place of user ids; the key comes from the "
        "environment variable ECOM_PIPELINE_HASH_KEY.",
    )
    mlflow_tracking_uri: str | None = Field(None, description="An MLflow server; default: SQLite in models/.")

    @property
    def folder_of_training(self) -> Path | None:
        """Where workers that train together find their jobs: `training_storage`, or a folder of `spark_storage`."""
        if self.training_storage is not None:
            return Path(self.training_storage)
        tables = mounted_path(self.spark_storage or "")
        return None if self.spark_storage is None or tables is None else tables / "training"

    @model_validator(mode="after")
    def _clusters_are_named(self) -> Self:
        missing = [name for name in ("spark_master", "spark_storage") if getattr(self, name) is None]
        if self.engine == "spark" and missing:
            raise ValueError(f"engine: spark needs {' and '.join(missing)} as well")
        if self.training_hosts and self.training_storage is None:
            raise ValueError("training_hosts needs training_storage as well")
        if self.spark_training_workers is not None and self.engine != "spark":
            raise ValueError("spark_training_workers needs engine: spark")
        if self.spark_training_workers is not None and self.folder_of_training is None:
            raise ValueError("spark_training_workers needs training_storage as well, as spark_storage is a URL")
        return self


class Home:
    """A shop home: its settings and where its files lie."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @property
    def settings_file(self) -> Path:
        """The settings of this shop."""
        return self.root / SETTINGS_FILE

    @property
    def landing(self) -> Path:
        """Exports arrive here, in one folder a feed."""
        return self.root / "landing"

    @property
    def warehouse_file(self) -> Path:
        """The pipeline's own DuckDB file; nobody else opens it."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def models(self) -> Path:
        """Model versions and the registry."""
        return self.root / "models"

    @property
    def published_file(self) -> Path:
        """The DuckDB file for analysts."""
        return self.root / "published" / "analytics.duckdb"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of this shop."""
        return self.root / ".dagster"

    def settings(self) -> Settings:
        """Read and check the settings file.

        Raises:
            DocumentError: naming the file, the line and what would be right.
        """
        return read_document(self.settings_file, Settings)

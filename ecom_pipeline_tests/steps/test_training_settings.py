"""What the settings say about training reaches both networks."""

import pyarrow as pa

from ecom_pipeline.settings import Settings
from ecom_pipeline.steps import forecast_training, recommend_training
from ecom_pipeline.steps.forecast_frames import Covariates
from ecom_pipeline_tests.recommending.shops import cyclic_shop

MIXED = Settings(
    profile="sample", next_item_model="gru", training_precision="mixed_bfloat16", training_xla=True, horizon_days=7
)


def silent(stage: str, share: float) -> None:
    """Nobody watches."""


def test_the_forecaster_is_trained_as_the_settings_say() -> None:
    covariates = Covariates(known_future=(), past_only=())
    made = forecast_training._unfitted(covariates, MIXED, share=0.5, on_progress=silent, workers=None)
    assert (made.settings.precision, made.settings.xla) == ("mixed_bfloat16", True)
    plain = Settings(profile="sample")
    made = forecast_training._unfitted(covariates, plain, share=0.5, on_progress=silent, workers=None)
    assert (made.settings.precision, made.settings.xla) == ("float32", False)


def test_the_recommender_is_trained_as_the_settings_say() -> None:
    shop = cyclic_shop(users=60)
    names = pa.table({"item_id": shop["item_id"].unique()})
    losses = []
    for settings in (MIXED, MIXED.model_copy(update={"training_precision": "float32"})):
        made = recommend_training._fit(settings, pa.Table.from_pandas(shop), names, silent, None)
        assert made.precision == settings.training_precision
        losses.append(made.report()["losses"]["gru"])
    assert losses[0] != losses[1]


def test_a_changed_precision_makes_training_due_as_a_changed_seed_does() -> None:
    changed = {"training_precision": "float32", "training_xla": False}
    for key, value in changed.items():
        other = MIXED.model_copy(update={key: value})
        assert forecast_training.training_settings(other) != forecast_training.training_settings(MIXED)
    other = MIXED.model_copy(update={"training_precision": "float32"})
    assert recommend_training._training_settings(other) != recommend_training._training_settings(MIXED)

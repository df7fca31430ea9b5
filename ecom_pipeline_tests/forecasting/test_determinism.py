"""The same data, settings and seed give the same bits, in another process and beside a busy neighbour."""

import subprocess
import sys
from pathlib import Path

TRAINING = """
import sys, time
from pathlib import Path
from ecom_pipeline.forecasting import SalesForecaster, TrainingSettings
from ecom_pipeline_tests.forecasting.series import weekly_sales

settings = TrainingSettings(steps=60, final_steps=10, units=32, hidden=32, batch_size=64, patches=6)
forecaster = SalesForecaster("D", 14, ("promo",), static=("category",), group_by="category", settings=settings)
forecaster.fit(weekly_sales(series=40, days=200)).save(Path(sys.argv[1]))
"""
NEIGHBOUR = "while True: sum(range(100_000))"


def test_trainings_in_two_processes_agree_bit_by_bit_beside_a_busy_neighbour(tmp_path: Path) -> None:
    neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        trainings = [
            subprocess.Popen([sys.executable, "-c", TRAINING, str(tmp_path / name)], stderr=subprocess.PIPE, text=True)
            for name in ("one", "two")
        ]
        for training in trainings:
            _, errors = training.communicate(timeout=300)
            assert training.returncode == 0, errors
    finally:
        neighbour.kill()
        neighbour.wait()
    one, two = ((tmp_path / name / "weights.npz").read_bytes() for name in ("one", "two"))
    assert one == two


def test_the_graph_is_run_as_it_was_written_and_on_one_thread() -> None:
    # Grappler's rewriting differs from process to process; too rarely for the test above to be sure of meeting it.
    checked = """
import ecom_pipeline.forecasting.network
import tensorflow as tf
assert tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
assert tf.config.threading.get_inter_op_parallelism_threads() == 1
"""
    subprocess.run([sys.executable, "-c", checked], check=True)

"""Networks: they learn what they should, do not look ahead, and are updated row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecom_pipeline.recommending import NextItemRecommender, evaluate
from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline_tests.recommending.shops import cyclic_shop

CELLS = ("gru", "lstm", "simple_rnn", "transformer")


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_learns_a_deterministic_sequence(cell: str) -> None:
    shop = cyclic_shop(users=400)
    targets = shop.groupby("user_id").tail(1)[["user_id", "item_id"]]
    histories = shop[shop["position"] < 7]
    recommender = NextItemRecommender(cell).fit(histories)  # type: ignore[arg-type]
    assert evaluate(recommender, histories, targets, k=1, slices=False).metrics["hr@1"] > 0.95


@pytest.mark.parametrize("cell", CELLS)
def test_a_query_does_not_depend_on_later_events(cell: str) -> None:
    import tensorflow as tf

    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork

    network = SequenceNetwork(10, NetworkSettings(cell=cell, width=8), seed=0)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 8)).astype(np.float32)
    changed = x.copy()
    changed[:, 4:] += 1.0
    first = network.queries(tf.constant(x), seed=None).numpy()
    second = network.queries(tf.constant(changed), seed=None).numpy()
    np.testing.assert_allclose(first[:, :4], second[:, :4], atol=1e-6)
    assert np.abs(first[:, 4:] - second[:, 4:]).max() > 1e-3


def test_lazy_adam_equals_dense_adam_on_touched_rows_and_leaves_the_others() -> None:
    import keras
    import tensorflow as tf

    from ecom_pipeline.recommending.optimizer import LazyAdam

    start = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    lazy_table, dense_table = tf.Variable(start), keras.Variable(start)
    lazy = LazyAdam([], [lazy_table], beta_2=0.999, epsilon=1e-8)
    dense = keras.optimizers.Adam(learning_rate=0.1, beta_2=0.999, epsilon=1e-8)
    dense.build([dense_table])
    rows = np.array([4, 1])
    for step in range(3):
        gradient = np.random.default_rng(step + 1).normal(size=(2, 3)).astype(np.float32)
        full = np.zeros_like(start)
        full[rows] = gradient
        lazy.apply([], tf.constant(rows), [tf.constant(gradient)], rate=tf.constant(0.1))
        dense.apply([tf.constant(full)], [dense_table])
    np.testing.assert_allclose(lazy_table.numpy()[rows], dense_table.numpy()[rows], atol=1e-5)
    others = [0, 2, 3, 5]
    np.testing.assert_array_equal(lazy_table.numpy()[others], start[others])


def test_the_sampled_softmax_has_the_gradient_of_its_definition() -> None:
    import tensorflow as tf

    from ecom_pipeline.recommending.training import sampled_softmax

    rng = np.random.default_rng(0)
    query, items, bias = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ((5, 4), (10, 4), (10,)))
    given = [query, items, bias]
    negatives, targets = np.arange(7), np.array([3, 8, 6, 9, 7])  # the first and the third are among the negatives
    drawn = tf.constant(targets < 7, tf.float32)

    def positive() -> tf.Tensor:
        return tf.reduce_sum(query * tf.gather(items, targets), axis=1) + tf.gather(bias, targets)

    def plain() -> tf.Tensor:
        logits = tf.matmul(query, tf.gather(items, negatives), transpose_b=True) + tf.gather(bias, negatives)
        logits = tf.where(targets[:, None] == negatives[None], -1e9, logits)
        return tf.reduce_logsumexp(tf.concat([positive()[:, None], logits], axis=1), axis=1) - positive()

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        ours = sampled_softmax(query, positive(), tf.gather(items, negatives), tf.gather(bias, negatives), drawn)
        expected = plain()
        ours_mean, expected_mean = tf.reduce_mean(ours), tf.reduce_mean(expected)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    for a, b in zip(tape.gradient(ours_mean, given), tape.gradient(expected_mean, given), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(a), tf.convert_to_tensor(b), atol=1e-6)


def test_gradients_of_a_step_are_tensorflows_own() -> None:
    import tensorflow as tf

    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import Shards, Trainer, TrainingSettings

    log, _ = read_events(cyclic_shop(users=40), name="events")
    network = SequenceNetwork(log.n_items, NetworkSettings(width=8), seed=0)
    network.bias.assign(tf.random.stateless_normal(network.bias.shape, seed=(0, 1)))
    trainer = Trainer(network, Shards.whole(log), TrainingSettings(positions=32), seed=0)
    inputs = tf.constant([[0, 1, 2], [4, 0, -1]])
    targets = tf.constant([[1, 2, 3], [0, 1, -1]])
    negatives = np.array([5, 1, 3, 0])
    seed = tf.constant([0, 7])
    loss, dense, rows, tables = trainer.gradients(inputs, targets, tf.constant(negatives, tf.int32), seed)
    variables = [network.embedding, network.bias, *network.dense.values()]
    with tf.GradientTape() as tape:
        queries = network.queries(tf.gather(network.embedding, tf.maximum(inputs, 0)), seed=seed)
        losses = []
        for row, step in np.argwhere(targets.numpy() >= 0):
            wanted = int(targets[row, step])
            logits = tf.linalg.matvec(network.embedding, queries[row, step]) + network.bias[:, 0] - trainer.log_q
            asked = [wanted, *(int(item) for item in negatives if item != wanted)]
            losses.append(tf.reduce_logsumexp(tf.gather(logits, asked)) - logits[wanted])
        expected = tf.reduce_mean(losses)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    whole = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(expected, variables)]
    untouched = np.setdiff1d(np.arange(log.n_items), rows.numpy())
    for ours, theirs in zip(tables, whole[:2], strict=True):
        np.testing.assert_allclose(ours, theirs[rows.numpy()], atol=1e-6)
        np.testing.assert_allclose(theirs[untouched], 0.0, atol=1e-6)
    for ours, theirs in zip(dense, whole[2:], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_mixed_precision_learns_as_much_and_keeps_float32_for_what_it_serves_with(cell: str) -> None:
    from ecom_pipeline.precision import Precision
    from ecom_pipeline.recommending.network import NetworkSettings, SequenceNetwork
    from ecom_pipeline.recommending.training import Shards, Trainer, TrainingSettings

    log, _ = read_events(cyclic_shop(users=200), name="events")

    def trained(precision: Precision) -> tuple[list[float], SequenceNetwork]:
        network = SequenceNetwork(log.n_items, NetworkSettings(cell=cell, width=16), seed=0)  # type: ignore[arg-type]
        settings = TrainingSettings(positions=128, negatives=8, precision=precision)
        trainer = Trainer(network, Shards.whole(log), settings, seed=0)
        return [trainer.epoch(number, rate_from=0.01, rate_to=0.01) for number in range(4)], network

    (exact, _), (mixed, network) = trained("float32"), trained("mixed_bfloat16")
    assert mixed != exact
    np.testing.assert_allclose(mixed, exact, rtol=0.05)
    assert mixed[-1] < 0.8 * mixed[0]
    assert {value.dtype for value in network.arrays().values()} == {np.dtype(np.float32)}


def test_a_saved_recommender_is_refitted_in_the_precision_it_was_made_for(tmp_path: Path) -> None:
    shop = cyclic_shop(users=60)
    recommender = NextItemRecommender("gru", precision="mixed_bfloat16").fit(shop)
    recommender.save(tmp_path / "model")
    loaded = NextItemRecommender.load(tmp_path / "model")
    assert loaded.precision == "mixed_bfloat16"
    again, plain = loaded.refit(shop), NextItemRecommender("gru").fit(shop).refit(shop)
    assert again.precision == "mixed_bfloat16"
    assert (
        recommender.refit(shop).report()["losses"]["gru_of_the_refit"] == again.report()["losses"]["gru_of_the_refit"]
    )
    assert again.report()["losses"]["gru_of_the_refit"] != plain.report()["losses"]["gru_of_the_refit"]


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision must be one of float32, mixed_bfloat16, not 'float16'"):
        NextItemRecommender("gru", precision="float16")  # type: ignore[arg-type]


def test_batches_hold_every_step_of_every_sequence_once() -> None:
    from ecom_pipeline.recommending.training import Shards, batches

    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 12, size=50)
    events = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(50), lengths),
            "item_id": np.arange(lengths.sum()),
            "position": np.arange(lengths.sum()),
        }
    )
    log, _ = read_events(events, name="events")
    pairs = []
    for batch in batches(Shards.whole(log), length=4, positions=16, seed=[0]):
        inside = batch.targets >= 0
        pairs += list(zip(batch.inputs[inside].tolist(), batch.targets[inside].tolist(), strict=True))
    owners = log.owners
    expected = [(i, i + 1) for i in range(len(log.items) - 1) if owners[i] == owners[i + 1]]
    assert sorted(pairs) == expected


def test_a_blend_with_a_network_is_deterministic_and_survives_saving(tmp_path: Path) -> None:
    shop = cyclic_shop(users=120)
    first = NextItemRecommender(seed=3).fit(shop)
    second = NextItemRecommender(seed=3).fit(shop)
    out = first.recommend(shop, k=5)
    pd.testing.assert_frame_equal(out, second.recommend(shop, k=5))
    first.save(tmp_path)
    pd.testing.assert_frame_equal(out, NextItemRecommender.load(tmp_path).recommend(shop, k=5))
    assert "gru" in first.report()["validation"]
    assert not first.report()["cut_short_by_clock"]
    assert first.report()["losses"]["gru"][-1] < first.report()["losses"]["gru"][0]


def test_a_budget_cuts_the_training_short_and_leaves_a_model_that_serves() -> None:
    shop = cyclic_shop(users=300)
    recommender = NextItemRecommender("gru", time_budget_s=0.5).fit(shop)
    assert recommender.report()["chosen"]["epochs"] == 1
    # the spectral start already knows what goes with what
    out = recommender.recommend(shop.query("position < 3"), k=5)
    last = out["user_id"].map(shop.query("position == 2").set_index("user_id")["item_id"])
    assert (((out["item_id"] - last) % 40) <= 5).mean() > 0.3

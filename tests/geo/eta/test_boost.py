import numpy as np
import pytest

from geo.eta import boost
from geo.eta.boost import Trees


def test_it_finds_steps_and_products_that_no_sum_finds() -> None:
    rng = np.random.default_rng(0)
    features = rng.uniform(-1, 1, (8000, 4))
    target = np.where(features[:, 0] > 0.2, 1.0, 0.0) + np.sign(features[:, 1] * features[:, 2])
    trees = boost.fit(features, target + rng.normal(0, 0.3, 8000), np.ones(8000))
    unseen = rng.uniform(-1, 1, (2000, 4))
    truth = np.where(unseen[:, 0] > 0.2, 1.0, 0.0) + np.sign(unseen[:, 1] * unseen[:, 2])

    assert np.mean((trees.predict(unseen) - truth) ** 2) < 0.25 * truth.var()


def test_heavy_rows_count_more() -> None:
    features, target = np.zeros((1000, 1)), np.repeat([0.0, 1.0], 500)
    trees = boost.fit(features, target, np.repeat([1.0, 3.0], 500))

    assert trees.predict(features[:1])[0] == pytest.approx(0.75, abs=0.02)


def test_what_is_not_known_is_below_every_threshold() -> None:
    rng = np.random.default_rng(0)
    features = np.where(rng.random((2000, 1)) < 0.5, np.nan, rng.uniform(0, 1, (2000, 1)))
    trees = boost.fit(features, np.isnan(features[:, 0]).astype(float), np.ones(2000))

    unknown, known = trees.predict(np.array([[np.nan], [0.5]]))
    assert unknown > 0.9
    assert known < 0.1


def test_with_few_rows_there_is_no_tree() -> None:
    assert len(boost.fit(np.zeros((10, 2)), np.ones(10), np.ones(10)).leaf) == 0
    assert Trees.none().predict(np.zeros((3, 2))).tolist() == [0.0, 0.0, 0.0]


def test_the_same_rows_give_the_same_trees() -> None:
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(500, 3)), rng.normal(size=500)
    first, second = (boost.fit(features, target, np.ones(500)) for _ in range(2))

    np.testing.assert_array_equal(first.predict(features), second.predict(features))

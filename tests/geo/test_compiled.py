import numpy as np

from geo.compiled import compiled


@compiled
def running_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result = np.empty(len(a))
    total = 0.0
    for i in range(len(a)):
        total += a[i] / b[i]
        result[i] = total
    return result


def test_compiled_and_plain_python_agree_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1000))

    np.testing.assert_array_equal(running_ratio(a, b), running_ratio.py_func(a, b))  # type: ignore[attr-defined]


def test_a_division_by_zero_is_as_in_numpy() -> None:
    assert np.isinf(running_ratio(np.array([1.0]), np.array([0.0])))[0]
    assert np.isnan(running_ratio(np.array([0.0]), np.array([0.0])))[0]

import numpy as np
import pytest

from codelab.models.quantization.stats import bootstrap_ratio, wilson


def test_mean_per_token_weights_documents_by_length() -> None:
    mean, low, high = bootstrap_ratio([1.0, 9.0], [10, 30], seed=0)
    assert mean == pytest.approx(10 / 40)
    assert (low, high) == pytest.approx((0.1, 0.3))


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for trial in range(200):
        values = generator.normal(1.0, 0.5, 40)
        _, low, high = bootstrap_ratio(values.tolist(), [1] * 40, seed=trial, resamples=500)
        hits += low <= 1.0 <= high
    assert 175 <= hits <= 199


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilson_against_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((successes / n, low, high), abs=1e-4)


def test_nothing_to_average_is_refused() -> None:
    for call in (lambda: bootstrap_ratio([], [], 0), lambda: bootstrap_ratio([1], [0], 0), lambda: wilson(2, 1)):
        with pytest.raises(ValueError, match="expected"):
            call()

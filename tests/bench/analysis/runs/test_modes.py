"""Two groups among the trials of a cell: how often they are found, and how rarely where there is one."""

import numpy as np
import pytest

from bench.analysis.runs.modes import FEWEST, has_modes


def trials(logs):
    return 50_000 * np.exp(np.asarray(logs))


@pytest.mark.parametrize("n", [6, 7, 9, 12, 25, 60])
def test_has_modes_rarely_calls_one_normal_group_two(n):
    random = np.random.default_rng(n)
    found = sum(has_modes(trials(random.normal(0, 0.2, n))) for _ in range(1500))
    assert found <= 27  # of 1500: a true 1 % exceeds it once in 2,000 times


@pytest.mark.parametrize("n", [10, 20, 40])
def test_a_flat_distribution_is_not_two_groups(n):
    random = np.random.default_rng(n)
    found = sum(has_modes(trials(random.uniform(-0.3, 0.3, n))) for _ in range(600))
    assert found <= 36  # 6 %: it splits well at its widest gap now and then


@pytest.mark.parametrize(("n", "least"), [(8, 0.9), (12, 0.99), (30, 0.99)])
def test_two_groups_twelve_deviations_apart_are_found(n, least):
    random = np.random.default_rng(n)
    draws = (trials(random.normal(0, 0.02, n) + 0.24 * (np.arange(n) % 2)) for _ in range(200))
    assert np.mean([has_modes(draw) for draw in draws]) >= least


def test_groups_need_not_be_of_equal_size():
    assert has_modes(trials([0, 0.01, 0.02, 0.01, 0.005, 0.015, 0.4, 0.41]))


def test_one_outlier_is_no_group():
    assert not has_modes(trials([0, 0.01, 0.02, 0.01, 0.005, 0.015, 0.012, 0.9]))


def test_groups_closer_than_five_percent_do_not_matter():
    close = np.array([0, 0.0001, 0.0002] * 3 + [0.04, 0.0401, 0.0402] * 3)
    assert not has_modes(trials(close))
    assert has_modes(trials(close * 1.5))


def test_too_few_trials_are_never_called_two_groups():
    clean = [0, 0.001, 0.5, 0.501, 0, 0.5]
    assert has_modes(trials(clean))
    assert len(clean) == FEWEST
    assert not has_modes(trials(clean[:5]))
    assert not has_modes([])


def test_two_values_without_any_spread_are_two_groups_and_one_is_not():
    assert has_modes([100.0] * 3 + [200.0] * 3)
    assert not has_modes([100.0] * 8)


def test_order_and_unit_do_not_matter():
    values = trials([0, 0.01, 0.02, 0.3, 0.31, 0.32, 0.33])
    assert has_modes(values[::-1])
    assert has_modes(values * 1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_value_without_a_logarithm_is_refused(bad):
    with pytest.raises(ValueError, match="positive and finite"):
        has_modes([1.0] * 6 + [bad])

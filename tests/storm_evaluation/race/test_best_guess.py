"""The best guess among cells that a test does not tell apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from storm_evaluation.race.best_guess import best_guess

GRID = [[f"{name}={level}" for name, level in zip("abc", levels, strict=True)]
        for levels in itertools.product(range(3), repeat=3)]  # fmt: skip


def regrets(own_sd: float, noise: float) -> tuple[float, float]:
    """Return mean regrets of the highest score and of the best guess, over 1,000 made grids."""
    draw = np.random.default_rng(0)
    highest, guessed = [], []
    for _ in range(1000):
        effects = draw.normal(0, 0.01, (3, 3))
        truth = np.array([sum(e[level] for e, level in zip(effects, levels, strict=True))
                          for levels in itertools.product(range(3), repeat=3)])  # fmt: skip
        truth += draw.normal(0, own_sd, 27)
        scores = truth + draw.normal(0, noise, 27)
        highest.append(truth.max() - truth[scores.argmax()])
        guessed.append(truth.max() - truth[best_guess(scores, noise**2, GRID).argmax()])
    return float(np.mean(highest)), float(np.mean(guessed))


def test_it_is_better_than_the_highest_score_where_settings_add_up():
    highest, guessed = regrets(own_sd=0.0, noise=0.01)
    assert guessed < 0.6 * highest


@pytest.mark.parametrize("own_sd", [0.005, 0.01, 0.03])
def test_it_is_no_worse_where_they_do_not(own_sd):
    highest, guessed = regrets(own_sd=own_sd, noise=0.01)
    assert guessed < 1.03 * highest


def test_cells_of_one_setting_keep_their_scores():
    scores = np.array([0.3, 0.5, 0.1])
    assert best_guess(scores, 1.0, [["t=1"], ["t=2"], ["t=3"]]) is scores


def test_without_noise_scores_stay_and_with_much_of_it_settings_alone_count():
    scores = np.array([0.1, 0.2, 0.3, 0.5])
    cells = [[f"a={a}", f"b={b}"] for a in (0, 1) for b in (0, 1)]
    assert best_guess(scores, 0.0, cells) == pytest.approx(scores)
    # Means of a and b are 0.15 and 0.4, 0.2 and 0.35, about 0.275.
    assert best_guess(scores, 1.0, cells) == pytest.approx([0.075, 0.225, 0.325, 0.475])

"""What the benchmark draws: a gate that errs about as seldom as its confidence says."""

from bench.release_gate import pass_rate


def test_a_model_that_is_worse_by_the_margin_seldom_passes():
    assert pass_rate(600, -0.05, 0.1, 0.05, repeats=300, seed=1) < 0.06


def test_rows_are_what_lets_an_equal_model_pass():
    rates = [pass_rate(rows, 0.0, 0.1, 0.05, repeats=200, seed=1) for rows in (100, 300, 2000)]
    assert rates == sorted(rates)
    assert rates[0] < 0.6
    assert rates[-1] > 0.98


def test_the_same_seed_gives_the_same_figure():
    assert pass_rate(300, 0.0, 0.1, 0.05, 50, 3) == pass_rate(300, 0.0, 0.1, 0.05, 50, 3)

from pathlib import Path

import pytest

from worker.diagnosis.findings import gradient, learning_rate, outcome, units

PAGE = (Path(__file__).parents[3] / "docs" / "diagnosis.md").read_text()


@pytest.mark.parametrize(
    ("section", "threshold"),
    [
        ("diverged", outcome.DIVERGED_FACTOR),
        ("exploding_gradient", gradient.EXPLODED_RATIO),
        ("exploding_gradient", gradient.SPIKE_FACTOR),
        ("vanishing_gradient", gradient.VANISHED_RATIO),
        ("saturated", units.SATURATED_SHARE),
        ("dead_units", units.DEAD_SHARE),
        ("over_clipped", units.CLIPPED_SHARE),
        ("over_clipped", units.CLIPPED_COEF),
        ("lr_too_high", learning_rate.HIGH_UPDATE_RATIO),
        ("lr_too_high", learning_rate.SPIKE_FACTOR),
        ("lr_too_high", learning_rate.SPIKES_PER_1000),
        ("lr_too_low", learning_rate.LOW_UPDATE_RATIO),
        ("overfitting", outcome.OVERFITTED_RISE),
    ],
)
def test_page_has_the_thresholds_of_the_code(section: str, threshold: float) -> None:
    """Each threshold stands in its finding's section as it is in the code."""
    text = PAGE.split(f"### `{section}`")[1].split("### ")[0]
    words = text.replace(",", " ").replace(":", " ").replace(";", " ").replace(".\n", " ").split()

    assert f"{threshold:.10f}".rstrip("0").rstrip(".") in words

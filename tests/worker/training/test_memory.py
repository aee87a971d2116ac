"""How long segments are, by hand."""

import pytest

from contract.spec import JobSpec
from worker.training.memory import numbers_a_step, segment_steps


def _spec(kind: str, remedy: dict[str, object] | None = None, **cell: object) -> JobSpec:
    """Two layers of three units, four sequences."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": 3, "num_layers": 2, **cell},
            "remedy": remedy or {},
            "training": {"batch_size": 4},
        }
    )


def test_step_keeps_states_and_inputs() -> None:
    """Of an RNN two numbers a unit: 4 sequences times 2 * 3 units * 2 layers + 5 inputs are 68."""
    assert numbers_a_step(_spec("rnn"), input_size=5) == 68


def test_two_directions_keep_twice_as_many_units() -> None:
    """4 * (2 * 6 * 2 + 5) are 116."""
    assert numbers_a_step(_spec("rnn", bidirectional=True), input_size=5) == 116


@pytest.mark.parametrize(
    ("skip", "expected"), [("learned", 4 * (11 * 6 + 5)), ("dilated", 4 * (9 * 6 + 5))]
)
def test_skip_keeps_more(skip: str, expected: int) -> None:
    """What an LSTM's seven numbers do not cover comes on top."""
    spec = _spec("lstm", {"skip": {"kind": skip}})

    assert numbers_a_step(spec, input_size=5) == expected


def test_sequence_that_just_fits_is_whole() -> None:
    """100 steps of 68 numbers of 4 bytes are 27,200 bytes: one byte less, and time is cut."""
    assert segment_steps(_spec("rnn"), 100, 5, 27_200, 4) is None
    assert segment_steps(_spec("rnn"), 100, 5, 27_199, 4) == 99


def test_float64_fits_half_as_long() -> None:
    """At 8 bytes a number 544 bytes are one step."""
    assert segment_steps(_spec("rnn"), 100, 5, 27_200, 8) == 50


def test_segment_is_never_shorter_than_the_root() -> None:
    """With no memory at all 100 steps are cut into 10 times 10, the least states in all."""
    assert segment_steps(_spec("rnn"), 100, 5, 0, 4) == 10
    assert segment_steps(_spec("rnn"), 3, 5, 0, 4) == 1

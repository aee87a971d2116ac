"""Named examples for the API's bodies; each works when sent as it is and ends within seconds."""

from typing import Any, Final

from fastapi.openapi.models import Example


def _example(summary: str, description: str, value: dict[str, Any]) -> Example:
    return Example(summary=summary, description=description, value=value)


def _recall(gap: int, steps: int, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "name": f"subject recall, gap {gap}",
        "dataset": {"kind": "subject_recall", "gap": gap},
        "cell": {"kind": "rnn", "hidden_size": 64},
        "training": {
            "max_steps": steps,
            "stop": {"kind": "target", "series": "val_loss", "below": 0.02},
        },
        **parts,
    }


JOB_EXAMPLES: Final[dict[str, Example]] = {
    "short": _example(
        "The shortest spec",
        "Only dataset and cell; every default is filled in. The adding problem over 20 steps.",
        {"dataset": {"kind": "adding", "seq_len": 20}, "cell": {"kind": "gru"}},
    ),
    "learns": _example(
        "Short gap: it learns",
        "A tanh network answers what a sentence was about 5 words later.",
        _recall(5, 600),
    ),
    "vanishes": _example(
        "Long gap: the gradient vanishes",
        "The same network, 60 words later: it learns nothing, and the diagnosis says why.",
        _recall(60, 600),
    ),
    "cured": _example(
        "Long gap, cured",
        "An orthogonal start and clipping carry the gradient over the gap.",
        _recall(
            60,
            600,
            remedy={"init": {"kind": "orthogonal"}, "clipping": {"kind": "norm", "max_norm": 1.0}},
        ),
    ),
    "explodes": _example(
        "The gradient explodes",
        "A recurrent start with gain 2, plain SGD, nothing clipped.",
        {
            "name": "adding, recurrent gain 2",
            "dataset": {"kind": "adding", "seq_len": 100},
            "cell": {"kind": "rnn"},
            "remedy": {"init": {"kind": "xavier_normal", "gain": 2.0}},
            "training": {"optimizer": {"kind": "sgd", "lr": 0.1}, "max_steps": 300},
        },
    ),
    "chrono": _example(
        "LSTM with chrono initialisation",
        "An LSTM whose gates start with memories as long as the sequence; warm-up, then cosine.",
        {
            "name": "delayed recall, LSTM with chrono initialisation",
            "dataset": {"kind": "delayed_recall", "seq_len": 50},
            "cell": {"kind": "lstm", "hidden_size": 32},
            "remedy": {
                "init": {"kind": "chrono", "max_lag": 50},
                "clipping": {"kind": "value", "clip_value": 1.0},
                "lr_control": {"kind": "cosine", "warmup_steps": 20},
            },
            "training": {"optimizer": {"kind": "adam", "lr": 0.005}, "max_steps": 300},
        },
    ),
    "irnn": _example(
        "ReLU network started as the identity",
        "IRNN on temporal order, lr cut when the held-out loss stands still.",
        {
            "name": "temporal order, IRNN",
            "dataset": {"kind": "temporal_order", "seq_len": 30},
            "cell": {"kind": "rnn", "hidden_size": 64},
            "remedy": {
                "activation": {"kind": "relu"},
                "init": {"kind": "identity", "scale": 1.0},
                "clipping": {"kind": "norm", "max_norm": 1.0},
                "lr_control": {"kind": "plateau", "factor": 0.5, "patience": 3},
            },
            "training": {"max_steps": 400},
        },
    ),
    "copies": _example(
        "Ten symbols after a pause",
        "The copy task, an answer due after every step; gates that start with long memories.",
        {
            "name": "copy memory, 10 blanks",
            "dataset": {"kind": "copy_memory", "lag": 10},
            "cell": {"kind": "lstm", "hidden_size": 64},
            "remedy": {
                "init": {"kind": "chrono", "max_lag": 30},
                "clipping": {"kind": "norm", "max_norm": 1.0},
            },
            "training": {"optimizer": {"kind": "adam", "lr": 0.005}, "max_steps": 400},
        },
    ),
    "digits": _example(
        "Handwritten digits, pixel by pixel",
        "A GRU names a digit after its 64th pixel; held-out accuracy is in val_metric.",
        {
            "name": "sequential digits",
            "dataset": {"kind": "sequential_digits"},
            "cell": {"kind": "gru", "hidden_size": 64},
            "training": {"optimizer": {"kind": "adam", "lr": 0.005}, "max_steps": 300},
        },
    ),
    "chaos": _example(
        "A chaotic series",
        "Mackey-Glass, 15 steps ahead, in units of the series' own variance.",
        {
            "name": "Mackey-Glass, 15 steps ahead",
            "dataset": {"kind": "mackey_glass", "seq_len": 50},
            "cell": {"kind": "lstm", "hidden_size": 32},
            "remedy": {"init": {"kind": "forget_bias"}},
            "training": {"optimizer": {"kind": "adam", "lr": 0.005}, "max_steps": 300},
        },
    ),
}

FORK_EXAMPLES: Final[dict[str, Example]] = {
    "again": _example("Run it again", "The same spec as a new job.", {"patch": {}}),
    "seed": _example(
        "Another seed", "Everything else as it was.", {"patch": {"training": {"seed": 1}}}
    ),
    "clip": _example(
        "Clip the gradient",
        "What a prescription's patch looks like.",
        {"patch": {"remedy": {"clipping": {"kind": "norm", "max_norm": 1.0}}}},
    ),
}

"""Drawn job specs: datasets, cells, remedies and optimizers in every valid combination."""

from typing import Any

from hypothesis import strategies as st

from contract.spec import JobSpec

_FORECAST = {"kind": "forecast", "target": "y", "inputs": ["y"], "seq_len": 24}
_CLASSIFY = {"kind": "classify", "sequence_id": "i", "time": "t", "inputs": ["x"], "label": "y"}
_POSITIVE = st.floats(1e-6, 1e6)
_LR = st.floats(1e-6, 1.0)
_LR_ABOVE_START = st.floats(1e-5, 100.0)

_DATASETS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, kind=st.just("adding"), seq_len=st.integers(2, 500)),
    st.builds(dict, kind=st.just("delayed_recall"), seq_len=st.integers(2, 500)),
    st.builds(dict, kind=st.just("temporal_order"), seq_len=st.integers(10, 500)),
    st.builds(dict, kind=st.just("subject_recall"), gap=st.integers(0, 500)),
    st.builds(dict, kind=st.just("copy_memory"), lag=st.integers(1, 500)),
    st.builds(dict, kind=st.just("mackey_glass"), seq_len=st.integers(2, 500)),
    st.builds(dict, kind=st.just("sequential_digits"), permute=st.booleans()),
    st.builds(
        dict,
        kind=st.just("upload"),
        dataset_id=st.just("ds_" + 26 * "0"),
        task=st.sampled_from([_FORECAST, _CLASSIFY, {"kind": "next_token"}]),
    ),
)
_CLIPPINGS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.builds(dict, kind=st.just("norm"), max_norm=_POSITIVE),
    st.builds(dict, kind=st.just("value"), clip_value=_POSITIVE),
    st.builds(dict, kind=st.just("agc"), clipping=_POSITIVE),
    st.builds(dict, kind=st.just("auto"), percentile=st.floats(1, 100)),
    st.builds(dict, kind=st.just("zclip"), warmup_steps=st.integers(1, 1_000)),
)
_LR_CONTROLS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.just({"kind": "constant"}),
    st.just({"kind": "plateau"}),
    st.builds(dict, kind=st.just("step"), every=st.integers(1, 1_000)),
    st.builds(dict, kind=st.just("one_cycle"), pct_start=st.floats(0.01, 0.99)),
    st.builds(dict, kind=st.just("range_test"), end_lr=_LR_ABOVE_START),
    st.builds(dict, kind=st.just("guarded"), window=st.integers(2, 1_000)),
    st.builds(dict, kind=st.just("cosine"), warmup_steps=st.integers(0, 1_000)),
)
_OPTIMIZERS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, kind=st.sampled_from(["sgd", "rmsprop", "adam", "adamw"]), lr=_LR
)
_XAVIER_AND_KAIMING: list[dict[str, Any]] = [
    {"kind": kind} for kind in ("xavier_uniform", "xavier_normal", "kaiming")
]
_WITH_W_HH: list[dict[str, Any]] = [
    *_XAVIER_AND_KAIMING,
    {"kind": "orthogonal"},
    {"kind": "orthogonal", "constraint": True},
]
_INITS_OF_CELL: dict[str, list[dict[str, Any]]] = {
    "rnn": [*_WITH_W_HH, {"kind": "identity"}],
    "gru": [*_WITH_W_HH, {"kind": "chrono", "max_lag": 30}],
    "lstm": [*_WITH_W_HH, {"kind": "chrono", "max_lag": 30}, {"kind": "forget_bias"}],
    "min_gru": _XAVIER_AND_KAIMING,
    "min_lstm": _XAVIER_AND_KAIMING,
    "lru": [],
}
_SKIPS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.builds(dict, kind=st.just("learned"), cost=st.floats(0, 1)),
    st.builds(dict, kind=st.just("residual"), lag=st.integers(2, 8)),
    st.just({"kind": "dilated", "base": 2}),
)
_LONGEST_SKIP = 8
_ACTIVATIONS = [None, *({"kind": kind} for kind in ("tanh", "relu", "leaky_relu", "mod_relu"))]


@st.composite
def drawn_specs(draw: st.DrawFn) -> JobSpec:
    """Any valid spec, its networks and budgets of every size."""
    kind = draw(st.sampled_from(list(_INITS_OF_CELL)))
    inits = [None, {"kind": "default"}, *_INITS_OF_CELL[kind]]
    dataset = draw(_DATASETS)
    task = dataset.get("task", {})
    is_next_token = task.get("kind") == "next_token"
    # Skips have to be shorter than the sequences, and dilated ones need two layers.
    length = dataset.get("seq_len") or task.get("seq_len", 9)
    skip = draw(_SKIPS) if length > _LONGEST_SKIP and kind in {"rnn", "gru", "lstm"} else None
    is_dilated = skip is not None and skip["kind"] == "dilated"
    num_layers = draw(st.integers(2 if is_dilated else 1, 4))
    cell = {
        "kind": kind,
        "hidden_size": draw(st.integers(2, 128)),
        "num_layers": num_layers,
        "dropout": draw(st.floats(0, 0.9)) if num_layers > 1 else 0,
        "bidirectional": draw(st.booleans()) and not is_next_token,
    }
    ring = {"r_min": 0.5, "r_max": draw(st.floats(0.6, 1.0)), "max_phase": 0.3}
    document = {
        "dataset": dataset,
        "cell": cell | (ring if kind == "lru" else {}),
        "remedy": {
            "activation": draw(st.sampled_from(_ACTIVATIONS)) if kind == "rnn" else None,
            "init": draw(st.sampled_from(inits)),
            "skip": skip,
            "clipping": draw(_CLIPPINGS),
            "lr_control": draw(_LR_CONTROLS),
        },
        "training": {"optimizer": draw(_OPTIMIZERS), "max_steps": draw(st.integers(2, 100_000))},
    }
    return JobSpec.model_validate(document)

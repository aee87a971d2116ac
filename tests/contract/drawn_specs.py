"""Drawn job specs: datasets, cells, remedies and optimizers in every valid combination."""

from typing import Any

from hypothesis import strategies as st

from contract.spec import JobSpec

_FORECAST = {"kind": "forecast", "target": "y", "inputs": ["y"], "seq_len": 24}
_POSITIVE = st.floats(1e-6, 1e6)
_LR = st.floats(1e-6, 1.0)

_DATASETS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, kind=st.just("adding"), seq_len=st.integers(2, 500)),
    st.builds(dict, kind=st.just("delayed_recall"), seq_len=st.integers(2, 500)),
    st.builds(dict, kind=st.just("temporal_order"), seq_len=st.integers(10, 500)),
    st.builds(dict, kind=st.just("subject_recall"), gap=st.integers(0, 500)),
    st.just({"kind": "upload", "dataset_id": "ds_" + 26 * "0", "task": _FORECAST}),
)
_CLIPPINGS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.builds(dict, kind=st.just("norm"), max_norm=_POSITIVE),
    st.builds(dict, kind=st.just("value"), clip_value=_POSITIVE),
)
_LR_CONTROLS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.just({"kind": "constant"}),
    st.just({"kind": "plateau"}),
    st.builds(dict, kind=st.just("step"), every=st.integers(1, 1_000)),
    st.builds(dict, kind=st.just("cosine"), warmup_steps=st.integers(0, 1_000)),
)
_OPTIMIZERS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, kind=st.sampled_from(["sgd", "rmsprop", "adam", "adamw"]), lr=_LR
)
_INITS = ["default", "xavier_uniform", "xavier_normal", "kaiming", "orthogonal"]
_INITS_OF_CELL: dict[str, list[dict[str, Any]]] = {
    "rnn": [{"kind": "identity"}],
    "gru": [{"kind": "chrono", "max_lag": 30}],
    "lstm": [{"kind": "chrono", "max_lag": 30}, {"kind": "forget_bias"}],
}
_SKIPS: st.SearchStrategy[dict[str, Any] | None] = st.one_of(
    st.none(),
    st.builds(dict, kind=st.just("learned"), cost=st.floats(0, 1)),
    st.builds(dict, kind=st.just("residual"), lag=st.integers(2, 8)),
    st.just({"kind": "dilated", "base": 2}),
)
_ACTIVATIONS = [None, {"kind": "tanh"}, {"kind": "relu"}, {"kind": "leaky_relu"}]


@st.composite
def drawn_specs(draw: st.DrawFn) -> JobSpec:
    """Any valid spec, its networks and budgets of every size."""
    cell = draw(st.sampled_from(["rnn", "gru", "lstm"]))
    dataset = draw(_DATASETS)
    # Skips have to be shorter than the sequences, and dilated ones need two layers.
    skip = draw(_SKIPS) if dataset.get("seq_len", 9) > 8 else None
    is_dilated = skip is not None and skip["kind"] == "dilated"
    inits = [None, *({"kind": kind} for kind in _INITS), *_INITS_OF_CELL[cell]]
    document = {
        "dataset": dataset,
        "cell": {
            "kind": cell,
            "hidden_size": draw(st.integers(2, 128)),
            "num_layers": draw(st.integers(2, 4)) if is_dilated else 1,
        },
        "remedy": {
            "activation": draw(st.sampled_from(_ACTIVATIONS)) if cell == "rnn" else None,
            "init": draw(st.sampled_from(inits)),
            "skip": skip,
            "clipping": draw(_CLIPPINGS),
            "lr_control": draw(_LR_CONTROLS),
        },
        "training": {"optimizer": draw(_OPTIMIZERS), "max_steps": draw(st.integers(2, 100_000))},
    }
    return JobSpec.model_validate(document)

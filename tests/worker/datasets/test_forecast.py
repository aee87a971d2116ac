"""Forecasting: windows, splits, scaling and the baseline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import Forecast, Upload
from contract.spec.upload_task import rows_needed
from contract.table_limits import TableLimits
from contract.tabular import ingest, read_table
from worker.datasets.forecast import make_forecast
from worker.datasets.registry import open_dataset
from worker.datasets.task import Batch, DatasetInvalidError
from worker.datasets.windows import WindowDataset

SUNSPOTS = Path(__file__).parents[3] / "examples" / "sunspots.csv"
FORECAST = Forecast(kind="forecast", target="y", inputs=("y",), seq_len=4)


def _with(**changes: object) -> Forecast:
    return Forecast.model_validate(FORECAST.model_dump() | changes)


def _table(num_rows: int) -> pa.Table:
    """Rows whose y says where they stand: y = 10 * row."""
    return pa.table({"y": 10.0 * np.arange(num_rows)})


def _targets(dataset: WindowDataset, batch: Batch) -> list[list[float]]:
    """The targets of a batch in their own units, unscaled by hand."""
    train_y = np.unique(10.0 * np.arange(70))
    assert dataset.task.unit_scale == pytest.approx(train_y.std() ** 2)
    unscaled: list[list[float]] = np.round(
        batch.target[:, 0] * train_y.std() + train_y.mean()
    ).tolist()
    return unscaled


def test_windows_are_judged_by_the_split_their_targets_lie_in() -> None:
    """Of 100 rows, 15 are predicted for validation and the last 15 for the test."""
    dataset = make_forecast(FORECAST, _table(100), 0)

    assert _targets(dataset, dataset.validation()) == [[10.0 * row] for row in range(70, 85)]
    assert _targets(dataset, dataset.test()) == [[10.0 * row] for row in range(85, 100)]


def test_training_targets_are_all_training_rows_that_have_a_window_before_them() -> None:
    """Rows 4 to 69 are drawn, no other."""
    dataset = make_forecast(FORECAST, _table(100), 0)
    drawn = _targets(dataset, dataset.batch(1, 4_000))

    assert sorted({row[0] for row in drawn}) == [10.0 * row for row in range(4, 70)]


def test_a_window_is_followed_at_once_by_its_targets() -> None:
    """The inputs end one row before the first of `horizon` targets."""
    dataset = make_forecast(_with(horizon=3), _table(100), 0)
    batch = dataset.test()
    step = 10 / dataset.task.unit_scale**0.5

    rows_ND = np.concatenate([batch.x_NTI[:, :, 0], batch.target[:, 0]], axis=1)
    assert batch.target.shape == (13, 1, 3)
    np.testing.assert_allclose(np.diff(rows_ND, axis=1), step, rtol=1e-4)


def test_columns_are_scaled_by_their_training_rows_alone() -> None:
    """Training rows have mean 0 and deviation 1, whatever comes later."""
    values = np.random.default_rng(0).normal(50, 7, 100)
    values[70:] += 1_000
    dataset = make_forecast(FORECAST, pa.table({"y": values}), 0)

    np.testing.assert_allclose(
        dataset.inputs_RI[:, 0], (values - values[:70].mean()) / values[:70].std(), rtol=1e-5
    )
    np.testing.assert_array_equal(dataset.target_R, dataset.inputs_RI[:, 0])


def test_a_column_that_is_constant_in_training_is_only_shifted() -> None:
    """Its deviation counts as 1, even where a computed one would not be exactly 0."""
    constant = [0.1] * 70 + [1.1] * 30
    table = _table(100).append_column("c", pa.array(constant))
    dataset = make_forecast(_with(inputs=("c",)), table, 0)

    np.testing.assert_allclose(dataset.inputs_RI[:, 0], [0.0] * 70 + [1.0] * 30, rtol=1e-6)


def test_the_baseline_of_the_sunspots_is_what_numpy_says(tmp_path: Path) -> None:
    """Persistence over the last 46 years, from the file itself."""
    stored = tmp_path / "sunspots.parquet"
    ingest(SUNSPOTS, "sunspots.csv", stored, TableLimits())
    spec = Forecast(kind="forecast", target="sunspots", inputs=("sunspots",), seq_len=24)
    sunspots = np.genfromtxt(SUNSPOTS, delimiter=",", skip_header=1)[:, 1]

    task = make_forecast(spec, read_table(stored), 0).task

    assert task.baseline == pytest.approx(np.mean(np.diff(sunspots[-47:]) ** 2))
    assert task.baseline == pytest.approx(859.13, abs=0.01)
    assert task.learned_below == task.baseline
    assert task.dependency is None


def test_the_baseline_of_a_longer_horizon_repeats_the_last_value_seen() -> None:
    """By hand: y grows by 10 a row, so the errors are 10 and 20, squared and averaged."""
    assert make_forecast(_with(horizon=2), _table(100), 0).task.baseline == (100 + 400) / 2


def test_unit_scale_leads_from_the_trained_loss_to_the_baselines_units() -> None:
    """Persistence judged in scaled values and multiplied by unit_scale is the baseline."""
    values = np.random.default_rng(1).normal(0, 30, 200)
    dataset = make_forecast(FORECAST, pa.table({"y": values}), 0)
    test = dataset.test()

    scaled = np.mean((test.target[:, 0, 0] - test.x_NTI[:, -1, 0]) ** 2)
    assert float(scaled) * dataset.task.unit_scale == pytest.approx(dataset.task.baseline)


def test_rows_are_put_in_the_order_of_time() -> None:
    """A shuffled table gives the same windows as an ordered one."""
    ordered = _table(100).append_column("t", pa.array(range(100)))
    shuffled = ordered.take(np.random.default_rng(0).permutation(100))
    spec = _with(time="t")

    one, two = make_forecast(spec, ordered, 0), make_forecast(spec, shuffled, 0)
    np.testing.assert_array_equal(one.test().x_NTI, two.test().x_NTI)
    np.testing.assert_array_equal(one.batch(5, 8).target, two.batch(5, 8).target)


def test_windows_never_cross_from_one_series_to_another() -> None:
    """Two interleaved series, far apart in value, never share a window; each is in the test."""
    levels = np.tile([0.0, 1e4], 100) + np.repeat(np.arange(100), 2)
    table = pa.table({"y": levels, "id": ["a", "b"] * 100, "t": np.repeat(np.arange(100), 2)})
    dataset = make_forecast(_with(series_id="id", time="t"), table, 0)

    for batch in (dataset.batch(1, 500), dataset.validation(), dataset.test()):
        rows_ND = np.concatenate([batch.x_NTI[:, :, 0], batch.target[:, 0]], axis=1)
        assert (np.ptp(rows_ND, axis=1) * dataset.task.unit_scale**0.5 < 5).all()
    assert len(dataset.test().target) == 30


def test_a_series_too_short_to_be_split_is_left_out() -> None:
    """The long series alone gives the windows."""
    table = pa.table({"y": np.arange(106.0), "id": ["long"] * 100 + ["short"] * 6})

    dataset = make_forecast(_with(series_id="id"), table, 0)

    assert len(dataset.test().target) == 15


@given(seq_len=st.integers(2, 60), horizon=st.integers(1, 20), extra=st.integers(0, 5))
def test_the_rows_said_to_be_needed_are_enough(seq_len: int, horizon: int, extra: int) -> None:
    """With that many rows or a few more, every split has a window."""
    rows = rows_needed(seq_len, horizon) + extra
    dataset = make_forecast(_with(seq_len=seq_len, horizon=horizon), _table(rows), 0)

    splits = (dataset.batch(1, 1), dataset.validation(), dataset.test())
    assert all(len(batch.x_NTI) >= 1 for batch in splits)


@given(seq_len=st.integers(2, 60), horizon=st.integers(1, 20))
def test_one_row_less_than_needed_is_refused_with_the_number(seq_len: int, horizon: int) -> None:
    """The message says how many rows there must be."""
    rows = rows_needed(seq_len, horizon)

    with pytest.raises(DatasetInvalidError, match=f"need {rows} rows"):
        make_forecast(_with(seq_len=seq_len, horizon=horizon), _table(rows - 1), 0)


def test_validation_is_thinned_out_evenly_and_the_test_is_whole() -> None:
    """Many evaluations look at 2,048 windows, the final one at all."""
    dataset = make_forecast(FORECAST, _table(20_000), 0)

    gaps = np.diff(dataset.split.validation_P)
    assert len(dataset.validation().target) == 2_048
    assert set(gaps.tolist()) == {1, 2}
    assert len(dataset.test().target) == 3_000


def _spoiled(value: float | None) -> pa.Table:
    return pa.table({"y": [1.0, value, 3.0, value] * 25})


@pytest.mark.parametrize(
    ("changes", "make_table", "message"),
    [
        ({}, lambda: _table(0), "Too few rows.*the longest has 0"),
        ({}, lambda: _spoiled(None), "Column 'y' has 50 missing values"),
        ({}, lambda: _spoiled(float("inf")), "Column 'y' has 50 values that are not finite"),
        ({}, lambda: _spoiled(1e300), "too large"),
        ({}, lambda: pa.table({"y": [0, 1e150] * 35 + [0, 1e180] * 15}), "too large"),
        (
            {"inputs": ("c",)},
            lambda: _table(100).append_column("c", pa.array([1e300, -1e300] * 50)),
            "too large",
        ),
        ({}, lambda: pa.table({"y": ["a"] * 100}), "Column 'y' is not numeric"),
        ({}, lambda: pa.table({"y": [True] * 100}), "Column 'y' is not numeric"),
        ({}, lambda: pa.table({"y": [1.0] * 100}), "'y' never changes"),
        ({"target": "z"}, lambda: _table(100), "no column 'z'"),
        ({"inputs": ("y", "z")}, lambda: _table(100), "no column 'z'"),
        ({"time": "z"}, lambda: _table(100), "no column 'z'"),
        ({"series_id": "z"}, lambda: _table(100), "no column 'z'"),
        (
            {"time": "t"},
            lambda: _table(100).append_column("t", pa.array(["9 May", "10 May"] * 50)),
            "Column 't' is not numeric",
        ),
        (
            {"time": "t"},
            lambda: _table(100).append_column("t", pa.array([*range(99), 7])),
            "Column 't' has 7 more than once",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_reason(
    changes: dict[str, object], make_table: Callable[[], pa.Table], message: str
) -> None:
    """The sentence names the column and what is wrong with it."""
    with pytest.raises(DatasetInvalidError, match=message):
        make_forecast(_with(**changes), make_table(), 0)


def test_the_same_time_in_two_series_is_no_duplicate() -> None:
    """Times have to differ within a series only."""
    table = pa.table({"y": np.arange(200.0), "id": ["a", "b"] * 100, "t": np.arange(200) // 2})

    assert make_forecast(_with(series_id="id", time="t"), table, 0).task.seq_len == 4


def test_an_upload_is_read_by_its_id_and_a_seeds_batches_are_its_own() -> None:
    """The registry hands the stored table to the forecast; step n needs no step before it."""
    dataset_id = "ds_" + "0" * 26
    upload = Upload(kind="upload", dataset_id=dataset_id, task=FORECAST)
    tables = {dataset_id: _table(100)}
    one, other = (open_dataset(upload, seed, tables.__getitem__) for seed in (0, 1))
    again = open_dataset(upload, 0, tables.__getitem__)
    one.batch(1, 8)

    np.testing.assert_array_equal(one.batch(2, 8).target, again.batch(2, 8).target)
    assert not np.array_equal(one.batch(2, 8).target, other.batch(2, 8).target)

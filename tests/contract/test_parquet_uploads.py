"""Taking an untrusted Parquet file as a table."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from contract.table_limits import TableError, TableLimitError, TableLimits
from contract.tabular import TableSummary, ingest, read_table

LIMITS = TableLimits(max_rows=5_000, max_columns=5, max_cell_bytes=100, max_unpacked_bytes=190_000)


def _written(folder: Path, table: pa.Table, **options: Any) -> bytes:  # noqa: ANN401 - any option
    parquet.write_table(table, folder / "written", **options)
    return (folder / "written").read_bytes()


def _ingest(content: bytes, folder: Path, filename: str = "a.parquet") -> TableSummary:
    (folder / "upload").write_bytes(content)
    return ingest(folder / "upload", filename, folder / "stored", LIMITS)


def _taken(folder: Path, table: pa.Table, **options: Any) -> TableSummary:  # noqa: ANN401 - the same
    return _ingest(_written(folder, table, **options), folder)


DAY = dt.date(2024, 1, 2)


@pytest.mark.parametrize(
    ("values", "expected", "stored"),
    [
        (pa.array([1, None], pa.uint8()), "integer", [1, None]),
        (pa.array([1.5, math.nan], pa.float32()), "number", [1.5, None]),
        (pa.array([2, 3], pa.decimal128(5, 1)), "number", [2.0, 3.0]),
        (pa.array([True, None]), "boolean", [True, None]),
        (pa.array([DAY, None]), "datetime", [dt.datetime(2024, 1, 2), None]),  # noqa: DTZ001
        (pa.array([1_999, None], pa.timestamp("ns", tz="Europe/Berlin")), "datetime",
         [dt.datetime(1970, 1, 1, 0, 0, 0, 1, dt.UTC), None]),
        (pa.array(["x", "é"], pa.large_string()), "text", ["x", "é"]),
        (pa.array(["x", None]).dictionary_encode(), "text", ["x", None]),
        (pa.nulls(2), "integer", [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)  # fmt: skip
def test_flat_columns_keep_their_values(
    tmp_path: Path,
    values: Any,  # noqa: ANN401 - any column
    expected: str,
    stored: list[object],
) -> None:
    """Each of Arrow's flat types becomes one of ours; NaN is missing, as in a CSV file."""
    summary = _taken(tmp_path, pa.table({"a": values}))

    assert [(column.name, column.type) for column in summary.columns] == [("a", expected)]
    assert summary.columns[0].missing == stored.count(None)
    assert read_table(tmp_path / "stored").column("a").to_pylist() == stored


def test_summary_is_that_of_the_same_rows_as_csv(tmp_path: Path) -> None:
    """Columns, extremes and preview do not depend on the format."""
    table = pa.table({"i": [1, 2, None], "n": [0.5, math.inf, 2.0], "t": ["a", None, "c"]})
    packed = _taken(tmp_path, table)
    plain = _ingest(b"i,n,t\n1,0.5,a\n2,inf,\n,2.0,c\n", tmp_path, "a.csv")

    assert (packed.format, plain.format) == ("parquet", "csv")
    assert packed.model_copy(update={"format": "csv"}) == plain


def test_start_of_the_file_decides_not_its_name(tmp_path: Path) -> None:
    """A Parquet file called .csv is one; a CSV file called .parquet is refused as neither."""
    content = _written(tmp_path, pa.table({"a": [1]}))

    assert _ingest(content, tmp_path, "a.csv").format == "parquet"
    with pytest.raises(TableError, match="name says Parquet"):
        _ingest(b"a\n1\n", tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"nested": [[1], [2]]}), "'nested' holds list"),
        (pa.table({"nested": [{"b": 1}]}), "'nested' holds struct"),
        (pa.table({"raw": [b"x"]}), "'raw' holds binary"),
        (pa.table({"when": pa.array([1], pa.time64("us"))}), "'when' holds time64"),
        (pa.table({"big": pa.array([2**64 - 1], pa.uint64())}), "'big' has a value .* too large"),
        (pa.table({"far": pa.array([2**62], pa.timestamp("us"))}), "'far' has a value"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "Two columns are called 'a'"),
        (pa.table({"": [1]}), "Column 1 has no name"),
        (pa.table({"a\0b": [1]}), "not UTF-8"),
        (pa.table({"a": ["x\0"]}), "not UTF-8"),
        (pa.table({"a": pa.array([b"\xff"]).view(pa.string())}), "not UTF-8"),
        (pa.table({"a": pa.array([], pa.int64())}), "no rows"),
        (pa.table({}), "no rows"),
    ],
)
def test_what_no_table_holds_is_refused_by_its_name(
    tmp_path: Path, table: pa.Table, message: str
) -> None:
    """The sentence names the column and no path; nothing is stored."""
    with pytest.raises(TableError, match=message) as refusal:
        _taken(tmp_path, table)

    assert str(tmp_path) not in str(refusal.value)
    assert not (tmp_path / "stored").exists()


@pytest.mark.parametrize(
    ("table", "limit"),
    [
        (pa.table({"a": range(5_001)}), "max_rows"),
        (pa.table({f"c{at}": [1] for at in range(6)}), "max_columns"),
        (pa.table({"a": ["y" * 101]}), "max_cell_bytes"),
        # One value in a dictionary, 4,000 times: a few bytes that would fill 400,000.
        (pa.table({"a": ["y" * 100] * 4_000}), "max_unpacked_bytes"),
        # 5 columns of 5,000 equal numbers: packed they are next to nothing.
        (pa.table({f"c{at}": [0] * 5_000 for at in range(5)}), "max_unpacked_bytes"),
    ],
    ids=["rows", "columns", "cell", "text bomb", "number bomb"],
)
def test_what_is_too_large_once_unpacked_is_refused_by_the_name_of_the_limit(
    tmp_path: Path, table: pa.Table, limit: str
) -> None:
    """However small the file is."""
    with pytest.raises(TableLimitError) as refusal:
        _taken(tmp_path, table)

    assert refusal.value.limit == limit
    assert not (tmp_path / "stored").exists()


def test_huge_footer_is_not_read(tmp_path: Path) -> None:
    """A footer's length is looked at before the footer."""
    length = 2**24 + 1
    content = b"PAR1" + bytes(length) + length.to_bytes(4, "little") + b"PAR1"

    with pytest.raises(TableError, match="footer is larger"):
        _ingest(content, tmp_path)


@pytest.mark.parametrize(
    "content", [b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(100) + b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1"]
)
def test_what_only_starts_like_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file without a footer cannot be read, and the answer says so."""
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        _ingest(content, tmp_path)

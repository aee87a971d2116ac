"""Taking an untrusted CSV file as a table."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from contract.table_limits import BLOCK_BYTES, TableError, TableLimitError, TableLimits
from contract.tabular import TableSummary, ingest, read_table

SUNSPOTS = Path(__file__).parents[2] / "examples" / "sunspots.csv"
LIMITS = TableLimits(max_rows=200_000, max_columns=5, max_cell_bytes=100)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Where the Parquet file goes."""
    return tmp_path / "table.parquet"


def _ingest(content: str | bytes, stored: Path, filename: str = "table.csv") -> TableSummary:
    source = stored.with_name("upload")
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    return ingest(source, filename, stored, LIMITS)


def _types(summary: TableSummary) -> list[str]:
    return [column.type for column in summary.columns]


def test_the_sunspots_are_309_rows_of_two_number_columns(stored: Path) -> None:
    """The example file ingests to what it holds, the years as integers."""
    summary = ingest(SUNSPOTS, "sunspots.csv", stored, LIMITS)

    assert summary.rows == 309
    year, sunspots = summary.columns
    assert (year.name, year.type, year.min, year.max) == ("year", "integer", 1700, 2008)
    assert (sunspots.name, sunspots.type, sunspots.missing) == ("sunspots", "number", 0)


def test_what_is_read_back_is_what_arrow_reads_in_one_go(stored: Path) -> None:
    """The stored table equals pyarrow's own reading of the whole file."""
    ingest(SUNSPOTS, "sunspots.csv", stored, LIMITS)

    assert read_table(stored).equals(csv.read_csv(SUNSPOTS))


@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_every_float_survives_the_way_to_parquet(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    """A number's shortest text comes back as the very same number."""
    stored = tmp_path_factory.mktemp("floats") / "table.parquet"

    _ingest("x\n" + "\n".join(map(repr, values)), stored)

    assert read_table(stored).column("x").to_pylist() == values


def test_each_column_gets_the_narrowest_type_that_fits_all_its_cells(stored: Path) -> None:
    """Integers, numbers, booleans, datetimes and text are told apart."""
    content = "i,n,b,d,t\n1,1,true,2024-01-01,1\n0,2.5,false,2024-01-02T10:00:00,x\n"

    summary = _ingest(content, stored)

    assert _types(summary) == ["integer", "number", "boolean", "datetime", "text"]


def test_datetimes_with_a_zone_are_datetimes(stored: Path) -> None:
    """A time in UTC is one, and its range is shown in ISO 8601."""
    summary = _ingest("d\n2024-01-02T00:00:00Z\n2024-01-01T00:00:00Z\n", stored)

    assert summary.columns[0].type == "datetime"
    assert summary.columns[0].min == "2024-01-01T00:00:00+00:00"


@pytest.mark.parametrize(("late", "expected"), [("0.5", "number"), ("high", "text")])
def test_a_type_that_changes_after_the_first_block_holds_for_the_whole_column(
    stored: Path, late: str, expected: str
) -> None:
    """Cells of a later block widen the column; nothing of the first block is lost."""
    first = "123456789\n" * (BLOCK_BYTES // 10 + 1_000)

    summary = _ingest(f"x\n{first}{late}\n", stored)

    assert _types(summary) == [expected]
    assert str(read_table(stored).column("x")[-1]) == late
    assert float(str(read_table(stored).column("x")[0])) == 123456789


def test_missing_and_nonfinite_values_are_counted_apart(stored: Path) -> None:
    """Empty cells, NA and NaN are missing; infinities are not finite and no extremes."""
    summary = _ingest("x,y\n1.5,a\nNA,b\nNaN,\n,c\ninf,d\n-inf,e\n-2,f\n", stored)

    x, y = summary.columns
    assert (x.type, x.missing, x.nonfinite, x.min, x.max) == ("number", 3, 2, -2.0, 1.5)
    assert (y.type, y.missing, y.min, y.max) == ("text", 1, None, None)


def test_extremes_are_those_of_all_blocks(stored: Path) -> None:
    """The smallest and the largest value are found wherever they stand in the file."""
    numbers = np.random.default_rng(0).integers(-(10**9), 10**9, 150_000)

    summary = _ingest("x\n" + "\n".join(map(str, numbers)), stored)

    assert summary.rows == len(numbers)
    assert (summary.columns[0].min, summary.columns[0].max) == (numbers.min(), numbers.max())


def test_the_preview_is_strict_json(stored: Path) -> None:
    """The first five rows are shown; what JSON cannot say is null."""
    rows = "\n".join(["inf,2024-01-01", "NA,2024-01-02"] + ["1.0,2024-01-03"] * 5)

    preview = _ingest(f"x,d\n{rows}\n", stored).preview

    assert preview.columns == ("x", "d")
    assert preview.rows[:2] == ((None, "2024-01-01T00:00:00"), (None, "2024-01-02T00:00:00"))
    assert len(json.loads(json.dumps(preview.model_dump(), allow_nan=False))["rows"]) == 5


def test_the_preview_cuts_long_text(tmp_path: Path) -> None:
    """A preview stays small, however long a cell may be; the stored table is whole."""
    source, stored = tmp_path / "upload", tmp_path / "table.parquet"
    source.write_text("x\n" + "y" * 5_000 + "\n")

    summary = ingest(source, "table.csv", stored, TableLimits(max_cell_bytes=5_000))

    assert summary.preview.rows == (("y" * 200,),)
    assert len(str(read_table(stored).column("x")[0])) == 5_000


def test_spaces_around_names_and_numbers_do_not_count(stored: Path) -> None:
    """A space after the comma makes a number no text."""
    summary = _ingest("a, b\n1, 2.5\n2, NA\n", stored)

    assert [(column.name, column.type) for column in summary.columns] == [
        ("a", "integer"),
        ("b", "number"),
    ]


def test_tabs_separate_the_cells_of_a_tsv_file(stored: Path) -> None:
    """The file's name says what separates its cells."""
    assert _types(_ingest("a\tb\n1\tx,y\n", stored, "table.TSV")) == ["integer", "text"]


def test_quoted_cells_may_hold_commas_and_line_ends(stored: Path) -> None:
    """RFC 4180's quoting is understood."""
    _ingest('a,b\n"x,\ny",1\n', stored)

    assert read_table(stored).to_pylist() == [{"a": "x,\ny", "b": 1}]


def test_a_byte_order_mark_is_no_part_of_the_first_name(stored: Path) -> None:
    """Spreadsheets' UTF-8 files work."""
    assert _ingest(b"\xef\xbb\xbfa,b\n1,2\n", stored).columns[0].name == "a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "no rows"),
        (b"a,b\n", "no rows"),
        (b"a,b", "no rows"),
        (b"a,b\n1,2\n1,2,3\n", r"Row 3 has 3 cells, the header has 2"),
        (b"a,b\n" + b"123456,654321\n" * 100_000 + b"1\n", r"Row 100002 has 1 cells"),
        (b"a,b\n1,\xff\n", "not UTF-8"),
        (b"\xff,b\n1,2\n", "not UTF-8"),
        (b"a,b\n1,\x00\n", "not UTF-8"),
        (b"a,b,a\n1,2,3\n", "Two columns are called 'a'"),
        (b"a,a \n1,2\n", "Two columns are called 'a'"),
        (b"a,,b\n1,2,3\n", "Column 2 has no name"),
        (b'a\n"' + b"x\n" * BLOCK_BYTES, "quotation mark"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(
    stored: Path, content: bytes, message: str
) -> None:
    """The sentence says what is wrong and names no path; nothing is stored."""
    with pytest.raises(TableError, match=message) as refusal:
        _ingest(content, stored)

    assert str(stored.parent) not in str(refusal.value)
    assert not stored.exists()


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        ("x\n" + "1\n" * 200_001, "max_rows"),
        ("a,b,c,d,e,f\n1,2,3,4,5,6\n", "max_columns"),
        ("x\n" + "y" * 101 + "\n", "max_cell_bytes"),
    ],
)
def test_what_is_too_large_is_refused_by_the_name_of_the_limit(
    stored: Path, content: str, limit: str
) -> None:
    """The error carries the limit that was exceeded, and nothing is stored."""
    with pytest.raises(TableLimitError) as refusal:
        _ingest(content, stored)

    assert refusal.value.limit == limit
    assert not stored.exists()


def test_a_table_at_its_limits_is_taken(stored: Path) -> None:
    """The limits are the largest sizes that are allowed."""
    cell = "y" * LIMITS.max_cell_bytes

    summary = _ingest("a,b,c,d,e\n" + f"{cell},1,1,1,1\n" * 3, stored)

    assert (summary.rows, len(summary.columns)) == (3, 5)


def test_an_upload_is_never_unpacked_because_of_its_name(tmp_path: Path) -> None:
    """A plain CSV whose path ends in .gz is read as the CSV it is."""
    source, stored = tmp_path / "upload.gz", tmp_path / "table.parquet"
    source.write_text("x\n1\n")

    assert ingest(source, "table.csv", stored, LIMITS).rows == 1


def test_integers_too_long_for_64_bits_become_numbers(stored: Path) -> None:
    """Nothing overflows silently."""
    _ingest("x\n1\n99999999999999999999\n", stored)

    assert read_table(stored).schema.field("x").type == pa.float64()

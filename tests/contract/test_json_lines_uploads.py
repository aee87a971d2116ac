"""Taking an untrusted JSON Lines file as a table."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.table_limits import BLOCK_BYTES, TableError, TableLimitError, TableLimits
from contract.tabular import TableSummary, ingest, read_table

LIMITS = TableLimits(max_rows=50_000, max_columns=5, max_cell_bytes=100)


def _ingest(content: str | bytes, folder: Path, filename: str = "a.jsonl") -> TableSummary:
    source = folder / "upload"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    return ingest(source, filename, folder / "stored", LIMITS)


def test_each_key_is_a_column_of_the_narrowest_type(tmp_path: Path) -> None:
    """Numbers, booleans, datetimes and text are told apart; null is missing."""
    summary = _ingest(
        '{"i": 1, "n": 1, "b": true, "d": "2024-01-01", "t": "x"}\n'
        '{"i": null, "n": 2.5, "b": false, "d": "2024-01-02T10:00:00", "t": "y"}\n',
        tmp_path,
    )

    assert [(column.name, column.type, column.missing) for column in summary.columns] == [
        ("i", "integer", 1), ("n", "number", 0), ("b", "boolean", 0), ("d", "datetime", 0),
        ("t", "text", 0),
    ]  # fmt: skip
    assert summary.format == "jsonl"
    assert summary.preview.rows[0] == (1, 1.0, True, "2024-01-01T00:00:00", "x")


def test_number_in_quotes_stays_text(tmp_path: Path) -> None:
    """JSON says itself what is text: "007" is no 7."""
    _ingest('{"id": "007", "flag": "true"}\n{"id": "7", "flag": "false"}\n', tmp_path)

    assert read_table(tmp_path / "stored").to_pylist() == [
        {"id": "007", "flag": "true"},
        {"id": "7", "flag": "false"},
    ]


def test_text_in_a_later_block_makes_the_whole_column_text(tmp_path: Path) -> None:
    """Numbers of the first megabyte are not lost when a string follows."""
    rows = BLOCK_BYTES // 24
    _ingest('{"x": 123456, "y": 1.25}\n' * rows + '{"x": "12", "y": 2}\n', tmp_path)
    column = read_table(tmp_path / "stored").column("x")

    assert (column[0].as_py(), column[rows].as_py()) == ("123456", "12")


def test_order_of_the_keys_is_the_first_objects(tmp_path: Path) -> None:
    """Later objects may have their keys in any order."""
    summary = _ingest('{"b": 1, "a": 2}\n{"a": 3, "b": 4}\n', tmp_path)

    assert summary.preview.columns == ("b", "a")
    assert summary.preview.rows == ((1, 2), (4, 3))


def test_blank_lines_and_a_byte_order_mark_do_not_count(tmp_path: Path) -> None:
    """Neither makes a row."""
    assert _ingest(b'\xef\xbb\xbf{"a": 1}\r\n\r\n\n{"a": 2}', tmp_path).rows == 2


@given(values=st.lists(st.floats(), min_size=1, max_size=20))
def test_every_float_survives(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    """A number comes back as the very same number; NaN is missing, infinities are not finite."""
    folder = tmp_path_factory.mktemp("floats")
    summary = _ingest("\n".join(json.dumps({"x": value}) for value in [0.5, *values]), folder)

    stored = read_table(folder / "stored").column("x").to_pylist()
    assert stored == [0.5, *(None if value != value else value for value in values)]  # noqa: PLR0124 - NaN
    assert summary.columns[0].nonfinite == sum(abs(value) == float("inf") for value in values)


@pytest.mark.parametrize("filename", ["a.csv", "a.json", "a", "a.ndjson"])
def test_objects_are_known_by_their_start(tmp_path: Path, filename: str) -> None:
    """A brace and a quotation mark begin no CSV file, whatever the file is called."""
    assert _ingest('{"a": 1}\n', tmp_path, filename).format == "jsonl"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("{}\n", "no keys"),
        ('{"a": 1}\n{"a": 1, "b": 2}\n', "Line 2 and the first object differ in the key 'b'"),
        ('{"a": 1, "b": 2}\n\n{"a": 1}\n', "Line 3 .* key 'b'"),
        ('{"a": 1}\n{"a": 1, "a": 2}\n', "Line 2 has the key 'a' twice"),
        ('{"a": [1, 2]}\n', "Line 1 holds an array or object in 'a'"),
        ('{"a": 1}\n{"a": {"b": 1}}\n', "Line 2 holds an array or object in 'a'"),
        ('{"a": 1}\n[1]\n', "Line 2 is not a JSON object"),
        ('{"a": 1}\n{"a": 1\n', "Line 2 is not JSON"),
        ('{"a": 1} {"a": 2}\n', "Line 1 is not JSON"),
        ('[{"a": 1}]\n', "Line 1 is not a JSON object"),
        ('{"a": ' + "[" * 100_000, "Line 1 is nested too deeply"),
        ('{"a": "x\\u0000"}\n', "not UTF-8"),
        ('{"a": "\\ud800"}\n', "not UTF-8"),
        ('{"a\\ud800": 1}\n', "not UTF-8"),
        ('{"a\\u0000": 1}\n', "not UTF-8"),
        (b'{"a": "\xff"}\n', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"": 1}\n', "has no name"),
        ('{"a": 1}\n' + "x" * (BLOCK_BYTES + 1), "Line 2 is longer"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_the_lines_number(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    """The sentence says which line is wrong and how; nothing is stored."""
    with pytest.raises(TableError, match=message):
        _ingest(content, tmp_path)

    assert not (tmp_path / "stored").exists()


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        ('{"x": 1}\n' * 50_001, "max_rows"),
        (json.dumps({f"c{at}": 1 for at in range(6)}), "max_columns"),
        (json.dumps({"x": "y" * 101}), "max_cell_bytes"),
        ('{"x": ' + "1" * 500_000 + "}\n", "max_cell_bytes"),
    ],
)
def test_what_is_too_large_is_refused_by_the_name_of_the_limit(
    tmp_path: Path, content: str, limit: str
) -> None:
    """A number of half a million digits is one of them: it is never computed."""
    with pytest.raises(TableLimitError) as refusal:
        _ingest(content, tmp_path)

    assert refusal.value.limit == limit


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=80) | st.text(alphabet='{}[]":,\\u0nulltrue1.-\n', max_size=60))
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path: Path, content: bytes | str) -> None:
    """Whatever is sent, no other exception comes out, and a table that is taken has rows."""
    try:
        summary = _ingest(content, tmp_path)
    except TableError:
        return
    assert summary.rows > 0

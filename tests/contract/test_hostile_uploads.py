"""Uploads that mean harm, or look as if they did."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.table_limits import BLOCK_BYTES, TableError, TableLimits
from contract.tabular import TableSummary, ingest


def _ingest(content: bytes, folder: Path, limits: TableLimits | None = None) -> TableSummary:
    source = folder / "upload"
    source.write_bytes(content)
    return ingest(source, "a.csv", folder / "stored", limits or TableLimits())


def test_a_table_that_is_no_table_is_answered_as_invalid(tmp_path: Path) -> None:
    """The gateway can answer the error as it stands: 422, `invalid`."""
    with pytest.raises(TableError) as refusal:
        _ingest(b"a,b\n1\n", tmp_path)
    assert (refusal.value.status, refusal.value.code) == (422, "invalid")


def test_a_table_that_is_too_large_is_answered_as_a_limit(tmp_path: Path) -> None:
    """The gateway can answer the error as it stands: 422, `limit_exceeded`, the limit named."""
    with pytest.raises(TableError, match="more than 1 rows") as refusal:
        _ingest(b"a\n1\n2\n", tmp_path, TableLimits(max_rows=1))
    assert (refusal.value.status, refusal.value.code) == (422, "limit_exceeded")


def test_a_header_of_a_million_names_is_counted_not_read(tmp_path: Path) -> None:
    """A megabyte of commas is too many columns; reading it would say it has no rows."""
    with pytest.raises(TableError, match="too many") as refusal:
        _ingest(b"," * BLOCK_BYTES + b"\n", tmp_path)
    assert refusal.value.limit == "max_columns"


def test_commas_and_line_ends_within_quotes_make_no_columns(tmp_path: Path) -> None:
    """A header whose quoted names hold commas and line ends is as wide as its names are many."""
    summary = _ingest(b'"a,1","b\n""2"",3"\n1,2\n', tmp_path, TableLimits(max_columns=2))
    assert summary.preview.columns == ("a,1", 'b\n"2",3')


def test_a_nul_in_a_name_is_no_text(tmp_path: Path) -> None:
    """PostgreSQL cannot store a NUL, so none gets as far as a column's name."""
    with pytest.raises(TableError, match="not UTF-8 text"):
        _ingest(b"a\0,b\n1,x\n", tmp_path)


def test_formulas_stay_text(tmp_path: Path) -> None:
    """A cell that a spreadsheet would run is kept as the text it is."""
    assert _ingest(b"a\n=1+1\n", tmp_path).preview.rows == (("=1+1",),)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200) | st.text(alphabet='a1,"\n\r\0.-é', max_size=60))
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path: Path, content: bytes | str) -> None:
    """Whatever is sent, no other exception comes out, and a table that is taken has rows."""
    try:
        summary = _ingest(content if isinstance(content, bytes) else content.encode(), tmp_path)
    except TableError:
        return
    assert summary.rows > 0

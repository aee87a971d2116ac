"""Taking an untrusted plain text as a table of its lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.table_limits import TableError, TableLimitError, TableLimits
from contract.tabular import TableSummary, ingest, read_table

LIMITS = TableLimits(max_rows=1_000, max_cell_bytes=40)


def _ingest(content: bytes, folder: Path, filename: str = "a.txt") -> TableSummary:
    (folder / "upload").write_bytes(content)
    return ingest(folder / "upload", filename, folder / "stored", LIMITS)


def _rows(folder: Path) -> list[object]:
    return list(read_table(folder / "stored").column("text").to_pylist())


def test_rows_are_lines_with_their_ends(tmp_path: Path) -> None:
    """One column called text; a line that looks like a number or like NA is text, too."""
    summary = _ingest("1\r\nNA\n\nü,x".encode(), tmp_path)

    assert [(column.name, column.type) for column in summary.columns] == [("text", "text")]
    assert (summary.format, summary.rows, summary.columns[0].missing) == ("text", 4, 0)
    assert _rows(tmp_path) == ["1\r\n", "NA\n", "\n", "ü,x"]


def test_line_longer_than_a_cell_is_several_rows(tmp_path: Path) -> None:
    """A book without line ends can be stored: ten characters of up to four bytes a row."""
    _ingest(b"abcdefghijklm\nn", tmp_path)

    assert _rows(tmp_path) == ["abcdefghij", "klm\n", "n"]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1))
def test_rows_together_are_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever characters and line ends there are, none is changed, added or lost."""
    folder = tmp_path_factory.mktemp("text")
    _ingest(text.encode(), folder)

    assert "".join(map(str, _rows(folder))) == text


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """What some editors put first is not learned."""
    _ingest(b"\xef\xbb\xbfx", tmp_path)

    assert _rows(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a\nb\xff", "not UTF-8"),
        (b"a\nb\0", "not UTF-8"),
        ("abc".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Empty and binary files are refused with the reason; nothing is stored."""
    with pytest.raises(TableError, match=message):
        _ingest(content, tmp_path)

    assert not (tmp_path / "stored").exists()


def test_too_many_lines_are_refused_by_the_name_of_the_limit(tmp_path: Path) -> None:
    """A file of line ends alone has a row for each."""
    with pytest.raises(TableLimitError) as refusal:
        _ingest(b"\n" * 1_001, tmp_path)

    assert refusal.value.limit == "max_rows"


@pytest.mark.parametrize(
    ("content", "filename", "message"),
    [
        (b"\x1f\x8b\x08", "a.csv", "gzip files are not read"),
        (b"PK\x03\x04", "a.txt", "zip or Excel files are not read"),
        (b"a\n1\n", "a.csv.gz", ".gz files are not read"),
        (b'[{"a": 1}]', "a.json", "JSON Lines, one object a line"),
    ],
)
def test_file_of_another_kind_is_refused_by_start_or_name(
    tmp_path: Path, content: bytes, filename: str, message: str
) -> None:
    """The answer says what can be sent instead, at the member `file` of the form."""
    with pytest.raises(TableError, match=message) as refusal:
        _ingest(content, tmp_path, filename)

    assert [place.pointer for place in refusal.value.errors] == ["/file"]

"""Parquet files that end or strain the process that reads them."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from contract.table_limits import TableError, TableLimitError, TableLimits
from contract.tabular import read_table
from service.parquet_process import ingest_apart

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "yy", None]})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound Parquet file."""
    parquet.write_table(TABLE, tmp_path / "upload")
    return tmp_path / "upload"


def test_table_read_apart_is_the_table(source: Path, tmp_path: Path) -> None:
    """Summary and stored file come back from the other process."""
    summary = ingest_apart(source, tmp_path / "stored", TableLimits())

    assert (summary.format, summary.rows, summary.preview.rows[1]) == ("parquet", 3, (2, "yy"))
    assert read_table(tmp_path / "stored").equals(TABLE)


def test_limit_is_named_across_the_processes(source: Path, tmp_path: Path) -> None:
    """A refusal is the same as from a file that is read here."""
    with pytest.raises(TableLimitError, match=r"more than 2 rows\. \(max_rows\)") as refusal:
        ingest_apart(source, tmp_path / "stored", TableLimits(max_rows=2))

    assert refusal.value.limit == "max_rows"


def test_refusal_is_told_across_the_processes(tmp_path: Path) -> None:
    """So is what is no table for another reason."""
    parquet.write_table(pa.table({"a": [[1]]}), tmp_path / "nested")

    with pytest.raises(TableError, match="'a' holds list"):
        ingest_apart(tmp_path / "nested", tmp_path / "stored", TableLimits())


def test_reader_that_runs_out_of_memory_is_a_refusal(tmp_path: Path) -> None:
    """A page that unpacks to more than the reader may have ends the reader, not the gateway."""
    parquet.write_table(
        pa.table({"a": ["x" * 9_000] * 20_000}),
        tmp_path / "bomb",
        use_dictionary=False,
        compression="zstd",
        data_page_size=2**30,
        write_batch_size=20_000,
    )

    assert (tmp_path / "bomb").stat().st_size < 100_000
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        ingest_apart(tmp_path / "bomb", tmp_path / "stored", TableLimits(), memory_bytes=2**27)
    assert not (tmp_path / "stored").exists()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_file_is_a_table_or_a_refusal(source: Path, tmp_path: Path, seed: int) -> None:
    """Whatever bytes are changed, and whatever becomes of the reader."""
    generator = random.Random(seed)  # noqa: S311 - no secret
    content = bytearray(source.read_bytes())
    for _ in range(5):
        content[generator.randrange(4, len(content))] = generator.randrange(256)
    source.write_bytes(content)
    try:
        summary = ingest_apart(source, tmp_path / "stored", TableLimits())
    except TableError:
        return
    assert summary.rows > 0


def test_reader_is_given_no_keys(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings, secrets among them, stay in the gateway."""
    monkeypatch.setenv("UNROLL_API_KEYS", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif any(name.startswith('UNROLL_') for name in os.environ): os._exit(1)\n"
    )

    assert ingest_apart(source, tmp_path / "stored", TableLimits()).rows == 3

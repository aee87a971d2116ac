from pathlib import Path

import pytest

from contract.artifacts import Artifacts


@pytest.fixture(params=["folder", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """Artifacts in a local folder, and behind an fsspec URL."""
    urls = {"folder": str(tmp_path / "artifacts"), "memory": f"memory://{tmp_path.name}"}
    return Artifacts(urls[request.param])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to store."""
    path = tmp_path / "source"
    path.write_bytes(b"weights")
    return path


def test_stored_file_reads_back(artifacts: Artifacts, source: Path, tmp_path: Path) -> None:
    """What is put is what is fetched, and its size is listed."""
    artifacts.put(source, "jobs", "a", "model")

    assert artifacts.fetch(tmp_path / "copy", "jobs", "a", "model").read_bytes() == b"weights"
    assert artifacts.sizes("jobs", "a") == {"model": 7}


def test_deleted_file_is_gone(artifacts: Artifacts, source: Path) -> None:
    """A deleted folder lists nothing; deleting it again is no error."""
    artifacts.put(source, "jobs", "a", "model")

    artifacts.delete("jobs", "a")
    artifacts.delete("jobs", "a")

    assert artifacts.sizes("jobs", "a") == {}


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b", "", "."])
def test_name_that_leaves_its_folder_is_refused(
    artifacts: Artifacts, source: Path, name: str
) -> None:
    """No name reaches beyond its folder."""
    with pytest.raises(ValueError, match="plain parts"):
        artifacts.put(source, "jobs", name)


def test_failed_write_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A put whose source vanishes leaves neither the file nor a partial one."""
    artifacts = Artifacts(str(tmp_path / "artifacts"))

    with pytest.raises(FileNotFoundError):
        artifacts.put(tmp_path / "absent", "jobs", "a", "model")

    assert list((tmp_path / "artifacts" / "jobs" / "a").iterdir()) == []

from pathlib import Path

import pytest

from worker.cells.kernel_folder import find_kernel_folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a kernel, what it calls, and a file that has to do with neither."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "kernel.py").write_text("from worker.cells.compiled import compiled")
    (folder / "called.py").write_text("from worker.cells.compiled import inlined")
    (folder / "other.py").write_text("")
    return folder


def test_kernels_are_kept_in_the_package(package: Path) -> None:
    """Where the package can be written to, the folder lies in it and is there."""
    folder = find_kernel_folder(package)

    assert folder is not None
    assert folder.is_dir()
    assert folder.parent == package / "__pycache__"


def test_package_that_cannot_be_written_to_keeps_them_at_home(
    package: Path, tmp_path: Path
) -> None:
    """Another user's installation serves, too: the folder is in the home of who runs it."""
    (package / "__pycache__").write_text("no folder can be made here")
    folder = find_kernel_folder(package)

    assert folder is not None
    assert folder.parent == tmp_path / "home" / ".cache" / "unroll"


def test_place_that_is_named_is_taken(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `NUMBA_CACHE_DIR` the folder lies there."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    folder = find_kernel_folder(package)

    assert folder is not None
    assert folder.parent == tmp_path / "named"


def test_nowhere_to_write_is_no_folder(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written there is no folder, and no error."""
    (tmp_path / "named").write_text("no folder can be made here")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))

    assert find_kernel_folder(package) is None


def test_change_of_what_a_kernel_calls_is_another_folder(package: Path) -> None:
    """An old kernel is never taken for one of the present sources."""
    before = find_kernel_folder(package)
    with (package / "called.py").open("a") as source:
        source.write("\n# changed")

    assert find_kernel_folder(package) != before


def test_change_of_anything_else_keeps_the_folder(package: Path) -> None:
    """Files without kernels may change, and nothing is compiled anew."""
    before = find_kernel_folder(package)
    (package / "other.py").write_text("changed = True")

    assert find_kernel_folder(package) == before

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_holds_what_is_no_python(tmp_path: Path) -> None:
    """Swagger UI's files, migrations and licence are in the wheel; tests and examples are not."""
    for name in ("contract", "service", "worker"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)

    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", "wheels", "."],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )  # fmt: skip

    (wheel,) = (tmp_path / "wheels").iterdir()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "service/ui/swagger/swagger-ui-bundle.js",
        "service/ui/swagger/LICENSE",
        "contract/migrations/versions/0001_first.py",
        "unroll-0.1.0.dist-info/licenses/LICENSE",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "benchmarks/"))]

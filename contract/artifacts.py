"""Files: datasets and models, under a folder or any fsspec URL; written whole or not at all."""

import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import fsspec

DATASET_FILE: Final = "data.parquet"


class Artifacts:
    """A tree of immutable files; names are made by the service, never by a client."""

    def __init__(self, url: str) -> None:
        self._filesystem, self._root = fsspec.core.url_to_fs(url)
        self._is_local = urlsplit(url).scheme in {"", "file"}

    def put(self, source: Path, *name: str) -> None:
        """Store a local file; a reader sees all of it or nothing."""
        target = self._path(*name)
        if self._is_local:
            _copy_durably(source, Path(target))
        else:
            self._filesystem.put_file(str(source), target)

    def fetch(self, destination: Path, *name: str) -> Path:
        """Copy a stored file to a local path; FileNotFoundError if there is none."""
        self._filesystem.get_file(self._path(*name), str(destination))
        return destination

    def sizes(self, *folder: str) -> dict[str, int]:
        """Names and sizes in bytes of the files of a folder; empty if there is none."""
        if not self._filesystem.isdir(self._path(*folder)):
            return {}
        entries = self._filesystem.ls(self._path(*folder), detail=True)
        return {
            Path(entry["name"]).name: int(entry["size"])
            for entry in entries
            if entry["type"] == "file" and not Path(entry["name"]).name.startswith(".")
        }

    def delete(self, *name: str) -> None:
        """Remove a file or folder if it is there."""
        if self._filesystem.exists(self._path(*name)):
            self._filesystem.rm(self._path(*name), recursive=True)

    def _path(self, *name: str) -> str:
        if any(part in {"", ".", ".."} or "/" in part or "\\" in part for part in name):
            raise ValueError("an artifact's name is made of plain parts")
        return "/".join([self._root, *name])


def _copy_durably(source: Path, target: Path) -> None:
    """Copy beside the target, flush to disk, then rename: a crash leaves no half file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with source.open("rb") as reader, partial.open("xb") as writer:
            while block := reader.read(1 << 20):
                writer.write(block)
            writer.flush()
            os.fsync(writer.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

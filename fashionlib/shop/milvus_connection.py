"""The way to Milvus: a client for an address, and milvus-lite as the server of a folder in this process."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

CONNECT_SECONDS = 5.0
# The client pings each 10 s, which milvus-lite's server takes for an attack: it closes the connection, with messages.
NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.keepalive_permit_without_calls": 0}


class Engine:
    """milvus-lite on a folder, at a port of this machine, until the last index that uses it is closed."""

    running: dict[Path, Engine] = {}

    @classmethod
    def of(cls, folder: Path) -> Engine:
        """The engine of a folder, started if no index uses it yet."""
        folder = folder.resolve()
        if folder not in cls.running:
            cls.running[folder] = cls(folder)
        cls.running[folder].users += 1
        return cls.running[folder]

    def __init__(self, folder: Path) -> None:
        start, locked = _milvus_lite()
        if folder.is_file():
            raise ValueError(
                f"{folder} is a file; an index is a folder (before milvus-lite 3 it was not). Name another"
            )
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "collections").is_dir():
            raise ValueError(f"{folder} is a folder of something else; an index needs one of its own")
        try:
            self._server, self._data, port = start(str(folder))
        except locked:
            raise OSError(
                f"{folder} is open in another process; close it there, or have a Milvus server (http://...) serve both"
            ) from None
        self.folder, self.address, self.users = folder, f"http://127.0.0.1:{port}", 0
        self.written = True  # perhaps, by a process that was killed

    def release(self) -> None:
        """One user less; the last one stops the engine."""
        self.users -= 1
        if self.users == 0:
            del self.running[self.folder]
            self._server.stop(grace=2).wait()
            self._data.close()


def connect(address: str, token: str, shown: str, embedded: bool):
    """A client with a connection of its own. Raises ``ConnectionError`` if nothing answers at the address."""
    from pymilvus import MilvusClient, MilvusException

    options = {"grpc_options": NO_PINGS} if embedded else {}
    try:
        return MilvusClient(address, token=token, timeout=CONNECT_SECONDS, dedicated=True, **options)
    except MilvusException as error:
        raise ConnectionError(
            f"no Milvus at {shown} ({error.message}); see that it runs and that address and token are right, or give a "
            "path such as catalogue.db for an index in a folder"
        ) from None


def release(client, engine: Engine | None) -> None:
    """Close a client, and give its engine back."""
    if client is not None:
        with suppress(Exception):  # the server may be gone
            client.close()
    if engine is not None:
        engine.release()


def import_quietly() -> None:
    """Import pymilvus; unless someone has asked for more than warnings, it logs nothing: what fails is raised."""
    try:
        import pymilvus  # noqa: F401
    except ImportError as error:
        raise ImportError(_install("pymilvus")) from error
    for logger in map(logging.getLogger, ("pymilvus", "milvus_lite", "grpc._server")):
        if not logging.NOTSET < logger.level < logging.WARNING:
            logger.setLevel(logging.CRITICAL + 1)


def _milvus_lite():
    """What starts its server, and its error for a folder in use."""
    try:
        from milvus_lite.adapter.grpc.server import start_server_in_thread
        from milvus_lite.exceptions import DataDirLockedError
    except ImportError as error:
        raise ImportError(_install("milvus-lite 3.2")) from error
    return start_server_in_thread, DataDirLockedError


def _install(what: str) -> str:
    return (
        f"an index that stays needs {what}: pip install 'fashionlib[search]'. "
        "Exact search in memory works without: open_index(None, ...)"
    )

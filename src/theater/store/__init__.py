"""What a node keeps: chains in SQLite, large payloads and components in files, all below one locked folder."""

from theater.store.backup import BackupReport, back_up
from theater.store.content import FileBlobStore
from theater.store.data_dir import DataDir
from theater.store.memory import MemoryBlobStore, MemoryEventStore
from theater.store.sqlite import SqliteEventStore

__all__ = [
    "BackupReport",
    "DataDir",
    "FileBlobStore",
    "MemoryBlobStore",
    "MemoryEventStore",
    "SqliteEventStore",
    "back_up",
]

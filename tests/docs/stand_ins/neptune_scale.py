"""Stands in for neptune-scale in the examples: as much of it as they use, in offline mode.

The tables of its logs are those of a log that the client itself wrote, recorded.sqlite3 beside this file.
"""
import os
import sqlite3
import struct
import time


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """A field of a protobuf message (daemon/changes/proto/ingest.proto)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def values(number, by_path):
    return b"".join(field(number, field(1, path) + field(2, field(1, float(value)))) for path, value in by_path.items())


class Run:
    UPDATE, CREATE = 0, 1

    def __init__(self, *, project, run_id, mode):
        if mode != "offline":
            raise ValueError("without offline mode the client itself syncs; nothing stands in for that")
        folder = f"{os.environ['NEPTUNE_LOG_DIRECTORY']}/{project.replace('/', '_')}_{run_id}_{time.time_ns()}"
        os.makedirs(folder)
        self._log = sqlite3.connect(f"{folder}/run_operations.sqlite3", isolation_level=None)
        self._log.execute("PRAGMA journal_mode = WAL")
        with sqlite3.connect(os.path.join(os.path.dirname(__file__), "recorded.sqlite3")) as recorded:
            for (table,) in recorded.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall():
                self._log.execute(table)
            (version,) = recorded.execute("SELECT version FROM metadata").fetchone()
        self._log.execute("INSERT INTO metadata (version, project, run_id) VALUES (?, ?, ?)", (version, project, run_id))
        self._write(self.CREATE, field(3, self._now()) + field(4, run_id))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._log.close()

    def log_configs(self, data):
        self._write(self.UPDATE, field(2, self._now()) + values(4, data))

    def log_metrics(self, data, step):
        self._write(self.UPDATE, field(1, field(1, step)) + field(2, self._now()) + values(8, data))

    @staticmethod
    def _now():
        return field(1, int(time.time()))

    def _write(self, kind, message):
        self._log.execute(
            "INSERT INTO run_operations (timestamp, operation_type, operation, operation_size_bytes) VALUES (?, ?, ?, ?)",
            (int(time.time() * 1000), kind, message, len(message)),
        )

"""Reads what wandb writes offline: a LevelDB log of protobuf records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32768, 7
_FULL, _LAST = 1, 4


@dataclass(frozen=True)
class OfflineRun:
    """What a run's file says.

    Attributes:
        run: id, name, group, tags, type and configuration.
        history: the logged rows.
        artifacts: paths in each logged artifact.
        exit_code: ``None`` if the run was never finished.
    """

    run: Any
    history: list[dict[str, Any]]
    artifacts: list[list[str]]
    exit_code: int | None

    @property
    def config(self) -> dict[str, Any]:
        return {item.key: json.loads(item.value_json) for item in self.run.config.update if item.key != "_wandb"}

    def series(self, name: str) -> list[Any]:
        return [row[name] for row in self.history if name in row]


def read_offline_run(run_dir: Path) -> OfflineRun:
    """The only run in a run folder."""
    (path,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    run, history, artifacts, code = None, [], [], None
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        elif kind == "history":
            history.append(_row(record.history.item))
        elif kind == "artifact":
            artifacts.append([content.local_path for content in record.artifact.manifest.contents])
        elif kind == "exit":
            code = record.exit.exit_code
    return OfflineRun(run, history, artifacts, code)


def _row(items: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in items:
        name, *inner = item.nested_key or [item.key]
        if inner:
            row.setdefault(name, {})[".".join(inner)] = json.loads(item.value_json)
        else:
            row[name] = json.loads(item.value_json)
    return row


def _records(content: bytes) -> Iterator[Record]:
    place, part = _HEADER, b""
    while place + _HEADER <= len(content):
        if _BLOCK - place % _BLOCK < _HEADER:
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        place += _HEADER
        part += content[place : place + length]
        place += length
        if kind in (_FULL, _LAST):
            record = Record()
            record.ParseFromString(part)
            part = b""
            yield record

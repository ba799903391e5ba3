"""From the order of a client to the source of an actor: the manifest's text, read here, and a component by its digest.

The server reads no files for a client: whoever starts from a folder puts the component into the content store first.
Where the manifest lies is for the data directory's owner to say: paths in it that are relative lead nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from theater.errors import InvalidManifest
from theater.model import wire
from theater.model.ids import is_digest
from theater.model.manifest import parse_manifest
from theater.model.ports import ActorRecord
from theater.runtime.allowances import Allowance, take_allowance
from theater.runtime.history import read_genesis
from theater.runtime.sources import Source
from theater.server.service import Service
from theater.store.data_dir import DataDir

_PREFIX = "sha256:"


def source_of(order: wire.StartOrder) -> Source:
    """What is to be started.

    Raises:
        InvalidManifest, InvalidJson: the manifest or its params are none.
    """
    params = None if isinstance(order.params, msgspec.UnsetType) else bytes(order.params).decode()
    manifest = parse_manifest(order.manifest, settings=order.settings, params=params)
    if order.component is not None:
        manifest = replace(manifest, component=f"{_PREFIX}{order.component}")
    if not is_digest(manifest.component.removeprefix(_PREFIX)) or not manifest.component.startswith(_PREFIX):
        raise InvalidManifest(
            f"component = {manifest.component!r}: a server reads no files for whoever asks it;"
            " put the component into its content store and name it by its digest, in the order or in the manifest"
        )
    return Source(manifest, Path())  # of which no path is relative to anything


def found_in(source: Source, folder: str | None) -> Source:
    """The same, with a manifest that lies in that folder of this machine."""
    return replace(source, manifest=replace(source.manifest, folder=folder))


async def allowed_by(service: Service, allowance: str | None, manifest: Callable[[], str]) -> Allowance:
    """What the data directory's owner allowed under that name, this once, to an actor with that manifest.

    Raises:
        InvalidInput, Damaged: as ``take_allowance``.
    """
    if allowance is None:
        return Allowance()
    folder = DataDir(service.data_dir)
    return await asyncio.to_thread(lambda: take_allowance(folder, allowance, manifest=manifest()))


async def allowed_to(service: Service, allowance: str | None, record: Callable[[], ActorRecord]) -> tuple[str, ...]:
    """The same, to an actor that there is, or to one with its manifest. Raises ``NotFound``, too."""
    store = service.runtime.store
    return (await allowed_by(service, allowance, lambda: read_genesis(store, record().id)[1].manifest)).allowed

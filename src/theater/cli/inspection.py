"""``validate`` and ``inspect-component``: what a manifest asks for and what a component is, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from theater.capabilities.registry import Registry
from theater.cli import options
from theater.cli.exits import Exit
from theater.cli.grants import grant_line
from theater.cli.nodes import empty_node
from theater.cli.output import Output
from theater.cli.session import Session, session_of
from theater.cli.wanted import unused
from theater.errors import InvalidComponent, InvalidInput, NotFound, TheaterError
from theater.model.ids import Digest
from theater.model.wit import strip_version
from theater.runtime.loading import role_of
from theater.runtime.node import Node
from theater.runtime.permissions import Grants, decide, parse_grants
from theater.runtime.serving import check_place
from theater.runtime.sources import COMPONENT_MAX_BYTES, Source, component_of, read_source
from theater.store import FileBlobStore

_ALLOW = "allow"
"""The list of those grants that have others only to say more of what is in it."""


@dataclass(slots=True)
class _Findings:
    """What a manifest comes to. ``problems`` keep it from running, ``warnings`` do not."""

    source: Source
    digest: str | None = None
    role: str | None = None
    grants: Grants = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def validate(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A theater.toml, or the folder it is in.")],
    settings: options.Settings = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="CAP[=PATTERN]", help="Allow this beyond the node's ceiling.")
    ] = None,
) -> None:
    """Check a manifest and its component, and show the grants and limits that would be in force.

    Exits 1 with the reasons if the actor could not be started.
    """
    session = session_of(context)
    findings = _Findings(read_source(manifest, settings=options.settings(settings or [])))
    with session.output.working(f"checking {manifest}"), empty_node(session) as node:
        _check_grants(findings, node, allow or [])
        _check_component(findings, node, session)
    if session.output.json:
        session.output.document(_findings_document(findings))
    else:
        _show_findings(findings, session.output)
    raise typer.Exit(Exit.FAILED if findings.problems else Exit.OK)


def inspect_component(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A component, .wasm or .wat.")],
) -> None:
    """Show what a component is: digest, size, role, what it imports and who answers that, what it exports."""
    session = session_of(context)
    with empty_node(session) as node, session.output.working(f"compiling {file}"):
        digest = _put_file(file, node)
        document = _component_document(digest, node)
    if session.output.json:
        session.output.document(document)
    else:
        _show_component(document, session.output)


# -- a manifest ------------------------------------------------------------------------------------------------------


def _check_grants(findings: _Findings, node: Node, allowed: list[str]) -> None:
    manifest = findings.source.manifest
    try:
        asked = parse_grants(node.registry, manifest.capabilities, where="capabilities")
        findings.warnings += _empty(asked, node.registry)
        findings.grants = decide(
            node.registry, manifest.capabilities, ceiling=node.ceiling, allowed=allowed, folder=manifest.folder
        ).effective
    except InvalidInput as error:
        findings.problems.append(error.message)


def _check_component(findings: _Findings, node: Node, session: Session) -> None:
    source = findings.source
    try:
        digest = _put(source, node, session)
        findings.digest = digest
        loaded = node.loader.load(digest)
        findings.role = loaded.role
        # where the grants were refused, that has been said: the component is checked against what it asks for
        granted = findings.grants or parse_grants(node.registry, source.manifest.capabilities, where="capabilities")
        node.loader.bind(loaded.program, granted)
        check_place(node.registry, loaded.role, granted)
    except TheaterError as error:
        if error.message not in findings.problems:
            findings.problems.append(error.message)
        return
    findings.warnings += [
        f"it asks for [capabilities.{name}], and its component imports nothing of that"
        for name in unused(node.registry, loaded.program, source.manifest.capabilities)
    ]


def _put(source: Source, node: Node, session: Session) -> Digest:
    if not source.manifest.component.startswith("sha256:"):
        return component_of(source, node.blobs, node.engine.assemble)
    kept = FileBlobStore(session.folder().components)
    return node.blobs.put(kept.path(component_of(source, kept, node.engine.assemble)).read_bytes())


def _empty(grants: Grants, registry: Registry) -> Iterator[str]:
    """Of what is asked for, what names nothing, and so allows nothing."""
    for name, grant in grants.items():
        lists = {key: value for key, value in grant.table().items() if isinstance(value, list)}
        decisive = {_ALLOW: lists[_ALLOW]} if _ALLOW in lists else lists
        if decisive and not any(decisive.values()) and grant != registry.capabilities[name].default_ceiling:
            written = ", ".join(f"{key} = []" for key in decisive)
            yield f"it asks for [capabilities.{name}] with {written}: what is not named is not allowed"


def _findings_document(findings: _Findings) -> dict[str, object]:
    manifest = findings.source.manifest
    return {
        "ok": not findings.problems,
        "name": manifest.name,
        "component": findings.digest,
        "role": findings.role,
        "instance": manifest.instance,
        "grants": {name: dict(grant.table()) for name, grant in sorted(findings.grants.items())},
        "limits": manifest.limits.to_manifest(),
        "problems": findings.problems,
        "warnings": findings.warnings,
    }


def _show_findings(findings: _Findings, output: Output) -> None:
    manifest = findings.source.manifest
    output.line(f"name       {manifest.name}")
    output.line(f"component  {manifest.component}{f'  sha256:{findings.digest}' if findings.digest else ''}")
    output.line(f"role       {findings.role or 'unknown'}")
    output.line(f"instance   {manifest.instance}")
    for name, grant in sorted(findings.grants.items()):
        output.line(f"grant      {grant_line(name, grant)}")
    for key, value in manifest.limits.to_manifest().items():
        output.line(f"limit      {key} = {value}")
    for warning in findings.warnings:
        output.note(f"warning: {warning}", has_lines=True)
    for problem in findings.problems:
        output.note(f"problem: {problem}", has_lines=True)
    if not findings.problems:
        output.note("it can be started")


# -- a component -----------------------------------------------------------------------------------------------------


def _put_file(file: Path, node: Node) -> Digest:
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    try:
        if file.stat().st_size > COMPONENT_MAX_BYTES:
            raise InvalidComponent(f"{file} is larger than the {COMPONENT_MAX_BYTES} bytes that a component may have")
        if file.suffix == ".wat":
            return node.blobs.put(node.engine.assemble(file.read_text(encoding="utf-8")))
        return node.blobs.put(file.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error


def _component_document(digest: Digest, node: Node) -> dict[str, object]:
    path = node.blobs.path(digest)
    program = node.engine.load(path, digest, is_suspending=lambda _interface, _function: False)
    try:
        role, unfit = str(role_of(program)), None
    except InvalidComponent as error:
        role, unfit = None, error.message
    return {
        "digest": digest,
        "size": path.stat().st_size,
        "role": role,
        "unfit": unfit,
        "imports": [_import_document(node.registry, wanted.interface, wanted.name) for wanted in program.imports],
        "exports": sorted(f"{interface}#{name}" if interface else name for interface, name in program.exports),
    }


def _import_document(registry: Registry, interface: str, name: str) -> dict[str, object]:
    found = registry.table.get((strip_version(interface), name))
    refusal = registry.refusal(interface, name)
    answered = found is not None and refusal is None
    return {
        "interface": interface,
        "function": name,
        "capability": found[0].name if found is not None and answered else None,
        "class": found[1].host_class.value if found is not None and answered else None,
        "needs_grant": found is not None and answered and found[0].ungranted is None,
        "refusal": refusal,
    }


def _show_component(document: dict[str, object], output: Output) -> None:
    output.line(f"digest  sha256:{document['digest']}")
    output.line(f"size    {document['size']} bytes")
    output.line(f"role    {document['role'] or 'none'}")
    if document["unfit"]:
        output.note(f"warning: {document['unfit']}", has_lines=True)
    imports, exports = document["imports"], document["exports"]
    assert isinstance(imports, list)
    assert isinstance(exports, list)
    if imports:
        output.line()
        rows = [_import_row(item) for item in imports]
        output.table(["IMPORTS", "ANSWERED BY", "CLASS"], rows)
    if exports:
        output.line()
        output.table(["EXPORTS"], [[export] for export in exports])


def _import_row(item: dict[str, object]) -> list[str]:
    name = f"{item['interface']}#{item['function']}"
    if item["refusal"] is not None:
        return [name, "nobody", str(item["refusal"])]
    grant = " (if granted)" if item["needs_grant"] else ""
    return [name, f"{item['capability']}{grant}", str(item["class"])]

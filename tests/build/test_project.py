"""What is built, and where it goes."""

from pathlib import Path

import pytest

from theater.build.project import Source, find_project
from theater.errors import BuildFailed, InvalidManifest, NotFound

MANIFEST = 'name = "counter"\ncomponent = "build/counter.wasm"\n'


def plant(folder: Path, manifest: str = MANIFEST, *files: str) -> Path:
    (folder / "theater.toml").write_text(manifest)
    for file in files:
        (folder / file).write_text("")
    return folder


@pytest.mark.parametrize("source", list(Source))
def test_the_file_says_what_it_is(tmp_path: Path, source: Source) -> None:
    project = find_project(plant(tmp_path, MANIFEST, source.value))

    assert (project.name, project.source) == ("counter", source)
    assert project.output == tmp_path.resolve() / "build" / "counter.wasm"
    assert find_project(tmp_path / "theater.toml") == project


def test_capabilities_are_those_asked_for(tmp_path: Path) -> None:
    text = MANIFEST + '[capabilities.timing]\n[capabilities.environment]\nallow = ["LANG"]\n'

    assert find_project(plant(tmp_path, text, "actor.py")).capabilities == ("environment", "timing")


def test_without_a_component_it_goes_to_build(tmp_path: Path) -> None:
    project = find_project(plant(tmp_path, 'name = "counter"', "actor.py"))

    assert project.output == tmp_path.resolve() / "build" / "counter.wasm"


@pytest.mark.parametrize("component", ["../out.wasm", "/tmp/out.wasm", "build/../../out.wasm"])
def test_a_component_outside_of_the_folder_is_refused(tmp_path: Path, component: str) -> None:
    with pytest.raises(BuildFailed, match="outside"):
        find_project(plant(tmp_path, f'name = "counter"\ncomponent = "{component}"', "actor.py"))


@pytest.mark.parametrize("component", ['"sha256:00"', '"a.wat"', '"${X}.wasm"', "1"])
def test_a_component_that_is_no_file_to_build_is_refused(tmp_path: Path, component: str) -> None:
    with pytest.raises(BuildFailed, match=r"build/counter\.wasm"):
        find_project(plant(tmp_path, f'name = "counter"\ncomponent = {component}', "actor.py"))


def test_there_has_to_be_one_source(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"actor\.py, main\.py, actor\.wat"):
        find_project(plant(tmp_path))
    with pytest.raises(BuildFailed, match=r"there are actor\.py, main\.py; keep one"):
        find_project(plant(tmp_path, MANIFEST, "actor.py", "main.py"))


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "name = 1",
        'name = "No Name"',
        "name =",
        'name = "a"\ncapabilities = 1',
        "x = " + "9" * 5000,
        "x = " + "[" * 999,
    ],
)
def test_a_manifest_without_what_is_needed_is_refused(tmp_path: Path, manifest: str) -> None:
    with pytest.raises(InvalidManifest):
        find_project(plant(tmp_path, manifest, "actor.py"))


def test_no_manifest_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="theater create"):
        find_project(tmp_path)

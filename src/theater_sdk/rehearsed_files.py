"""The files of a rehearsal: one granted directory that may be written to, in memory, and never full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from theater_sdk.failure import CallFailed
from theater_sdk.text import bytes_of, content_in

_MODIFIED = {"seconds": 946_684_800, "nanoseconds": 0}  # 2000: no test can depend on a time that is never another


class RehearsedFiles:
    """Keeps what the steps wrote, those that failed too. A test may put something there as well."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._directories = {""}

    def put(self, path: str, content: bytes | str) -> None:
        """Have a file there, with all directories on the way."""
        _check(path)
        self.create_directory(path.rpartition("/")[0])
        self._files[path] = content.encode() if isinstance(content, str) else content

    def create_directory(self, path: str) -> None:
        """Have a directory there, with all others on the way."""
        _check(path)
        self._directories |= {*_on_the_way(path), path}

    def contents(self) -> dict[str, bytes]:
        """All files, by path."""
        return dict(sorted(self._files.items()))

    def call(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """Answer a function of the interface, by its name there."""
        for name in ("path", "old-path", "new-path"):
            _check(args.get(name, ""))
        match function:
            case "rename":
                return self._rename(args["old-path"], args["new-path"])
            case "copy":
                return self._copy(args["old-path"], args["new-path"])
            case "create-directory":
                return self._create_directory(args["path"], parents=args["parents"])
            case "remove-directory":
                return self._remove_directory(args["path"], recursive=args["recursive"])
            case "write":
                return self._write(args["path"], bytes_of(args["content"]), args["mode"])
            case "exists":
                return self._is_there(args["path"])
        path = args["path"]
        if function == "remove-file":
            self._find_place(path)
        self._find(path)
        match function:
            case "stat":
                kind, size = ("directory", 0) if path in self._directories else ("file", len(self._files[path]))
                return {"file-type": kind, "size-bytes": size, "modified": _MODIFIED}
            case "list-directory":
                return self._listed(path, args["after"] or "", args["limit"])
        return self._of_file(function, path, args)

    def _of_file(self, function: str, path: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        if path in self._directories:
            raise CallFailed("is-directory")
        data = self._files[path]
        match function:
            case "read":
                return content_in(data, args["form"])
            case "read-range":
                return content_in(data[args["offset"] :][: args["length"]], args["form"])
            case "write-range":
                offset, content = args["offset"], bytes_of(args["content"])
                self._files[path] = data[:offset].ljust(offset, b"\0") + content + data[offset + len(content) :]
            case "set-size":
                self._files[path] = data[: args["size-bytes"]].ljust(args["size-bytes"], b"\0")
            case _:
                del self._files[path]
        return None

    def _write(self, path: str, content: bytes, mode: str) -> None:
        self._find_place(path)
        if mode == "create-new" and self._is_there(path):
            raise CallFailed("already-exists")
        if path in self._directories:
            raise CallFailed("is-directory")
        self._files[path] = self._files.get(path, b"") + content if mode == "append" else content

    def _create_directory(self, path: str, *, parents: bool) -> None:
        if parents and path:
            for each in (*_on_the_way(path), path):
                if each not in self._directories:
                    self._create_directory(each, parents=False)
            return
        self._find_place(path)
        if self._is_there(path):
            raise CallFailed("already-exists")
        self._directories.add(path)

    def _remove_directory(self, path: str, *, recursive: bool) -> None:
        self._find_place(path)
        self._find(path)
        if path in self._files:
            raise CallFailed("not-directory")
        if not recursive and self._listed(path, "", 1):
            raise CallFailed("not-empty")
        self._files = {each: data for each, data in self._files.items() if not _is_below(each, path)}
        self._directories = {each for each in self._directories if each != path and not _is_below(each, path)}

    def _copy(self, old: str, new: str) -> None:
        self._find(old)
        if any(each in self._files for each in _on_the_way(new)):
            raise CallFailed("not-directory")
        if old in self._directories:
            raise CallFailed("is-directory")
        self._write(new, self._files[old], "replace")

    def _rename(self, old: str, new: str) -> None:
        for path in sorted((old, new), key=bool, reverse=True):
            self._find_place(path)
        self._find(old)
        if old == new:
            return
        if _is_below(new, old):
            raise CallFailed("invalid-path", "a directory cannot be moved into itself")
        if new in self._directories:
            if _is_below(old, new) or (old in self._directories and self._listed(new, "", 1)):
                raise CallFailed("not-empty")
            if old in self._files:
                raise CallFailed("is-directory")
        elif new in self._files and old in self._directories:
            raise CallFailed("not-directory")
        self._files.pop(new, None)
        self._files = {_moved(each, old, new): data for each, data in self._files.items()}
        self._directories = {_moved(each, old, new) for each in self._directories}

    def _listed(self, path: str, after: str, limit: int) -> list[dict[str, str]]:
        if path in self._files:
            raise CallFailed("not-directory")
        types = dict.fromkeys(self._directories - {""}, "directory") | dict.fromkeys(self._files, "file")
        names = {each.rpartition("/")[2]: kind for each, kind in types.items() if each.rpartition("/")[0] == path}
        found = sorted((name for name in names if name.encode() > after.encode()), key=str.encode)
        return [{"name": name, "file-type": names[name]} for name in found[:limit]]

    def _find(self, path: str) -> None:
        """Fail as the host does where a path leads to nothing."""
        if any(each in self._files for each in _on_the_way(path)):
            raise CallFailed("not-directory")
        if not self._is_there(path):
            raise CallFailed("not-found")

    def _find_place(self, path: str) -> None:
        """Fail as the host does where nothing can be made at a path."""
        if not path:
            raise CallFailed("denied", "it is the granted directory itself, or in use")
        self._find(path.rpartition("/")[0])
        if path.rpartition("/")[0] in self._files:
            raise CallFailed("not-directory")

    def _is_there(self, path: str) -> bool:
        return path in self._files or path in self._directories


def _check(path: str) -> None:
    for part in path.split("/") if path else ():
        if part in ("", ".", ".."):
            raise CallFailed("invalid-path", f"it has the part {part!r}, which is no name")
    if "\\" in path or "\0" in path:
        raise CallFailed("invalid-path", f"it has a {'backslash' if chr(92) in path else 'zero character'} in it")


def _on_the_way(path: str) -> Iterator[str]:
    """The directories above a path, but for the granted one: ``a`` and ``a/b`` of ``a/b/c``."""
    parts = path.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts)))


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path == old or _is_below(path, old) else path

"""A file system that is reached through its protocol alone: WebHDFS, HDFS's own REST interface, over a folder.

Spark's client for it is the one that speaks to a real cluster. The server does what that client asks for when tables
are written, renamed, listed and read, and answers anything else with an error, which fails the test.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "/webhdfs/v1"


class RefusedError(Exception):
    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "WebHdfs"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(
            {
                "GETFILESTATUS": self._status,
                "LISTSTATUS": self._list,
                "LISTSTATUS_BATCH": lambda: {
                    "DirectoryListing": {"partialListing": self._list(), "remainingEntries": 0},
                },
                "OPEN": self._open,
                "GETFILEBLOCKLOCATIONS": self._blocks,
                "GETHOMEDIRECTORY": lambda: {"Path": "/"},
            }
        )

    def do_PUT(self) -> None:
        self._answer({"MKDIRS": self._mkdirs, "RENAME": self._rename, "CREATE": self._create})

    def do_DELETE(self) -> None:
        self._answer({"DELETE": self._delete})

    def _answer(self, operations: dict[str, Any]) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        operation = self.query["op"].upper()
        self.server.asked.add(operation)
        self.there = self.server.file(unquote(url.path).removeprefix(PREFIX))
        try:
            if operation not in operations:
                raise RefusedError(400, "java.lang.UnsupportedOperationException", operation)
            answer = operations[operation]()
        except RefusedError as refused:
            name = refused.kind.rpartition(".")[2]
            remote = {"exception": name, "javaClassName": refused.kind, "message": str(refused)}
            self._send(refused.status, json.dumps({"RemoteException": remote}).encode())
            return
        if answer is not None:
            self._send(200, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        kind = "application/json" if body and "Content_Type" not in headers else "application/octet-stream"
        for name, value in {"Content_Type": kind, "Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _present(self) -> Path:
        if not self.there.exists():
            raise RefusedError(404, "java.io.FileNotFoundException", f"File does not exist: {self.there.name}")
        return self.there

    def _told(self, file: Path, suffix: str) -> dict[str, Any]:
        about = file.stat()
        return {
            "pathSuffix": suffix,
            "type": "DIRECTORY" if file.is_dir() else "FILE",
            "length": 0 if file.is_dir() else about.st_size,
            "owner": "shop",
            "group": "shop",
            "permission": "755",
            "accessTime": int(about.st_atime * 1000),
            "modificationTime": int(about.st_mtime * 1000),
            "blockSize": 134_217_728,
            "replication": 1,
            "childrenNum": 0,
            "fileId": about.st_ino,
            "storagePolicy": 0,
        }

    def _status(self) -> dict[str, Any]:
        return {"FileStatus": self._told(self._present(), "")}

    def _list(self) -> dict[str, Any]:
        there = self._present()
        found = [self._told(file, file.name) for file in sorted(there.iterdir())] if there.is_dir() else []
        return {"FileStatuses": {"FileStatus": found if there.is_dir() else [self._told(there, "")]}}

    def _blocks(self) -> dict[str, Any]:
        block = {
            "cachedHosts": [],
            "corrupt": False,
            "hosts": ["127.0.0.1"],
            "length": self._present().stat().st_size,
            "names": ["127.0.0.1:9866"],
            "offset": 0,
            "storageTypes": ["DISK"],
            "topologyPaths": ["/default-rack/127.0.0.1:9866"],
        }
        return {"BlockLocations": {"BlockLocation": [block]}}

    def _open(self) -> None:
        content = self._present().read_bytes()
        begin = int(self.query.get("offset", "0"))
        end = begin + int(self.query["length"]) if "length" in self.query else len(content)
        self._send(200, content[begin:end], Content_Type="application/octet-stream")

    def _mkdirs(self) -> dict[str, Any]:
        self.there.mkdir(parents=True, exist_ok=True)
        return {"boolean": True}

    def _rename(self) -> dict[str, Any]:
        target = self.server.file(self.query["destination"])
        if target.is_dir():
            target /= self.there.name
        if not self.there.exists() or target.exists() or not target.parent.is_dir():
            return {"boolean": False}
        self.there.rename(target)
        return {"boolean": True}

    def _create(self) -> None:
        if "step" not in self.query:  # the name node sends the client to a data node
            self._send(307, Location=f"http://{self.headers['Host']}{self.path}&step=data")
            return
        if self.there.exists() and self.query.get("overwrite") == "false":
            raise RefusedError(403, "org.apache.hadoop.fs.FileAlreadyExistsException", self.there.name)
        self.there.parent.mkdir(parents=True, exist_ok=True)
        with self.there.open("wb") as stream:
            for part in self._parts():
                stream.write(part)
        self._send(201)

    def _parts(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _delete(self) -> dict[str, Any]:
        if not self.there.exists():
            return {"boolean": False}
        if self.there.is_dir():
            shutil.rmtree(self.there)
        else:
            self.there.unlink()
        return {"boolean": True}


class WebHdfs(ThreadingHTTPServer):
    """The server; its files lie in a folder."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: set[str] = set()
        """Operations that the clients have asked for."""

    def file(self, path: str) -> Path:
        """Where a path of the file system is kept."""
        return self.folder / path.strip("/")

    @property
    def url(self) -> str:
        """The root of the file system."""
        return f"webhdfs://127.0.0.1:{self.server_address[1]}"


@contextmanager
def webhdfs(folder: Path) -> Iterator[WebHdfs]:
    """A server that keeps its files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with WebHdfs(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""A small Hugging Face Hub on this machine, so that pushing and pulling are tested for real, over HTTP, offline.

It speaks the part of the Hub's API that huggingface_hub and transformers use for models, and what reads data sets and
deploys Spaces, with the same statuses and error headers, and misbehaves on request. `environment` is what another
process needs to take it for the Hub; in this process, the fixture `hub` makes huggingface_hub do so (but not
transformers, which remembers the Hub it met first).
"""

import asyncio
import base64
import hashlib
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from huggingface_hub import constants

LAST_MODIFIED = "2026-01-01T00:00:00.000Z"


@dataclass
class Commit:
    oid: str
    title: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """A repo: its commits, what others propose, and who may read it: all, its owner (`private`), or those with access
    (`gated`)."""

    private: bool = False
    gated: bool = False
    disabled: bool = False
    commits: list[Commit] = field(default_factory=list)
    proposals: list[Commit] = field(default_factory=list)

    def commit(self, title: str, files: dict[str, bytes], proposed: bool = False) -> Commit:
        place = self.proposals if proposed else self.commits
        content = hashlib.sha1(f"{proposed} {len(place)} {title} {sorted(files)}".encode())
        place.append(Commit(content.hexdigest(), title, files))
        return place[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1].files


class Refusal(Exception):
    """An answer other than success, with the header by which clients tell what is wrong."""

    def __init__(self, status: int, message: str, code: str | None = None):
        self.response = JSONResponse({"error": message}, status, {"X-Error-Message": message})
        if code:
            self.response.headers["X-Error-Code"] = code


@dataclass
class LoopbackHub:
    """Repos, users and faults are plain attributes: a test sets them before it asks, and reads `requests` after.

    - `users`: token → user, who owns the namespace of that name; `readers`: users whose token can't write.
    - `status`: answers everything with this status; `delay`: seconds before each
      answer but the first `punctual`; `body_limit`: a file's
      transfer breaks off after so many bytes; `web_page`: answers with a login page, as a hotel's network does;
      `garbled`: files come with one byte changed.
    """

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=lambda: {"token-of-ann": "ann", "token-of-bob": "bob"})
    readers: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    status: int | None = None
    delay: float = 0.0
    punctual: int = 0
    body_limit: int | None = None
    web_page: bool = False
    garbled: bool = False

    def add(self, repo_id: str, files: dict[str, bytes], **fields: Any) -> Repo:
        """A repo with one commit of `files`; a data set is added as `datasets/OWNER/NAME`, a Space as `spaces/…`."""
        self.repos[repo_id] = Repo(**fields)
        self.repos[repo_id].commit("first", files)
        return self.repos[repo_id]

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a process's environment must say before it imports huggingface_hub; `home` holds its cache."""
        variables = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        return variables | ({"HF_TOKEN": token} if token else {})

    # --- Who may do what ---

    def user(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        if token not in self.users:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def readable(self, request: Request, repo_id: str) -> Repo:
        """The repo; one that is missing or somebody else's private one gives the same answer, as on the Hub."""
        user, repo = self.user(request), self.repos.get(repo_id)
        if repo is None or (repo.private and user != repo_id.split("/")[-2]):
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if repo.disabled:
            raise Refusal(403, "Access to this resource is disabled.")
        return repo

    def check_writer(self, request: Request, owner: str) -> None:
        user = self.user(request)
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        if user != owner or user in self.readers:
            raise Refusal(403, f'You don\'t have the rights to write to the namespace "{owner}"')

    def commit_of(self, repo: Repo, revision: str) -> Commit:
        if revision == "main" and repo.commits:
            return repo.commits[-1]
        for commit in repo.commits:
            if commit.oid == revision:
                return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    # --- Answers ---

    async def misbehave(self, request: Request, call_next: Any) -> Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if len(self.requests) > self.punctual:
            await asyncio.sleep(self.delay)
        if self.status is not None:
            return JSONResponse({"error": "Internal Error"}, self.status)
        if self.web_page:
            return Response("<html>Please log in to the hotel's network</html>", media_type="text/html")
        return await call_next(request)

    async def create(self, request: Request) -> Response:
        asked = await request.json()
        owner = asked["organization"] or self.user(request) or ""
        repo_id = f"{owner}/{asked['name']}"
        answer = {"url": f"{self.url}/{repo_id}", "name": repo_id}
        if asked.get("type") == "space":
            repo_id = f"spaces/{repo_id}"
            answer["url"] = f"{self.url}/{repo_id}"
        self.check_writer(request, owner)
        if repo_id in self.repos:
            return JSONResponse(answer | {"error": "You already created this model repo"}, 409)
        self.repos[repo_id] = Repo(private=asked.get("visibility") == "private")
        self.repos[repo_id].commit("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return JSONResponse(answer)

    async def validate_yaml(self, request: Request) -> Response:
        """The Hub also knows which licences and pipeline tags exist; here, it has to be a mapping."""
        content = (await request.json())["content"]
        _, _, rest = content.partition("---\n")
        metadata = yaml.safe_load(rest.partition("\n---\n")[0])
        if not isinstance(metadata, dict):
            return JSONResponse({"errors": [{"message": "YAML must be a mapping"}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def preupload(self, request: Request, owner: str, name: str) -> Response:
        files = self.readable(request, asked_repo(request, owner, name)).files
        if not is_proposal(request):
            self.check_writer(request, owner)
        answers = [
            {
                "path": file["path"],
                "uploadMode": "regular",
                "shouldIgnore": False,
                "oid": blob_id(files[file["path"]]) if file["path"] in files else None,
            }
            for file in (await request.json())["files"]
        ]
        return JSONResponse({"files": answers})

    async def commit(self, request: Request, owner: str, name: str) -> Response:
        """One line a file, all or nothing. A proposal is what anybody who can read may make."""
        repo = self.readable(request, asked_repo(request, owner, name))
        if not is_proposal(request):
            self.check_writer(request, owner)
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        title = next(line["value"]["summary"] for line in lines if line["key"] == "header")
        new = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        gone = {line["value"]["path"] for line in lines if line["key"] == "deletedFile"}
        if gone - set(repo.files):
            raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        kept = {path: content for path, content in repo.files.items() if path not in gone}
        commit = repo.commit(title, kept | new, is_proposal(request))
        place = f"{self.url}/{asked_repo(request, owner, name)}"
        answer = {"success": True, "commitOid": commit.oid, "commitUrl": f"{place}/commit/{commit.oid}"}
        if is_proposal(request):
            answer["pullRequestUrl"] = f"{place}/discussions/{len(repo.proposals)}"
        return JSONResponse(answer)

    async def whoami(self, request: Request) -> Response:
        user = self.user(request)
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        return JSONResponse({"type": "user", "id": "0" * 24, "name": user, "orgs": []})

    async def repo_info(self, request: Request, owner: str, name: str, revision: str = "main") -> Response:
        repo = self.readable(request, asked_repo(request, owner, name))
        commit = self.commit_of(repo, revision)
        identity = {"_id": "0" * 24, "id": f"{owner}/{name}", "modelId": f"{owner}/{name}", "sha": commit.oid}
        access = {"private": repo.private, "gated": "manual" if repo.gated else False, "disabled": False}
        siblings = [{"rfilename": path, "size": len(content)} for path, content in sorted(commit.files.items())]
        counted = sum(count_numbers(content) for path, content in commit.files.items() if path.endswith(".safetensors"))
        weights = {"safetensors": {"parameters": {"F32": counted}, "total": counted}} if counted else {}
        told = {"siblings": siblings, "tags": [], "lastModified": LAST_MODIFIED}
        return JSONResponse(identity | access | told | weights)

    async def tree(
        self, request: Request, owner: str, name: str, revision: str, folder: str = "", recursive: bool = False
    ) -> Response:
        files = self.commit_of(self.readable(request, asked_repo(request, owner, name)), revision).files
        start = f"{folder}/" if folder else ""
        inside = {path: content for path, content in sorted(files.items()) if path.startswith(start)}
        if folder and not inside:
            raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
        below = {start + path[len(start) :].split("/")[0] for path in inside if "/" in path[len(start) :]}
        folders = [] if recursive else [{"type": "directory", "path": path, "oid": "0" * 40} for path in sorted(below)]
        shown = [path for path in inside if recursive or "/" not in path[len(start) :]]
        return JSONResponse([*folders, *(file_info(path, inside[path]) for path in shown)])

    async def paths_info(self, request: Request, owner: str, name: str, revision: str) -> Response:
        files = self.commit_of(self.readable(request, asked_repo(request, owner, name)), revision).files
        asked = (await request.form()).getlist("paths")
        return JSONResponse([file_info(path, files[path]) for path in map(str, asked) if path in files])

    async def resolve(self, request: Request, owner: str, name: str, revision: str, path: str) -> Response:
        repo = self.readable(request, asked_repo(request, owner, name))
        user = self.user(request)
        if repo.gated and user != owner:
            raise Refusal(403 if user else 401, "Access to this model is restricted", "GatedRepo")
        commit = self.commit_of(repo, revision)
        if path not in commit.files:
            refusal = Refusal(404, "Entry not found", "EntryNotFound")
            refusal.response.headers["X-Repo-Commit"] = commit.oid
            raise refusal
        content = commit.files[path]
        headers = {"ETag": f'"{blob_id(content)}"', "X-Repo-Commit": commit.oid, "Content-Length": str(len(content))}
        if request.method == "HEAD":
            return Response(headers=headers)
        if self.body_limit is not None and len(content) > self.body_limit:
            return StreamingResponse(self.part_of(request, content), headers=headers)
        if self.garbled:
            content = bytes([content[0] ^ 1]) + content[1:]
        return Response(content, headers=headers)

    def part_of(self, request: Request, content: bytes) -> Iterator[bytes]:
        """The first `body_limit` bytes, once: who asks for the rest gets none of it."""
        if "range" not in request.headers:
            yield content[: self.body_limit]


def asked_repo(request: Request, owner: str, name: str) -> str:
    """The repo as `add` names it."""
    kind = request.url.path.removeprefix("/api").split("/")[1]
    return f"{kind}/{owner}/{name}" if kind in ("datasets", "spaces") else f"{owner}/{name}"


def is_proposal(request: Request) -> bool:
    return request.query_params.get("create_pr") == "1"


def file_info(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}


def count_numbers(weights: bytes) -> int:
    """How many numbers a safetensors file holds; 0 of what is none."""
    try:
        header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (ValueError, KeyError):
        return 0


def blob_id(content: bytes) -> str:
    """The name git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def make_app(hub: LoopbackHub) -> FastAPI:
    app = FastAPI()
    app.middleware("http")(hub.misbehave)
    for path, handler, methods in (
        ("/api/repos/create", hub.create, ["POST"]),
        ("/api/validate-yaml", hub.validate_yaml, ["POST"]),
        ("/api/whoami-v2", hub.whoami, ["GET"]),
        *(
            (f"/api/{kind}/{{owner}}/{{name}}{rest}", handler, [method])
            for kind in ("models", "datasets", "spaces")
            for rest, handler, method in (
                ("", hub.repo_info, "GET"),
                ("/preupload/main", hub.preupload, "POST"),
                ("/commit/main", hub.commit, "POST"),
                ("/revision/{revision}", hub.repo_info, "GET"),
                ("/tree/{revision}", hub.tree, "GET"),
                ("/tree/{revision}/{folder:path}", hub.tree, "GET"),
                ("/paths-info/{revision}", hub.paths_info, "POST"),
            )
        ),
        ("/datasets/{owner}/{name}/resolve/{revision}/{path:path}", hub.resolve, ["GET", "HEAD"]),
        ("/spaces/{owner}/{name}/resolve/{revision}/{path:path}", hub.resolve, ["GET", "HEAD"]),
        ("/{owner}/{name}/resolve/{revision}/{path:path}", hub.resolve, ["GET", "HEAD"]),
    ):
        app.add_api_route(path, handler, methods=methods, response_model=None)
    app.exception_handler(Refusal)(lambda _, refusal: refusal.response)
    return app


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """A Hub that answers on a free port of this machine until the block ends."""
    hub = LoopbackHub()
    # h11 closes the connection when a body is shorter than announced, which `body_limit` is about.
    config = uvicorn.Config(make_app(hub), host="127.0.0.1", port=0, http="h11", log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the loopback Hub did not start"
        time.sleep(0.01)
    hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(name="hub")
def hub_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A fresh Hub that this process's huggingface_hub talks to, with an empty cache and without a token."""
    with serving() as hub:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield hub

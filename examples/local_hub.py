"""A private hub on a laptop: the part of the Hugging Face Hub presets need.

    python examples/local_hub.py --folder hub/ --port 8080

Then, in any other shell,

    export HF_ENDPOINT=http://127.0.0.1:8080 HF_HUB_DISABLE_XET=1 HF_TOKEN=me
    model.upload_to_hub("me/tiny")             # in Python
    keras_wmgm.from_preset("hf://me/tiny")

Files lie in `FOLDER/org/name/blobs` under their sha256, and every commit is a
line of `commits.jsonl`. Any token may write; a private repository is read
with a token. There is no TLS: keep it to this machine, or behind a proxy.
"""

import argparse
import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urlsplit

LARGE = 1 << 16
"""Bytes from which on a file is stored apart (LFS) and redirected to."""

REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*")

ROUTES = [
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("GET", r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", "info"),
    ("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", "tree"),
    ("POST", r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", "preupload"),
    ("POST", r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", "commit"),
    ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/lfs/([^/]+/[^/]+)/([0-9a-f]{64})", "store"),
    ("GET", r"/lfs/([^/]+/[^/]+)/([0-9a-f]{64})", "blob"),
    ("GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
]


class Refused(Exception):
    """An answer that is an error: a status, and the Hub's name for it."""

    def __init__(self, status, code="", message=""):
        self.status, self.code, self.message = status, code, message


class Hub(ThreadingHTTPServer):
    """The server: where the repositories are, and what has been asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder, port=0, host="127.0.0.1", handler=None):
        super().__init__((host, port), handler or Handler)
        self.folder = Path(folder)
        self.requests = []
        self.lock = threading.Lock()
        self.url = f"http://{host}:{self.server_address[1]}"
        self.large_files_at = self.url

    def commits(self, repo):
        path = self.folder / repo / "commits.jsonl"
        if not REPO.fullmatch(repo) or not path.exists():
            raise Refused(404, "RepoNotFound", "Repository not found")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def add_commit(self, repo, files, private):
        text = json.dumps([repo, files, private, len(self.requests)])
        sha = hashlib.sha1(text.encode()).hexdigest()
        path = self.folder / repo / "commits.jsonl"
        (path.parent / "blobs").mkdir(parents=True, exist_ok=True)
        commit = {"sha": sha, "private": private, "files": files}
        with path.open("a") as file:
            file.write(json.dumps(commit) + "\n")
        return sha

    def blob(self, repo, sha256):
        return self.folder / repo / "blobs" / sha256

    def add_blob(self, repo, content):
        """Store bytes. Return what a commit says of them."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob(repo, sha256).write_bytes(content)
        git = b"blob %d\0" % len(content) + content
        oid = hashlib.sha1(git).hexdigest()
        return {"oid": oid, "size": len(content), "sha256": sha256}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def route(self):
        path = urlsplit(self.path).path
        method = "GET" if self.command == "HEAD" else self.command
        with self.server.lock:
            self.server.requests.append((self.command, path))
        try:
            self.body = self.rfile.read(
                int(self.headers["Content-Length"] or 0)
            )
            for verb, pattern, name in ROUTES:
                found = re.fullmatch(pattern, path)
                if verb == method and found:
                    arguments = [g and unquote(g) for g in found.groups()]
                    return getattr(self, name)(*arguments)
            raise Refused(404, "EntryNotFound", "No such page")
        except Refused as error:
            self.refuse(error)

    do_GET = do_HEAD = do_POST = do_PUT = route

    # What is asked

    def whoami(self):
        self.signed_in()
        self.answer({"name": "me", "type": "user", "orgs": []})

    def create(self):
        self.signed_in()
        asked = json.loads(self.body)
        repo = "/".join([asked.get("organization") or "me", asked["name"]])
        url = {"url": f"{self.server.url}/{repo}", "name": repo}
        if not REPO.fullmatch(repo):
            raise Refused(400, message="A repository is named org/name")
        with self.server.lock:
            if (self.server.folder / repo / "commits.jsonl").exists():
                return self.answer(url, status=409)
            private = asked.get("private") or asked.get("visibility")
            self.server.add_commit(repo, {}, private in (True, "private"))
        self.answer(url)

    def validate(self):
        self.answer({"errors": [], "warnings": []})

    def info(self, repo, revision):
        commit = self.read(repo, revision)
        names = [{"rfilename": name} for name in commit["files"]]
        about = {"id": repo, "modelId": repo, "siblings": names, "tags": []}
        self.answer({**about, "sha": commit["sha"], "downloads": 0})

    def tree(self, repo, revision):
        files = self.read(repo, revision)["files"]
        self.answer([tree_entry(path, f) for path, f in files.items()])

    def preupload(self, repo, revision):
        self.signed_in()
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= LARGE else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.answer({"files": files})

    def batch(self, repo):
        self.signed_in()
        objects = json.loads(self.body)["objects"]
        for item in objects:
            href = f"{self.server.url}/lfs/{repo}/{item['oid']}"
            item["actions"] = {"upload": {"href": href}}
        self.answer({"transfer": "basic", "objects": objects})

    def store(self, repo, sha256):
        self.server.commits(repo)
        if self.server.add_blob(repo, self.body)["sha256"] != sha256:
            raise Refused(400, message="The content is not what was announced")
        self.answer({})

    def commit(self, repo, revision):
        self.signed_in()
        with self.server.lock:
            head = self.read(repo, None)
            files = dict(head["files"])
            for line in self.body.splitlines():
                self.apply(repo, files, **json.loads(line))
            sha = self.server.add_commit(repo, files, head["private"])
        url = f"{self.server.url}/{repo}/commit/{sha}"
        self.answer({"commitOid": sha, "commitUrl": url})

    def apply(self, repo, files, key, value):
        if key == "file":
            content = base64.b64decode(value["content"])
            files[value["path"]] = self.server.add_blob(repo, content)
        elif key == "lfsFile":
            blob = self.server.blob(repo, value["oid"]).read_bytes()
            files[value["path"]] = self.server.add_blob(repo, blob)
        elif key == "deletedFile":
            files.pop(value["path"], None)

    def resolve(self, repo, revision, path):
        commit = self.read(repo, revision)
        headers = {"X-Repo-Commit": commit["sha"]}
        if path not in commit["files"]:
            raise Refused(404, "EntryNotFound", "Entry not found")
        file = commit["files"][path]
        if file["size"] < LARGE:
            headers["ETag"] = f'"{file["oid"]}"'
            return self.send_file(repo, file["sha256"], headers)
        headers["X-Linked-Etag"] = f'"{file["sha256"]}"'
        headers["X-Linked-Size"] = str(file["size"])
        base = self.server.large_files_at
        headers["Location"] = f"{base}/lfs/{repo}/{file['sha256']}"
        self.answer({}, 302, headers)

    def blob(self, repo, sha256):
        """A large file: who knows its checksum may have it."""
        commits = reversed(self.server.commits(repo))
        sha = next(c["sha"] for c in commits if sha256 in str(c["files"]))
        headers = {"ETag": f'"{sha256}"', "X-Repo-Commit": sha}
        self.send_file(repo, sha256, headers)

    # Who asks, and the answer

    def token(self):
        return (self.headers["Authorization"] or "").removeprefix("Bearer ")

    def signed_in(self):
        if not self.token():
            raise Refused(401, message="Invalid username or password.")

    def read(self, repo, revision):
        """Return a commit of a repository that may be read."""
        commits = self.server.commits(repo)
        if commits[-1]["private"]:
            self.signed_in()
        if revision in (None, "main"):
            return commits[-1]
        for commit in commits:
            if commit["sha"] == revision:
                return commit
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def send_file(self, repo, sha256, headers):
        content = self.server.blob(repo, sha256).read_bytes()
        status, total = 200, len(content)
        found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if found:
            start = int(found[1])
            if start >= total:
                raise Refused(416, message=f"The file has {total} bytes")
            status, content = 206, content[start:]
            span = f"bytes {start}-{total - 1}/{total}"
            headers = {**headers, "Content-Range": span}
        self.send(status, content, {**headers, "Accept-Ranges": "bytes"})

    def refuse(self, error):
        headers = {"X-Error-Code": error.code, "X-Error-Message": error.message}
        headers = {key: value for key, value in headers.items() if value}
        self.answer({"error": error.message}, error.status, headers)

    def answer(self, content, status=200, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.send(status, json.dumps(content).encode(), headers)

    def send(self, status, content, headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.write(content)

    def write(self, content):
        self.wfile.write(content)

    def log_message(self, *args):
        """Stay quiet."""


def tree_entry(path, file):
    entry = {"type": "file", "path": path}
    entry |= {"oid": file["oid"], "size": file["size"]}
    if file["size"] >= LARGE:
        lfs = {"oid": file["sha256"], "size": file["size"], "pointerSize": 134}
        entry["lfs"] = lfs
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", default="hub", help="where files are kept")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    hub = Hub(arguments.folder, arguments.port)
    print(f"HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=me")
    try:
        hub.serve_forever()
    except KeyboardInterrupt:
        hub.server_close()


if __name__ == "__main__":
    main()

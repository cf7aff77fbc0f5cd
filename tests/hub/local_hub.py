"""A hub on this machine: the part of the Hugging Face Hub that presets need.

    python tests/hub/local_hub.py --folder hub/ --port 8080

To use it from another shell with `model.upload_to_hub("me/cats")` and
`keras_wmgm.from_preset("hf://me/cats")`, set

    export HF_ENDPOINT=http://127.0.0.1:8080 HF_HUB_DISABLE_XET=1 HF_TOKEN=me

Files are kept in `FOLDER/org/name/blobs` under their sha256; each commit is a
line of `commits.jsonl`. Any token may write and may read private repositories.
There is no TLS and no password: use it on machines that you trust.
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
"""A file of at least so many bytes is sent on its own (LFS)."""

REPO = r"(\w[\w.-]*/\w[\w.-]*)"
HASH = r"([0-9a-f]{64})"

ROUTES = {
    rf"GET /api/models/{REPO}(?:/revision/([^/]+))?": "info",
    rf"GET /api/models/{REPO}/tree/([^/]+)": "tree",
    rf"GET /{REPO}/resolve/([^/]+)/(.+)": "resolve",
    rf"GET /lfs/{REPO}/{HASH}": "large_file",
    r"GET /api/whoami-v2": "whoami",
    r"POST /api/repos/create": "create",
    r"POST /api/validate-yaml": "validate",
    rf"POST /api/models/{REPO}/preupload/[^/]+": "preupload",
    rf"POST /{REPO}\.git/info/lfs/objects/batch": "batch",
    rf"PUT /lfs/{REPO}/{HASH}": "store",
    rf"POST /api/models/{REPO}/commit/[^/]+": "commit",
}


class Refused(Exception):
    """An error to answer with: a status, and the Hub's name for it."""

    def __init__(self, status, code="", message=""):
        self.status, self.code, self.message = status, code, message


class Hub(ThreadingHTTPServer):
    """The server, with its repositories and the requests that it received."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder, port=0, handler=None):
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.folder, self.lock = Path(folder), threading.RLock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.large_files_at = self.url
        self.requests = []

    def commits(self, repo):
        path = self.folder / repo / "commits.jsonl"
        if not path.exists():
            raise Refused(404, "RepoNotFound", "Repository not found")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def add_commit(self, repo, files, private):
        path = self.folder / repo / "commits.jsonl"
        (path.parent / "blobs").mkdir(parents=True, exist_ok=True)
        commit = {"private": private, "files": files}
        with self.lock, path.open("a+") as file:
            seed = json.dumps([repo, commit, file.tell()])
            commit["sha"] = hashlib.sha1(seed.encode()).hexdigest()
            file.write(json.dumps(commit) + "\n")
        return commit["sha"]

    def blob(self, repo, sha256):
        return self.folder / repo / "blobs" / sha256

    def add_blob(self, repo, content):
        """Store bytes. Return what a commit says of them."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob(repo, sha256).write_bytes(content)
        as_git = b"blob %d\0%b" % (len(content), content)
        oid = hashlib.sha1(as_git).hexdigest()
        return {"oid": oid, "size": len(content), "sha256": sha256}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def route(self):
        path = urlsplit(self.path).path
        with self.server.lock:
            self.server.requests.append((self.command, path))
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        asked = f"{self.command.replace('HEAD', 'GET')} {path}"
        try:
            for pattern, name in ROUTES.items():
                found = re.fullmatch(pattern, asked)
                if found:
                    parts = [part and unquote(part) for part in found.groups()]
                    return getattr(self, name)(*parts)
            raise Refused(404, "EntryNotFound", "No such page")
        except Refused as error:
            self.refuse(error)

    do_GET = do_HEAD = do_POST = do_PUT = route

    # Reading

    def info(self, repo, revision):
        commit = self.read(repo, revision)
        files = [{"rfilename": path} for path in commit["files"]]
        self.answer({"id": repo, "sha": commit["sha"], "siblings": files})

    def tree(self, repo, revision):
        entries = []
        for path, file in self.read(repo, revision)["files"].items():
            size, lfs = file["size"], {}
            if size >= LARGE:
                oid = {"oid": file["sha256"], "size": size, "pointerSize": 134}
                lfs = {"lfs": oid}
            entry = {"type": "file", "path": path, "oid": file["oid"]}
            entries.append({**entry, "size": size, **lfs})
        self.answer(entries)

    def resolve(self, repo, revision, path):
        commit = self.read(repo, revision)
        file = commit["files"].get(path)
        headers = {"X-Repo-Commit": commit["sha"]}
        if file is None:
            raise Refused(404, "EntryNotFound", "Entry not found")
        if file["size"] < LARGE:
            headers["ETag"] = f'"{file["oid"]}"'
            return self.send_file(repo, file["sha256"], headers)
        place = f"{self.server.large_files_at}/lfs/{repo}/{file['sha256']}"
        headers["Location"] = place
        headers["X-Linked-Etag"] = f'"{file["sha256"]}"'
        headers["X-Linked-Size"] = str(file["size"])
        self.answer({}, 302, headers)

    def large_file(self, repo, sha256):
        """Send a file by its checksum, which serves as the permission."""
        holding = [c for c in self.server.commits(repo) if sha256 in str(c)]
        if not holding:
            raise Refused(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": holding[-1]["sha"], "ETag": f'"{sha256}"'}
        self.send_file(repo, sha256, headers)

    def whoami(self):
        self.check_token()
        self.answer({"name": "me", "type": "user", "orgs": []})

    # Writing

    def create(self):
        self.check_token()
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if not re.fullmatch(REPO, repo):
            raise Refused(400, message="A repository is named org/name")
        with self.server.lock:
            new = not (self.server.folder / repo / "commits.jsonl").exists()
            if new:
                private = asked.get("private") or asked.get("visibility")
                private = private in (True, "private")
                self.server.add_commit(repo, {}, private)
        self.answer({"url": f"{self.server.url}/{repo}"}, 200 if new else 409)

    def validate(self):
        self.answer({"errors": [], "warnings": []})

    def preupload(self, repo):
        self.check_token()
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
        self.check_token()
        objects = json.loads(self.body)["objects"]
        for item in objects:
            place = f"{self.server.url}/lfs/{repo}/{item['oid']}"
            item["actions"] = {"upload": {"href": place}}
        self.answer({"transfer": "basic", "objects": objects})

    def store(self, repo, sha256):
        self.server.commits(repo)
        if self.server.add_blob(repo, self.body)["sha256"] != sha256:
            raise Refused(400, message="The content is not what was announced")
        self.answer({})

    def commit(self, repo):
        self.check_token()
        with self.server.lock:
            newest = self.read(repo)
            files = dict(newest["files"])
            for line in self.body.splitlines():
                self.apply(repo, newest, files, **json.loads(line))
            sha = self.server.add_commit(repo, files, newest["private"])
        url = f"{self.server.url}/{repo}/commit/{sha}"
        self.answer({"commitOid": sha, "commitUrl": url})

    def apply(self, repo, newest, files, key, value):
        """Carry out one line of a commit."""
        if key == "header":
            if value.get("parentCommit", newest["sha"]) != newest["sha"]:
                raise Refused(412, message="A commit has happened since")
        elif key == "file":
            content = base64.b64decode(value["content"])
            files[value["path"]] = self.server.add_blob(repo, content)
        elif key == "lfsFile":
            if not re.fullmatch(HASH, value["oid"]):
                raise Refused(400, message="No checksum.")
            content = self.server.blob(repo, value["oid"]).read_bytes()
            files[value["path"]] = self.server.add_blob(repo, content)

    # Authentication and answers

    def check_token(self):
        if not (self.headers["Authorization"] or "").startswith("Bearer "):
            raise Refused(401, message="Invalid username or password.")

    def read(self, repo, revision="main"):
        """Return a commit of a repository that may be read."""
        commits = self.server.commits(repo)
        if commits[-1]["private"]:
            self.check_token()
        if revision in (None, "main"):
            return commits[-1]
        for commit in commits:
            if commit["sha"] == revision:
                return commit
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def send_file(self, repo, sha256, headers):
        content = self.server.blob(repo, sha256).read_bytes()
        status, size = 200, len(content)
        part = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if part:
            start = int(part[1])
            if start >= size:
                raise Refused(416, message=f"The file has {size} bytes")
            status, content = 206, content[start:]
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send(status, content, headers)

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


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", default="hub", help="where files are kept")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    hub = Hub(arguments.folder, arguments.port)
    print(f"HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=me", flush=True)
    try:
        hub.serve_forever()
    except KeyboardInterrupt:
        hub.server_close()


if __name__ == "__main__":
    main()

"""The local hub, with faults to order."""

import socket
import threading
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

from tests.hub import local_hub
from tests.hub.address import PORT

ROOT = Path(__file__).parent.parent.parent
TOKEN = "hf_test"


class FaultyHandler(local_hub.Handler):
    """A handler that fails where the test says so."""

    def route(self):
        hub = self.server
        if hub.rival and "/commit/" in self.path:
            rival, hub.rival = hub.rival, None
            rival()
        status = next((s for p, s in hub.faults.items() if p in self.path), 0)
        if status == "silent":
            hub.closing.wait()
        elif status:
            self.body = self.rfile.read(
                int(self.headers["Content-Length"] or 0)
            )
            with hub.lock:
                hub.requests.append((self.command, self.path))
            code = "GatedRepo" if status == "gated" else ""
            status = 403 if status == "gated" else status
            self.refuse(local_hub.Refused(status, code, "ordered by a test"))
        else:
            super().route()

    do_GET = do_HEAD = do_POST = do_PUT = route

    def write(self, content):
        """Send a file, or its first half where a cut is due."""
        hub = self.server
        if "/lfs/" in self.path or "/resolve/" in self.path:
            with hub.lock:
                hub.transfers += 1
                cut = hub.cut_every and hub.transfers % hub.cut_every == 0
                hub.sent.append((self.path, self.headers["Range"]))
            if cut:
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if hub.holds and "/lfs/" in self.path:
                self.wfile.write(content[: len(content) // 2])
                hub.holding.set()
                hub.closing.wait()
                return
        super().write(content)


class FaultyHub(local_hub.Hub):
    """A hub that counts, and that fails where it is told to.

    Attributes:
        faults: A status, `"gated"` or `"silent"`, by a part of the path.
        cut_every: Each so-many-th transfer ends half way.
        holds: Whether large files stop half way, with the connection open.
        holding: Is set once one has.
        sent: Path and range of each transfer of a file.
        rival: Called once, before the next commit is made.
    """

    def __init__(self, folder, port=0):
        super().__init__(folder, port, handler=FaultyHandler)
        # As of another host, as the Hub's large files are.
        self.large_files_at = self.url.replace("127.0.0.1", "localhost")
        self.faults, self.sent, self.connections = {}, [], []
        self.cut_every, self.transfers, self.holds = 0, 0, False
        self.holding, self.closing = threading.Event(), threading.Event()
        self.rival = None

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self):
        """Close all connections: the client would use them for the next."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """A client that went away is no error here."""

    def add(self, repo, folder, private=False, leave_out=()):
        """Put a folder into a repository. Return the commit."""
        (self.folder / repo / "blobs").mkdir(parents=True, exist_ok=True)
        files = {
            path.name: self.add_blob(repo, path.read_bytes())
            for path in sorted(Path(folder).iterdir())
            if path.name not in leave_out
        }
        return self.add_commit(repo, files, private)


@contextmanager
def running(folder):
    """Run a hub at the address that the client of this process knows."""
    hub = FaultyHub(folder, PORT)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        hub.hang_up()
        thread.join()

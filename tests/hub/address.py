"""Where the hub of the tests is: no test leaves this machine.

The client reads these once, when it is first used. Its patience is without
end in effect: a busy machine answers late.
"""

import os
import socket
import tempfile

# Bound as long as the process lives, so that nobody else is given the port; it
# does not listen, so a server here may.
_held = socket.socket()
_held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
_held.bind(("127.0.0.1", 0))
PORT = _held.getsockname()[1]

SETTINGS = {
    "HF_ENDPOINT": f"http://127.0.0.1:{PORT}",
    "HF_HOME": tempfile.mkdtemp(prefix="keras_wmgm_hf_"),
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_ETAG_TIMEOUT": "600",
    "HF_HUB_DOWNLOAD_TIMEOUT": "600",
}

for _name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
    os.environ.pop(_name, None)
os.environ.update(SETTINGS)

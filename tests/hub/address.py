"""Where the hub of the tests is: no test leaves this machine.

The client reads these once, when it is first used.
"""

import os
import socket
import tempfile

with socket.create_server(("127.0.0.1", 0)) as _free:
    PORT = _free.getsockname()[1]

SETTINGS = {
    "HF_ENDPOINT": f"http://127.0.0.1:{PORT}",
    "HF_HOME": tempfile.mkdtemp(prefix="keras_wmgm_hf_"),
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

for _name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
    os.environ.pop(_name, None)
os.environ.update(SETTINGS)

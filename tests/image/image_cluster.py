"""How does a test run BFF processes from the unpacked image, as a container engine would?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.cluster import ROOT, Cluster
from tests.support.processes import Process

FOLDER = ROOT / ".work/image"
# As an engine does it: the root can't be written; /proc, /dev/shm and the names of hosts are given.
IN_IMAGE = """
mount --bind "$0" "$0"
mount --bind /etc/hosts "$0/etc/hosts"
mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=1777 shm "$0/dev/shm"
mount -o remount,bind,ro "$0"
cd "$0"
exec chroot --userspec="$USER_AND_GROUP" "$0" "$@"
"""


def image_config() -> dict[str, Any]:
    """What the image says of itself: its user, its command, its environment."""
    inspected = json.loads((FOLDER / "image.json").read_text())
    config: dict[str, Any] = inspected["Docker"]["config"]
    return config


def in_image(*command: str) -> list[str]:
    """A command line that runs *command* in the image, as its user."""
    return [
        "unshare", "--mount", "env", f"USER_AND_GROUP={image_config()['User']}",
        "sh", "-ec", IN_IMAGE, str(FOLDER / "root"), *command,
    ]  # fmt: skip


class ImageCluster(Cluster):
    """A cluster whose BFF processes run from the image."""

    def image_environment(self) -> dict[str, str]:
        """The image's own, and that of every replica."""
        own = dict(line.split("=", 1) for line in image_config()["Env"])
        return self.environment() | own | {"PATH": f"{own['PATH']}:/usr/sbin:/sbin"}

    def start_replica(self, port: int, **env: str) -> Process:
        """Start the image's own command, but at *port* of this machine."""
        config = image_config()
        command = [*config["Entrypoint"], *config["Cmd"]]
        command[command.index("--host") + 1] = "127.0.0.1"
        command[command.index("--port") + 1] = str(port)
        environ = self.image_environment() | env
        process = self._stack.enter_context(
            Process(in_image(*command), name=f"image:{port}", env=environ, cwd=Path("/"))
        )
        process.wait_for_http(f"http://127.0.0.1:{port}/readyz")
        return process

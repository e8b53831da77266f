"""Running a network, and what its processes use."""

import os
import subprocess
import sys
from pathlib import Path


def atoll(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "node", *args], check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

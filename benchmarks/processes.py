"""Running a network, and what its processes use."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def atoll(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "node", *args], check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """(resident, proportional) in MB: forked nodes share the pages they were forked with."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in rollup if line.endswith("kB")}
    return int(sizes["Rss"]) / 1024, int(sizes["Pss"]) / 1024


def disk_bytes(folders: Iterable[Path]) -> int:
    """The bytes of the files below these folders; a file that is deleted meanwhile counts nothing."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
    return total

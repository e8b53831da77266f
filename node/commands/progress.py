"""Progress of long work: a bar on standard error, if that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REFRESH_SECONDS = 0.1


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is gone when the work is done; it is told how many bytes are done, of how many."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    out = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
        auto_refresh=False,  # that is a thread, and a dump forks
    ) as progress:
        task, shown = progress.add_task(what, total=None), 0.0

        def update(done: int, total: int) -> None:
            nonlocal shown
            progress.update(task, completed=done, total=total)
            if time.monotonic() - shown > REFRESH_SECONDS:
                progress.refresh()
                shown = time.monotonic()

        yield update


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A line on standard error that shows the latest text, and is gone at the end. Needs no thread, as rich's
    does: it may be used around a fork."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        show("")

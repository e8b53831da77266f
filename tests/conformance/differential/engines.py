"""Engines as child processes, each answering cases over a pipe."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "tests.conformance.differential"
ATOLL, PYEVM, EELS = "atoll", "py-evm", "EELS"
_MODULES = {ATOLL: "engine_atoll", PYEVM: "engine_pyevm", EELS: "engine_eels"}


class Engine:
    """One engine process. `ask` and `answer` may be apart, so that engines work side by side."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [python, "-m", f"{PACKAGE}.{_MODULES[name]}"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, case: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, case: dict[str, Any]) -> dict[str, Any]:
        self.ask(case)
        return self.answer()

    def close(self) -> None:
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()


class Engines:
    """All engines of a comparison; ours is the first."""

    def __init__(self, eels_python: str | None = None, *, pyevm: bool = True) -> None:
        self._engines = {ATOLL: Engine(ATOLL, sys.executable)}
        if pyevm:
            self._engines[PYEVM] = Engine(PYEVM, sys.executable)
        if eels_python:
            self._engines[EELS] = Engine(EELS, eels_python)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for engine in self._engines.values():
            engine.close()

    def __contains__(self, name: str) -> bool:
        return name in self._engines

    def __getitem__(self, name: str) -> Engine:
        return self._engines[name]

    def run(self, case: dict[str, Any], names: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Every engine's answer, computed side by side."""
        engines = [self._engines[name] for name in names] or list(self._engines.values())
        for engine in engines:
            engine.ask(case)
        return {engine.name: engine.answer() for engine in engines}

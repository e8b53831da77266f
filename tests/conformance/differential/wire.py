"""The protocol of an engine: one JSON case per line in, one JSON answer per line out.

    answer  = {"outcomes": [outcome, ...], "roots": [hex, ...], "accounts"?: {...}} | {"crash": text}
    outcome = {"invalid": text} | {"status": 0 or 1, "gas": int, "logs": hex of their hash}

`roots` holds one root, or one per transaction of a `separate` case. `accounts` is the post state that
was asked for with `dump`. Standard library only: the EELS engine imports this in its own environment.
"""

import json
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

Engine = Callable[[dict[str, Any]], dict[str, Any]]
STACK_BYTES = 768 * 1024 * 1024
RECURSION_LIMIT = 60_000


def serve(engine: Engine) -> None:
    """Answer until standard input ends, on a stack that holds 1,024 nested calls of any engine."""
    sys.setrecursionlimit(RECURSION_LIMIT)
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=_loop, args=(engine,))
    thread.start()
    thread.join()


def _loop(engine: Engine) -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # a library that prints must not break the protocol
    for line in sys.stdin:
        try:
            answer = engine(json.loads(line))
        except Exception:  # noqa: BLE001 - whatever an engine dies of is a finding
            answer = {"crash": traceback.format_exc(limit=-6)}
        out.write(json.dumps(answer) + "\n")
        out.flush()

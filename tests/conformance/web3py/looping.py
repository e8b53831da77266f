"""asyncio tests under a test runner that runs on trio."""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def asyncio_tests(cls: type) -> type:
    """The class with its asynchronous tests made synchronous: each runs on the `loop` fixture."""
    for name, method in inspect.getmembers(cls, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            setattr(cls, name, _on_loop(method))
    return cls


def _on_loop(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def test(self: Any, loop: Any, **fixtures: Any) -> None:
        loop.run_until_complete(method(self, **fixtures))

    parameters = list(inspect.signature(method).parameters.values())
    loop = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([parameters[0], loop, *parameters[1:]])  # type: ignore[attr-defined]
    del test.__wrapped__  # type: ignore[attr-defined]  # its signature is not that of the test
    return test

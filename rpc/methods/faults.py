"""Faults on purpose, where the genesis allows development methods and the endpoint is this machine's own."""

from typing import Any

from rpc.encoding import parse_data
from rpc.errors import MethodNotSupported
from rpc.fault_port import FaultBackend
from rpc.methods.table import Context, Method
from rpc.origins import Trust
from rpc.params import Param


def _document(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object is expected, such as {} for no faults")
    return value


def _backend(c: Context, name: str) -> FaultBackend:
    reason = c.backend.faults.off
    if reason is not None:
        raise MethodNotSupported(name, reason)
    return c.backend.faults


async def _faults(c: Context) -> dict[str, Any]:
    return _backend(c, "atoll_faults").show()


async def _set_faults(c: Context, faults: dict[str, Any]) -> dict[str, Any]:
    return _backend(c, "atoll_setFaults").set(faults)


async def _submit_evidence(c: Context, evidence: bytes) -> bool:
    return _backend(c, "atoll_submitEvidence").accuse(evidence)


METHODS: dict[str, Method] = {
    "atoll_faults": Method((), _faults, trust=Trust.LOCAL),
    "atoll_setFaults": Method((Param("faults", _document),), _set_faults, trust=Trust.LOCAL),
    "atoll_submitEvidence": Method(
        (Param("evidence", parse_data),), _submit_evidence, trust=Trust.LOCAL
    ),
}

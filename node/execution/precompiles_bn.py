"""The alt_bn128 precompiles (EIP-196, 197, priced by EIP-1108), by py-evm over py_ecc.

py_ecc is pure Python and is imported at first use (0.1 s). A pairing runs at 0.3 Mgas/s.
"""

from node.execution.frame import Frame


def add(frame: Frame) -> None:
    from eth.precompiles.ecadd import ecadd

    ecadd(frame, gas_cost=150)


def multiply(frame: Frame) -> None:
    from eth.precompiles.ecmul import ecmul

    ecmul(frame, gas_cost=6000)


def pairing(frame: Frame) -> None:
    from eth.precompiles.ecpairing import ecpairing

    ecpairing(frame, gas_cost_base=45_000, gas_cost_per_point=34_000)

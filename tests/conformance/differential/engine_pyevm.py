"""Stock py-evm behind the protocol of `wire`, and py-evm with its known faults mended.

A case may name faults to `mend`: each is one change to one class. A difference between stock py-evm and
the others is explained exactly when it is gone with some of them mended (see `faults`).
Two of its shortcomings are always mended, as they cost time and change no result: the KZG setup that is
read again on every call, and the change of state that an invalid transaction leaves behind.
"""

import functools
from typing import Any

import ckzg
import eth.precompiles.point_evaluation as point_evaluation
import rlp
from eth.consensus.context import ConsensusContext
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.db.chain import ChainDB
from eth.precompiles.modexp import extract_lengths
from eth.vm.chain_context import ChainContext
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth_hash.auto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from tests.conformance.differential.wire import serve

point_evaluation.load_trusted_setup = functools.lru_cache(1)(ckzg.load_trusted_setup)

MODEXP = b"\0" * 19 + b"\x05"
MAX_INITCODE = 49_152
WINDOW = 256
_stock_modexp = PragueComputation._precompiles[MODEXP]


def _delegates(code: bytes) -> bool:
    return len(code) == 23 and code.startswith(b"\xef\x01\x00")


def _checks(state: Any, tx: Any) -> None:
    """The validity rules that stock py-evm leaves out."""
    code = state.get_code(tx.sender)
    if code and not _delegates(code):
        raise ValidationError("EIP-3607: the sender has code")
    if tx.max_priority_fee_per_gas > tx.max_fee_per_gas:
        raise ValidationError("EIP-1559: tip above fee")
    if state.get_balance(tx.sender) < tx.gas * tx.max_fee_per_gas + tx.value:
        raise ValidationError("EIP-1559: insufficient funds")
    if tx.nonce >= 2**64 - 1:
        raise ValidationError("EIP-2681: nonce")
    if tx.to == CREATE_CONTRACT_ADDRESS:
        words = (len(tx.data) + 31) // 32
        if len(tx.data) > MAX_INITCODE or tx.gas < tx.intrinsic_gas + 2 * words:
            raise ValidationError("EIP-3860: init code")
    zeros = tx.data.count(0)
    if tx.gas < 21_000 + 10 * (zeros + 4 * (len(tx.data) - zeros)):
        raise ValidationError("EIP-7623: floor")


def _modexp(computation: Any) -> Any:
    result = _stock_modexp(computation)
    data = computation.msg.data_as_bytes
    base, exponent, size = extract_lengths(data)
    if size and not base:  # the gas paid bounds the exponent only where there is a modulus
        power = int.from_bytes(data[96 : 96 + exponent].ljust(exponent, b"\0"), "big")
        modulus = int.from_bytes(data[96 + exponent :][:size].ljust(size, b"\0"), "big")
        answer = 1 % modulus if modulus and not power else 0
        computation.output = answer.to_bytes(size, "big")
    return result


@functools.lru_cache(maxsize=256)
def vm_class(mended: frozenset[str]) -> Any:
    """PragueVM with these faults mended."""

    class Executor(PragueTransactionExecutor):  # type: ignore[misc]
        def validate_transaction(self, transaction: Any) -> None:
            super().validate_transaction(transaction)
            if "validity" in mended:
                _checks(self.vm_state, transaction)

    class Computation(PragueComputation):  # type: ignore[misc]
        if "modexp" in mended:
            _precompiles = {**PragueComputation._precompiles, MODEXP: _modexp}

        @property
        def is_origin_computation(self) -> bool:
            if "origin" in mended:
                return bool(self.msg.depth == 0)
            return bool(self.msg.sender == self.transaction_context.origin)

    class State(PragueState):  # type: ignore[misc]
        computation_class = Computation
        transaction_executor_class = Executor

        def has_code_or_nonce(self, address: bytes) -> bool:
            taken = bool(super().has_code_or_nonce(address))
            if not taken and "collision" in mended:
                return bool(self._account_db._get_storage_root(address) != BLANK_ROOT_HASH)
            return taken

    class VM(PragueVM):  # type: ignore[misc]
        _state_class = State

        @classmethod
        def finalize_gas_used(cls, transaction: Any, computation: Any) -> int:
            if "floor" not in mended:
                return int(super().finalize_gas_used(transaction, computation))
            used = transaction.gas - computation.get_gas_remaining()
            refund = cls.calculate_net_gas_refund(used, computation.get_gas_refund())
            return int(used - refund + computation.data_floor_gas)

    return VM


def open_vm(case: dict[str, Any], mended: frozenset[str] = frozenset()) -> Any:
    """A VM whose state is the case's accounts, and whose header its block."""
    cls = vm_class(mended)
    block = case["block"]
    number = block["number"]
    db = AtomicDB()
    header = PragueBlockHeader(
        difficulty=0,
        block_number=number,
        gas_limit=block["gas_limit"],
        timestamp=block["timestamp"],
        coinbase=bytes.fromhex(block["coinbase"]),
        parent_hash=keccak(str(number - 1).encode()),
        mix_hash=bytes.fromhex(block["prev_randao"]),
        base_fee_per_gas=block["base_fee"],
        parent_beacon_block_root=bytes.fromhex(block["beacon_root"]),
    )
    chain = ChainContext(case["chain_id"])
    vm = cls(
        header=header,
        chaindb=ChainDB(db),
        chain_context=chain,
        consensus_context=ConsensusContext(db),
    )
    hashes = [keccak(str(n).encode()) for n in range(number - 1, max(-1, number - 1 - WINDOW), -1)]
    context = cls.create_execution_context(header, hashes, chain)
    state = cls._state_class(db, context, BLANK_ROOT_HASH)
    for text, account in case["accounts"].items():
        address = bytes.fromhex(text)
        state.set_balance(address, int(account["balance"], 16))
        state.set_nonce(address, account["nonce"])
        if account["code"]:
            state.set_code(address, bytes.fromhex(account["code"]))
        for slot, value in account["storage"].items():
            state.set_storage(address, int(slot, 16), int(value, 16))
    state.persist()
    vm._state = cls._state_class(db, context, state.state_root)
    return vm


def run(case: dict[str, Any]) -> dict[str, Any]:
    vm = open_vm(case, frozenset(case.get("mend", ())))
    header = vm.get_header()
    if case["system"]:
        vm.block_preprocessing(vm.get_block())
    builder = vm.get_transaction_builder()
    outcomes: list[dict[str, Any]] = []
    roots = []
    for wire in case["transactions"]:
        snapshot = vm.state.snapshot()
        try:
            tx = builder.decode(bytes.fromhex(wire))
            # what a node does with a transaction from outside before it applies it
            tx.validate()
            tx.check_signature_validity()
            if tx.chain_id not in (None, case["chain_id"]):
                raise ValidationError("another chain's transaction")
            # VM.apply_transaction in its steps: `lock_changes` would make the snapshot useless
            vm.validate_transaction_against_header(header, tx)
            computation = vm.state.apply_transaction(tx)
            receipt = vm.make_receipt(header, tx, computation, vm.state)
            vm.validate_receipt(receipt)
        except (ValidationError, RLPException) as error:
            vm.state.revert(snapshot)
            vm.state.clear_transient_storage()
            outcomes.append({"invalid": f"{type(error).__name__}: {error}"})
        else:
            vm.state.lock_changes()
            used = receipt.gas_used - header.gas_used
            items = [
                [log.address, [t.to_bytes(32, "big") for t in log.topics], log.data]
                for log in receipt.logs
            ]
            outcomes.append(
                {
                    "status": int(receipt.state_root == b"\x01"),
                    "gas": used,
                    "logs": keccak(rlp.encode(items)).hex(),
                }
            )
            if not case["separate"]:
                header = vm.add_receipt_to_header(header, receipt)
        if case["separate"]:
            vm.state.persist()
            roots.append(vm.state.state_root.hex())
    if not case["separate"]:
        vm.state.persist()
        roots.append(vm.state.state_root.hex())
    answer: dict[str, Any] = {"outcomes": outcomes, "roots": roots}
    if case["dump"]:
        answer["accounts"] = _dump(vm.state, case["dump"])
    return answer


def _dump(state: Any, wanted: dict[str, list[str]]) -> dict[str, Any]:
    found = {}
    for text, slots in wanted.items():
        address = bytes.fromhex(text)
        if state.account_exists(address):
            values = {slot: hex(state.get_storage(address, int(slot, 16))) for slot in slots}
            found[text] = {
                "balance": hex(state.get_balance(address)),
                "nonce": state.get_nonce(address),
                "code": state.get_code(address).hex(),
                "storage": {slot: value for slot, value in values.items() if value != "0x0"},
            }
    return found


if __name__ == "__main__":
    serve(run)

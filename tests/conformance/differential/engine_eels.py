"""EELS (`ethereum-execution`) behind the protocol of `wire`. Runs in the environment of `eels_env`."""

# mypy: disable-error-code="import-not-found"

from typing import Any

from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException, InvalidBlock
from ethereum.forks.prague import fork, vm
from ethereum.forks.prague.blocks import decode_receipt
from ethereum.forks.prague.fork_types import Account, Address
from ethereum.forks.prague.state import State, set_account, set_storage, state_root
from ethereum.forks.prague.transactions import LegacyTransaction, decode_transaction
from ethereum.forks.prague.vm.exceptions import OutOfGasError
from ethereum.forks.prague.vm.precompiled_contracts import MODEXP_ADDRESS
from ethereum.forks.prague.vm.precompiled_contracts.mapping import PRE_COMPILED_CONTRACTS
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from tests.conformance.differential.wire import serve

WINDOW = 256
stock_modexp = PRE_COMPILED_CONTRACTS[MODEXP_ADDRESS]


def open_state(accounts: dict[str, Any]) -> State:
    state = State()
    for text, account in accounts.items():
        address = Address(bytes.fromhex(text))
        code = Bytes(bytes.fromhex(account["code"]))
        set_account(
            state,
            address,
            Account(
                nonce=Uint(account["nonce"]), balance=U256(int(account["balance"], 16)), code=code
            ),
        )
        for slot, value in account["storage"].items():
            set_storage(
                state,
                address,
                Bytes32(int(slot, 16).to_bytes(32, "big")),
                U256(int(value, 16)),
            )
    return state


def decode(raw: bytes) -> Any:
    if raw[0] >= 0xC0:
        return rlp.decode_to(LegacyTransaction, raw)
    return decode_transaction(Bytes(raw))


def check_chain_id(tx: Any, chain_id: U64) -> None:
    """The rule that EELS leaves out for typed transactions."""
    if not isinstance(tx, LegacyTransaction) and U64(tx.chain_id) != chain_id:
        raise InvalidBlock("another chain's transaction")


def modexp(evm: Any) -> None:
    """EELS' MODEXP, with the end it must have where a size does not even fit an index."""
    try:
        stock_modexp(evm)
    except OverflowError:
        raise OutOfGasError from None


def environment(case: dict[str, Any]) -> vm.BlockEnvironment:
    """The case's block, on a state of the case's accounts."""
    block = case["block"]
    number = block["number"]
    return vm.BlockEnvironment(
        chain_id=U64(case["chain_id"]),
        state=open_state(case["accounts"]),
        block_gas_limit=Uint(block["gas_limit"]),
        block_hashes=[keccak256(str(n).encode()) for n in range(max(0, number - WINDOW), number)],
        coinbase=Address(bytes.fromhex(block["coinbase"])),
        number=Uint(number),
        base_fee_per_gas=Uint(block["base_fee"]),
        time=U256(block["timestamp"]),
        prev_randao=Bytes32(bytes.fromhex(block["prev_randao"])),
        excess_blob_gas=U64(0),
        parent_beacon_block_root=Bytes32(bytes.fromhex(block["beacon_root"])),
    )


def run(case: dict[str, Any]) -> dict[str, Any]:
    env = environment(case)
    mended = case.get("mend", ())
    PRE_COMPILED_CONTRACTS[MODEXP_ADDRESS] = modexp if "modexp" in mended else stock_modexp
    state = env.state
    if case["system"]:
        for target, data in (
            (fork.BEACON_ROOTS_ADDRESS, env.parent_beacon_block_root),
            (fork.HISTORY_STORAGE_ADDRESS, env.block_hashes[-1]),
        ):
            fork.process_unchecked_system_transaction(
                block_env=env, target_address=target, data=data
            )
    output = vm.BlockOutput()
    outcomes: list[dict[str, Any]] = []
    roots = []
    for index, raw in enumerate(case["transactions"]):
        if case["separate"]:
            output = vm.BlockOutput()
        used, logs = output.block_gas_used, len(output.block_logs)
        try:
            tx = decode(bytes.fromhex(raw))
            if "chain_id" in mended:
                check_chain_id(tx, env.chain_id)
            fork.process_transaction(env, output, tx, Uint(index))
        except EthereumException as error:
            outcomes.append({"invalid": f"{type(error).__name__}: {error}"})
        else:
            receipt = decode_receipt(output.receipts_trie._data[output.receipt_keys[-1]])
            outcomes.append(
                {
                    "status": int(receipt.succeeded),
                    "gas": int(output.block_gas_used - used),
                    "logs": keccak256(rlp.encode(output.block_logs[logs:])).hex(),
                }
            )
        if case["separate"]:
            roots.append(state_root(state).hex())
    if not case["separate"]:
        roots.append(state_root(state).hex())
    answer: dict[str, Any] = {"outcomes": outcomes, "roots": roots}
    if case["dump"]:
        answer["accounts"] = dump(state)
    return answer


def dump(state: State) -> dict[str, Any]:
    """All of the state: this engine is the one that can list it."""
    found = {}
    for address, account in state._main_trie._data.items():
        trie = state._storage_tries.get(address)
        slots = trie._data.items() if trie is not None else ()
        found[address.hex()] = {
            "balance": hex(int(account.balance)),
            "nonce": int(account.nonce),
            "code": account.code.hex(),
            "storage": {hex(int.from_bytes(slot, "big")): hex(int(v)) for slot, v in slots},
        }
    return found


if __name__ == "__main__":
    serve(run)

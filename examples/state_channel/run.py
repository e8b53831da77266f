"""A payment channel between Alice on shard 0 and Bob on shard 1: opened on both, ended with a dispute.

.venv/bin/python examples/state_channel/run.py [--dir .atoll]
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from devnet import Devnet, devnet_from_arguments
from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from web3 import Web3

DEPOSIT = 10**18
WINDOW = 4


def main(net: Devnet) -> None:
    alice, bob = net.person(0), net.person(1)
    judge = net.deploy(alice, "state_channel/Judge.vy", bob.address, WINDOW, value=DEPOSIT)
    vault = net.deploy(bob, "state_channel/Vault.vy", alice.address, judge.address)
    net.send(alice, judge.functions.link(vault.address))
    funded = net.send(bob, vault.functions.fund(), value=DEPOSIT, fee=vault.functions.fee())
    net.tell("Bob puts 1 ether into the vault on his shard, and the judge hears of it", funded)
    assert judge.functions.isOpen().call()
    assert vault.functions.isFunded().call()

    # Off-chain: payments back and forth, each a state that both sign.
    signed = {
        n: sign(net, judge.address, n, DEPOSIT + n * 10**15, (alice, bob)) for n in range(1, 301)
    }
    print("\n300 payments from Bob to Alice, off-chain")
    assert judge.functions.digest(7, DEPOSIT + 7 * 10**15).call() == signed[7][1]

    # Bob, who has paid 0.3 ether, brings an old state. Alice answers with the last one.
    old = net.send(bob, bring(judge, 10, signed))
    net.tell("Bob brings state 10, in which he still has more", old)
    net.send(alice, bring(judge, 300, signed))
    print("\nAlice brings state 300")
    net.wait_until(judge.functions.until().call())
    before = [net.w3.eth.get_balance(who.address) for who in (alice, bob)]
    settler = net.person(0)
    over = net.send(settler, judge.functions.settle(), fee=judge.functions.fee())
    net.tell("anyone settles", over)
    got = [
        net.w3.eth.get_balance(who.address) - had
        for who, had in zip((alice, bob), before, strict=True)
    ]
    print(f"  Alice got {got[0] / 10**18} ether, Bob {got[1] / 10**18}")
    assert got == [DEPOSIT + 300 * 10**15, DEPOSIT - 300 * 10**15]


def sign(
    net: Devnet, judge: str, number: int, alices: int, who: tuple[LocalAccount, LocalAccount]
) -> tuple[int, bytes, list[Any]]:
    """(what is Alice's, what was signed, the two signatures) of a state."""
    state = Web3.keccak(
        encode(
            ["uint256", "address", "uint256", "uint256"],
            [net.w3.eth.chain_id, judge, number, alices],
        )
    )
    message = encode_defunct(primitive=state)
    signatures = [Account.sign_message(message, one.key) for one in who]
    return alices, bytes(signatures[0].message_hash), signatures


def bring(judge: Any, number: int, signed: dict[int, tuple[int, bytes, list[Any]]]) -> Any:
    alices, _, signatures = signed[number]
    return judge.functions.bring(
        number,
        alices,
        [s.v for s in signatures],
        [s.r for s in signatures],
        [s.s for s in signatures],
    )


if __name__ == "__main__":
    main(devnet_from_arguments(__doc__))

"""A constant-product pair on shard 0, a trader on shard 1, with a bound on the price and a refund.

.venv/bin/python examples/swap/run.py [--dir .atoll]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from devnet import Devnet, devnet_from_arguments
from eth_abi import encode

SUPPLY = 10_000_000
CALL_GAS = 380_000
"""What `onTokens` may use, the message home included."""


def main(net: Devnet) -> None:
    issuers = [net.person(shard) for shard in (0, 1)]
    trader = net.person(1)
    coral, pearl = (
        [
            net.deploy(issuers[0], "token/ShardedToken.vy", name, name.upper(), SUPPLY),
            net.deploy(issuers[1], "token/ShardedToken.vy", name, name.upper(), 0),
        ]
        for name in ("Coral", "Pearl")
    )
    for token in (coral, pearl):
        net.send(issuers[0], token[0].functions.link(1, token[1].address))
        net.send(issuers[1], token[1].functions.link(0, token[0].address))
    pair = net.deploy(issuers[0], "swap/ShardedPair.vy", coral[0].address, pearl[0].address)
    for token in (coral, pearl):
        net.send(issuers[0], token[0].functions.approve(pair.address, 1_000_000))
    net.send(issuers[0], pair.functions.provide(1_000_000, 1_000_000))
    given = net.send(
        issuers[0],
        coral[0].functions.transferAcross(trader.address, 50_000),
        fee=coral[0].functions.fee(1, 0),
    )
    net.settle(given)

    def trade(title: str, least: int) -> tuple[int, int]:
        way_home = pearl[0].functions.fee(1, 0)  # what `onTokens` needs for the way back
        # A few wei more than needed: the price of the transaction is known when it is sent.
        carried = way_home.call({"from": trader.address, "gasPrice": 4 * net.w3.eth.gas_price})
        sent = net.send(
            trader,
            coral[1].functions.transferAcrossAndCall(
                pair.address,
                10_000,
                encode(["uint256"], [least]),
                CALL_GAS,
                carried,
            ),
            value=carried,
            fee=coral[1].functions.fee(0, CALL_GAS),
        )
        net.tell(title, sent)
        held = tuple(
            token[1].functions.balanceOf(trader.address).call() for token in (coral, pearl)
        )
        print(f"  the trader has {held[0]} CORAL and {held[1]} PEARL")
        return held

    offered = pair.functions.quote(coral[0].address, 10_000).call()
    assert trade(f"10,000 CORAL for at least {offered} PEARL", offered) == (40_000, offered)
    assert trade(
        f"10,000 CORAL for at least {offered} PEARL again: the price has moved", offered
    ) == (40_000, offered)


if __name__ == "__main__":
    main(devnet_from_arguments(__doc__))

"""A token whose holders live on all shards: burn here, mint there, refund when the mint fails.

.venv/bin/python examples/token/run.py [--dir .atoll]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from devnet import Devnet, devnet_from_arguments

SUPPLY = 1_000_000


def main(net: Devnet) -> None:
    issuers = [net.person(shard) for shard in range(net.shards)]
    tokens = [
        net.deploy(issuer, "token/ShardedToken.vy", "Reef", "REEF", SUPPLY if shard == 0 else 0)
        for shard, issuer in enumerate(issuers)
    ]
    for shard, token in enumerate(tokens):
        for other, peer in enumerate(tokens):
            if other != shard:
                net.send(issuers[shard], token.functions.link(other, peer.address))
    alice = issuers[0]
    bob = net.stranger(1)

    def give(title: str, amount: int) -> None:
        sent = net.send(
            alice,
            tokens[0].functions.transferAcross(bob.address, amount),
            fee=tokens[0].functions.fee(1, 0),
        )
        net.tell(title, sent)
        balances = [
            tokens[0].functions.balanceOf(alice.address).call(),
            tokens[1].functions.balanceOf(bob.address).call(),
        ]
        print(f"  Alice has {balances[0]}, Bob has {balances[1]}")
        assert balances == [SUPPLY - 300, 300]

    give("300 REEF from Alice on shard 0 to Bob on shard 1", 300)
    net.send(issuers[1], tokens[1].functions.block(bob.address, True))
    give("50 REEF to Bob, whom shard 1 has blocked in the meantime: they come back", 50)

    supplies = [token.functions.totalSupply().call() for token in tokens]
    under_way = [token.functions.inFlight().call() for token in tokens]
    print(f"\n  supply by shard {supplies}, under way {under_way}")
    assert sum(supplies) == SUPPLY
    assert not any(under_way)


if __name__ == "__main__":
    main(devnet_from_arguments(__doc__))

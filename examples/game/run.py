"""One hot contract and players on every shard, with nothing but ordinary transactions.

.venv/bin/python examples/game/run.py [--dir .atoll]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from devnet import Devnet, devnet_from_arguments
from web3.logs import DISCARD

STAKE = 10**15
ROUNDS, LIFE = 3, 10


def main(net: Devnet) -> None:
    arena = net.deploy(net.person(0), "game/Arena.vy")
    players = [net.person(shard) for _ in range(2) for shard in range(net.shards)]
    print(
        f"the arena is on shard {net.home(arena.address)}, {len(players)} players on {net.shards} shards"
    )
    for strike in range(ROUNDS * LIFE):
        receipt = net.send(players[strike % len(players)], arena.functions.strike(), value=STAKE)
        for event in arena.events.Won().process_receipt(receipt, errors=DISCARD):
            trace = net.tell(
                f"round {event['args']['round']} is won by {event['args']['player']}", receipt
            )
            assert trace["complete"]
    assert arena.functions.round().call() == ROUNDS
    assert arena.functions.total().call() == ROUNDS * LIFE
    wins = sum(arena.functions.wins(player.address).call() for player in players)
    left = net.w3.eth.get_balance(arena.address)
    print(f"\n  {ROUNDS * LIFE} strikes counted, {wins} rounds won, {left} wei left here")
    assert (wins, left) == (ROUNDS, 0)


if __name__ == "__main__":
    main(devnet_from_arguments(__doc__))

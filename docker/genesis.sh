#!/bin/sh
# Makes genesis, keys and configurations, once, and gives each node its own and what is for all.
# /network is mounted here alone. /shares/NAME is /network of the container NAME. The profile four-shards is what
# makes it four shards.
set -eu
shards=2
case ",${PROFILES:-}," in *,four-shards,*) shards=4 ;; esac
sed "s/^shards = .*/shards = $shards/" /etc/atoll/network.toml >/tmp/network.toml
atoll init --keep --manifest /tmp/network.toml --dir /network/net

give() { # give NAME FILE...: whole or not at all, since a node may be starting
    share=/shares/$1/net
    shift
    for file; do
        mkdir -p "$(dirname "$share/$file")"
        cp -p "$file" "$share/$file.new"
        sync "$share/$file.new"
        mv "$share/$file.new" "$share/$file"
    done
}

cd /network/net
for directory in nodes/*; do
    give "${directory#nodes/}" genesis.json accounts.json \
        "$directory/node.toml" "$directory/validator.key" "$directory/identity.key"
done
give prometheus targets.json

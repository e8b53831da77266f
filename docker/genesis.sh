#!/bin/sh
# Makes genesis, keys and configurations into the volume, once. The profile four-shards is what makes it four shards.
set -eu
shards=2
case ",${PROFILES:-}," in *,four-shards,*) shards=4 ;; esac
sed "s/^shards = .*/shards = $shards/" /etc/atoll/network.toml >/tmp/network.toml
exec atoll init --keep --manifest /tmp/network.toml --dir /network/net

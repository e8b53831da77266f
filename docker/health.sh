#!/bin/bash
# Health check of a container: does the node say that its shard and the beacon make blocks? Prints why not.
# bash, since a Python every two seconds in every container would be a noticeable load.
exec 3<>/dev/tcp/127.0.0.1/8545 || exit 1
printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ] && exit 0
cat <&3 | tail -n 1
exit 1

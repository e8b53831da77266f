#!/bin/sh
# forge wants a compiler that is a program and knows --allow-paths; solc from npm is a script of node's.
for argument; do
    shift
    case $argument in
        --allow-paths) skip=1 ;;
        *) [ "${skip-}" ] && skip= || set -- "$@" "$argument" ;;
    esac
done
# It says something of its own before the answer, on the same stream.
node "$(dirname "$0")/../node_modules/solc/solc.js" "$@" | grep -v "^>>>"

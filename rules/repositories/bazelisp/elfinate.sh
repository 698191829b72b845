#!/bin/bash
# Writes a core as an object for a linker, as `rbz tool elf` does it.
set -eu
exec "$0.runfiles/rbz_program/rbz" tool elf "$1" "$2" --output="$3" ${4:+--dynamic_list="$4"}

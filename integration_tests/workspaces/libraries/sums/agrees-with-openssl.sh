#!/bin/bash
# Files are encrypted to what openssl makes of them, and decrypted to what they were.
set -u
failures=0
count=0
work=$TEST_TMPDIR
mkdir -p "$work"

fail() {
    echo "$1: $mode, key $key, vector $vector, text '$text'"
    failures=$((failures + 1))
}

while IFS='|' read -r mode key vector text expected; do
    [[ $mode == \#* ]] && continue
    count=$((count + 1))
    printf '%s' "$text" > "$work/plain"
    sums/sums encrypt "$mode" "$key" "$vector" "$work/plain" "$work/secret" || fail "not encrypted"
    actual=$(od -An -v -tx1 "$work/secret" | tr -d ' \n')
    [[ $actual == "$expected" ]] || fail "not what openssl makes: $actual"
    sums/sums decrypt "$mode" "$key" "$vector" "$work/secret" "$work/again" || fail "not decrypted"
    cmp -s "$work/plain" "$work/again" || fail "not decrypted to what it was"
done < sums/openssl-vectors.txt

if [[ $count -lt 30 ]]; then
    echo "only $count vectors were read"
    failures=$((failures + 1))
fi
exit $((failures > 0))

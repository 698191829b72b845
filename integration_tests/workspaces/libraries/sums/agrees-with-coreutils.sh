#!/bin/bash
# The digests of files of many lengths are those that coreutils print.
set -u
failures=0
work=$TEST_TMPDIR
mkdir -p "$work"
files=()
for length in 0 1 55 56 63 64 65 111 112 127 128 1000 65536 100001; do
    head -c "$length" < <(yes "a line of text, again and again") > "$work/$length"
    files+=("$work/$length")
done
files+=("sums/sums")
for digest in md5 sha1 sha224 sha256 sha384 sha512; do
    if ! diff <("${digest}sum" "${files[@]}") <(sums/sums "$digest" "${files[@]}"); then
        echo "$digest is not the same"
        failures=$((failures + 1))
    fi
done
if sums/sums nonsense "${files[0]}"; then
    echo "an unknown digest was accepted"
    failures=$((failures + 1))
fi
exit $((failures > 0))

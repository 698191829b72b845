#!/bin/bash
# lgrep and `grep -P` print the same and end with the same status.
set -u
here=lgrep
failures=0

input=/dev/null

compare() {
    expected=$(grep -P "$@" 2>/dev/null < "$input"; echo "status $?")
    actual=$("$here/lgrep" "$@" 2>/dev/null < "$input"; echo "status $?")
    if [[ $expected != "$actual" ]]; then
        echo "not the same: $*"
        diff <(echo "$expected") <(echo "$actual")
        failures=$((failures + 1))
    fi
}

poem=$here/poem.txt
for options in "" -n -i -v -c -in -nv -ci -cv -inv; do
    for pattern in 'Pussy' 'pussy' '^\s+You' 'o+' '(\w)\1' '\d{4}-\d\d-\d\d' 'beautiful (?=Pussy)' \
        '(?<!five-)pound' '^$' 'nowhere' 'caf.' '[.!"]$' 'a\.b\*c' '(?i)owl|guitar'; do
        # shellcheck disable=SC2086
        compare $options -- "$pattern" "$poem"
    done
done
compare -n -- Pussy "$poem" "$here/agrees-with-grep.sh"
compare -- Pussy "$poem" "$here/no-such-file"
compare -- '(' "$poem"
input=$poem
compare -i -- OWL
exit $((failures > 0))

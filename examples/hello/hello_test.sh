#!/bin/bash
# Runs the program, which lies beside this script as its `data` says, and looks at what it prints.

expect() {
    local expected="$1"
    shift
    local actual
    actual="$(./hello "$@")" || exit 1
    if [[ "$actual" != "$expected" ]]; then
        echo "hello $*: expected '$expected', got '$actual'"
        exit 1
    fi
}

expect "Hello, world!"
expect "Hello, Ada!" Ada
expect "Hello, Ada and Grace!" Ada Grace
expect "Hello, --help, --version and Grace!" --help --version Grace

#!/bin/bash
# Tests run in the directory of the workspace's runfiles: paths are those of the source tree.
./app/app | diff app/expected.txt -

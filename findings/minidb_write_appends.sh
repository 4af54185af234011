#!/bin/bash
# Caffe2 (torch 1.10.2): a minidb that is opened to be written keeps what is in it.
#
# One expects: a script that makes a data set by create_db("minidb", path,
# Mode.write), as the wheel's own db_test.py does, leaves the same data set when it
# is run again: a database has each key once.
# What happens: Mode.write opens a minidb to append to it, and keys may repeat. The
# second run leaves every sample twice, without a word. Mode.new writes anew.
# Why it matters: a calibration over data that was made again counts the old
# samples too, of whatever preprocessing they are.
# Here: a data source reads every record that is there, and `calibrate` says how
# many samples that are; a restarted calibration refuses a file that has grown.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A CPython 3.9, for which the wheel is made: PYTHON, on the path, or pyenv's.
for python in "${PYTHON:-}" python3.9 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.9*/bin/python; do
  "$python" -c '' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==1.10.2 numpy==1.22.4 protobuf==3.20.3 future==1.0.0 six==1.17.0

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import sys

from caffe2.python import workspace

workspace.GlobalInit(["minidb_write_appends", "--caffe2_log_level=3"])


def write(path, mode):
    database = workspace.C.create_db("minidb", path, mode)
    transaction = database.new_transaction()
    for index in range(3):
        transaction.put("%03d" % index, "sample")
    del transaction
    del database


def keys(path):
    database = workspace.C.create_db("minidb", path, workspace.C.Mode.read)
    cursor = database.new_cursor()
    found = []
    while cursor.valid():
        found.append(bytes(cursor.key()).decode())
        cursor.next()
    del cursor  # before its database
    return found


counts = {}
for name in ("write", "new"):
    for run in (1, 2):
        write(name, getattr(workspace.C.Mode, name))
        print("Mode.%s, run %d: %s" % (name, run, keys(name)))
    counts[name] = len(keys(name))
sys.exit(0 if counts == {"write": 6, "new": 3} else 1)
PROGRAM

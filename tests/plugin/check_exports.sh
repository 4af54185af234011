#!/bin/sh
# check_exports.sh LIBRARY: no symbol of protobuf or oneDNN, fewer than 40 in all.
set -eu
symbols=$(nm -DC --defined-only "$1")
count=$(printf '%s\n' "$symbols" | wc -l)
printf '%s\n' "$symbols"
echo "$count symbols"
if printf '%s\n' "$symbols" | grep -E 'google::protobuf|dnnl'; then
  echo "these must not be exported" >&2
  exit 1
fi
[ "$count" -lt 40 ] || { echo "expected fewer than 40 symbols" >&2; exit 1; }

#!/bin/sh
# run.sh BUILD_FOLDER HOST_ROOT [CMAKE_OPTION…]: installs the build into a temporary
# folder, then configures, builds and runs a user's project against the installed package.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
host=$2
shift 2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"

# The package holds no path of the machine that built it: it asks for the host.
if cmake -S "$here" -B "$scratch/no_host" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
    >"$scratch/no_host.log" 2>&1; then
  echo "configured without CAFFE2_HOST_ROOT, expected an error" >&2
  exit 1
fi
grep -q "CAFFE2_HOST_ROOT is not set" "$scratch/no_host.log" || {
  cat "$scratch/no_host.log" >&2
  exit 1
}

cmake -S "$here" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCAFFE2_HOST_ROOT="$host" "$@"
cmake --build "$scratch/build"
"$scratch/build/consumer" "$scratch"
LD_LIBRARY_PATH="$host/lib" "$scratch/prefix/bin/caffe2-quantize" --version

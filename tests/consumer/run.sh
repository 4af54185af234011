#!/bin/sh
# run.sh BUILD_FOLDER SCRATCH_FOLDER: installs the build, then configures, builds
# and runs a user's project against the installed package.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$2"
mkdir -p "$2"
scratch=$(cd "$2" && pwd)
cmake --install "$1" --prefix "$scratch/prefix" >"$scratch/install.log"
cmake -S "$here" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix"
cmake --build "$scratch/build"
"$scratch/build/consumer" "$scratch"
"$scratch/prefix/bin/caffe2-quantize" --version

#!/bin/sh
# Writes requirements-cuda.lock and requirements-cpu.lock, which the Dockerfiles install: every package of
# constraints.txt that the images hold, with the hashes of its archives. Run it after a change of
# pyproject.toml or constraints.txt; it asks PyPI and installs nothing but uv.
#   sh infra/docker/lock.sh
# Tried: both files made by it. Not tried: an image built from them; no Docker daemon was at hand.
set -eu
cd "$(dirname "$0")/../.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install -q --disable-pip-version-check uv==0.13.9
made() { # made NAME EXTRAS...: to a temporary name first, so that no half a lock is left
    name=$1
    shift
    "$tools/venv/bin/uv" pip compile pyproject.toml -c constraints.txt "$@" --no-config --quiet \
        --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --no-emit-index-url --no-annotate --no-header -o "$tools/$name" >/dev/null
    {
        echo "# Made by infra/docker/lock.sh for Python 3.11 on Linux x86-64; installed by Dockerfile.${name%.lock}."
        echo "# Tried: its versions are those of constraints.txt (tests/infra). Not tried: a build of the image."
        cat "$tools/$name"
    } >"infra/docker/requirements-$name.new"
    mv "infra/docker/requirements-$name.new" "infra/docker/requirements-$name"
}
made cuda.lock --extra pipeline --extra s3 --extra gpu
# The CPU build of torch comes from PyTorch's own index, without CUDA's libraries and Triton.
without=$(sed -n 's/^\(torch\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)==.*/--no-emit-package \1/p' \
    infra/docker/requirements-cuda.lock)
# shellcheck disable=SC2086 # one word each
made cpu.lock --extra pipeline --extra s3 $without

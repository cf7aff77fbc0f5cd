#!/usr/bin/env bash
# The whole suite: style, then the tests once per backend, a file per core.
# Arguments go to pytest: `bash tests/run.sh --slow -k haar`.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
for backend in tensorflow jax torch; do
  echo "== KERAS_BACKEND=$backend"
  KERAS_BACKEND=$backend OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 \
    python -m pytest -n auto --dist loadfile "$@"
done
echo "== the slow ones, once"
KERAS_BACKEND=torch OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 \
  python -m pytest -n auto --dist loadfile --slow -m slow

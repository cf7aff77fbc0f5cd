#!/usr/bin/env bash
# The whole suite: style, then the tests of all that calls a backend, once per
# backend; then all others (tests/conftest.py), and the slow ones, on PyTorch.
# Arguments go to pytest: `bash tests/run.sh --slow -k haar`.
set -euo pipefail
cd "$(dirname "$0")/.."

selects=$#

suite() {  # a backend, and what pytest is told
  local code=0
  # Files go in their order: the long ones are not left to the end.
  KERAS_BACKEND=$1 OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 \
    python -m pytest -n auto --dist loadfile --no-loadscope-reorder "${@:2}" \
    || code=$?
  # 5: no tests were selected, which is fine where a selection was asked for.
  if ((code == 5 && selects)); then code=0; fi
  return $code
}

ruff check .
ruff format --check .
for backend in tensorflow jax torch; do
  echo "== KERAS_BACKEND=$backend"
  suite $backend -m "not once" "$@"
done
echo "== the slow ones, and those that run on one backend"
suite torch --slow -m "slow or once"

#!/usr/bin/env bash
# Holds our BOP sets against the benchmark's own toolkit, which is on no package index: tools/nightly.sh VENV BOP_TOOLKIT
#   BOP_TOOLKIT   a checkout of github.com/thodan/bop_toolkit, or what else pip installs it from
set -euo pipefail
venv=$1
toolkit=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$venv/bin/python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "$toolkit" scikit-image
"$venv/bin/synth" render --demo --scenes 4 --size 320x240 --depth --out "$work/synth"
"$venv/bin/synth" data split "$work/synth" "$work/test" --split test:1.0
for format in bop bop-webdataset; do
  "$venv/bin/synth" data convert "$work/test" "$work/$format" --format $format --sku-list assets/demo/skus.csv
done
EGL_PLATFORM=surfaceless "$work/venv/bin/python" benchmarks/oracles/bop_toolkit_sets.py "$work/bop" "$work/bop-webdataset"

#!/usr/bin/env bash
# Renders a small data set, verifies it and draws its contact sheet: tools/demo.sh OUT [SKU_LIST]
set -euo pipefail
out=$1
list=${2:-}
synth=${SYNTH:-synth}
products=(--demo)
[ -z "$list" ] || products=(--sku-list "$list")

"$synth" doctor || true
[ -z "$list" ] || "$synth" catalog check "$list"

run() { # backend, scenes, folder
  "$synth" render "${products[@]}" --backend "$1" --scenes "$2" --out "$3" --split train:0.8,val:0.2 --workers auto &&
    "$synth" verify "$3" && "$synth" preview "$3"
}

made=()
if run raster 24 "$out/raster"; then made+=("$out/raster"); else echo "raster does not work here; see 'synth doctor'" >&2; fi
if run cycles 4 "$out/cycles"; then made+=("$out/cycles"); else echo "cycles does not work here; see 'synth doctor'" >&2; fi
((${#made[@]})) || exit 1

echo
echo "done. Look at:"
for folder in "${made[@]}"; do
  echo "  $folder/preview.png                        contact sheet with boxes and masks"
  echo "  $folder/annotations/instances_train.json   COCO annotations"
done

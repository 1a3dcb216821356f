#!/usr/bin/env bash
# The whole job at small size: renders, verifies, trains, evaluates. tools/demo.sh OUT [SKU_LIST]
set -euo pipefail
out=$1
list=${2:-}
synth=${SYNTH:-synth}
# ImageNet weights of the backbone out of the extra "weights"; also a file, or "none" (far worse).
weights=${WEIGHTS:-packaged}
products=(--demo)
[ -z "$list" ] || products=(--sku-list "$list")

"$synth" doctor || true
[ -z "$list" ] || "$synth" catalog check "$list"

run() { # backend, scenes, folder
  "$synth" render "${products[@]}" --backend "$1" --scenes "$2" --out "$3" --split train:0.8,val:0.2 --workers auto &&
    "$synth" verify "$3" --sample 1 && "$synth" preview "$3"
}

made=()
if run raster 120 "$out/raster"; then made+=("$out/raster"); else echo "raster does not work here; see 'synth doctor'" >&2; fi
if run cycles 2 "$out/cycles"; then made+=("$out/cycles"); else echo "cycles does not work here; see 'synth doctor'" >&2; fi
((${#made[@]})) || exit 1

"$synth" preview-batch --synthetic "${made[0]}" --size 320x256 --out "$out/batch.png"
"$synth" train --synthetic "${made[0]}" --out "$out/run" --detector fasterrcnn --backbone tf_efficientnet_lite0 \
  --weights "$weights" --size 320x256 --augment light --epochs 3 --epoch-images 280 --batch 4 --learning-rate 0.0007
"$synth" evaluate "$out/run" --data "${made[0]}" --split val --out "$out/evaluation"
"$synth" predict "$out/run" "${made[0]}/images/00000*.jpg" --out "$out/found"

echo
echo "done. Look at:"
for folder in "${made[@]}"; do
  echo "  $folder/preview.png                        contact sheet with boxes and masks"
  echo "  $folder/annotations/instances_train.json   COCO annotations"
done
echo "  $out/batch.png                             what the network saw"
echo "  $out/run/curves.png                        how it learned"
echo "  $out/evaluation/index.html                 what it is worth (on rendered images: use photographs)"
echo "  $out/found/pictures                        what it found"

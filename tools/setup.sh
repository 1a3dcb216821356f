#!/usr/bin/env bash
# Makes a virtual environment and installs the project into it: tools/setup.sh VENV REQUIREMENT
set -euo pipefail
venv=$1
requirement=$2
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
  echo "synth needs Python 3.11 or 3.12 (3.11 for Blender); '$python' is not one. Set PYTHON=/path/to/python3.11" >&2
  exit 1
fi

# The raster backend draws through EGL: without these three libraries it cannot start, Cycles can.
libraries=(libegl1 libegl-mesa0 libgl1-mesa-dri)
# Blender's module is linked against these, though it opens no window.
libraries+=(libgl1 libsm6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1)
# Tests look at the pages in a browser; that of the system, since a browser of Playwright's own would have to be fetched.
[[ "$requirement" == *dev* ]] && libraries+=(chromium)
missing=()
if command -v dpkg-query >/dev/null; then
  for library in "${libraries[@]}"; do
    dpkg-query -W -f='${Status}' "$library" 2>/dev/null | grep -q '^install ok installed' || missing+=("$library")
  done
fi
if ((${#missing[@]})); then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing system libraries: ${missing[*]}"
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
      echo "could not install ${missing[*]}: going on with what works" >&2
  else
    echo "system libraries are missing: sudo apt-get install ${missing[*]}" >&2
    echo "going on with what works without them ('synth doctor' tells what does)" >&2
  fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade pip
# Earlier versions took OpenCV without its contributed modules: both wheels fill one folder.
"$venv/bin/python" -m pip uninstall --quiet --yes opencv-python-headless 2>/dev/null || true
"$venv/bin/python" -m pip install --quiet --no-compile --constraint constraints.txt --editable "$requirement"
# pip would compile the 21,000 modules on one core.
"$venv/bin/python" -m compileall -qq -j 0 "$venv"/lib/python*/site-packages || true

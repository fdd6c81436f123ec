#!/bin/sh
# Makes the environment of `make env`: interpreter, folder, torch (pypi, cpu, system), free disk wanted in GB.
set -eu
python=$1 venv=$2 torch=$3 free_gb=$4
fail() { echo "make env: $1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no '$python' here; install Python 3.11 or newer, or name it: make env PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old; Tricast needs Python 3.11 or newer: make env PYTHON=/path/to/python3"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "this Python has no venv module; on Debian: apt-get install python3-venv"
[ "$torch" = pypi ] || free_gb=3
if [ "$torch" != system ] && ! [ -d "$venv" ]; then
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$free_gb" ] || fail "$free GB of disk are free here and $free_gb are needed; TORCH=cpu needs 3"
fi
rm -f "$venv/.complete"
case $torch in
    pypi) "$python" -m venv "$venv" ;;
    cpu)
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --index-url https://download.pytorch.org/whl/cpu torch torchvision
        ;;
    system) "$python" -m venv --system-site-packages "$venv" ;;
    *) fail "TORCH=$torch is not one of pypi, cpu, system" ;;
esac
"$venv/bin/pip" install --quiet --editable '.[dev]'
# The packages as pyright finds them (tool.pyright in pyproject.toml): it cannot follow an editable install.
mkdir -p "$venv/typing/tricast"
for folder in configs sensors perception tools; do
    ln -sfn "$PWD/$folder" "$venv/typing/tricast/$folder"
done
touch "$venv/.complete"

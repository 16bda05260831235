#!/bin/sh
# with_python.sh PROGRAM ARGUMENT…: runs a Python program that needs 3.8 or later with the first such Python of this
# host. Where there is none, and this is an unpacked bundle with an interpreter for this machine, with that one.
for name in "$PYTHON" python3 python3.14 python3.13 python3.12 python3.11; do
    if "${name:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then exec "$name" "$@"; fi
done
interpreters=$(dirname "$0")/../interpreters
for archive in "$interpreters"/cpython-*-"$(uname -m)"-*.tar.gz; do
    if [ -e "$archive" ]; then
        unpacked=$(mktemp -d) || exit
        trap 'rm -rf "$unpacked"' EXIT
        tar -xzf "$archive" -C "$unpacked" --no-same-owner && "$unpacked/python/bin/python3" "$@"
        exit
    fi
done
echo "No Python found: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3.11" >&2
exit 1

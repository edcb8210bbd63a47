#!/bin/sh
# Make the virtual environment that `make` works in, and check that it can build an extension.
#
#   tools/bootstrap.sh venv DIRECTORY [PYTHON]   create it, or keep the one that is there and runs
#   tools/bootstrap.sh compiler PYTHON           fail, and say what to install, without compiler or headers
set -eu

fail() {
    printf '\n%s\n\n' "$*" >&2
    exit 1
}

# A pyenv shim exists for versions that it then refuses to run, so a candidate has to answer.
runs() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.implementation.name != "cpython")' >/dev/null 2>&1
}

find_python() {
    if [ -n "$1" ]; then
        runs "$1" || fail "PYTHON=$1 is no CPython 3.11 or newer that runs."
        echo "$1"
        return
    fi
    for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if runs "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "lagoqueue needs CPython 3.11 or newer, and none was found on PATH.
Install one (Debian, Ubuntu: apt-get install python3 python3-venv python3-dev; macOS: brew install python),
or name it: make PYTHON=/path/to/python3.11 ..."
}

make_venv() {
    if [ -z "$2" ] && runs "$1/bin/python" && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python "$2")
    echo "creating $1 with $("$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')"
    rm -rf "$1"
    "$python" -m venv "$1" || fail "$python cannot make a virtual environment.
Debian, Ubuntu: apt-get install python3-venv. Elsewhere: PYTHON=/path/to/another/python3.11"
}

check_compiler() {
    compiler=${CC:-cc}
    # shellcheck disable=SC2086  # CC may hold arguments
    command -v ${compiler%% *} >/dev/null 2>&1 || fail "lagoqueue-core has two compiled modules, and there is no C compiler ($compiler).
Debian, Ubuntu: apt-get install build-essential. Fedora: dnf install gcc. macOS: xcode-select --install."
    include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    # shellcheck disable=SC2086
    printf '#include <Python.h>\n' | $compiler -I"$include" -fsyntax-only -x c - 2>/dev/null ||
        fail "lagoqueue-core has two compiled modules, and Python's headers are not in $include.
Debian, Ubuntu: apt-get install python3-dev (or python3.X-dev). Fedora: dnf install python3-devel."
}

case "${1:-}" in
    venv) make_venv "$2" "${3:-}" ;;
    compiler) check_compiler "$2" ;;
    *) fail "usage: $0 venv DIRECTORY [PYTHON] | compiler PYTHON" ;;
esac

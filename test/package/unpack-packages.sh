#!/usr/bin/env bash
# Unpacks Debian packages of any architecture into a folder; nothing is installed, and the package
# lists of this machine stay as they are.
#
#   unpack-packages.sh amd64|arm64 FOLDER PACKAGE...
set -euo pipefail

architecture=$1
folder=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work"/{state/lists,cache/archives}/partial "$folder"
touch "$work/status"
apt=(apt-get -q -o "Dir::State=$work/state" -o "Dir::State::status=$work/status"
  -o "Dir::Cache=$work/cache" -o "APT::Architecture=$architecture"
  -o "APT::Architectures::=$architecture" -o APT::Sandbox::User=root -o Acquire::Languages=none)
"${apt[@]}" update
cd "$work"
"${apt[@]}" download "$@"
for package in *.deb; do dpkg-deb -x "$package" "$folder"; done

#!/usr/bin/env bash
# Makes a root as that of Alpine: musl, and the C++ library that a Node for musl asks for. Debian has
# musl, but no C++ library for it: that is built here from the sources of Debian's gcc.
#
#   make-musl-root.sh FOLDER
#
# Needs gcc and g++ for x86_64, apt, and for some minutes a processor.
set -euo pipefail

machine=x86_64
root=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=$(gcc -dumpversion)

cd "$work"
"$here/unpack-packages.sh" amd64 "$work/tree" musl musl-dev "gcc-$version-source"
musl=$work/tree/usr/lib/$machine-linux-musl
cp "$work/tree/lib/$machine-linux-musl/libc.so" "$musl/"
headers=(-nostdinc -isystem "$work/tree/usr/include/$machine-linux-musl"
  -isystem "$(dirname "$(gcc -print-libgcc-file-name)")/include")
cat >musl.specs <<END
*link_libgcc:
-L$musl -L .%s

*libgcc:
libgcc.a%s %:if-exists(libgcc_eh.a%s)

*startfile:
%{!shared: $musl/crt1.o} $musl/crti.o crtbeginS.o%s

*endfile:
crtendS.o%s $musl/crtn.o

*link:
-dynamic-linker /lib/ld-musl-$machine.so.1 -nostdlib %{shared:-shared} %{static:-static}

END

mkdir source build
tar -xJf tree/usr/src/gcc-"$version"/gcc-*.tar.xz -C source --strip-components=1 \
  --exclude='*/gcc/config' --exclude='*/gcc/ada' --exclude='*/libgo' --exclude='*/gcc/testsuite' \
  --exclude='*/libphobos' --exclude='*/libstdc++-v3/testsuite/[1-9a-z]*_*' --exclude='*/gcc/d' \
  --exclude='*/libgfortran' --exclude='*/libsanitizer' --exclude='*/gcc/po' --exclude='*/gcc/fortran'
# The build of gcc itself would have made this; without it there are no threads.
ln -s gthr-posix.h source/libgcc/gthr-default.h
cd build
../source/libstdc++-v3/configure --build="$(gcc -dumpmachine)" \
  --host="$machine-linux-musl" --disable-multilib --disable-nls --disable-static \
  --disable-libstdcxx-pch --disable-libstdcxx-verbose --disable-libstdcxx-filesystem-ts \
  CC="gcc -specs=$work/musl.specs ${headers[*]}" \
  CXX="g++ -specs=$work/musl.specs ${headers[*]}" \
  CFLAGS=-O1 CXXFLAGS=-O1
make -j2 SUBDIRS='include libsupc++ src'
cd ..

partial=$root.partial
rm -rf "$partial" "$root"
mkdir -p "$partial"/{lib,usr/lib,usr/bin,etc,proc,dev,tmp,app}
cp "$musl/libc.so" "$partial/lib/ld-musl-$machine.so.1"
ln -s "ld-musl-$machine.so.1" "$partial/lib/libc.musl-$machine.so.1"
cp build/src/.libs/libstdc++.so.6 "$partial/usr/lib/"
# Debian's libgcc_s is for glibc. What it and Node would miss comes before it, under its name; the
# empty library is there for the linker, which is to ask for another name.
compile=(gcc "-specs=$work/musl.specs" "${headers[@]}" -O1 -fPIC -shared)
cp "$(gcc -print-file-name=libgcc_s.so.1)" "$partial/usr/lib/libgcc_s-of-debian.so"
"${compile[@]}" -nostdlib -Wl,-soname,libgcc_s-of-debian.so -o libgcc_s-of-debian.so -x c /dev/null
"${compile[@]}" -o "$partial/usr/lib/libgcc_s.so.1" "$here/missing-on-musl.c" \
  -Wl,--no-as-needed libgcc_s-of-debian.so
# By this node-gyp-build knows musl. The release is the one that has the same musl.
echo 3.17.0 >"$partial/etc/alpine-release"
mv "$partial" "$root"

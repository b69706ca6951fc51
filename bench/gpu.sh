#!/usr/bin/env bash
# The memory benchmark, the tests and the bandwidths of a real graphics card. Linux on x64.
#
#   bench/gpu.sh prepare [OPTIONS]   on a machine with a network: builds everything into a folder, and packs it in parts
#   bench/gpu.sh run [OPTIONS]       on the machine with the card, which needs no network and none of the project's tools
#   bench/gpu.sh unpack [OPTIONS]    there, before that: takes in the parts that have come so far, as often as needed
#   bench/gpu.sh [OPTIONS]           prepare and run, one after the other
#
# CONTRIBUTING.md tells how to bring the folder to the other machine. Everything that runs is in it, but for the driver and,
# where the backend for CUDA is compiled on that machine, NVIDIA's compiler, cuBLAS, CMake and a C++ compiler.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Every option with its default. --name value sets it.
declare -A option=(
  [folder]=build/gpu           # where all of it lies
  [backend]=auto               # cuda, vulkan, or auto: CUDA where there is an NVIDIA card
  [architecture]=auto          # compute capability to compile for, such as 75 or 90; auto: that of the card
  [toolkit]=auto               # folder of a CUDA toolkit with bin/nvcc; auto: the pinned one, else this machine's
  [compile]=no                 # prepare: yes compiles the backend for CUDA as well; needs --architecture
  [jobs]="$(nproc)"            # of the compiler
  [device]=auto                # such as CUDA0; auto: the first card of the backend
  [caps]="4096,8192"           # MiB of graphics memory
  [models]="7B,14B,32B"
  [steps]="compile,tests,bandwidth,exact,self-test,memory"
  [rounds]=all                 # quick: one round, without the longest prompt
  [out]=bench/results/gpu      # where results go
)

# Of the parts that the kit is packed in.
part_bytes=48M

fail() {
  echo "bench/gpu.sh: $*" >&2
  exit 1
}

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  sed -n '/^declare -A option=/,/^)/s/^  \[\([a-z]*\)\]=\(.*\)/  --\1 \2/p' "${BASH_SOURCE[0]}"
}

absolute() {
  case "$1" in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
  esac
}

# The pinned compiler, unpacked from the wheels that bench/gpu/cuda_toolkit.txt lists. Prints its folder.
ensure_pinned_toolkit() {
  local target=$folder/toolkit tree=$folder/toolkit/nvidia/cu13 library
  if [ ! -e "$target/complete" ]; then
    rm -rf "$target"
    echo "fetching NVIDIA's compiler" >&2
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
      --only-binary=:all: --target "$target" -r bench/gpu/cuda_toolkit.txt >&2
    # As a toolkit that is installed has them.
    ln -s lib "$tree/lib64"
    for library in cudart cublas cublasLt; do ln -s "lib$library.so.13" "$tree/lib/lib$library.so"; done
    touch "$target/complete"
  fi
  echo "$tree"
}

# The folder of the toolkit to compile with, or nothing.
find_toolkit() {
  local nvcc
  if [ "${option[toolkit]}" != auto ]; then
    [ -x "${option[toolkit]}/bin/nvcc" ] || fail "expected bin/nvcc in --toolkit ${option[toolkit]}"
    absolute "${option[toolkit]}"
  elif [ -e "$folder/toolkit/complete" ]; then
    echo "$folder/toolkit/nvidia/cu13"
  elif [ -x /usr/local/cuda/bin/nvcc ]; then
    echo /usr/local/cuda
  elif nvcc=$(command -v nvcc); then
    dirname "$(dirname "$(readlink -f "$nvcc")")"
  fi
}

# libcublas of the toolkit's own major version: in the toolkit, among Python's packages, or where the system looks.
find_cublas() {
  local toolkit=$1 major=$2 path
  for path in "$toolkit"/lib{64,} "$toolkit"/targets/x86_64-linux/lib; do
    [ -e "$path/libcublas.so.$major" ] && echo "$path/libcublas.so.$major" && return
  done
  path=$(python3 - "$major" 2>/dev/null <<'PYTHON' || true
import glob, sys
for folder in sys.path:
    for path in glob.glob(f"{folder}/nvidia/*/lib/libcublas.so.{sys.argv[1]}"):
        print(path)
        sys.exit()
PYTHON
  )
  [ -n "$path" ] || path=$(ldconfig -p | sed -n "s/.*libcublas\.so\.$major .*=> //p" | head -n 1 || true)
  [ -n "$path" ] || fail "expected libcublas.so.$major in $toolkit, among Python's packages or in the system, for nvcc of CUDA $major"
  echo "$path"
}

# The compute capability without its dot, such as 75; nothing where no card tells.
card_architecture() {
  local found
  if [ "${option[architecture]}" != auto ]; then
    echo "${option[architecture]}"
    return
  fi
  found=$({ nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null || true; } | tr -d '. ' | sort -u)
  [ "$(wc -w <<<"$found")" -le 1 ] || fail "expected cards of one compute capability, got ${found//$'\n'/, }: name it with --architecture"
  echo "$found"
}

# Compiles the backend for CUDA for one kind of card into the kit.
compile_cuda() {
  local architecture toolkit release cublas build sources target
  architecture=$(card_architecture)
  [[ $architecture =~ ^[0-9]{2,3}a?$ ]] || fail "expected a compute capability such as 75, got \"$architecture\": name it with --architecture"
  build=$folder/build-cuda-$architecture
  target=$kit/cuda-$architecture
  if [ "$action" = prepare ] || [ ! -e "$target/libggml-cuda.so" ]; then
    toolkit=$(find_toolkit)
    [ -n "$toolkit" ] || fail "expected nvcc on this machine: prepare with --compile yes --architecture $architecture, or name a --toolkit"
    release=$("$toolkit/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    cublas=$(find_cublas "$toolkit" "${release%%.*}")
    # What was compiled before is newer than sources that were unpacked elsewhere, also where those are of another version.
    sources=$(grep -F '"llama.cpp"' "$kit/versions.json")
    [ ! -e "$build/sources" ] || [ "$(<"$build/sources")" = "$sources" ] || rm -rf "$build"
    mkdir -p "$build"
    echo "$sources" >"$build/sources"
    echo "compiling ggml's CUDA backend for $architecture with nvcc $release" >&2
    local generator=()
    command -v ninja >/dev/null && generator=(-G Ninja)
    cmake -S bench/gpu/ggml_cuda_build -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_CUDA_COMPILER="$toolkit/bin/nvcc" -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" \
      -DGGML_SOURCES="$kit/ggml" -DGGML_BASE="$libraries/libggml-base.so" -DCUBLAS_LIBRARY="$cublas" \
      -DCUBLAS_INCLUDE="$kit/cublas" >&2
    cmake --build "$build" --parallel "${option[jobs]}" >&2
    mkdir -p "$target"
    echo "${release%%.*}" >"$target/major"
    echo "CUDA toolkit $release, $(cublas_version "$cublas")" >"$target/version"
    cp "$build/libggml-cuda.so" "$target/"
  fi
}

# Of the wheel it came from, else what its file is called: results name no folder.
cublas_version() {
  local record
  for record in "$(dirname "$1")"/../../../nvidia_cublas*.dist-info; do
    [ -d "$record" ] && basename "$record" .dist-info && return
  done
  basename "$(readlink -f "$1")"
}

prepare() {
  local toolkit cublas_headers path
  command -v node >/dev/null || fail "expected Node 20.19 or later"
  toolkit=$(if [ "${option[toolkit]}" = auto ]; then ensure_pinned_toolkit; else find_toolkit; fi)
  for path in "$toolkit"/include "$toolkit"/targets/x86_64-linux/include; do
    [ -e "$path/cublas_v2.h" ] && cublas_headers=$path
  done
  [ -n "${cublas_headers:-}" ] || fail "expected cublas_v2.h in $toolkit/include"
  node scripts/run.mjs gpu_kit "$kit" "$cublas_headers"
  if [ "${option[compile]}" = yes ]; then compile_cuda; fi
  touch "$folder/prepared"
  pack
  echo "prepared in $folder; parts for another machine in $folder/parts"
}

# The kit in parts: what may be left behind is an archive of its own. How many parts an archive has stands beside them, and
# its name is that of no other one, so that whoever puts them together knows when all have come.
pack() {
  local archive name stamp
  local -a content
  stamp=$(date +%Y%m%d%H%M%S)
  rm -rf "$folder/parts"
  mkdir -p "$folder/parts"
  for name in kit model; do
    content=(--exclude=kit/small_model.gguf --exclude=kit/models kit)
    [ "$name" = kit ] || content=(kit/small_model.gguf)
    archive=$folder/parts/$name-$stamp
    XZ_OPT=-T0 tar -C "$folder" -cJf - "${content[@]}" | split --bytes="$part_bytes" --numeric-suffixes=1 - "$archive.tar.xz."
    find "$folder/parts" -name "$name-$stamp.tar.xz.*" | wc -l >"$archive.count"
  done
}

# Puts archives together whose parts have all come, perhaps one after the other.
unpack() {
  local received=$folder/received count name parts
  mkdir -p "$received"
  [ -d "$folder/parts" ] && find "$folder/parts" -type f -exec mv -f {} "$received" \;
  for count in "$received"/*.count; do
    [ -e "$count" ] || continue
    name=$(basename "$count" .count)
    parts=("$received/$name".tar.xz.*)
    if [ "${#parts[@]}" -lt "$(<"$count")" ]; then
      echo "of $name there are ${#parts[@]} of $(<"$count") parts" >&2
      continue
    fi
    # Of an earlier kit nothing stays that could be measured as this one.
    if [[ $name == kit-* ]]; then rm -rf "$kit"/cuda-* "$kit/extension" "$kit/ggml"; fi
    cat "${parts[@]}" | decompress | tar -C "$folder" -xf -
    rm -f "${parts[@]}" "$count"
  done
}

decompress() {
  if command -v xz >/dev/null; then
    xz -dc
  else
    python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)'
  fi
}

has_step() {
  [[ ,${option[steps]}, == *,$1,* ]]
}

run() {
  # In the folder where they were prepared there is nothing to put together.
  [ -e "$folder/prepared" ] || unpack
  [ -e "$kit/gpu.mjs" ] || fail "expected $kit, or all parts of it in $folder/parts: run bench/gpu.sh prepare"
  local backend=${option[backend]} build="" toolkit cublas
  if [ "$backend" = auto ]; then
    backend=vulkan
    if [[ $(nvidia-smi -L 2>/dev/null || true) == GPU* ]]; then backend=cuda; fi
  fi
  rm -f "$libraries/libggml-cuda.so"
  if [ "$backend" = cuda ]; then
    if has_step compile; then compile_cuda; fi
    build=$kit/cuda-$(card_architecture)
    [ -e "$build/libggml-cuda.so" ] || fail "expected $build/libggml-cuda.so: run the step compile"
    cp "$build/libggml-cuda.so" "$libraries/"
    toolkit=$(find_toolkit)
    cublas=$(find_cublas "$toolkit" "$(<"$build/major")")
    LD_LIBRARY_PATH=$(dirname "$cublas")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  fi
  export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  "$kit/bin/node" "$kit/gpu.mjs" --kit "$kit" --out "$(absolute "${option[out]}")" --backend "$backend" \
    --device "${option[device]}" --caps "${option[caps]}" --models "${option[models]}" --steps "${option[steps]}" \
    --rounds "${option[rounds]}" --toolkit "$([ -z "$build" ] || cat "$build/version")"
}

action=both
case "${1:-}" in
  prepare | run | unpack) action=$1 && shift ;;
  -h | --help | help) usage && exit ;;
esac
while [ $# -gt 0 ]; do
  name=${1#--}
  if [ "$1" = "$name" ] || [ -z "${option[$name]+known}" ] || [ $# -lt 2 ]; then
    usage >&2
    fail "expected an option and its value, got $*"
  fi
  option[$name]=$2
  shift 2
done
folder=$(absolute "${option[folder]}")
kit=$folder/kit
libraries=$kit/extension/prebuilds/linux-x64
mkdir -p "$folder"

if [ "$action" = both ]; then
  prepare
  run
else
  "$action"
fi

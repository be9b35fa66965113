# Sourced: podman and buildah with storage of their own, without an engine, a registry or anything that stays behind.
work=$(mktemp -d)
printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=8192:8192"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n[network]\nnetwork_backend = "netavark"\n' \
  "$(ulimit -Hn)" "$(ulimit -Hn)" >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf
# Where a compiler cache is shared, two trees are the same wherever they lie.
printf 'base_dir = /src\nhash_dir = false\n' >"$work/ccache.conf"

pod() { podman --root "$work/storage" --runroot "$work/run" --network-config-dir "$work/networks" "$@"; }
finish() {
  pod rm -fa >/dev/null 2>&1 || true
  pod rmi -fa >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
step() { echo "--- $*"; }
fail() {
  echo "FAILED: $*" >&2
  pod ps -a --format '{{.Names}}' | while read -r name; do
    echo "$name's log:" >&2
    pod logs "$name" 2>&1 | tail -20 >&2
  done
  exit 1
}

# What `FROM debian:bookworm-slim` finds: Debian's packages, fetched as apt on this machine would.
import_base() {
  mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar" ${IOTCORE_APT_SOURCES:-/etc/apt/sources.list.d/debian.sources}
  pod import -q "$work/base.tar" docker.io/library/debian:bookworm-slim >/dev/null
  rm "$work/base.tar"
}

# build_image TAG DOCKERFILE CONTEXT: as a user would, but for this machine's apt settings and its compiler cache.
build_image() {
  local volumes=(--volume /etc/apt:/etc/apt:ro --volume /usr/share/keyrings:/usr/share/keyrings:ro)
  [ -n "${CCACHE_DIR:-}" ] && volumes+=(--volume "$CCACHE_DIR:/root/.cache/ccache" --volume "$work/ccache.conf:/etc/ccache.conf:ro")
  pod build --isolation chroot --pull=never --format docker "${volumes[@]}" -t "$1" -f "$2" "$3" >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; fail "$1 does not build"; }
}

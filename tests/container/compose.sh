# Sourced by run: deploy/compose.yaml for real, with the image just built and stand-ins of the others; in a network of its own, so that the file's ports
# are free. A reading goes from a device through a rule into PostgreSQL, and Prometheus sees the server.
step "what stands beside it: PostgreSQL, Prometheus, Grafana's place"
cp -a /etc/apt "$work/apt"  # one that packages may write to
stand_in() { # TARGET NAME
  pod build --isolation chroot --pull=never --format docker --volume "$work/apt:/etc/apt" --volume /usr/share/keyrings:/usr/share/keyrings:ro \
    --target "$1" -t "$2" tests/container/stand_ins >"$work/build.log" 2>&1 || { tail -30 "$work/build.log" >&2; fail "the stand-in for $1 does not build"; }
}
stand_in postgres docker.io/library/postgres:15
stand_in prometheus docker.io/prom/prometheus:v2.53.0
stand_in grafana docker.io/grafana/grafana:11.1.0
pod tag localhost/iotcore:check localhost/iotcore:latest

# podman-compose calls podman by a path.
declare -f pod >"$work/podman"
printf '%s\n' '#!/usr/bin/env bash' "work=$work" "$(cat "$work/podman")" 'pod "$@"' >"$work/podman"
chmod +x "$work/podman"
# Without its limit of open files: podman would set that of processes, too, and above what this machine allows.
sed '/^    ulimits:/,/nofile:/d' deploy/compose.yaml >deploy/.compose.check.yaml
trap 'rm -f deploy/.compose.check.yaml; finish' EXIT

step "deploy/compose.yaml"
export work
POSTGRES_PASSWORD=secret-of-the-database GRAFANA_PASSWORD=secret-of-grafana IOTCORE_HOST=localhost \
  unshare --net bash tests/container/compose_steps.sh || fail "compose"
rm -f deploy/.compose.check.yaml

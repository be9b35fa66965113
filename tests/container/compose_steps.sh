#!/usr/bin/env bash
# Run by compose.sh, inside a network of its own.
set -euo pipefail
ip link set lo up
compose() { podman-compose --podman-path "$work/podman" -p check -f deploy/.compose.check.yaml "$@"; }
pod() { "$work/podman" "$@"; }
fail() {
  echo "FAILED: $*" >&2
  tail -20 "$work/compose.log" >&2
  for name in $(pod ps -a --format '{{.Names}}'); do
    echo "$name's log:" >&2
    pod logs "$name" 2>&1 | tail -20 >&2
  done
  exit 1
}
eventually() { # SECONDS WHAT COMMAND...
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$work/eventually.log" 2>&1; do
    [ $SECONDS -lt $until ] || { cat "$work/eventually.log" >&2; fail "$what"; }
    sleep 0.5
  done
}
compose up -d >"$work/compose.log" 2>&1 || fail "compose up"
server=$(pod ps -a --format '{{.Names}}' | grep iotcore)
database=$(pod ps -a --format '{{.Names}}' | grep postgres)
monitor=$(pod ps -a --format '{{.Names}}' | grep prometheus)
dashboards=$(pod ps -a --format '{{.Names}}' | grep grafana)
eventually 60 "the server does not become ready" pod exec "$server" iotcore health
eventually 60 "the database does not become ready" pod healthcheck run "$database"

echo "a device in, a row out"
pod exec "$server" iotcore thing create lamp --out /data/lamp >/dev/null
data=$(pod volume inspect check_iotcore --format '{{.Mountpoint}}')
cat >"$data/rows.sql" <<SQL
CREATE TARGET telemetry AS postgres(host = 'postgres', dbname = 'telemetry', user = 'iotcore', password = '$POSTGRES_PASSWORD');
CREATE RULE rows AS SELECT lux, topic(1) AS lamp FROM '+/telemetry' DO postgres(target = 'telemetry', table = 'readings');
SQL
pod exec "$server" iotcore rule apply /data/rows.sql >"$work/rule.log" 2>&1 || { cat "$work/rule.log"; fail "the rule was refused"; }
lamp=$data/lamp
for _ in 1 2 3; do
  mosquitto_pub -h localhost -p 8883 --cafile "$lamp/ca.pem" --cert "$lamp/lamp.cert.pem" --key "$lamp/lamp.key.pem" -i lamp -q 1 -t lamp/telemetry -m '{"lux": 7101}'
done
rows() { [ "$(pod exec "$database" psql -U iotcore -d telemetry -Atc "select count(*) from readings where payload->>'lux' = '7101'")" = 3 ]; }
eventually 60 "the rows did not arrive" rows

echo "Prometheus sees it, with its alerts"
ask() { pod exec "$monitor" python3 -c "import urllib.request; print(urllib.request.urlopen('http://localhost:9090/api/v1/$1').read().decode())"; }
scraped() { ask 'query?query=up' | grep -q '"job":"iotcore"},"value":\[[0-9.]*,"1"\]'; }
eventually 60 "Prometheus does not scrape the server" scraped
ask rules | grep -q IotcoreDown || fail "Prometheus has no alerts"
pod exec "$dashboards" test -f /var/lib/grafana/dashboards/iotcore.json || fail "Grafana has no dashboard"
pod exec "$dashboards" test -f provisioning/datasources/prometheus.yaml || fail "Grafana has no data source"

echo "down and up again: what was kept is there"
compose down >>"$work/compose.log" 2>&1 || fail "compose down"
compose up -d >>"$work/compose.log" 2>&1 || fail "compose up again"
eventually 60 "the server does not become ready again" pod exec "$server" iotcore health
mosquitto_pub -h localhost -p 8883 --cafile "$lamp/ca.pem" --cert "$lamp/lamp.cert.pem" --key "$lamp/lamp.key.pem" -i lamp -q 1 -t lamp/telemetry -m '{"lux": 7102}' ||
  fail "the device is not known any more"
later() { pod exec "$database" psql -U iotcore -d telemetry -Atc "select count(*) from readings" | grep -qx 4; }
eventually 60 "the rule or its table is gone" later
compose down >>"$work/compose.log" 2>&1 || fail "compose down"

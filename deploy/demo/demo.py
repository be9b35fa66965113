#!/usr/bin/python3
"""The guided demo: ten machines with certificates of their own, a rule, a database, a shadow. Takes the server's data folder."""
import argparse
import csv
import json
import os
import queue
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import boto3
import botocore.config
import paho.mqtt.client as mqtt

HERE = os.path.dirname(os.path.abspath(__file__))
POLICY = "demo-machine"


def step(text):
    print(f"\n== {text}", flush=True)


def note(text):
    print(f"   {text}", flush=True)


class Server:
    """How to reach a running server, read from its data folder."""

    def __init__(self, data_dir):
        self.data_dir = os.path.abspath(data_dir)
        with open(os.path.join(self.data_dir, "server.json")) as file:
            info = json.load(file)
        self.ports = info["ports"]
        self.region = info["region"]
        self.account = info["account"]
        self.ca = os.path.join(self.data_dir, "ca.pem")
        self.credentials = os.path.join(self.data_dir, "credentials")
        self.endpoint = f"https://localhost:{self.ports['https']}"

    def api(self, service):
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = self.credentials
        return boto3.Session(region_name=self.region).client(
            service,
            endpoint_url=self.endpoint,
            verify=self.ca,
            config=botocore.config.Config(retries={"max_attempts": 2}),
        )


def create_devices(server, machines, folder):
    """Things with keys, certificates and a policy that lets each be itself and nobody else."""
    iot = server.api("iot")
    arn = f"arn:aws:iot:{server.region}:{server.account}"
    thing = "${iot:Connection.Thing.ThingName}"
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{arn}:client/{thing}"},
            {
                "Effect": "Allow",
                "Action": ["iot:Publish", "iot:Receive"],
                "Resource": [f"{arn}:topic/plant/{thing}/*", f"{arn}:topic/$aws/things/{thing}/*"],
            },
            {
                "Effect": "Allow",
                "Action": "iot:Subscribe",
                "Resource": [f"{arn}:topicfilter/$aws/things/{thing}/*"],
            },
        ],
    }
    try:
        iot.create_policy(policyName=POLICY, policyDocument=json.dumps(document))
    except iot.exceptions.ResourceAlreadyExistsException:
        pass
    devices = {}
    for machine in machines:
        iot.create_thing(thingName=machine, attributePayload={"attributes": {"line": "A"}})
        made = iot.create_keys_and_certificate(setAsActive=True)
        iot.attach_policy(policyName=POLICY, target=made["certificateArn"])
        iot.attach_thing_principal(thingName=machine, principal=made["certificateArn"])
        certificate = os.path.join(folder, machine + ".cert.pem")
        key = os.path.join(folder, machine + ".key.pem")
        with open(certificate, "w") as file:
            file.write(made["certificatePem"])
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made["keyPair"]["PrivateKey"])
        devices[machine] = (certificate, key)
        note(f"{machine}: certificate {made['certificateId'][:16]}…")
    return devices


class Machine:
    """One device: publishes readings at QoS 1, follows its shadow."""

    def __init__(self, server, name, certificate, key):
        self.name = name
        self.acknowledged = 0
        self.published = 0
        self.done = threading.Condition()
        self.deltas = queue.Queue()
        self.client = mqtt.Client(client_id=name)
        self.client.tls_set(ca_certs=server.ca, certfile=certificate, keyfile=key)
        self.client.max_inflight_messages_set(100)
        self.client.on_publish = self._on_publish
        self.client.on_message = self._on_delta
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_connect = lambda client, *_: client.subscribe(
            f"$aws/things/{name}/shadow/update/delta", 1
        )
        self.client.connect("localhost", server.ports["mqtts"], keepalive=60)
        self.client.loop_start()
        if not ready.wait(20):
            sys.exit(f"{name} could not connect and subscribe")

    def _on_publish(self, *_):
        with self.done:
            self.acknowledged += 1
            self.done.notify_all()

    def _on_delta(self, client, userdata, message):
        # What a real device does: act on the desired state, then report it.
        delta = json.loads(message.payload)["state"]
        self.deltas.put(delta)
        self.publish(f"$aws/things/{self.name}/shadow/update", {"state": {"reported": delta}})

    def publish(self, topic, payload):
        with self.done:
            self.published += 1
        self.client.publish(topic, json.dumps(payload), qos=1)

    def wait(self):
        with self.done:
            if not self.done.wait_for(lambda: self.acknowledged >= self.published, 60):
                sys.exit(f"{self.name}: only {self.acknowledged} of {self.published} acknowledged")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def play(machines, readings):
    started = time.monotonic()
    for count, row in enumerate(readings, 1):
        machines[row["machine"]].publish(
            f"plant/{row['machine']}/telemetry",
            {
                "machine": row["machine"],
                "minute": int(row["minute"]),
                "temperature": float(row["temperature"]),
                "humidity": float(row["humidity"]),
                "vibration": float(row["vibration"]),
            },
        )
        if count % 600 == 0 or count == len(readings):
            bar = "#" * (count * 30 // len(readings))
            print(f"\r   [{bar:<30}] {count} of {len(readings)} readings", end="", flush=True)
    for machine in machines.values():
        machine.wait()
    print()
    note(f"all acknowledged after {time.monotonic() - started:.1f} s: they are on the disk")


def wait_for_rows(path, expected):
    rows = []
    for _ in range(200):
        if os.path.exists(path):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                try:
                    rows = db.execute(
                        "SELECT machine, count(*), min(minute), max(minute), max(temperature)"
                        " FROM overheat GROUP BY machine ORDER BY machine"
                    ).fetchall()
                except sqlite3.OperationalError:
                    pass
            if sum(row[1] for row in rows) >= expected:
                return rows
        time.sleep(0.1)
    sys.exit(f"the database has {sum(row[1] for row in rows)} of {expected} rows")


def watch_alerts(server, devices):
    """Anybody with the right to may listen to the alerts: here a device of its own."""
    iot = server.api("iot")
    arn = f"arn:aws:iot:{server.region}:{server.account}"
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{arn}:client/console*"},
            {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": f"{arn}:topicfilter/*"},
            {"Effect": "Allow", "Action": "iot:Receive", "Resource": f"{arn}:topic/*"},
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{arn}:topic/plant/*"},
        ],
    }
    try:
        iot.create_policy(policyName="demo-console", policyDocument=json.dumps(document))
    except iot.exceptions.ResourceAlreadyExistsException:
        pass
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="demo-console", target=made["certificateArn"])
    certificate = os.path.join(devices, "console.cert.pem")
    key = os.path.join(devices, "console.key.pem")
    with open(certificate, "w") as file:
        file.write(made["certificatePem"])
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made["keyPair"]["PrivateKey"])
    alerts = []
    ready = threading.Event()
    client = mqtt.Client(client_id="console-demo")
    client.tls_set(ca_certs=server.ca, certfile=certificate, keyfile=key)
    client.on_connect = lambda c, *_: c.subscribe("alerts/#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda c, u, message: alerts.append(json.loads(message.payload))
    client.connect("localhost", server.ports["mqtts"])
    client.loop_start()
    if not ready.wait(20):
        sys.exit("the console could not subscribe")
    return client, alerts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default="iotcore-data")
    parser.add_argument("--iotcore", default=os.path.join(HERE, "../../build/release/iotcore"))
    arguments = parser.parse_args()
    server = Server(arguments.data_dir)
    with open(os.path.join(HERE, "readings.csv")) as file:
        readings = list(csv.DictReader(file))
    machines = sorted({row["machine"] for row in readings})
    devices = os.path.join(server.data_dir, "demo-devices")
    os.makedirs(devices, mode=0o700, exist_ok=True)

    step("Ten machines join: thing, keys, certificate and policy over the AWS API")
    files = create_devices(server, machines, devices)

    step("A rule from a file: readings above 70 degrees go to a database and out as alerts")
    with open(os.path.join(HERE, "overheat.sql")) as file:
        print("".join("   | " + line for line in file if line.strip()))
    subprocess.run(
        [arguments.iotcore, "rule", "apply", "--data-dir", server.data_dir, os.path.join(HERE, "overheat.sql")],
        check=True,
    )

    step("The machines connect over TLS and play six recorded hours")
    console, alerts = watch_alerts(server, devices)
    fleet = {name: Machine(server, name, *files[name]) for name in machines}
    play(fleet, readings)

    step("What landed in the database")
    hot = [row for row in readings if float(row["temperature"]) > 70]
    database = os.path.join(server.data_dir, "sinks", "overheat.db")
    rows = wait_for_rows(database, len(hot))
    print(f"   {'machine':<12}{'readings':>9}{'from':>7}{'to':>7}{'hottest':>9}")
    for machine, count, first, last, hottest in rows:
        print(f"   {machine:<12}{count:>9}{first:>7}{last:>7}{hottest:>9.1f}")
    for _ in range(100):
        if len(alerts) >= len(hot):
            break
        time.sleep(0.1)
    note(f"{sum(row[1] for row in rows)} rows in {database}, {len(alerts)} alerts received")

    step("machine-07 is to run slower: a desired state, its delta, its report")
    data = server.api("iot-data")
    data.update_thing_shadow(
        thingName="machine-07", payload=json.dumps({"state": {"desired": {"speed": 60, "fan": "on"}}})
    )
    delta = fleet["machine-07"].deltas.get(timeout=20)
    note(f"the device got the delta {json.dumps(delta)}")
    fleet["machine-07"].wait()
    shadow = json.loads(data.get_thing_shadow(thingName="machine-07")["payload"].read())
    note("the shadow afterwards:")
    print("   " + json.dumps({"state": shadow["state"], "version": shadow["version"]}, indent=2).replace("\n", "\n   "))
    if "delta" in shadow["state"] or shadow["state"]["reported"] != shadow["state"]["desired"]:
        sys.exit("desired and reported differ")

    for machine in fleet.values():
        machine.close()
    console.disconnect()
    console.loop_stop()

    d = server.data_dir
    print(f"""
== The server goes on running. Connect to it:

# listen to everything (the demo's console certificate)
mosquitto_sub -h localhost -p {server.ports['mqtts']} --cafile {d}/ca.pem --cert {devices}/console.cert.pem --key {devices}/console.key.pem -i console-1 -v -t 'plant/#' -t 'alerts/#'

# publish over HTTPS, with the same certificate: the rule raises an alert
curl --cacert {d}/ca.pem --cert {devices}/console.cert.pem --key {devices}/console.key.pem --data '{{"machine": "machine-07", "temperature": 75}}' 'https://localhost:{server.ports['https']}/topics/plant%2Fmachine-07%2Ftelemetry?qos=1'

# the AWS CLI
AWS_SHARED_CREDENTIALS_FILE={d}/credentials aws --endpoint-url {server.endpoint} --ca-bundle {d}/ca.pem --region {server.region} iot list-things
""")


if __name__ == "__main__":
    main()

"""Traces of a message's way, as a collector gets them: OTLP over HTTP, JSON."""
import http.server
import json
import os
import subprocess
import threading
import unittest
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from server import BINARY, Server, Subscriber, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Stands for an OpenTelemetry collector: keeps the spans that it is sent."""

    def __init__(self):
        self.spans, self.requests, self.status = [], [], 200
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.requests.append((self.path, self.headers["Content-Type"], body))
                if collector.status == 200:
                    for resource in body["resourceSpans"]:
                        for scope in resource["scopeSpans"]:
                            collector.spans += scope["spans"]
                self.send_response(collector.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name, trace=None):
        return [span for span in list(self.spans) if span["name"] == name and trace in (None, span["traceId"])]


def attributes(span):
    return {each["key"]: each["value"]["stringValue"] for each in span["attributes"]}


class Tracing(unittest.TestCase):
    def start(self, **environment):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url, **environment}
        for name, value in environment.items():
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)
        server = Server()
        self.addCleanup(server.close)
        rule = os.path.join(server.folder, "traced.sql")
        with open(rule, "w") as file:
            file.write("CREATE RULE traced AS SELECT v FROM 'in/+' WHERE v > 0 DO file(path = 'traced.jsonl', format = 'json');")
        subprocess.run([BINARY, "rule", "apply", rule, "--data-dir", server.data_dir], check=True, capture_output=True)
        wait_until(lambda: "traced.sql" in server.read_log())
        return server

    def setUp(self):
        self.collector = Collector()
        self.addCleanup(self.collector.close)

    def client(self, server, name="lamp"):
        client = Subscriber(server, client_id=name, protocol=mqtt.MQTTv5)
        self.addCleanup(client.close)
        return client

    def publish(self, client, topic, payload, traceparent=None):
        properties = Properties(PacketTypes.PUBLISH)
        if traceparent:
            properties.UserProperty = ("traceparent", traceparent)
        client.client.publish(topic, payload, qos=1, properties=properties).wait_for_publish(60)

    def metrics(self, server):
        return urllib.request.urlopen(f"http://localhost:{server.port('admin')}/metrics").read().decode()

    def test_the_spans_of_one_message_continue_the_publishers_trace(self):
        server = self.start(OTEL_TRACES_SAMPLER_ARG="0")
        client = self.client(server)
        self.publish(client, "in/a", '{"v": 1}', f"00-{TRACE}-{PARENT}-01")
        wait_until(lambda: self.collector.named("deliver"))
        spans = {name: self.collector.named(name, TRACE)[0] for name in ("publish", "authorize", "fan-out", "rule", "deliver")}
        parents = {name: span["parentSpanId"] for name, span in spans.items()}
        ids = {name: span["spanId"] for name, span in spans.items()}
        self.assertEqual(parents, {"publish": PARENT, "authorize": ids["publish"], "fan-out": ids["publish"],
                                   "rule": ids["fan-out"], "deliver": ids["rule"]})
        self.assertEqual(attributes(spans["publish"]), {
            "messaging.system": "mqtt", "messaging.destination.name": "in/a", "messaging.client_id": "lamp",
            "messaging.message.body.size": "8", "mqtt.qos": "1"})
        self.assertEqual(attributes(spans["rule"]), {"iotcore.rule": "traced", "iotcore.rule.fired": "true"})
        self.assertEqual(attributes(spans["deliver"])["iotcore.sink"], "file traced.jsonl")
        for span in spans.values():
            self.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            self.assertEqual(span["status"], {})
        path, content_type, body = self.collector.requests[0]
        self.assertEqual((path, content_type), ("/v1/traces", "application/json"))
        named = {each["key"]: each["value"]["stringValue"] for each in body["resourceSpans"][0]["resource"]["attributes"]}
        self.assertEqual(named["service.name"], "iotcore")
        self.assertNotIn('"v"', json.dumps(self.collector.requests), "payloads are not in traces")

    def test_nothing_is_traced_that_is_not_sampled(self):
        server = self.start(OTEL_TRACES_SAMPLER_ARG="0")
        client = self.client(server)
        for wrong in (None, f"00-{TRACE}-{PARENT}-00", f"00-{'0' * 32}-{PARENT}-01", "00-zz", f"ff-{TRACE}-{PARENT}-01"):
            self.publish(client, "in/b", '{"v": 1}', wrong)
        self.publish(client, "in/c", '{"v": 0}', f"00-{TRACE}-{PARENT}-01")
        wait_until(lambda: self.collector.named("rule"))
        self.assertEqual({span["traceId"] for span in self.collector.spans}, {TRACE})
        self.assertEqual(attributes(self.collector.named("rule")[0])["iotcore.rule.fired"], "false")
        self.assertEqual(self.collector.named("deliver"), [])

    def test_a_sampled_publish_is_a_trace_of_its_own_and_a_refused_one_says_so(self):
        server = self.start(OTEL_TRACES_SAMPLER_ARG="1")
        certificate, key, _ = server.device("thing", {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]})
        client = Subscriber(server, client_id="thing", protocol=mqtt.MQTTv5, tls=(certificate, key))
        self.addCleanup(client.close)
        self.publish(client, "in/a", "{}")
        wait_until(lambda: self.collector.named("authorize") and self.collector.named("publish"))
        self.assertEqual(self.collector.named("authorize")[0]["status"], {"code": 2, "message": "not allowed to publish to this topic"})
        self.assertNotIn("parentSpanId", self.collector.named("publish")[0])
        self.assertEqual(self.collector.named("fan-out"), [])

    def test_a_collector_that_is_away_holds_up_nobody(self):
        self.collector.status = 503
        server = self.start(OTEL_TRACES_SAMPLER_ARG="1")
        client = self.client(server)
        for _ in range(20):
            self.publish(client, "in/a", '{"v": 1}')
        wait_until(lambda: "tracing.down" in server.read_log())
        wait_until(lambda: "iotcore_trace_spans_dropped_total 0" not in self.metrics(server))
        self.collector.status = 200
        self.publish(client, "in/a", '{"v": 1}')
        wait_until(lambda: self.collector.named("deliver"))
        wait_until(lambda: "tracing.up" in server.read_log())
        self.assertEqual(server.stop(), 0)

    def test_a_wrong_setting_is_refused(self):
        for name, value in (("OTEL_TRACES_SAMPLER_ARG", "2"), ("OTEL_TRACES_SAMPLER_ARG", "often"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318")):
            with self.subTest(name=name, value=value):
                environment = dict(os.environ, OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.url, **{name: value})
                done = subprocess.run([BINARY, "serve", "--data-dir", os.path.join("/nonexistent", "x")], env=environment, capture_output=True, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn("OTEL_", done.stderr)

    def test_without_a_collector_there_is_nothing(self):
        server = Server()
        self.addCleanup(server.close)
        self.assertNotIn("iotcore_trace", self.metrics(server))


if __name__ == "__main__":
    unittest.main()

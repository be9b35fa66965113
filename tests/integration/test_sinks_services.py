"""Actions of AWS's at services of one's own: InfluxDB, also by rule destinations; Alertmanager, Loki, syslog, webhooks and inputs, by stand-ins."""
import json
import socket
import ssl
import subprocess
import threading
import types
import unittest
import urllib.error
import urllib.parse
import urllib.request

from certificates import make_certificate
from server import BINARY
from sinks import SinkCase
from test_sinks_http import StandIn
import targets


class Services(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server("http.allow=127.0.0.1")

    def setUp(self):
        self.seen = []
        self.answers = []  # statuses of the next requests; then 200

        def answer(request):
            self.seen.append(types.SimpleNamespace(command=request.command, path=request.path, headers=request.headers, body=request.body))
            return (self.answers.pop(0) if self.answers else 200), b""

        self.service = StandIn(answer)
        self.addCleanup(self.service.close)
        self.url = f"http://127.0.0.1:{self.service.port}"

    def wait_for(self, count):
        self.wait(lambda: len(self.seen) >= count, lambda: f"{len(self.seen)} requests and not {count}")
        return self.seen

    # -- InfluxDB --

    def influx(self):
        influx = targets.Influx()
        self.addCleanup(influx.close)

        def query(text):
            url = f"http://127.0.0.1:{influx.port}/query?db=plant&q=" + urllib.parse.quote(text)
            with urllib.request.urlopen(urllib.request.Request(url, method="POST" if text.startswith("CREATE") else "GET")) as answer:
                return json.load(answer)["results"][0].get("series", [{"columns": [], "values": []}])[0]
        query("CREATE DATABASE plant")
        return influx, query

    def test_measurements_are_points_of_influxdb(self):
        influx, query = self.influx()
        self.apply("influx", f"""
            CREATE TARGET points AS influx(match = 'iotSiteWise:*', endpoint = 'http://127.0.0.1:{influx.port}', version = '1', database = 'plant');
            CREATE TARGET metrics AS influx(match = 'cloudwatchMetric:*', endpoint = 'http://127.0.0.1:{influx.port}', version = '1', database = 'plant');
            CREATE TARGET streams AS influx(match = 'timestream:*', endpoint = 'http://127.0.0.1:{influx.port}', version = '1');
            CREATE RULE influx AS SELECT temp, label FROM 'influx/+'
            DO iotSiteWise(putAssetPropertyValueEntries = [
              {{'propertyAlias': '/${{topic(2)}}/temp', 'propertyValues': [
                {{'timestamp': {{'timeInSeconds': '${{t}}', 'offsetInNanos': '5'}}, 'value': {{'doubleValue': '${{temp}}'}}, 'quality': 'GOOD'}}]}},
              {{'assetId': 'a', 'propertyId': 'p', 'propertyValues': [
                {{'timestamp': {{'timeInSeconds': '${{t}}'}}, 'value': {{'stringValue': '${{label}}'}}}},
                {{'timestamp': {{'timeInSeconds': '${{t + 1}}'}}, 'value': {{'integerValue': '7'}}}},
                {{'timestamp': {{'timeInSeconds': '${{t + 2}}'}}, 'value': {{'booleanValue': 'true'}}}}]}}])
            DO cloudwatchMetric(metricNamespace = 'Plant', metricName = 'temp', metricValue = '${{temp}}', metricUnit = 'None', metricTimestamp = '${{t}}')
            DO timestream(databaseName = 'plant', tableName = 'machines', dimensions = [{{'name': 'machine', 'value': '${{topic(2)}}'}}],
                          timestamp = {{'value': '${{t}}', 'unit': 'SECONDS'}});
        """)
        for temp in (20.5, 21.5):  # the same points: the last value stays
            self.publish("influx/m1", {"temp": temp, "label": 'a "b", c', "t": 1700000000})
        rows = lambda table, *columns: [[dict(zip(found["columns"], row))[name] for name in columns] for found in [query(f'SELECT * FROM "{table}"')]
                                        for row in found["values"]]
        self.wait_equal(lambda: rows("machines", "time", "machine", "temp"), [["2023-11-14T22:13:20Z", "m1", 21.5]])
        self.wait_equal(lambda: rows("Plant", "metric", "unit", "value"), [["temp", "None", 21.5]])
        self.wait_equal(lambda: rows("properties", "time", "series", "quality", "doubleValue", "integerValue", "stringValue", "booleanValue"), [
            ["2023-11-14T22:13:20Z", "a/p", None, None, None, 'a "b", c', None],
            ["2023-11-14T22:13:20.000000005Z", "/m1/temp", "GOOD", 21.5, None, None, None],
            ["2023-11-14T22:13:21Z", "a/p", None, None, 7, None, None],
            ["2023-11-14T22:13:22Z", "a/p", None, None, None, None, True]])

    def call(self, method, path, body=None):
        """An operation with members that boto3 does not know yet."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port('http')}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"{}")

    def secret(self, name, value):
        subprocess.run([BINARY, "secret", "put", name, "--data-dir", self.server.data_dir], input=value, text=True, check=True, capture_output=True, timeout=60)

    def destination(self, **configuration):
        status, answer = self.call("POST", "/destinations", {"destinationConfiguration": {"influxDBConfiguration": {"endpoint": self.url, **configuration}}})
        self.assertEqual(status, 200, answer)
        return answer["topicRuleDestination"]

    def shown(self, arn):
        return self.call("GET", "/destinations/" + urllib.parse.quote(arn, safe=""))[1]["topicRuleDestination"]

    def test_a_destination_of_influxdb(self):
        """It is enabled when InfluxDB takes the token, and then gets what actions that name it write."""
        self.secret("influx-token", '{"token": "t-1"}')
        made = self.destination(influxDBVersion="V2", secretId="arn:aws:secretsmanager:us-east-1:000000000000:secret:influx-token-a1B2c3",
                                secretType="SecretString", secretKey="token")
        arn = made["arn"]
        self.assertRegex(arn, r"^arn:aws:iot:us-east-1:000000000000:ruledestination/influxdb/[0-9a-f-]{36}$")
        self.assertEqual((made["status"], made["influxDBProperties"]["influxDBVersion"], made["influxDBProperties"]["secretKey"]), ("IN_PROGRESS", "V2", "token"))
        asked = self.wait_for(1)[0]
        self.assertEqual((asked.command, asked.path, asked.headers["Authorization"]), ("GET", "/api/v2/me", "Token t-1"))
        self.wait_equal(lambda: self.shown(arn)["status"], "ENABLED")
        summary = next(each for each in self.call("GET", "/destinations")[1]["destinationSummaries"] if each["arn"] == arn)
        self.assertEqual(summary["influxDBSummary"], made["influxDBProperties"])
        self.apply("destined", f"""CREATE RULE destined AS SELECT v, 1700000000 AS timestamp FROM 'destined'
            DO influxDB(destinationArn = '{arn}', databaseName = 'plant', organization = 'o', tableName = 't', timestampUnit = 's')
            ON ERROR DO republish(topic = 'failed/destined', qos = 1);""")
        failed = self.failures("failed/destined")
        self.publish("destined", {"v": 7})
        written = self.wait_for(2)[1]
        self.assertEqual((written.path, written.headers["Authorization"], written.body),
                         ("/api/v2/write?org=o&bucket=plant&precision=s", "Token t-1", b"t v=7i 1700000000\n"))
        # The token has changed: after a refusal it is read again.
        self.secret("influx-token", '{"token": "t-2"}')
        self.answers = [401]
        self.publish("destined", {"v": 8})
        self.assertEqual(self.wait_for(4)[3].headers["Authorization"], "Token t-2")
        self.assertEqual(self.call("PATCH", "/destinations", {"arn": arn, "status": "DISABLED"})[0], 200)
        self.publish("destined", {"v": 9})
        self.assertIn(b"is DISABLED", failed.wait(1)[0].payload)
        # It stays over a restart.
        self.client.close()
        self.server.stop()
        self.server.start()
        type(self).client = self.__class__.reconnected(self.server)
        self.assertEqual(self.shown(arn)["status"], "DISABLED")
        self.assertEqual(self.call("PATCH", "/destinations", {"arn": arn, "status": "ENABLED"})[0], 200)
        self.publish("destined", {"v": 10})
        self.assertEqual(self.wait_for(5)[4].body, b"t v=10i 1700000000\n")
        self.assertEqual(self.call("DELETE", "/destinations/" + urllib.parse.quote(arn, safe=""))[0], 200)

    @staticmethod
    def reconnected(server):
        from server import Subscriber
        return Subscriber(server, client_id="publisher")

    def test_a_destination_that_influxdb_refuses(self):
        self.secret("influx-bad", "t")
        self.answers = [401]
        arn = self.destination(influxDBVersion="V3", secretId="influx-bad")["arn"]
        self.wait_equal(lambda: self.shown(arn)["status"], "ERROR")
        self.assertEqual(self.shown(arn)["statusReason"], "InfluxDB answered 401")
        self.assertEqual((self.seen[0].path, self.seen[0].headers["Authorization"]), ("/api/v3/configure/database?format=json", "Bearer t"))
        self.call("PATCH", "/destinations", {"arn": arn, "status": "IN_PROGRESS"})
        self.wait_equal(lambda: self.shown(arn)["status"], "ENABLED")
        missing = self.destination(influxDBVersion="V3", secretId="nobody-has-it")["arn"]
        self.wait(lambda: "there is no secret" in self.shown(missing).get("statusReason", ""), lambda: self.shown(missing))

    def test_destinations_that_can_not_be(self):
        for configuration in ({"endpoint": "ftp://x", "influxDBVersion": "V2", "secretId": "s"}, {"endpoint": self.url, "influxDBVersion": "V1", "secretId": "s"},
                              {"endpoint": self.url, "influxDBVersion": "V2"}, {"endpoint": self.url, "influxDBVersion": "V2", "secretId": "s", "secretType": "x"}):
            status, answer = self.call("POST", "/destinations", {"destinationConfiguration": {"influxDBConfiguration": configuration}})
            self.assertEqual(status, 400, answer)

    # -- webhooks --

    def test_webhooks(self):
        self.apply("hooks", f"""CREATE RULE hooks AS SELECT * FROM 'hooks/+'
            DO webhook(url = '{self.url}/in/${{topic(2)}}', method = 'PUT', headers = {{'X-Machine': '${{topic(2)}}', 'content-type': 'text/x'}}, timeout = '2s')
               WITH (retryMax = 200)
            ON ERROR DO republish(topic = 'failed/hooks', qos = 1);""")
        failed = self.failures("failed/hooks")
        self.answers = [503]
        for machine in ("m1", "m2"):
            self.publish("hooks/" + machine, {"v": machine})
        self.wait_for(3)
        self.assertEqual([each.path for each in self.seen], ["/in/m1", "/in/m1", "/in/m2"])
        last = self.seen[2]
        self.assertEqual((last.command, last.headers["X-Machine"], last.headers["Content-Type"], last.body), ("PUT", "m2", "text/x", b'{"v": "m2"}'))
        self.assertEqual(self.seen[0].headers["x-iotcore-delivery-id"], self.seen[1].headers["x-iotcore-delivery-id"])
        self.answers = [404]
        self.publish("hooks/m3", {"v": 3})
        self.assertIn(b"answered 404", failed.wait(1)[0].payload)
        for bad, message in (("url = 'ftp://x'", "https://"), (f"url = '{self.url}', method = 'TRACE'", "method"), (f"url = '{self.url}', confirmationUrl = 'x'", "confirmationUrl")):
            self.refused(f"CREATE RULE bad AS SELECT * FROM 'x' DO webhook({bad});", message)

    def test_webhooks_in_batches(self):
        self.apply("batches", f"""CREATE RULE batches AS SELECT * FROM 'batches/+'
            DO webhook(url = '{self.url}/batch', enableBatching = TRUE, batchConfig = {{'maxBatchSize': 2, 'batchAcrossTopics': TRUE}}) WITH (lingerMs = 2000, batchSize = 2);""")
        for machine in ("m1", "m2"):
            self.publish("batches/" + machine, {"v": machine})
        self.assertEqual(json.loads(self.wait_for(1)[0].body), [{"v": "m1"}, {"v": "m2"}])

    # -- alarms and logs --

    def test_alarms_are_alerts_of_alertmanager(self):
        self.apply("alerts", f"""
            CREATE TARGET alerts AS alertmanager(match = 'cloudwatchAlarm:*', endpoint = '{self.url}/am', user = 'u', password = 'p');
            CREATE RULE alerts AS SELECT * FROM 'alerts/+'
            DO cloudwatchAlarm(alarmName = 'hot-${{topic(2)}}', stateReason = 'has ${{temp}}', stateValue = '${{CASE temp > 80 WHEN TRUE THEN "ALARM" ELSE "OK" END}}');
        """)
        self.publish("alerts/m1", {"temp": 99})
        first = json.loads(self.wait_for(1)[0].body)[0]
        self.publish("alerts/m1", {"temp": 20})
        last = json.loads(self.wait_for(2)[1].body)[0]
        self.assertEqual(self.seen[0].path, "/am/api/v2/alerts")
        self.assertEqual(self.seen[0].headers["Authorization"], "Basic dTpw")
        self.assertEqual(first["labels"], {"alertname": "hot-m1"})
        self.assertEqual(first["annotations"], {"description": "has 99", "state": "ALARM"})
        self.assertGreater(first["endsAt"][:4], first["startsAt"][:4])
        self.assertEqual((last["labels"], last["startsAt"]), (first["labels"], last["endsAt"]))

    def test_subscriptions_hear_of_alarms_that_change(self):
        self.apply("oncall", f"""
            CREATE TARGET oncall AS sns(match = 'cloudwatchAlarm:oncall-*', subscriptions = [{{'protocol': 'http', 'endpoint': '{self.url}/oncall'}}]);
            CREATE RULE oncall AS SELECT * FROM 'oncall/+'
            DO cloudwatchAlarm(alarmName = 'oncall-${{topic(2)}}', stateReason = 'r', stateValue = '${{state}}') WITH (retryMax = 200);
        """)
        self.answers = [503]
        for state in ("ALARM", "ALARM", "OK"):
            self.publish("oncall/m1", {"state": state})
        self.wait_for(3)
        told = [json.loads(json.loads(each.body)["Message"]) for each in self.seen]
        self.assertEqual([(each["state"]["value"], each["previousState"]["value"]) for each in told],
                         [("ALARM", "INSUFFICIENT_DATA"), ("ALARM", "INSUFFICIENT_DATA"), ("OK", "ALARM")])

    def test_logs_are_streams_of_loki(self):
        self.apply("loki", f"""
            CREATE TARGET loki AS loki(match = 'cloudwatchLogs:/loki*', endpoint = '{self.url}', tenant = 'plant', token = 't');
            CREATE RULE loki AS SELECT VALUE events FROM 'loki/in' DO cloudwatchLogs(logGroupName = '/loki/plant', batchMode = TRUE)
            ON ERROR DO republish(topic = 'failed/loki', qos = 1);
        """)
        failed = self.failures("failed/loki")
        self.answers = [503]
        self.publish("loki/in", {"events": [{"timestamp": 1700000000001, "message": "b"}, {"timestamp": 1700000000000, "message": "a"}]})
        pushed = self.wait_for(2)[1]
        self.assertEqual((pushed.path, pushed.headers["X-Scope-OrgID"], pushed.headers["Authorization"]), ("/loki/api/v1/push", "plant", "Bearer t"))
        self.assertEqual(json.loads(pushed.body), {"streams": [{"stream": {"log_group": "/loki/plant"}, "values": [
            ["1700000000000000000", "a"], ["1700000000001000000", "b"]]}]})
        self.answers = [400]
        self.publish("loki/in", {"events": ["refused"]})
        self.assertIn(b"Loki: 400", failed.wait(1)[0].payload)

    def syslog(self, tls=None):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        lines = []

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    if tls:
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(*tls)
                        connection = context.wrap_socket(connection, server_side=True)
                    stream = connection.makefile("rb")
                    while digits := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                        lines.append(stream.read(int(digits)).decode())
                except OSError:
                    pass
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1], lines

    def test_logs_are_messages_of_syslog(self):
        certificate = make_certificate(self.server.folder, "127.0.0.1")
        for name, tls, more in (("plainlog", None, ", facility = 3"), ("safelog", certificate, f", tls = TRUE, ca = '{certificate[0]}'")):
            port, lines = self.syslog(tls)
            self.apply(name, f"""
                CREATE TARGET {name} AS syslog(match = 'cloudwatchLogs:{name}', host = '127.0.0.1', port = {port}{more});
                CREATE RULE {name} AS SELECT v FROM '{name}/in' DO cloudwatchLogs(logGroupName = '{name}');
            """)
            for value in ("a", "b\n2 x"):
                self.publish(name + "/in", {"v": value})
            self.wait(lambda: len(lines) == 2, lambda: lines)
            priority = 134 if tls else 30
            self.assertRegex(lines[0], rf'^<{priority}>1 \d{{4}}-\d\d-\d\dT[\d:.]+Z \S+ iotcore - {name} - {{"v":"a"}}$')
            self.assertTrue(lines[1].endswith('{"v":"b\\n2 x"}'), lines)

    def test_inputs_are_requests(self):
        self.apply("inputs", f"""
            CREATE TARGET inputs AS http(match = 'iotEvents:*', endpoint = '{self.url}/inputs');
            CREATE RULE inputs AS SELECT v FROM 'inputs/in' DO iotEvents(inputName = 'machines', messageId = '${{id}}') WITH (retryMax = 200);
        """)
        self.answers = [500]
        self.publish("inputs/in", {"v": 1, "id": "a"})
        self.publish("inputs/in", {"v": 2})
        self.wait_for(3)
        self.assertEqual([(each.path, each.body) for each in self.seen], [("/inputs/machines", b'{"v":1}')] * 2 + [("/inputs/machines", b'{"v":2}')])
        self.assertEqual(self.seen[0].headers["x-iotcore-message-id"], "a")


if __name__ == "__main__":
    unittest.main(warnings="ignore")

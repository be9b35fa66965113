"""AWS's actions with boto3 and MQTT: accepted, echoed, refused where they should be, and what they leave in their built-in targets, across kill -9."""
import base64
import glob
import http.server
import json
import os
import sqlite3
import ssl
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

from server import Server, Subscriber, wait_until

ROLE = "arn:aws:iam::000000000000:role/r"


class BuiltInTargets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=["http.allow=127.0.0.1"])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.iot = self.server.api()
        self.name = self._testMethodName.removeprefix("test_")

    def rule(self, action, select="SELECT *", error=None):
        """A rule on <name>/# with that one action; GetTopicRule has to show it as it was given."""
        action = {kind: {**members, "roleArn": ROLE} for kind, members in action.items()}
        payload = {"sql": f"{select} FROM '{self.name}/#'", "awsIotSqlVersion": "2016-03-23", "actions": [action]}
        if error:
            payload["errorAction"] = error
        self.iot.create_topic_rule(ruleName=self.name, topicRulePayload=payload)
        self.assertEqual(self.iot.get_topic_rule(ruleName=self.name)["rule"]["actions"], [action])

    def apply(self, select, action, topic=None):
        """The same by a rule file, where members can be written that boto3 does not know yet."""
        rules = self.server.path("rules.d")
        os.makedirs(rules, exist_ok=True)
        name = f"{self.name}_file"
        with open(os.path.join(rules, f"{name}.sql"), "w") as file:
            file.write(f"CREATE RULE {name} AS {select} FROM '{topic or self.name}/#' DO {action};")
        wait_until(lambda: name in [rule["ruleName"] for rule in self.iot.list_topic_rules()["rules"]])

    def refused(self, action, *, contains):
        with self.assertRaises(self.iot.exceptions.InvalidRequestException) as caught:
            self.iot.create_topic_rule(ruleName="refused", topicRulePayload={"sql": "SELECT * FROM 'a'", "actions": [action]})
        self.assertIn(contains, str(caught.exception))

    def publish(self, *payloads, topic="x", qos=1):
        client = Subscriber(self.server, client_id=f"publisher-{self.name}")
        for payload in payloads:
            client.publish(f"{self.name}/{topic}", payload if isinstance(payload, (str, bytes)) else json.dumps(payload), qos=qos)
        client.close()

    def failures(self):
        """A subscriber to what the rule's errorAction republishes."""
        watcher = Subscriber(self.server, f"errors/{self.name}", client_id=f"errors-{self.name}")
        self.addCleanup(watcher.close)
        return watcher, {"republish": {"topic": f"errors/{self.name}", "roleArn": ROLE, "qos": 1}}

    def kill_and_start(self):
        self.server.kill()
        self.server.start()
        self.iot = self.server.api()

    def rows(self, database, query, *parameters):
        path = self.server.path("sinks", database)
        if not os.path.exists(path):
            return []
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            try:
                return db.execute(query, parameters).fetchall()
            except sqlite3.OperationalError:
                return []

    def read(self, path):
        if not os.path.exists(path):
            return None
        with open(path) as file:
            return file.read()

    def lines(self, pattern):
        """The JSON lines of all files of that name, in their order."""
        found = []
        for path in sorted(glob.glob(self.server.path("sinks", pattern), recursive=True)):
            try:
                with open(path) as file:
                    found += [json.loads(line) for line in file]
            except FileNotFoundError:
                pass  # on its way to its name, or put aside
        return found

    # -- tables --

    def items(self, table):
        return [json.loads(row[0]) for row in self.rows("tables.db", "SELECT item FROM items WHERE tbl = ? ORDER BY h, r", table)]

    def test_dynamodb(self):
        self.rule({"dynamoDB": {"tableName": "readings", "hashKeyField": "device", "hashKeyValue": "${topic(2)}",
                                "rangeKeyField": "t", "rangeKeyValue": "${t}", "rangeKeyType": "NUMBER",
                                "payloadField": "reading", "operation": "${op}"}}, "SELECT t, v")
        self.publish({"t": 1, "v": 1, "op": "INSERT"}, {"t": 2, "v": 2, "op": "INSERT"}, {"t": 1, "v": 3, "op": "INSERT"},
                     topic="d1")
        wait_until(lambda: len(self.items("readings")) == 2)
        self.kill_and_start()
        self.publish({"t": 2, "v": 9, "op": "DELETE"}, {"t": 3, "v": 4, "op": "UPDATE"}, topic="d1")
        wait_until(lambda: [item["t"] for item in self.items("readings")] == [1, 3])
        self.assertEqual(self.items("readings")[0], {"device": "d1", "t": 1, "reading": {"t": 1, "v": 3}})
        self.refused({"dynamoDB": {"tableName": "t", "hashKeyField": "h", "hashKeyValue": "v", "rangeKeyField": "r", "roleArn": ROLE}},
                     contains="rangeKeyValue")
        self.refused({"dynamoDB": {"tableName": "t", "hashKeyField": "h", "hashKeyValue": "v", "operation": "upsert", "roleArn": ROLE}},
                     contains="INSERT")

    def test_dynamodb_key_that_is_no_number(self):
        watcher, error = self.failures()
        self.rule({"dynamoDB": {"tableName": "numbers", "hashKeyField": "n", "hashKeyValue": "${n}", "hashKeyType": "NUMBER"}},
                  error=error)
        self.publish({"n": "seven"}, {"n": 7})
        wait_until(lambda: len(self.items("numbers")) == 1)
        watcher.wait(1)
        failed = json.loads(watcher.payloads()[0])
        self.assertEqual(failed["failures"][0]["failedAction"], "DynamoDBAction")
        self.assertIn("seven", failed["failures"][0]["errorMessage"])

    def test_dynamodbv2(self):
        rules = self.server.path("rules.d")
        os.makedirs(rules, exist_ok=True)
        with open(os.path.join(rules, "machines.sql"), "w") as file:
            file.write("CREATE TARGET machines AS table(match = 'machines', hashKey = 'id');")
        wait_until(lambda: "machines.sql" in self.server.read_log())
        watcher, error = self.failures()
        self.rule({"dynamoDBv2": {"putItem": {"tableName": "machines"}}}, error=error)
        self.publish({"id": "m1", "temp": 1}, {"id": "m1", "temp": 2}, {"temp": 3}, {"id": "m2"}, [1])
        watcher.wait(2)
        wait_until(lambda: self.items("machines") == [{"id": "m1", "temp": 2}, {"id": "m2"}])

    # -- files --

    def test_s3(self):
        watcher, error = self.failures()
        self.rule({"s3": {"bucketName": "lake", "key": "${topic(2)}/${k}", "cannedAcl": "private"}}, "SELECT v", error)
        self.publish({"k": "a.json", "v": 1}, {"k": "a.json", "v": 2}, {"k": "../../../escape", "v": 3}, {"k": "a.json/b", "v": 4})
        watcher.wait(2)
        path = self.server.path("sinks", "objects", "lake", "x", "a.json")
        wait_until(lambda: self.read(path) == '{"v":2}')
        self.kill_and_start()
        self.publish({"k": "b.json", "v": 5})
        wait_until(lambda: os.path.exists(path.replace("a.json", "b.json")))
        self.refused({"s3": {"bucketName": "b", "key": "/k", "roleArn": ROLE}}, contains="key")


    def test_firehose(self):
        self.apply("""SELECT VALUE *""", "firehose(deliveryStreamName = 'quick', separator = '\n', batchMode = TRUE) WITH (lingerMs = 200)")
        self.publish([{"a": 1}, {"a": 2}], {"a": 3})
        wait_until(lambda: len(self.lines("firehose/quick/*/*/*/*/quick-*")) == 3)
        self.assertEqual(self.lines("firehose/quick/*/*/*/*/quick-*"), [{"a": 1}, {"a": 2}, {"a": 3}])

    def test_firehose_keeps_back_what_is_not_complete(self):
        self.rule({"firehose": {"deliveryStreamName": "slow", "separator": "\n"}})  # a file after 300 s
        self.publish({"a": 1})
        self.assertEqual(self.lines("firehose/slow/*/*/*/*/slow-*"), [])
        self.kill_and_start()
        wait_until(lambda: self.lines("firehose/slow/*/*/*/*/slow-*") == [{"a": 1}])

    def test_kinesis(self):
        self.rule({"kinesis": {"streamName": "clicks", "partitionKey": "${k}"}})
        self.publish(*[{"k": f"k{i % 8}", "i": i} for i in range(40)])
        wait_until(lambda: len(self.lines("streams/clicks/*/*.jsonl")) >= 40)
        self.kill_and_start()
        self.publish({"k": "k1", "i": 41})
        wait_until(lambda: 41 in [line["data"]["i"] for line in self.lines("streams/clicks/*/*.jsonl")])
        by_key = {}
        for line in {line["deliveryId"]: line for line in self.lines("streams/clicks/*/*.jsonl")}.values():  # some may be there twice
            by_key.setdefault(line["partitionKey"], []).append(line["data"]["i"])
        self.assertEqual(by_key["k1"], [1, 9, 17, 25, 33, 41])  # in order, in one shard
        self.assertEqual(len(glob.glob(self.server.path("sinks", "streams", "clicks", "*"))), 4)

    def test_kinesis_bytes(self):
        self.rule({"kinesis": {"streamName": "bytes"}})
        self.iot.replace_topic_rule(ruleName=self.name, topicRulePayload={
            "sql": f"SELECT VALUE * FROM '{self.name}/#'", "awsIotSqlVersion": "2016-03-23",
            "actions": [{"kinesis": {"streamName": "bytes", "roleArn": ROLE}}]})
        self.publish(b"\x00\xff")
        wait_until(lambda: [line["base64Data"] for line in self.lines("streams/bytes/*/*.jsonl")] == ["AP8="])

    def test_cloudwatch_logs(self):
        self.rule({"cloudwatchLogs": {"logGroupName": "/iot/${topic(2)}"}}, "SELECT m")
        self.publish({"m": "hello"})
        wait_until(lambda: [line["message"] for line in self.lines("logs/iot/x/*.log")] == [{"m": "hello"}])

    def test_cloudwatch_logs_in_batches(self):
        self.apply("SELECT VALUE *", "cloudwatchLogs(logGroupName = 'batch', batchMode = TRUE)")
        self.publish([{"timestamp": 5, "message": "a"}, {"other": 1}])
        wait_until(lambda: len(self.lines("logs/batch/*.log")) == 2)
        first, second = self.lines("logs/batch/*.log")
        self.assertEqual(first, {"timestamp": 5, "message": "a"})
        self.assertEqual(second["message"], {"other": 1})

    def test_iot_analytics(self):
        self.rule({"iotAnalytics": {"channelName": "raw"}})
        self.publish({"a": 1})
        wait_until(lambda: self.lines("channels/raw/*.jsonl") == [{"a": 1}])
        self.refused({"iotAnalytics": {"roleArn": ROLE}}, contains="channelName")

    # -- measurements --

    def points(self, database):
        return self.rows("series.db", "SELECT name, time_ns, coalesce(d, i, s, b), dims FROM points WHERE db = ? ORDER BY time_ns, name",
                         database)

    def test_timestream(self):
        self.rule({"timestream": {"databaseName": "plant", "tableName": "machines",
                                  "dimensions": [{"name": "machine", "value": "${topic(2)}"}],
                                  "timestamp": {"value": "${t}", "unit": "SECONDS"}}}, "SELECT temp, ok, name, n")
        self.publish({"t": 5, "temp": 1.5, "ok": True, "name": "x", "n": None})
        expected = [("name", 5 * 10**9, "x", '{"machine":"x"}'), ("ok", 5 * 10**9, 1, '{"machine":"x"}'),
                    ("temp", 5 * 10**9, 1.5, '{"machine":"x"}')]
        wait_until(lambda: self.points("plant") == expected)
        self.kill_and_start()
        self.publish({"t": 5, "temp": 1.5, "ok": True, "name": "x", "n": None})  # the same again takes its own place
        self.publish({"t": 6, "temp": 2})
        wait_until(lambda: self.points("plant") == expected + [("temp", 6 * 10**9, 2, '{"machine":"x"}')])
        self.refused({"timestream": {"databaseName": "d", "tableName": "t", "roleArn": ROLE,
                                     "dimensions": [{"name": "ts_x", "value": "v"}]}}, contains="ts_x")

    def test_iot_sitewise(self):
        value = {"timestamp": {"timeInSeconds": "${t}", "offsetInNanos": "7"}, "value": {"doubleValue": "${v}"}, "quality": "GOOD"}
        self.rule({"iotSiteWise": {"putAssetPropertyValueEntries": [
            {"propertyAlias": "/plant/${topic(2)}", "propertyValues": [value]},
            {"assetId": "a", "propertyId": "p", "propertyValues": [{**value, "value": {"booleanValue": "true"}}]}]}})
        self.publish({"t": 5, "v": 1.25})
        wait_until(lambda: self.points("sitewise") == [
            ("/plant/x", 5 * 10**9 + 7, 1.25, '{"quality":"GOOD"}'), ("a/p", 5 * 10**9 + 7, 1, '{"quality":"GOOD"}')])
        self.refused({"iotSiteWise": {"roleArn": ROLE, "putAssetPropertyValueEntries": [
            {"assetId": "a", "propertyValues": [value]}]}}, contains="propertyAlias")

    def test_location(self):
        watcher, error = self.failures()
        self.rule({"location": {"trackerName": "fleet", "deviceId": "${topic(2)}", "latitude": "${lat}", "longitude": "${lon}",
                                "timestamp": {"value": "${t}", "unit": "SECONDS"}}}, error=error)
        self.publish({"t": 5, "lat": 1.5, "lon": -2}, {"t": 3, "lat": 9, "lon": 9}, {"t": 6, "lat": 91, "lon": 0})
        watcher.wait(1)
        wait_until(lambda: len(self.rows("series.db", "SELECT * FROM positions WHERE tracker = 'fleet'")) == 2)
        self.assertEqual(self.rows("series.db", "SELECT device, time_ns, latitude, longitude FROM latest_positions WHERE tracker = 'fleet'"),
                         [("x", 5 * 10**9, 1.5, -2.0)])

    # -- in this server --

    def test_cloudwatch_metric(self):
        self.rule({"cloudwatchMetric": {"metricNamespace": "Plant", "metricName": "${topic(2)}", "metricValue": "${v}",
                                        "metricUnit": "Count", "metricTimestamp": "${t}"}})
        self.publish({"v": 2, "t": 5}, {"v": 3.5, "t": 6})
        wait_until(lambda: self.points("cloudwatch") == [("x", 5 * 10**9, 2.0, '{"unit":"Count"}'), ("x", 6 * 10**9, 3.5, '{"unit":"Count"}')])
        labels = '{metric="x",namespace="Plant",unit="Count"}'
        wait_until(lambda: f"iotcore_cloudwatch_sum{labels} 5.5" in self.admin("/metrics"))
        self.assertIn(f"iotcore_cloudwatch_value{labels} 3.5", self.admin("/metrics"))
        self.assertIn(f"iotcore_cloudwatch_count{labels} 2", self.admin("/metrics"))

    def test_cloudwatch_alarm(self):
        watcher = Subscriber(self.server, "$iotcore/alarms/hot-x", client_id="alarms")
        self.addCleanup(watcher.close)
        self.rule({"cloudwatchAlarm": {"alarmName": "hot-${topic(2)}", "stateReason": "it is ${t}", "stateValue": "${s}"}})
        self.publish({"t": 1, "s": "OK"}, {"t": 2, "s": "OK"}, {"t": 3, "s": "ALARM"})
        watcher.wait(2)
        wait_until(lambda: self.rows("tables.db", "SELECT state, reason FROM alarms WHERE name = 'hot-x'") == [("ALARM", "it is 3")])
        first, second = [json.loads(payload) for payload in watcher.payloads()]
        self.assertEqual(first["previousState"]["value"], "INSUFFICIENT_DATA")
        self.assertEqual(second["state"], {"value": "ALARM", "reason": "it is 3"})
        self.assertEqual(second["previousState"], {"value": "OK", "reason": "it is 2"})
        self.kill_and_start()
        watcher = Subscriber(self.server, "$iotcore/alarms/hot-x", client_id="alarms2")
        self.addCleanup(watcher.close)
        self.publish({"t": 4, "s": "ALARM"}, {"t": 5, "s": "OK"})
        watcher.wait(1)
        self.assertEqual(json.loads(watcher.payloads()[0])["previousState"], {"value": "ALARM", "reason": "it is 4"})
        self.refused({"cloudwatchAlarm": {"alarmName": "a", "stateReason": "r", "stateValue": "RED", "roleArn": ROLE}}, contains="RED")

    def test_iot_events(self):
        watcher = Subscriber(self.server, "$iotcore/inputs/pump", client_id="inputs")
        self.addCleanup(watcher.close)
        self.rule({"iotEvents": {"inputName": "pump", "messageId": "${id}"}})
        self.publish({"id": "1", "v": 1}, {"id": "1", "v": 2}, {"id": "2", "v": 3})
        watcher.wait(2)
        self.assertEqual([json.loads(payload)["v"] for payload in watcher.payloads()], [1, 3])
        self.refused({"iotEvents": {"inputName": "pump", "messageId": "1", "batchMode": True, "roleArn": ROLE}}, contains="batch mode")

    def test_sns(self):
        rules = self.server.path("rules.d")
        os.makedirs(rules, exist_ok=True)
        with Receiver() as receiver:
            with open(os.path.join(rules, "notify.sql"), "w") as file:
                file.write("CREATE TARGET notify AS sns(match = 'arn:aws:sns:us-east-1:000000000000:hot', subscriptions = ["
                           "{'protocol': 'mqtt', 'endpoint': 'told/hot'}, "
                           f"{{'protocol': 'http', 'endpoint': '{receiver.url}/hook'}}]);")
            wait_until(lambda: "notify.sql" in self.server.read_log())
            watcher = Subscriber(self.server, "told/#", "$iotcore/sns/hot", client_id="sns")
            self.addCleanup(watcher.close)
            receiver.answers = [503]  # the others do not get it again
            self.rule({"sns": {"targetArn": "arn:aws:sns:us-east-1:000000000000:hot", "messageFormat": "JSON"}})
            self.publish({"default": "for all", "mqtt": "for devices"})
            watcher.wait(2)
            wait_until(lambda: len(receiver.requests) == 2)
            self.assertEqual(sorted(watcher.payloads()), [b"for devices", b"for devices"])
            headers, body = receiver.requests[1][1:]
            self.assertEqual(json.loads(body)["Message"], "for all")
            self.assertEqual(headers["x-amz-sns-message-type"], "Notification")

    # -- queues --

    def test_sqs(self):
        sqs = self.server.api("sqs")
        self.rule({"sqs": {"queueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/readings", "useBase64": False}}, "SELECT v")
        with self.assertRaises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="readings")
        self.publish(*[{"v": i} for i in range(12)])
        wait_until(lambda: sqs.list_queues(QueueNamePrefix="read").get("QueueUrls"))
        url = sqs.get_queue_url(QueueName="readings")["QueueUrl"]
        counts = lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]  # noqa: E731
        wait_until(lambda: counts()["ApproximateNumberOfMessages"] == "12")
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
        self.assertEqual([json.loads(message["Body"])["v"] for message in got], list(range(10)))
        self.assertEqual(got[0]["Attributes"]["ApproximateReceiveCount"], "1")
        self.assertEqual(counts()["ApproximateNumberOfMessagesNotVisible"], "10")
        sqs.delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
        batch = sqs.delete_message_batch(QueueUrl=url, Entries=[
            {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(got[1:4])])
        self.assertEqual([entry["Id"] for entry in batch["Successful"]], ["0", "1", "2"])
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got[4]["ReceiptHandle"], VisibilityTimeout=0)
        again = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        self.assertEqual(sorted(json.loads(message["Body"])["v"] for message in again), [4, 10, 11])
        self.kill_and_start()  # what nobody has deleted is there again
        sqs = self.server.api("sqs")
        url = sqs.get_queue_url(QueueName="readings")["QueueUrl"]
        rest = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        self.assertEqual([json.loads(message["Body"])["v"] for message in rest], list(range(4, 12)))
        with self.assertRaises(sqs.exceptions.MessageNotInflight):
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
        sqs.purge_queue(QueueUrl=url)
        self.assertNotIn("Messages", sqs.receive_message(QueueUrl=url))
        self.refused({"sqs": {"queueUrl": "https://sqs/0/q.fifo", "roleArn": ROLE}}, contains="FIFO")

    def test_sqs_waits_for_messages(self):
        sqs = self.server.api("sqs")
        url = sqs.create_queue(QueueName="slow")["QueueUrl"]
        self.assertNotIn("Messages", sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1))
        self.rule({"sqs": {"queueUrl": url, "useBase64": True}})
        answer = []
        waiting = threading.Thread(target=lambda: answer.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)))
        waiting.start()
        self.publish(b'{"v": "\xc3\xa9"}')
        waiting.join(15)
        self.assertEqual(base64.b64decode(answer[0]["Messages"][0]["Body"]), '{"v": "é"}'.encode())

    def test_sqs_in_its_json_protocol(self):
        sqs = self.server.api("sqs")
        sqs.create_queue(QueueName="json")

        def call(operation, **parameters):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.server.port('http')}/", json.dumps(parameters).encode(),
                {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"})
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        url = call("GetQueueUrl", QueueName="json")[1]["QueueUrl"]
        self.assertEqual(call("SendMessage", QueueUrl=url, MessageBody="<hello & \"x\">")[0], 200)
        message = call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=1)[1]["Messages"][0]
        self.assertEqual(message["Body"], '<hello & "x">')
        self.assertEqual(call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0), (200, {}))
        self.assertEqual(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"], '<hello & "x">')  # and in XML
        status, error = call("ReceiveMessage", QueueUrl="x/none")
        self.assertEqual((status, error["__type"]), (400, "com.amazonaws.sqs#QueueDoesNotExist"))
        self.assertEqual(call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=11)[0], 400)

    # -- /query --

    def admin(self, target):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port('admin')}{target}") as answer:
            return answer.read().decode()

    def query(self, database, sql):
        try:
            return json.loads(self.admin("/query?" + urllib.parse.urlencode({"database": database, "sql": sql})))
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["message"]

    def test_query(self):
        self.rule({"location": {"trackerName": "q", "deviceId": "d", "latitude": "1", "longitude": "2.5"}})
        self.publish({})
        wait_until(lambda: self.query("series", "SELECT latitude, longitude, NULL AS n FROM positions WHERE tracker = 'q'") == {
            "columns": ["latitude", "longitude", "n"], "rows": [[1.0, 2.5, None]]})
        for sql in ("DELETE FROM positions", "ATTACH 'x' AS x", "PRAGMA journal_mode = DELETE", "SELECT 1; DELETE FROM positions", "nonsense"):
            status, message = self.query("series", sql)
            self.assertEqual(status, 400, message)
        self.assertEqual(self.query("series", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c")[0], 504)
        self.assertTrue(self.query("series", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c")["truncated"])
        self.assertEqual(self.query("nowhere", "SELECT 1")[0], 400)


class Receiver:
    """An HTTP server that remembers what it got; answers with the given status codes first, then 200."""

    def __enter__(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.requests = []
        self.answers = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class HttpAction(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=["http.allow=127.0.0.1"])
        cls.iot = cls.server.api()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.name = self._testMethodName.removeprefix("test_")
        self.receiver = Receiver()
        self.receiver.__enter__()
        self.addCleanup(self.receiver.__exit__)
        self.client = Subscriber(self.server, f"errors/{self.name}", client_id=self.name)
        self.addCleanup(self.client.close)

    def rule(self, action, **more):
        payload = {"sql": f"SELECT * FROM '{self.name}/#'", "awsIotSqlVersion": "2016-03-23", "actions": [{"http": action}],
                   "errorAction": {"republish": {"topic": f"errors/{self.name}", "roleArn": ROLE, "qos": 1}}, **more}
        self.iot.create_topic_rule(ruleName=self.name, topicRulePayload=payload)
        self.assertEqual(self.iot.get_topic_rule(ruleName=self.name)["rule"]["actions"], payload["actions"])

    def destination(self, url):
        return next((each for each in self.iot.list_topic_rule_destinations()["destinationSummaries"]
                     if each["httpUrlSummary"]["confirmationUrl"] == url), None)

    def confirmation(self):
        wait_until(lambda: self.receiver.requests)
        return self.receiver.requests.pop(0)

    def test_a_destination_s_life(self):
        url = self.receiver.url + "/hook"
        made = self.iot.create_topic_rule_destination(
            destinationConfiguration={"httpUrlConfiguration": {"confirmationUrl": url}})["topicRuleDestination"]
        self.assertRegex(made["arn"], r"^arn:aws:iot:us-east-1:000000000000:ruledestination/http/[0-9a-f-]{36}$")
        self.assertEqual((made["status"], made["httpUrlProperties"]), ("IN_PROGRESS", {"confirmationUrl": url}))
        path, headers, body = self.confirmation()
        asked = json.loads(body)
        self.assertEqual(path, f"/hook?confirmationToken={asked['confirmationToken']}")
        self.assertEqual(headers["x-amz-rules-engine-message-type"], "DestinationConfirmation")
        self.assertEqual(headers["x-amz-rules-engine-destination-arn"], made["arn"])
        self.assertEqual((asked["arn"], asked["messageType"]), (made["arn"], "DestinationConfirmation"))
        with self.assertRaises(self.iot.exceptions.ResourceAlreadyExistsException):
            self.iot.create_topic_rule_destination(destinationConfiguration={"httpUrlConfiguration": {"confirmationUrl": url}})
        with self.assertRaises(self.iot.exceptions.InvalidRequestException):
            self.iot.update_topic_rule_destination(arn=made["arn"], status="ENABLED")
        # By the URL in the request, as who has the token and nothing else; once.
        self.assertRegex(asked["enableUrl"], r"^https://[^/]+/confirmdestination/[0-9a-f]{64}$")
        token = asked["enableUrl"].rsplit("/", 1)[1]
        context = ssl.create_default_context(cafile=self.server.ca)
        enable = f"https://localhost:{self.server.port('https')}/confirmdestination/{token}"
        self.assertEqual(urllib.request.urlopen(enable, context=context).status, 200)
        with self.assertRaises(urllib.error.HTTPError):
            urllib.request.urlopen(enable, context=context)
        self.assertEqual(self.iot.get_topic_rule_destination(arn=made["arn"])["topicRuleDestination"]["status"], "ENABLED")
        self.iot.update_topic_rule_destination(arn=made["arn"], status="DISABLED")
        self.assertEqual(self.destination(url)["status"], "DISABLED")
        self.iot.update_topic_rule_destination(arn=made["arn"], status="IN_PROGRESS")
        asked = json.loads(self.confirmation()[2])
        self.iot.confirm_topic_rule_destination(confirmationToken=asked["confirmationToken"])
        self.assertEqual(self.destination(url)["status"], "ENABLED")
        self.iot.delete_topic_rule_destination(arn=made["arn"])
        with self.assertRaises(self.iot.exceptions.UnauthorizedException):
            self.iot.get_topic_rule_destination(arn=made["arn"])

    def test_a_vpc_destination_is_kept_and_shown(self):
        vpc = {"subnetIds": ["s1"], "securityGroups": ["g"], "vpcId": "v", "roleArn": ROLE}
        made = self.iot.create_topic_rule_destination(destinationConfiguration={"vpcConfiguration": vpc})["topicRuleDestination"]
        self.assertEqual((made["status"], made["vpcProperties"]), ("ENABLED", vpc))
        self.iot.delete_topic_rule_destination(arn=made["arn"])
        with self.assertRaises(self.iot.exceptions.InvalidRequestException):
            self.iot.create_topic_rule_destination(destinationConfiguration={})

    def test_posts_what_the_rule_makes(self):
        self.rule({"url": self.receiver.url + "/in/${topic(2)}", "confirmationUrl": self.receiver.url + "/in",
                   "headers": [{"key": "X-Device", "value": "${topic(2)}"}]})
        self.client.publish(f"{self.name}/d1", '{"v": 0}')  # not confirmed yet
        self.client.wait(1)
        self.assertIn("destination", json.loads(self.client.payloads()[0])["failures"][0]["errorMessage"])
        self.iot.confirm_topic_rule_destination(confirmationToken=json.loads(self.confirmation()[2])["confirmationToken"])
        self.receiver.answers = [503, 429]
        self.client.publish(f"{self.name}/d1", '{"v": 1}')
        self.client.publish(f"{self.name}/d2", '{"v": 2}')
        wait_until(lambda: len(self.receiver.requests) == 4)
        accepted = self.receiver.requests[2:]
        self.assertEqual([path for path, _, _ in accepted], ["/in/d1", "/in/d2"])
        self.assertEqual([json.loads(body)["v"] for _, _, body in accepted], [1, 2])
        headers = accepted[0][1]
        self.assertEqual((headers["X-Device"], headers["Content-Type"]), ("d1", "application/json"))
        self.assertIn(f":{self.name}:0", headers["x-iotcore-delivery-id"])
        self.receiver.answers = [404]
        self.client.publish(f"{self.name}/d3", '{"v": 3}')
        self.client.wait(2)
        self.assertIn("404", json.loads(self.client.payloads()[1])["failures"][0]["errorMessage"])

    def test_what_waits_survives_a_crash(self):
        url = self.receiver.url + "/crash"
        self.rule({"url": url})
        self.iot.confirm_topic_rule_destination(confirmationToken=json.loads(self.confirmation()[2])["confirmationToken"])
        self.receiver.answers = [503] * 3
        self.client.publish(f"{self.name}/d", '{"v": 1}')
        wait_until(lambda: self.receiver.requests)
        self.server.kill()
        self.receiver.answers = []
        self.receiver.requests.clear()
        self.server.start()
        type(self).iot = self.server.api()
        wait_until(lambda: [body for _, _, body in self.receiver.requests])
        self.assertEqual(json.loads(self.receiver.requests[0][2]), {"v": 1})

    def test_batches(self):
        path = os.path.join(self.server.path("rules.d"), f"{self.name}.sql")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(f"""CREATE RULE {self.name} AS SELECT v FROM '{self.name}/#'
                DO http(url = '{self.receiver.url}/batch', enableBatching = TRUE,
                        batchConfig = {{'maxBatchOpenMs': 200, 'maxBatchSize': 3, 'batchAcrossTopics': TRUE}});""")
        self.iot.confirm_topic_rule_destination(confirmationToken=json.loads(self.confirmation()[2])["confirmationToken"])
        for i in range(7):
            self.client.client.publish(f"{self.name}/{i}", json.dumps({"v": i}), qos=1)
        wait_until(lambda: sum(len(json.loads(body)) for _, _, body in self.receiver.requests) == 7)
        batches = [[each["v"] for each in json.loads(body)] for _, _, body in self.receiver.requests]
        self.assertEqual(sum(batches, []), list(range(7)))
        self.assertTrue(all(len(batch) <= 3 for batch in batches) and len(batches) < 7, batches)

    def test_batches_that_fail_make_one_error_message_each(self):
        for across_topics, qos in ((False, 1), (True, 1), (False, 0)):
            with self.subTest(across_topics=across_topics, qos=qos):
                url = f"{self.receiver.url}/{across_topics}{qos}"
                path = os.path.join(self.server.path("rules.d"), f"{self.name}.sql")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write(f"""CREATE RULE {self.name} AS SELECT v FROM '{self.name}/#'
                        DO http(url = '{url}', enableBatching = TRUE,
                                batchConfig = {{'maxBatchOpenMs': 200, 'maxBatchSize': 3, 'batchAcrossTopics': {str(across_topics).upper()}}})
                        ON ERROR DO republish(topic = 'errors/{self.name}', qos = 1);""")
                self.iot.confirm_topic_rule_destination(
                    confirmationToken=json.loads(self.confirmation()[2])["confirmationToken"])
                # The destination is asked before its rule takes the place of the one before.
                wait_until(lambda: self.name in [rule["ruleName"] for rule in self.iot.list_topic_rules()["rules"]]
                           and url in str(self.iot.get_topic_rule(ruleName=self.name)))
                self.receiver.answers = [400] * 20
                seen = len(self.client.payloads())
                for i in range(6):
                    self.client.client.publish(f"{self.name}/{i if across_topics else 't'}", json.dumps({"v": i}), qos=qos)
                told = lambda: [json.loads(each) for each in self.client.payloads()[seen:]]
                wait_until(lambda: sum(len(each["payloadsWithMetadata"]) for each in told()) == 6)
                errors = told()
                self.assertTrue(2 <= len(errors) < 6, errors)
                originals = [json.loads(base64.b64decode(payload["base64OriginalPayload"]))["v"]
                             for error in errors for payload in error["payloadsWithMetadata"]]
                self.assertEqual(originals, list(range(6)))
                for error in errors:
                    payloads = error["payloadsWithMetadata"]
                    ids = list(range(1, len(payloads) + 1))
                    self.assertEqual([each["id"] for each in payloads], ids)
                    members = {"id", "cloudwatchTraceId", "clientId", "sourceIp", "base64OriginalPayload"}
                    self.assertTrue(all(set(each) == members | ({"topic"} if across_topics else set()) for each in payloads))
                    self.assertEqual(set(error), {"ruleName", "payloadsWithMetadata", "failures"} | (set() if across_topics else {"topic"}))
                    failure, = error["failures"]
                    self.assertEqual((failure["failedAction"], failure["failedResource"], failure["affectedIds"]),
                                     ("HttpAction", url, ids))
                self.receiver.answers, self.receiver.requests = [], []

    def test_what_may_not_be_called(self):
        for action, contains in (({"url": "ftp://x/"}, "https://"), ({"url": "https://u@x/"}, "user"),
                                 ({"url": "https://x/${a}"}, "confirmationUrl"),
                                 ({"url": "https://x/a", "confirmationUrl": "https://y/"}, "begin with"),
                                 ({"url": "https://x/", "headers": [{"key": "Host", "value": "y"}]}, "Host")):
            with self.subTest(action), self.assertRaises(self.iot.exceptions.InvalidRequestException) as caught:
                self.rule(action)
            self.assertIn(contains, str(caught.exception))
        made = self.iot.create_topic_rule_destination(
            destinationConfiguration={"httpUrlConfiguration": {"confirmationUrl": "http://169.254.169.254/latest"}})
        wait_until(lambda: "169.254.169.254 is a private address" in self.server.read_log())
        self.iot.delete_topic_rule_destination(arn=made["topicRuleDestination"]["arn"])


if __name__ == "__main__":
    unittest.main()

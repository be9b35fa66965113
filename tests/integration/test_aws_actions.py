"""AWS's actions with boto3 and MQTT: accepted, echoed, refused where they should be, and what they leave in their built-in targets, across kill -9."""
import glob
import json
import os
import sqlite3
import unittest

from server import Server, Subscriber, wait_until

ROLE = "arn:aws:iam::000000000000:role/r"


class BuiltInTargets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

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
            with open(path) as file:
                found += [json.loads(line) for line in file]
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
        wait_until(lambda: len(self.lines("streams/clicks/*/*.jsonl")) == 40)
        self.kill_and_start()
        self.publish({"k": "k1", "i": 41})
        wait_until(lambda: len(self.lines("streams/clicks/*/*.jsonl")) == 41)
        by_key = {}
        for line in self.lines("streams/clicks/*/*.jsonl"):
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


if __name__ == "__main__":
    unittest.main()

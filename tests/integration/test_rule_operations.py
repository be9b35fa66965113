"""What the operator of the rules engine sees and does: sinks, dead letters, traces, secrets, export and import, trying a rule."""
import http.client
import json
import os
import re
import sqlite3
import subprocess
import unittest

from server import BINARY, Server, Subscriber, wait_until

ROLE = "arn:aws:iam::000000000000:role/r"


class RuleOperations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=("secrets.dir=" + cls.make_secrets(),))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @classmethod
    def make_secrets(cls):
        import tempfile
        cls.secrets = tempfile.mkdtemp()
        with open(os.path.join(cls.secrets, "from-file"), "w") as file:
            file.write("file value\n")
        return cls.secrets

    def command(self, *arguments, ok=True, **options):
        done = subprocess.run([BINARY, *arguments, "--data-dir", self.server.data_dir],
                              capture_output=True, text=True, timeout=60, **options)
        self.assertEqual(done.returncode == 0, ok, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def write(self, name, text):
        path = os.path.join(self.server.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def subscriber(self, *filters, **options):
        made = Subscriber(self.server, *filters, **options)
        self.addCleanup(made.close)
        return made

    def post(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("http"), timeout=20)
        self.addCleanup(connection.close)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def test_rules_have_tags(self):
        iot = self.server.api()
        arn = "arn:aws:iot:us-east-1:000000000000:rule/tagged"
        payload = {"sql": "SELECT * FROM 'tagged'", "actions": [{"republish": {"topic": "tagged/out", "roleArn": ROLE}}]}
        iot.create_topic_rule(ruleName="tagged", topicRulePayload=payload, tags="team=a%20b&empty=")

        def tags():
            return {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}

        self.assertEqual(tags(), {"team": "a b", "empty": ""})
        client = self.subscriber("tagged/out")
        iot.tag_resource(resourceArn=arn, tags=[{"Key": "team", "Value": "c"}, {"Key": "k"}])
        iot.untag_resource(resourceArn=arn, tagKeys=["empty", "never"])
        iot.replace_topic_rule(ruleName="tagged", topicRulePayload={**payload, "description": "d"})
        self.assertEqual(tags(), {"team": "c", "k": ""})
        client.publish("tagged", "1")
        client.wait(1)
        for refused in (iot.list_tags_for_resource, lambda resourceArn: iot.untag_resource(resourceArn=resourceArn, tagKeys=["a"])):
            with self.assertRaises(iot.exceptions.ResourceNotFoundException):
                refused(resourceArn=arn + "2")
        with self.assertRaises(iot.exceptions.InvalidRequestException):
            iot.create_topic_rule(ruleName="twice", topicRulePayload=payload, tags="a=1&a=2")
        iot.delete_topic_rule(ruleName="tagged")
        iot.create_topic_rule(ruleName="tagged", topicRulePayload=payload)
        self.assertEqual(tags(), {})

    def test_a_dead_letter_is_listed_shown_retried_and_dropped(self):
        rule = self.write("dead.sql", """
CREATE RULE dead AS SELECT v FROM 'dead/in'
DO sqlite(file = 'dead.db', statement = 'INSERT INTO wanted VALUES (${v})');
""")
        self.command("rule", "apply", rule)
        client = self.subscriber("none", client_id="dead")
        for value in (1, 2, 3):
            client.publish("dead/in", json.dumps({"v": value}))
        wait_until(lambda: self.command("dead-letters", "list", "--rule", "dead").count("no such table") == 3)
        ids = re.findall(r"dead-\d+", self.command("dead-letters", "list"))
        self.assertEqual(len(ids), 3)
        shown = self.command("dead-letters", "show", ids[0])
        self.assertIn('{"v":1}', shown)
        self.assertIn("sqlite dead.db", shown)
        self.assertIn('iotcore_dead_letters{rule="dead"} 3', self.metrics())
        self.assertIn("1 dropped", self.command("dead-letters", "drop", ids[2]))
        with sqlite3.connect(self.server.path("sinks", "dead.db")) as db:
            db.execute("CREATE TABLE wanted (v)")
        self.assertIn("2 on their way again", self.command("dead-letters", "retry", "--rule", "dead"))
        with sqlite3.connect(self.server.path("sinks", "dead.db")) as db:
            wait_until(lambda: sorted(str(row[0]) for row in db.execute("SELECT v FROM wanted")) == ["1", "2"])
        self.assertEqual(self.command("dead-letters", "list", "--rule", "dead"), "")
        self.assertIn("there is no dead letter", self.command("dead-letters", "show", ids[0], ok=False))
        self.assertIn("say which", self.command("dead-letters", "drop", ok=False))
        self.assertRegex(self.command("sinks"), r"up +0 +0 +-  sqlite dead\.db")

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port("admin"), timeout=20)
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def test_the_metrics_have_their_names(self):
        rule = self.write("counted.sql", "CREATE RULE counted AS SELECT v FROM 'counted' WHERE v > 1 DO file(path = 'counted.log');")
        self.command("rule", "apply", rule)
        client = self.subscriber("none", client_id="counted")
        client.publish("counted", '{"v": 1}')
        client.publish("counted", '{"v": 2}')
        wait_until(lambda: 'iotcore_action_success_total{action="file",rule="counted",target="counted.log"} 1' in self.metrics())
        text = self.metrics()
        for line in ('iotcore_rule_matched_total{rule="counted"} 2', 'iotcore_rule_fired_total{rule="counted"} 1',
                     'iotcore_sink_up{target="file counted.log"} 1', 'iotcore_sink_queue_records{target="file counted.log"} 0',
                     'iotcore_sink_oldest_seconds{target="file counted.log"} 0',
                     'iotcore_action_latency_seconds_count{action="file",rule="counted",target="counted.log"} 1'):
            self.assertIn(line, text)

    def test_a_trace_shows_what_goes_in_and_out(self):
        rule = self.write("traced.sql", "CREATE RULE traced AS SELECT v + 1 AS w FROM 'traced/+' WHERE v > 1 DO republish(topic = 'traced/out/${topic(2)}');")
        self.command("rule", "apply", rule)
        client = self.subscriber("none", client_id="tracer")
        trace = subprocess.Popen([BINARY, "rule", "trace", "traced", "--count", "2", "--data-dir", self.server.data_dir],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("tracing traced", trace.stderr.readline())
        client.publish("traced/a", '{"v": 1}')
        client.publish("traced/b", '{"v": 2}')
        out, _ = trace.communicate(timeout=60)
        self.assertRegex(out, r"traced/a from tracer\n  in   \{\"v\": 1\}\n  WHERE is not true\n")
        self.assertRegex(out, r"  out  \{\"w\":3\}\n  do   republish traced/out/b\n")
        self.assertIn("denied", self.command("rule", "trace", "nobody", ok=False))

    def test_secrets_are_kept_and_never_shown(self):
        self.command("secret", "put", "plant/db", input="top secret\n")
        listed = self.command("secret", "list")
        self.assertIn("plant/db", listed)
        self.assertIn("from-file", listed)
        self.assertNotIn("top secret", listed)
        self.command("secret", "put", "json", "--from-file", self.write("s.json", '{"user": "u", "n": 5}'))
        rule = self.write("secrets.sql", f"""
CREATE RULE secrets AS SELECT get_secret('plant/db', 'SecretString', '{ROLE}') AS plain,
  get_secret('json', 'SecretString', 'user', '{ROLE}') AS user, get_secret('json', 'SecretString', '{ROLE}').n AS n,
  get_secret('from-file', 'SecretString', '{ROLE}') AS file,
  get_or_default(get_secret('gone', 'SecretString', '{ROLE}'), 'none') AS gone
FROM 'secrets/in' DO republish(topic = 'secrets/out');
""")
        self.command("rule", "apply", rule)
        client = self.subscriber("secrets/out", client_id="secrets")
        client.publish("secrets/in", "{}")
        client.wait(1)
        self.assertEqual(json.loads(client.payloads()[0]),
                         {"plain": "top secret", "user": "u", "n": 5, "file": "file value", "gone": "none"})
        self.assertIn("plant/db is deleted", self.command("secret", "delete", "plant/db"))
        self.assertIn("there is no secret", self.command("secret", "delete", "plant/db", ok=False))
        self.assertIn("name of a secret", self.command("secret", "put", "../up", input="x", ok=False))
        for folder, _, files in os.walk(self.server.data_dir):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"top secret", file.read() if name != "audit.log" and "sinks" not in folder else b"")

    def test_a_rule_goes_out_as_a_file_and_comes_in_as_json(self):
        given = self.write("in.json", json.dumps({"ruleName": "moved", "topicRulePayload": {
            "sql": "SELECT * FROM 'moved/#'", "awsIotSqlVersion": "2016-03-23", "description": "it's mine",
            "actions": [{"republish": {"topic": "out/${topic(2)}", "roleArn": ROLE, "qos": 1}}]}}))
        self.assertIn("made rule moved", self.command("rule", "import", given))
        self.assertIn("replaced rule moved", self.command("rule", "import", given))
        text = self.command("rule", "export", "moved")
        self.assertIn("CREATE RULE moved", text)
        self.assertIn("COMMENT 'it''s mine'", text)
        path = self.write("moved.sql", text)
        self.assertIn("1 rule", self.command("rule", "check", path))
        self.command("rule", "fmt", path)
        with open(path) as file:
            self.assertEqual(file.read(), text)
        template = self.write("template.json", json.dumps({"Resources": {"Hot": {"Type": "AWS::IoT::TopicRule", "Properties": {
            "TopicRulePayload": {"Sql": "SELECT * FROM 'hot'", "AwsIotSqlVersion": "2016-03-23", "RuleDisabled": False, "Actions": [
                {"Republish": {"Topic": "hot/out", "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "Qos": 1}}]}}}}}))
        self.assertIn("made rule Hot", self.command("rule", "import", template))
        self.assertEqual(self.server.api().get_topic_rule(ruleName="Hot")["rule"]["actions"][0]["republish"]["topic"], "hot/out")

    def test_a_rule_is_tried_over_http(self):
        text = "CREATE RULE tried AS SELECT v * 2 AS w FROM 'try/+' WHERE v > 1 DO republish(topic = 'x/${topic(2)}');"
        status, answer = self.post("/_iotcore/rules-test", {"ruleFile": text, "topic": "try/a", "payload": '{"v": 4}'})
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["rules"], [{"ruleName": "tried", "outcome": "FIRED", "output": '{"w":8}',
                                            "actions": [{"kind": "republish", "resource": "x/a"}]}])
        for topic, payload, outcome in (("try/a", '{"v": 1}', "NOT_FIRED"), ("other", "{}", "OTHER_TOPIC")):
            _, answer = self.post("/_iotcore/rules-test", {"ruleFile": text, "topic": topic, "payload": payload})
            self.assertEqual(answer["rules"][0]["outcome"], outcome)
        status, answer = self.post("/_iotcore/rules-test", {"ruleFile": text.replace("WHERE", "WHEER"), "topic": "a"})
        self.assertEqual(status, 400)
        self.assertIn("ruleFile:1:", answer["message"])


if __name__ == "__main__":
    unittest.main()

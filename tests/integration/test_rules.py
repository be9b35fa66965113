"""Rules by the API and by files, with real clients: what fires, where it lands, what is refused and how it is told."""
import json
import os
import sqlite3
import subprocess
import time
import unittest

from server import BINARY, Server, Subscriber, wait_until

ROLE = "arn:aws:iam::000000000000:role/r"


def republish(topic):
    return {"republish": {"topic": topic, "roleArn": ROLE, "qos": 1}}


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def subscriber(self, *filters, **options):
        made = Subscriber(self.server, *filters, **options)
        self.addCleanup(made.close)
        return made

    def command(self, *arguments):
        return subprocess.run([BINARY, *arguments, "--data-dir", self.server.data_dir],
                              capture_output=True, text=True, timeout=60)

    def write(self, name, text):
        path = os.path.join(self.server.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def rows(self, database, query):
        path = self.server.path("sinks", database)
        if not os.path.exists(path):
            return []
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            try:
                return db.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []

    def test_a_rule_s_life_over_the_api(self):
        iot = self.server.api()
        payload = {"sql": "SELECT v, topic(2) AS d FROM 'api/+/in' WHERE v > 1", "description": "d",
                   "awsIotSqlVersion": "2016-03-23", "actions": [republish("api/out/${topic(2)}")]}
        iot.create_topic_rule(ruleName="life", topicRulePayload=payload)
        with self.assertRaises(iot.exceptions.ResourceAlreadyExistsException):
            iot.create_topic_rule(ruleName="life", topicRulePayload=payload)
        rule = iot.get_topic_rule(ruleName="life")
        self.assertEqual(rule["ruleArn"], "arn:aws:iot:us-east-1:000000000000:rule/life")
        self.assertEqual(rule["rule"]["actions"], payload["actions"])
        self.assertIn("life", [each["ruleName"] for each in iot.list_topic_rules(topic="api/x/in")["rules"]])
        client = self.subscriber("api/out/#", client_id="life")
        for value in (1, 2):
            client.publish("api/x/in", json.dumps({"v": value}))
        client.wait(1)
        iot.disable_topic_rule(ruleName="life")
        client.publish("api/x/in", '{"v": 3}')
        iot.enable_topic_rule(ruleName="life")
        client.publish("api/x/in", '{"v": 4}')
        client.wait(2)
        self.assertEqual([json.loads(payload) for payload in client.payloads()], [{"v": 2, "d": "x"}, {"v": 4, "d": "x"}])
        client.publish("$aws/rules/life/deep/y", '{"v": 5}')  # Basic Ingest
        client.wait(3)
        self.assertEqual(client.messages[2].topic, "api/out/y")
        iot.delete_topic_rule(ruleName="life")
        with self.assertRaises(iot.exceptions.UnauthorizedException):
            iot.get_topic_rule(ruleName="life")

    def test_a_file_rule_writes_rows_and_lines_and_belongs_to_its_file(self):
        path = self.write("hot.sql", """
            CREATE RULE hot AS SELECT t, topic(2) AS m FROM 'hot/+' WHERE t > 70
            DO sqlite(file = 'hot.db', table = 'hot')
            DO file(path = 'hot.jsonl', format = 'json');
            TEST hot GIVEN TOPIC 'hot/a' PAYLOAD {"t": 71} EXPECT {"t": 71, "m": "a"};
        """)
        applied = self.command("rule", "apply", path)
        self.assertEqual(applied.returncode, 0, applied.stderr)
        self.assertIn("rule hot is live", applied.stdout)
        client = self.subscriber(client_id="hot")
        for value in range(60, 80):
            client.publish("hot/m1", json.dumps({"t": value}))
        wait_until(lambda: len(self.rows("hot.db", "SELECT t, m FROM hot ORDER BY t")) == 9)
        self.assertEqual(self.rows("hot.db", "SELECT t, m FROM hot ORDER BY t")[0], (71, "m1"))
        lines = self.server.path("sinks", "hot.jsonl")
        wait_until(lambda: os.path.exists(lines) and len(open(lines).readlines()) == 9)
        iot = self.server.api()
        with self.assertRaises(iot.exceptions.ClientError) as caught:
            iot.delete_topic_rule(ruleName="hot")
        self.assertEqual(caught.exception.response["Error"]["Code"], "ConflictingResourceUpdateException")
        self.assertIn("hot.sql", str(caught.exception))

        # A broken change leaves the running rule in force; a repaired one is taken up; a removed file removes its rule.
        live = self.server.path("rules.d", "hot.sql")
        with open(live, "w") as file:
            file.write("CREATE RULE hot AS SELECT t FORM 'hot/+' DO log();")
        wait_until(lambda: "hot.sql:1:" in self.server.read_log())
        client.publish("hot/m2", '{"t": 99}')
        wait_until(lambda: len(self.rows("hot.db", "SELECT t FROM hot")) == 10)
        os.unlink(live)
        wait_until(lambda: "hot" not in [rule["ruleName"] for rule in iot.list_topic_rules()["rules"]])

    def test_check_points_at_the_mistake(self):
        path = self.write("bad.sql", "CREATE RULE bad AS\nSELECT lenght(a) AS n FROM 'x'\nDO sqlite(fil = 'a.db', table = 't');\n")
        checked = self.command("rule", "check", path)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("bad.sql:2:8", checked.stderr)
        self.assertIn("length", checked.stderr)
        self.assertIn("^", checked.stderr)
        wrong = self.write("wrong.sql", "CREATE RULE w AS SELECT a FROM 'x' DO log();\n"
                           "TEST w GIVEN TOPIC 'x' PAYLOAD {\"a\": 1} EXPECT {\"a\": 2};\n")
        tested = self.command("rule", "test", wrong)
        self.assertEqual(tested.returncode, 1)
        self.assertIn("wrong.sql:2", tested.stderr + tested.stdout)
        shown = self.command("rule", "test", wrong, "--topic", "x", "--payload", '{"a": 7}')
        self.assertIn('{"a":7}', shown.stdout)

    def test_a_rule_that_feeds_itself_ends(self):
        iot = self.server.api()
        iot.create_topic_rule(ruleName="loop", topicRulePayload={
            "sql": "SELECT * FROM 'loop'", "awsIotSqlVersion": "2016-03-23", "actions": [republish("loop")]})
        client = self.subscriber("loop", client_id="loop")
        client.publish("loop", "{}")
        time.sleep(0.5)
        self.assertLess(len(client.messages), 20)
        client.publish("after/loop", "{}")



class RulesOfTheApiOverFiles(unittest.TestCase):
    """rules.files_win = false."""

    def setUp(self):
        self.server = Server(settings=["rules.files_win=false"])
        self.addCleanup(self.server.close)
        self.iot = self.server.api()
        self.write("SELECT 1 AS v FROM 'x'")
        wait_until(lambda: self.sql("mine"))

    def write(self, statement):
        os.makedirs(self.server.path("rules.d"), exist_ok=True)
        with open(self.server.path("rules.d", "mine.sql"), "w") as file:
            file.write(f"CREATE RULE mine AS {statement} DO log(); CREATE RULE other AS SELECT 1 AS v FROM 'y' DO log();")

    def sql(self, name):
        rules = [rule["ruleName"] for rule in self.iot.list_topic_rules()["rules"]]
        return self.iot.get_topic_rule(ruleName=name)["rule"]["sql"] if name in rules else None

    def restart(self):
        self.server.kill()
        self.server.start()
        self.iot = self.server.api()

    def test_a_replaced_rule_stays_until_its_file_changes(self):
        self.iot.replace_topic_rule(ruleName="mine", topicRulePayload={
            "sql": "SELECT 2 AS v FROM 'x'", "awsIotSqlVersion": "2016-03-23", "actions": [republish("out")]})
        self.restart()
        self.assertEqual(self.sql("mine"), "SELECT 2 AS v FROM 'x'")
        self.write("SELECT 3 AS v FROM 'x'")
        wait_until(lambda: self.sql("mine") == "SELECT 3 AS v FROM 'x'")

    def test_a_deleted_rule_is_gone_until_its_file_changes(self):
        self.iot.delete_topic_rule(ruleName="mine")
        self.restart()
        self.assertEqual((self.sql("mine"), self.sql("other")), (None, "SELECT 1 AS v FROM 'y'"))
        self.write("SELECT 3 AS v FROM 'x'")
        wait_until(lambda: self.sql("mine") == "SELECT 3 AS v FROM 'x'")
        self.write("SELECT 1 AS v FROM 'x'")
        wait_until(lambda: self.sql("mine") == "SELECT 1 AS v FROM 'x'")

if __name__ == "__main__":
    unittest.main(warnings="ignore")

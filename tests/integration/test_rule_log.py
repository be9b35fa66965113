"""The log of rules with the event types and members that AWS has for them, so that what reads CloudWatch Logs goes on."""
import json
import os
import unittest

from server import Server, Subscriber, wait_until


class RuleLog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(settings=["log.level=debug", "log.format=json"])
        cls.addClassCleanup(cls.server.close)
        rules = cls.server.path("rules.d")
        os.makedirs(rules, exist_ok=True)
        with open(os.path.join(rules, "log.sql"), "w") as file:
            file.write("""
                CREATE RULE kept AS SELECT v FROM 'log/kept' DO file(path = 'kept.jsonl');
                CREATE RULE refused AS SELECT v FROM 'log/refused' DO sqlite(file = 'x.db', statement = 'INSERT INTO nowhere VALUES (${v})');
                CREATE RULE unresolved AS SELECT v FROM 'log/unresolved' DO republish(topic = '${nothing}');
                CREATE RULE asking AS SELECT get_thing_shadow('nobody', 'r') AS v FROM 'log/asking' DO log(level = 'debug');
            """)
        cls.client = Subscriber(cls.server, client_id="logger")
        cls.addClassCleanup(cls.client.close)
        iot = cls.server.api()
        wait_until(lambda: len(iot.list_topic_rules()["rules"]) == 4)

    def lines(self, event_type, rule):
        found = []
        for line in self.server.read_log().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("eventType") == event_type and entry.get("ruleName") == rule:
                found.append(entry)
        return found

    def one(self, event_type, rule):
        wait_until(lambda: self.lines(event_type, rule))
        return self.lines(event_type, rule)[0]

    def test_what_goes_well(self):
        self.client.publish("log/kept", '{"v": 1}')
        match = self.one("RuleMatch", "kept")
        self.assertEqual({name: match[name] for name in ("level", "status", "topicName", "clientId", "accountId")},
                         {"level": "debug", "status": "Success", "topicName": "log/kept", "clientId": "logger", "accountId": "000000000000"})
        self.assertIn("principalId", match)
        self.assertEqual(self.one("StartingRuleExecution", "kept")["traceId"], match["traceId"])
        done = self.one("RuleExecution", "kept")
        self.assertEqual((done["status"], done["ruleAction"], done["resources"], done["traceId"]), ("Success", "file", "kept.jsonl", match["traceId"]))

    def test_what_fails(self):
        self.client.publish("log/refused", '{"v": 1}')
        failed = self.one("RuleExecution", "refused")
        self.assertEqual((failed["level"], failed["status"], failed["ruleAction"], failed["traceId"]),
                         ("warning", "Failure", "sqlite", self.one("RuleMatch", "refused")["traceId"]))
        self.assertIn("nowhere", failed["error"])
        self.client.publish("log/unresolved", "{}")
        self.assertEqual(self.one("RuleExecution", "unresolved")["status"], "Failure")
        self.client.publish("log/asking", "{}")
        asked = self.one("FunctionExecution", "asking")
        self.assertEqual((asked["status"], asked["topicName"], asked["clientId"]), ("Failure", "log/asking", "logger"))

    def test_a_rule_that_is_not_there(self):
        self.client.publish("$aws/rules/nothere/a/b", "{}")
        missing = self.one("RuleNotFound", "nothere")
        self.assertEqual((missing["status"], missing["topicName"], missing["clientId"]), ("Failure", "a/b", "logger"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")

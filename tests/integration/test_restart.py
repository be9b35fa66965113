"""Killed with -9 and started again: everything that was acknowledged is there."""
import json
import unittest

from server import Server, Subscriber

RULE = {
    "sql": "SELECT * FROM 'in/#'", "awsIotSqlVersion": "2016-03-23",
    "actions": [{"republish": {"topic": "out/${topic(2)}", "roleArn": "arn:aws:iam::000000000000:role/r"}}],
}


class Restart(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        server = Server()
        self.addCleanup(server.close)
        certificate, key, arn = server.device("dev1")
        server.api().create_topic_rule(ruleName="forward", topicRulePayload=RULE)
        publisher = Subscriber(server, client_id="publisher")
        publisher.publish("kept/a", "1", retain=True)
        data = server.api("iot-data")
        data.update_thing_shadow(thingName="dev1", payload=json.dumps({"state": {"desired": {"on": True}}}))
        server.kill()
        publisher.close()

        server.start()
        iot, data = server.api(), server.api("iot-data")
        self.assertEqual(iot.describe_thing(thingName="dev1")["version"], 1)
        self.assertEqual(iot.list_thing_principals(thingName="dev1")["principals"], [arn])
        self.assertEqual(iot.get_policy(policyName="policy-dev1")["defaultVersionId"], "1")
        self.assertEqual(iot.get_topic_rule(ruleName="forward")["rule"]["sql"], RULE["sql"])
        shadow = json.loads(data.get_thing_shadow(thingName="dev1")["payload"].read())
        self.assertEqual(shadow["state"]["desired"], {"on": True})
        self.assertEqual(data.get_retained_message(topic="kept/a")["payload"], b"1")
        # and it all works: the certificate connects, the rule runs
        listener = Subscriber(server, "out/#", "kept/#", client_id="listener")
        self.addCleanup(listener.close)
        device = Subscriber(server, client_id="dev1", tls=(certificate, key))
        self.addCleanup(device.close)
        device.publish("in/x", "{}")
        listener.wait(2)
        self.assertEqual({message.topic for message in listener.messages}, {"kept/a", "out/x"})

    def test_reset_empties_the_account(self):
        server = Server()
        self.addCleanup(server.close)
        certificate, key, _ = server.device("dev1")
        server.api().create_topic_rule(ruleName="forward", topicRulePayload=RULE)
        publisher = Subscriber(server, client_id="publisher")
        self.addCleanup(publisher.close)
        publisher.publish("kept/a", "1", retain=True)
        server.api("iot-data").update_thing_shadow(thingName="dev1", payload='{"state":{"desired":{"a":1}}}')
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{server.port('http')}/_iotcore/reset", method="POST")).read()
        iot, data = server.api(), server.api("iot-data")
        self.assertEqual(iot.list_things()["things"], [])
        self.assertEqual(iot.list_policies()["policies"], [])
        self.assertEqual(iot.list_certificates()["certificates"], [])
        self.assertEqual(iot.list_topic_rules()["rules"], [])
        self.assertEqual(data.list_retained_messages()["retainedTopics"], [])
        with self.assertRaises(data.exceptions.ResourceNotFoundException):
            data.get_thing_shadow(thingName="dev1")
        server.device("dev1")  # and it can be filled again


if __name__ == "__main__":
    unittest.main(warnings="ignore")

"""Retained messages that were acknowledged and what the API answered with 200 survive kill -9."""
import http.client
import json
import sys
import threading
import unittest

import wire
from crashes import Crashes, Subscriber, wait_until

TOPICS = 40
WINDOW = 32
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'


class Retained:
    """Counts up in the retained messages of a few topics; every fifth empties its topic."""

    def __init__(self):
        self.sent = 0
        self.history = {f"kept/{i}": [] for i in range(TOPICS)}  # numbers, in the order sent
        self.acknowledged = {topic: 0 for topic in self.history}

    def produce(self):
        self.sent += 1
        topic = f"kept/{self.sent % TOPICS}"
        payload = b"" if self.sent % 5 == 2 and self.sent % TOPICS < TOPICS // 2 else str(self.sent).encode()
        self.history[topic].append((self.sent, payload))
        return topic, payload, True, (topic, self.sent)

    def acknowledge(self, token):
        topic, number = token
        self.acknowledged[topic] = max(self.acknowledged[topic], number)

    def run(self, server):
        try:
            publisher = wire.Publisher(server.port("mqtt"), "retain", WINDOW, self.produce, self.acknowledge)
        except OSError:
            return
        wire.run([publisher])
        publisher.close()

    def possible(self, topic):
        """What may be retained: the last that was acknowledged or anything sent after it."""
        return {payload for number, payload in self.history[topic] if number >= self.acknowledged[topic]} | (
            set() if self.acknowledged[topic] else {b""})

    def settle(self, found):
        """What is there now is the beginning of the next round."""
        for topic in self.history:
            self.history[topic] = [(0, found.get(topic, b""))]
            self.acknowledged[topic] = 0


class Calls:
    """Makes, changes and deletes things and policies, one call at a time; the last may or may not have happened."""

    def __init__(self, name):
        self.name = name
        self.made = 0
        self.done = 0
        self.things = {}  # name: attribute; None: deleted
        self.policies = set()
        self.doubtful = set()

    def steps(self):
        while True:
            self.made += 1
            thing = f"{self.name}-{self.made}"
            body = {"attributePayload": {"attributes": {"n": str(self.made)}}}
            yield "POST", f"/things/{thing}", body, thing, lambda: self.things.update({thing: str(self.made)})
            yield "POST", f"/policies/{thing}", {"policyDocument": POLICY}, thing, lambda: self.policies.add(thing)
            if self.made % 3 == 0:
                body = {"attributePayload": {"attributes": {"n": "changed"}}}
                yield "PATCH", f"/things/{thing}", body, thing, lambda: self.things.update({thing: "changed"})
            if self.made % 3 == 1:
                yield "DELETE", f"/things/{thing}", None, thing, lambda: self.things.update({thing: None})

    def run(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port("http"), timeout=60)
        for method, path, body, thing, then in self.steps():
            try:
                connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
                reply = connection.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException):
                self.doubtful.add(thing)
                return
            assert reply.status == 200, (method, path, reply.status, text)
            self.done += 1
            then()


class KillRetainedAndRegistry(unittest.TestCase):
    def test_what_was_acknowledged_survives(self):
        crashes = Crashes(15)
        self.addCleanup(crashes.server.close)
        retained, calls = Retained(), [Calls("a"), Calls("b")]
        for n in range(1, crashes.rounds + 1):
            before = retained.sent
            threads = [threading.Thread(target=each.run, args=(crashes.server,)) for each in [retained, *calls]]
            for thread in threads:
                thread.start()
            crashes.kill_in(0.02, 0.5).join()
            for thread in threads:
                thread.join()
            crashes.restart(disturbed=n % 4 == 0)
            with self.subTest(round=n, seed=crashes.seed):
                print(f"round {n}: {retained.sent - before} retained", file=sys.stderr)
                self.check_retained(crashes.server, retained)
                self.check_calls(crashes.server, calls)
        print(f"{retained.sent} retained messages, {sum(each.done for each in calls)} calls", file=sys.stderr)
        self.assertGreater(sum(each.done for each in calls), 5 * crashes.rounds)

    def check_retained(self, server, retained):
        marker = "kept/marker"
        reader = Subscriber(server, "kept/#", client_id="reader")
        reader.publish(marker, "here")
        wait_until(lambda: any(message.topic == marker for message in reader.messages))
        found = {message.topic: message.payload for message in reader.messages if message.topic != marker}
        reader.close()
        for topic in retained.history:
            self.assertIn(found.get(topic, b""), retained.possible(topic), topic)
        retained.settle(found)

    def check_calls(self, server, calls):
        iot = server.api()
        pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 250})
        things = {each["thingName"]: each["attributes"].get("n") for page in pages for each in page["things"]}
        pages = iot.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 250})
        policies = {each["policyName"] for page in pages for each in page["policies"]}
        for each in calls:
            for thing, attribute in each.things.items():
                if thing not in each.doubtful:
                    self.assertEqual(things.get(thing), attribute, thing)
            self.assertEqual(each.policies - policies, set())
            # Of the call that the kill cut off: whole or not at all.
            for thing in each.doubtful & set(things):
                self.assertIn(things[thing], (thing.split("-")[1], "changed"), thing)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

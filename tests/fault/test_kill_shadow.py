"""An accepted shadow update survives kill -9; versions have no gap and no update is there by half."""
import http.client
import json
import sys
import threading
import unittest

import wire
from crashes import Crashes

WINDOW = 4


class Writer:
    """Counts in one field of one thing's shadow, and keeps what the server said about it."""

    def __init__(self, thing, field):
        self.thing = thing
        self.field = field
        self.sent = 0
        self.first = 1  # of this run
        self.accepted = {}  # number: version

    @property
    def unanswered(self):
        return sum(1 for number in range(self.first, self.sent + 1) if number not in self.accepted)

    def update(self):
        """Twice the same number: an update that is there by half shows."""
        self.sent += 1
        return json.dumps({"state": {"reported": {self.field: {"a": self.sent, "b": self.sent}}}, "clientToken": str(self.sent)}).encode()

    def note(self, answer):
        number = int(answer["clientToken"])
        assert number not in self.accepted, "accepted twice"
        self.accepted[number] = answer["version"]


class MqttWriter(Writer):
    def run(self, server):
        topic = f"$aws/things/{self.thing}/shadow/update"
        try:
            link = wire.Link(server.port("mqtt"), f"{self.thing}-{self.field}", [f"{topic}/accepted", f"{topic}/rejected"])
        except OSError:
            return
        open_updates = 0
        while True:
            while open_updates < WINDOW:
                link.publish(topic, self.update(), self.sent % 65535 + 1)
                open_updates += 1
            arrived = link.receive()
            if arrived is None:
                link.close()
                return
            for first, body in arrived:
                if first >> 4 == wire.PUBLISH:
                    open_updates -= self.take(link, first, body)

    def take(self, link, first, body):
        """1 if it answers an update of ours; another writer's come this way as well."""
        end = 2 + int.from_bytes(body[:2], "big")
        topic, packet_id = body[2:end], body[end:end + 2]
        if first & 6:
            link.send(wire.packet(wire.PUBACK << 4, packet_id))
        answer = json.loads(body[end + (2 if first & 6 else 0):])
        assert topic.endswith(b"/accepted"), answer
        if self.field not in answer["state"]["reported"]:
            return 0
        self.note(answer)
        return 1


class RestWriter(Writer):
    def run(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port("http"), timeout=60)
        try:
            while True:
                connection.request("POST", f"/things/{self.thing}/shadow", self.update())
                reply = connection.getresponse()
                body = reply.read()
                assert reply.status == 200, (reply.status, body)
                self.note(json.loads(body))
        except (OSError, http.client.HTTPException):
            return


class KillShadow(unittest.TestCase):
    def setUp(self):
        self.crashes = Crashes(15)
        self.addCleanup(self.crashes.server.close)
        self.server = self.crashes.server
        # One that is updated over MQTT, one over REST, one by two clients and over REST at once.
        self.writers = [MqttWriter("lamp", "m"), RestWriter("pump", "r"),
                        MqttWriter("both", "m"), MqttWriter("both", "n"), RestWriter("both", "r")]
        for thing in {writer.thing for writer in self.writers}:
            self.server.api().create_thing(thingName=thing)
        self.versions = {writer.thing: 0 for writer in self.writers}  # after the last restart

    def test_accepted_updates_survive(self):
        for n in range(1, self.crashes.rounds + 1):
            threads = [threading.Thread(target=writer.run, args=(self.server,)) for writer in self.writers]
            for writer, thread in zip(self.writers, threads):
                writer.first = writer.sent + 1
                thread.start()
            self.crashes.kill_in(0.02, 0.5).join()
            for thread in threads:
                thread.join()
            self.crashes.restart(disturbed=n % 4 == 0)
            for thing in self.versions:
                with self.subTest(round=n, thing=thing, seed=self.crashes.seed):
                    self.check(thing)
        accepted = sum(len(writer.accepted) for writer in self.writers)
        print(f"{accepted} of {sum(writer.sent for writer in self.writers)} updates accepted", file=sys.stderr)
        for writer in self.writers:
            self.assertGreater(len(writer.accepted), 2 * self.crashes.rounds, f"{writer.thing} {writer.field}")

    def check(self, thing):
        writers = [writer for writer in self.writers if writer.thing == thing]
        before, shadow = self.versions[thing], self.read(thing)
        version = self.versions[thing] = shadow["version"]
        accepted = [v for writer in writers for v in writer.accepted.values() if v > before]
        self.assertEqual(len(accepted), len(set(accepted)), "two updates got one version")
        unknown = set(range(before + 1, version + 1)) - set(accepted)
        self.assertEqual(len(unknown) + len(accepted), version - before, "an accepted version is gone")
        self.assertLessEqual(len(unknown), sum(writer.unanswered for writer in writers), "versions that no update got")
        for writer in writers:
            state = shadow["state"]["reported"].get(writer.field, {"a": 0, "b": 0})
            self.assertEqual(state["a"], state["b"], "half an update")
            self.assertGreaterEqual(state["a"], max(writer.accepted, default=0), f"an accepted update of {writer.field} is gone")
            self.assertLessEqual(state["a"], writer.sent)
            versions = list(writer.accepted.values())
            self.assertEqual(versions, sorted(versions), "versions out of order")
        if len(writers) == 1:
            # One after the other without a gap, those that were not answered at last.
            applied = max(state["a"], writer.first - 1) - writer.first + 1
            self.assertEqual(version, before + applied)
            self.assertEqual(sorted(accepted), list(range(before + 1, before + 1 + len(accepted))))

    def read(self, thing):
        data = self.server.api("iot-data")
        try:
            return json.loads(data.get_thing_shadow(thingName=thing)["payload"].read())
        except data.exceptions.ResourceNotFoundException:
            return {"version": 0, "state": {"reported": {}}}


if __name__ == "__main__":
    unittest.main(warnings="ignore")

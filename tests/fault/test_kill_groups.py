"""A kill -9 while things move between groups leaves no group that says one thing and no thing that says another."""
import http.client
import json
import sys
import threading
import unittest

from crashes import Crashes

TREES = 3
THINGS = 12


class Mover:
    """Moves its things between the groups of each tree, changes an attribute that dynamic groups ask for, deletes groups and makes them again."""

    def __init__(self, name):
        self.name = name
        self.step = 0
        self.moves = 0

    def calls(self):
        while True:
            self.step += 1
            thing = f"{self.name}-{self.step % THINGS}"
            tree = self.step % TREES
            old, new = f"tree{tree}-a", f"tree{tree}-b"
            if self.step // THINGS % 2:
                old, new = new, old
            yield "POST", f"/things/{thing}", {}
            yield "PUT", "/thing-groups/updateThingGroupsForThing", {
                "thingName": thing, "thingGroupsToAdd": [new], "thingGroupsToRemove": [old]}
            yield "PATCH", f"/things/{thing}", {"attributePayload": {"attributes": {"n": str(self.step % 2)}}}
            if self.step % 17 == 0:
                yield "DELETE", f"/thing-groups/{self.name}-own", None
                yield "POST", f"/thing-groups/{self.name}-own", {"tags": [{"Key": "step", "Value": "x"}]}
                yield "PUT", "/thing-groups/addThingToThingGroup", {"thingName": thing, "thingGroupName": f"{self.name}-own"}

    def run(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server.port("http"), timeout=60)
        for method, path, body in self.calls():
            try:
                connection.request(method, path, body if body is None else json.dumps(body), {"content-type": "application/json"})
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException):
                return
            # A thing that was created differently before, or a move that its place forbids, is refused.
            assert reply.status in (200, 400, 404, 409), (method, path, reply.status)
            self.moves += reply.status == 200


class KillGroups(unittest.TestCase):
    def test_memberships_are_whole(self):
        crashes = Crashes(8)
        self.addCleanup(crashes.server.close)
        iot = crashes.server.api()
        for tree in range(TREES):
            iot.create_thing_group(thingGroupName=f"tree{tree}")
            for side in "ab":
                iot.create_thing_group(thingGroupName=f"tree{tree}-{side}", parentGroupName=f"tree{tree}")
        iot.create_dynamic_thing_group(thingGroupName="odd", queryString="attributes.n:1")
        movers = [Mover("a"), Mover("b")]
        for n in range(1, crashes.rounds + 1):
            threads = [threading.Thread(target=each.run, args=(crashes.server,)) for each in movers]
            for thread in threads:
                thread.start()
            crashes.kill_in(0.1, 0.6).join()
            for thread in threads:
                thread.join()
            crashes.restart(disturbed=n % 4 == 0)
            with self.subTest(round=n, seed=crashes.seed):
                self.check(crashes.server.api())
        print(f"{sum(each.moves for each in movers)} calls", file=sys.stderr)
        self.assertGreater(sum(each.moves for each in movers), 5 * crashes.rounds)

    def check(self, iot):
        things = {each["thingName"]: each for each in iot.list_things(maxResults=250)["things"]}
        by_thing = {thing: {each["groupName"] for each in iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]}
                    for thing in things}
        by_group = {each["groupName"]: set(iot.list_things_in_thing_group(thingGroupName=each["groupName"])["things"])
                    for each in iot.list_thing_groups(maxResults=250)["thingGroups"]}
        for thing, groups in by_thing.items():
            self.assertEqual(groups, {group for group, members in by_group.items() if thing in members}, thing)
            self.assertEqual("odd" in groups, things[thing]["attributes"].get("n") == "1", thing)
            for tree in range(TREES):
                self.assertLessEqual(len(groups & {f"tree{tree}-a", f"tree{tree}-b"}), 1, thing)
        self.assertLessEqual(set().union(*by_group.values()), set(things))


if __name__ == "__main__":
    unittest.main(warnings="ignore")

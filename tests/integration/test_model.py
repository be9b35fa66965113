"""Holds what the server says of its operations (/openapi.json) against AWS's own service model, as Debian's botocore carries it: every member of requests
and replies with its place, type, whether it is required, and its bounds."""
import csv
import json
import os
import unittest
import urllib.request

import botocore.session

from server import Server

TABLE = os.path.join(os.path.dirname(__file__), "../data/aws-api.tsv")
AREAS = {
    "things", "thing-types", "thing-groups", "billing-groups", "dynamic-groups", "tags", "logging", "events", "certificates", "ca-certificates",
    "policies", "authorizers", "domain-configurations", "role-aliases", "endpoint",
}
TYPES = {"string": "string", "boolean": "boolean", "integer": "integer", "long": "integer", "double": "number", "float": "number",
         "timestamp": "number", "blob": "string", "structure": "object", "map": "object", "list": "array"}
# AWS has widened these since that botocore.
NEWER_PATTERNS = {
    "[a-zA-Z0-9_.,@/:#-]*": r"[a-zA-Z0-9_.,@/:#=\[\]-]*",
}
# Members that AWS has added since, which we have; top-level ones are in the table.
NEWER_MEMBERS = {"mqtt5Configuration"}


class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = Server()
        cls.addClassCleanup(server.close)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port('admin')}/openapi.json") as reply:
            cls.document = json.load(reply)
        cls.operations = {}
        for path, methods in cls.document["paths"].items():
            for method, operation in methods.items():
                cls.operations[operation["operationId"], method.upper(), path.split("#")[0]] = operation
        cls.service = botocore.session.get_session().get_service_model("iot")
        with open(TABLE) as table:
            cls.rows = [row for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
                        if row["service"] == "iot" and row["area"] in AREAS and row["since"] == "base"]

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def check_bounds(self, ours, theirs):
        bounds = theirs.metadata
        pattern = bounds.get("pattern")
        if pattern is not None:
            self.assertIn(ours.get("pattern"), {f"^({pattern})$", f"^({NEWER_PATTERNS.get(pattern)})$"})
        else:
            self.assertNotIn("pattern", ours)
        low, high = ("minLength", "maxLength") if theirs.type_name == "string" else ("minimum", "maximum")
        if theirs.type_name in ("string", "integer", "long"):
            self.assertEqual(ours.get(low) or None, bounds.get("min") or None)
            self.assertEqual(ours.get(high), bounds.get("max"))
        if bounds.get("enum"):
            self.assertLessEqual(set(bounds["enum"]), set(ours.get("enum", [])))
        else:
            self.assertNotIn("enum", ours)

    def check_value(self, ours, theirs, is_input, seen):
        ours = self.resolve(ours)
        if not ours:
            return  # any JSON: the actions of rules
        self.assertEqual(ours.get("type"), TYPES[theirs.type_name])
        if theirs.type_name == "structure":
            self.check_members(ours, theirs, is_input, seen)
        elif theirs.type_name == "list":
            self.check_value(ours["items"], theirs.member, is_input, seen)
        elif theirs.type_name == "map":
            self.check_value(ours["additionalProperties"], theirs.value, is_input, seen)
            if is_input:
                self.check_bounds(ours.get("x-keys", {}), theirs.key)
        elif is_input:
            self.check_bounds(ours, theirs)

    def check_members(self, ours, theirs, is_input, seen, names=None, extra=frozenset()):
        if theirs.name in seen:
            return
        members = {theirs.members[name].serialization.get("name", name): shape for name, shape in theirs.members.items()
                   if names is None or name in names}
        properties = ours.get("properties", {})
        self.assertEqual(set(properties) - NEWER_MEMBERS - extra, set(members))
        if is_input:
            required = {name for name in theirs.required_members if names is None or name in names}
            self.assertEqual(set(ours.get("required", [])), required)
        for name, shape in members.items():
            with self.subTest(member=name):
                self.check_value(properties[name], shape, is_input, seen | {theirs.name})

    def check_input(self, row, operation, model):
        shape = model.input_shape
        placed = {"uri": "path", "querystring": "query", "header": "header"}
        parameters = {(each["in"], each["name"]): each for each in operation["parameters"]}
        body = set()
        for name, member in (shape.members.items() if shape is not None else ()):
            place = member.serialization.get("location")
            if place is None:
                body.add(name)
                continue
            with self.subTest(member=name):
                ours = parameters.get((placed[place], member.serialization["name"]))
                self.assertIsNotNone(ours)
                self.assertEqual(ours["required"], name in shape.required_members)
                schema = self.resolve(ours["schema"])
                if member.type_name == "timestamp":
                    self.assertEqual(schema["format"], "date-time")
                else:
                    self.check_value(schema, member, True, frozenset())
        content = operation.get("requestBody", {}).get("content", {})
        payload = shape.serialization.get("payload") if shape is not None else None
        if payload is not None:
            self.check_value(content["application/json"]["schema"], shape.members[payload], True, frozenset())
        elif body:
            newer = {each for each in row["optional"].split(",") if "@" not in each}
            self.check_members(self.resolve(content["application/json"]["schema"]), shape, True, frozenset(), body, newer - body)

    def test_operations_agree_with_botocore(self):
        checked = 0
        for row in self.rows:
            model = self.service.operation_model(row["operation"])
            operation = self.operations.get((row["operation"], row["method"], row["uri"].replace("+}", "}").rstrip("/")))
            if operation is None:
                continue  # not described yet: tests/unit/gateway says which must be
            checked += 1
            with self.subTest(operation=row["operation"]):
                self.check_input(row, operation, model)
                if model.output_shape is not None:
                    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                    newer = set(row["response"].split(","))
                    self.check_members(self.resolve(schema), model.output_shape, False, frozenset(), None,
                                       newer - set(model.output_shape.members))
        self.assertGreaterEqual(checked, 65)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

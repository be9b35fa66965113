"""Every action shape of botocore's model of iot: created, shown again exactly as it was given, and refused member by member where one is missing or wrong."""
import json
import unittest

import boto3

from server import Server

ROLE = "arn:aws:iam::000000000000:role/r"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"

# Values that are not any text: by the path of the member in its action.
VALUES = {
    "dynamoDB.operation": "INSERT", "dynamoDB.hashKeyType": "STRING", "dynamoDB.rangeKeyType": "NUMBER", "dynamoDB.rangeKeyValue": "${n}",
    "lambda.functionArn": FUNCTION,
    "sns.targetArn": "arn:aws:sns:us-east-1:000000000000:t", "sns.messageFormat": "RAW",
    "sqs.queueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/q",
    "republish.headers.payloadFormatIndicator": "UTF8_DATA", "republish.headers.messageExpiry": "10",
    "republish.headers.correlationData": "YQ==",
    "s3.cannedAcl": "private", "firehose.separator": "\n",
    "cloudwatchMetric.metricValue": "1", "cloudwatchMetric.metricTimestamp": "1700000000",
    "cloudwatchAlarm.stateValue": "OK",
    "elasticsearch.endpoint": "https://search.example.com", "openSearch.endpoint": "https://search.example.com",
    "salesforce.token": "t" * 40, "salesforce.url": "https://ingestion-a.b.sfdcnow.com/streams/s/t/event",
    "iotAnalytics.channelArn": None,  # channelName is given
    "iotEvents.batchMode": False,
    "iotSiteWise.putAssetPropertyValueEntries.assetId": None, "iotSiteWise.putAssetPropertyValueEntries.propertyId": None,
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.value.integerValue": None,
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.value.doubleValue": None,
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.value.booleanValue": None,
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.timestamp.timeInSeconds": "1700000000",
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.timestamp.offsetInNanos": "5",
    "iotSiteWise.putAssetPropertyValueEntries.propertyValues.quality": "GOOD",
    "timestream.timestamp.value": "${t}", "timestream.timestamp.unit": "SECONDS",
    "http.url": "https://203.0.113.1/a", "http.confirmationUrl": "https://203.0.113.1/",
    "kafka.partition": "1", "kafka.clientProperties": {"bootstrap.servers": "127.0.0.1:1"},
    "location.timestamp.value": "${t}", "location.timestamp.unit": "SECONDS", "location.latitude": "1", "location.longitude": "2",
}
# Members without which an action is right though the model requires them: AWS's shapes want a role, which means nothing here.
NOT_NEEDED = {"roleArn"}
# Kinds that have tests of their own, with the functions that they call.
MISSING = {"lambda", "stepFunctions"}
BAD = [
    ("dynamoDB.hashKeyType", "BINARY"), ("dynamoDB.operation", "UPSERT"), ("sns.messageFormat", "XML"), ("sqs.queueUrl", "q.fifo"),
    ("republish.topic", "a/#"), ("s3.key", "a/../b"), ("firehose.separator", ";"), ("cloudwatchMetric.metricValue", "much"),
    ("cloudwatchAlarm.stateValue", "RED"), ("timestream.timestamp.unit", "DAYS"), ("location.latitude", "91"), ("location.longitude", "-181"),
    ("http.url", "ftp://x"), ("timestream.databaseName", "a b"), ("kinesis.streamName", "a/../b"), ("cloudwatchLogs.logGroupName", "/../x"),
    ("s3.key", "${never closed"), ("salesforce.url", "http://x"),
]


def full(shape, path):
    """A value with every member of the shape."""
    if path in VALUES:
        return VALUES[path]
    if shape.type_name == "structure":
        members = {name: full(member, f"{path}.{name}") for name, member in shape.members.items()}
        return {name: value for name, value in members.items() if value is not None}
    if shape.type_name == "list":
        return [full(shape.member, path)]
    if shape.type_name == "map":
        return {"k": "v"}
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "integer":
        return 1
    return ROLE if path.endswith("roleArn") else path.rsplit(".", 1)[-1]


def required_paths(shape, path=()):
    if shape.type_name == "list":
        yield from required_paths(shape.member, path + (0,))
    if shape.type_name != "structure":
        return
    for name, member in shape.members.items():
        if name in shape.required_members and name not in NOT_NEEDED:
            yield path + (name,)
        yield from required_paths(member, path + (name,))


NULL = object()


def changed(value, path, to=None):
    """A copy with the member at the path replaced, NULL for null, or without it; None if there is no such place."""
    copy = json.loads(json.dumps(value))
    at = copy
    for step in path[:-1]:
        if isinstance(at, dict) and step not in at:
            return None
        at = at[step]
    if isinstance(at, dict) and path[-1] not in at:
        return None
    if to is None:
        del at[path[-1]]
    else:
        at[path[-1]] = None if to is NULL else to
    return copy


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.iot = cls.server.api()
        # What the client itself would refuse has to reach the server.
        cls.raw = cls.server.api()
        cls.raw = boto3.Session(region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b").client(
            "iot", endpoint_url=f"http://127.0.0.1:{cls.server.port('http')}",
            config=boto3.session.Config(parameter_validation=False, retries={"max_attempts": 1}))
        cls.shapes = dict(cls.iot.meta.service_model.shape_for("Action").members)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def create(self, name, actions, sql="SELECT * FROM 'contract'", **more):
        self.raw.create_topic_rule(ruleName=name, topicRulePayload={
            "sql": sql, "awsIotSqlVersion": "2016-03-23", "actions": actions, **more})

    def refused(self, actions, **more):
        with self.assertRaises(self.raw.exceptions.ClientError) as caught:
            self.create("refused", actions, **more)
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return caught.exception.response["Error"]["Code"]

    def kinds(self):
        """(kind, shape, an action with all members) of each that this server has."""
        for kind, shape in sorted(self.shapes.items()):
            if kind not in MISSING:
                yield kind, shape, {kind: full(shape, kind)}

    def test_every_shape_is_taken_and_shown_as_given(self):
        for kind, _, action in self.kinds():
            with self.subTest(kind):
                name = f"r_{kind}"
                self.create(name, [action], errorAction=action)
                rule = self.raw.get_topic_rule(ruleName=name)["rule"]
                self.assertEqual(rule["actions"], [action])
                self.assertEqual(rule["errorAction"], action)
                self.raw.replace_topic_rule(ruleName=name, topicRulePayload={
                    "sql": "SELECT a FROM 'contract'", "actions": [action], "ruleDisabled": True})
                rule = self.raw.get_topic_rule(ruleName=name)["rule"]
                self.assertEqual((rule["actions"], rule["ruleDisabled"]), ([action], True))
                self.raw.delete_topic_rule(ruleName=name)

    def test_a_required_member_that_is_missing_is_refused(self):
        for kind, shape, action in self.kinds():
            with self.subTest(kind):
                for path in required_paths(shape, (kind,)):
                    for to in (None, NULL):
                        without = changed(action, path, to)
                        if without is not None:
                            body = json.dumps({"sql": "SELECT * FROM 'a'", "actions": [without]})  # an SDK would leave null out
                            self.assertEqual(self.post(body), (400, "InvalidRequestException"), path)

    def test_a_member_that_is_unknown_or_of_another_type_is_refused(self):
        for kind, shape, action in self.kinds():
            with self.subTest(kind):
                body = json.dumps({"sql": "SELECT * FROM 'a'", "actions": [{kind: {**action[kind], "surprise": 1}}]})
                self.assertEqual(self.post(body), (400, "InvalidRequestException"))
                for name, member in shape.members.items():
                    if name in action[kind]:
                        wrong = [] if member.type_name in ("string", "boolean", "integer", "structure", "map") else "x"
                        body = json.dumps({"sql": "SELECT * FROM 'a'", "actions": [{kind: {**action[kind], name: wrong}}]})
                        self.assertEqual(self.post(body), (400, "InvalidRequestException"), f"{kind}.{name}")

    def post(self, body):
        import urllib.error
        import urllib.request
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port('http')}/rules/refused", body.encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, None
        except urllib.error.HTTPError as error:
            return error.code, error.headers["x-amzn-ErrorType"].split(":")[0]

    def test_a_value_that_cannot_be_is_refused(self):
        for path, value in BAD:
            kind, *rest = path.split(".")
            with self.subTest(path):
                action = {kind: full(self.shapes[kind], kind)}
                self.assertEqual(self.refused([changed(action, [kind, *rest], value)]), "InvalidRequestException")

    def test_statements_names_and_limits(self):
        action = {"republish": {"topic": "out", "roleArn": ROLE}}
        self.assertEqual(self.refused([action], sql="SELECT * FORM 'a'"), "SqlParseException")
        self.assertEqual(self.refused([action], sql="SELECT * FROM 'a/#/b'"), "SqlParseException")
        self.assertEqual(self.refused([action] * 11), "InvalidRequestException")
        self.assertEqual(self.refused([{**action, "s3": {"bucketName": "b", "key": "k", "roleArn": ROLE}}]), "InvalidRequestException")
        self.assertEqual(self.refused([{}]), "InvalidRequestException")
        self.assertEqual(self.refused([action], awsIotSqlVersion="1999-01-01"), "InvalidRequestException")
        self.create("most", [action] * 10)
        self.raw.delete_topic_rule(ruleName="most")
        self.create("n" * 128, [])
        self.raw.delete_topic_rule(ruleName="n" * 128)
        for name in ("n" * 129, "a-b"):
            with self.assertRaises(self.raw.exceptions.InvalidRequestException):
                self.create(name, [action])

        def sized(total):
            """A payload that is shown with so many bytes of JSON."""
            payload = {"sql": "SELECT * FROM 'a'", "description": "", "actions": [action], "ruleDisabled": False,
                       "awsIotSqlVersion": "2016-03-23"}
            payload["description"] = "d" * (total - len(json.dumps(payload, separators=(",", ":"))))
            return payload

        self.raw.create_topic_rule(ruleName="large", topicRulePayload=sized(256 * 1024))
        self.raw.delete_topic_rule(ruleName="large")
        with self.assertRaises(self.raw.exceptions.InvalidRequestException):
            self.raw.create_topic_rule(ruleName="large", topicRulePayload=sized(256 * 1024 + 1))

    def test_a_number_that_stands_for_text_is_shown_as_text(self):
        self.create("numbers", [{"republish": {"topic": 5, "qos": 1, "headers": {"messageExpiry": 7.5}}}],
                    errorAction={"s3": {"bucketName": 12, "key": "k"}})
        rule = self.raw.get_topic_rule(ruleName="numbers")["rule"]
        self.assertEqual(rule["actions"], [{"republish": {"topic": "5", "qos": 1, "headers": {"messageExpiry": "7.5"}}}])
        self.assertEqual(rule["errorAction"], {"s3": {"bucketName": "12", "key": "k"}})
        self.raw.delete_topic_rule(ruleName="numbers")

    def test_what_exists_is_named_unless_the_request_itself_is_wrong(self):
        self.create("twice", [])
        with self.assertRaises(self.raw.exceptions.ResourceAlreadyExistsException) as caught:
            self.create("twice", [])
        self.assertEqual(caught.exception.response["resourceId"], "twice")
        self.assertEqual(caught.exception.response["resourceArn"], "arn:aws:iot:us-east-1:000000000000:rule/twice")
        with self.assertRaises(self.raw.exceptions.SqlParseException):
            self.create("twice", [], sql="SELECT * FORM 'a'")
        with self.assertRaises(self.raw.exceptions.InvalidRequestException):
            self.create("twice", [{"republish": {}}])
        self.raw.delete_topic_rule(ruleName="twice")
        kind = {"httpUrlConfiguration": {"confirmationUrl": "https://203.0.113.1/twice"}}
        made = self.raw.create_topic_rule_destination(destinationConfiguration=kind)["topicRuleDestination"]["arn"]
        with self.assertRaises(self.raw.exceptions.ResourceAlreadyExistsException) as caught:
            self.raw.create_topic_rule_destination(destinationConfiguration=kind)
        self.assertEqual(caught.exception.response["resourceArn"], made)
        self.raw.delete_topic_rule_destination(arn=made)

    def test_a_token_of_another_list_or_made_up_is_refused(self):
        data = self.server.api("iot-data")
        for name in "abc":
            self.create(f"page_{name}", [])
            data.update_thing_shadow(thingName="paged", shadowName=name, payload=b'{"state": {}}')
        made = [self.raw.create_topic_rule_destination(destinationConfiguration={"httpUrlConfiguration": {
            "confirmationUrl": f"https://203.0.113.1/{i}"}})["topicRuleDestination"]["arn"] for i in range(3)]
        lists = {
            "rules": lambda **more: self.raw.list_topic_rules(maxResults=1, **more),
            "destinationSummaries": lambda **more: self.raw.list_topic_rule_destinations(maxResults=1, **more),
            "results": lambda **more: data.list_named_shadows_for_thing(thingName="paged", pageSize=1, **more),
        }
        tokens = {member: each()["nextToken"] for member, each in lists.items()}
        for member, each in lists.items():
            page, seen = each(), 0
            while "nextToken" in page:
                seen += len(page[member])
                page = each(nextToken=page["nextToken"])
            self.assertEqual(seen + len(page[member]), 3, member)
            for bad in ("AAAA", "e30=", *(token for other, token in tokens.items() if other != member)):
                with self.assertRaises(self.raw.exceptions.ClientError) as caught:
                    each(nextToken=bad)
                self.assertEqual(caught.exception.response["Error"]["Code"], "InvalidRequestException", (member, bad))
        for arn in made:
            self.raw.delete_topic_rule_destination(arn=arn)
        for name in "abc":
            self.raw.delete_topic_rule(ruleName=f"page_{name}")

    def test_basic_ingest_reaches_a_rule_by_its_name(self):
        # No FROM: reachable so and only so; nobody else gets the message.
        from server import Subscriber
        self.create("direct", [{"republish": {"topic": "direct/${topic()}", "roleArn": ROLE, "qos": 1}}], sql="SELECT v, topic(1) AS t")
        client = Subscriber(self.server, "direct/#", "#", client_id="direct")
        client.publish("$aws/rules/direct/a/b", '{"v": 1}')
        client.publish("$aws/rules/Direct/a/b", '{"v": 2}')  # names are case-sensitive; acknowledged all the same
        client.publish("$aws/rules/direct", '{"v": 3}')
        client.wait(1)
        client.publish("end", "")
        client.wait(2)
        topics = [message.topic for message in client.messages]
        self.assertIn("direct/a/b", topics)
        self.assertFalse([topic for topic in topics if topic.startswith("$aws")])
        self.assertEqual(json.loads(client.messages[0].payload), {"v": 1, "t": "a"})
        client.close()


if __name__ == "__main__":
    unittest.main()

"""Local functions as rules use them: Python and Node.js handlers, unchanged, by the lambda and stepFunctions actions and by aws_lambda()."""
import http.server
import json
import os
import shutil
import stat
import tempfile
import threading
import unittest
import uuid

from server import Server, Subscriber, wait_until

PYTHON = """
import json, os, sys, time

OUT = os.environ["OUT"]

def note(kind, what):
    with open(os.path.join(OUT, kind + "-" + str(os.getpid())), "a") as file:
        file.write(json.dumps(what) + "\\n")

def record(event, context):
    note("record", {"event": event, "arn": context.invoked_function_arn, "name": context.function_name,
                    "version": context.function_version})

def echo(event, context):
    return event

def double(event, context):
    return {"twice": event["n"] * 2, "by": context.function_name}

def fail(event, context):
    note("fail", event["n"])
    raise RuntimeError("it never works")

def second_time(event, context):
    path = os.path.join(OUT, "seen-%d" % event["n"])
    if not os.path.exists(path):
        open(path, "w").close()
        raise RuntimeError("not the first time")
    note("second", event["n"])

def authorize(event, context):
    import base64
    mqtt = event["protocolData"]["mqtt"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
    return {"isAuthenticated": base64.b64decode(mqtt["password"]) == b"right", "principalId": mqtt["username"], "policyDocuments": [json.dumps(allowed)],
            "disconnectAfterInSeconds": 3600, "refreshAfterInSeconds": 600}

def slow(event, context):
    time.sleep(event["s"])
    return "awake"

def crash(event, context):
    print("about to end", file=sys.stderr, flush=True)
    os._exit(9)
"""

NODE = """
const fs = require('fs');
exports.async = async (event, context) => ({ sum: event.a + event.b, name: context.functionName });
exports.callback = (event, context, callback) => setTimeout(() => callback(null, { sum: event.a + event.b }), 5);
exports.succeed = (event, context) => context.succeed({ sum: event.a + event.b });
exports.throws = async () => { throw new TypeError('no such thing'); };
exports.rejects = async () => Promise.reject('text');
exports.nested = { deep: async () => ({ sum: 0 }) };
exports.nothing = () => {};
exports.record = async (event) => {
  fs.appendFileSync(`${process.env.OUT}/node-${process.pid}`, JSON.stringify({ event }) + '\\n');
};
"""

MODULE = "export const handler = async (event) => ({ sum: event.a + event.b, module: true });\n"

# As AWS's documentation has it for a runtime of one's own.
BOOTSTRAP = """#!/bin/sh
set -eu
. "$LAMBDA_TASK_ROOT/$(echo $_HANDLER | cut -d. -f1).sh"
while true; do
  HEADERS="$(mktemp)"
  EVENT_DATA=$(curl -sS -LD "$HEADERS" "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/next")
  REQUEST_ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
  RESPONSE=$($(echo "$_HANDLER" | cut -d. -f2) "$EVENT_DATA")
  curl -sS "http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/$REQUEST_ID/response" -d "$RESPONSE"
  rm "$HEADERS"
done
"""
SHELL_HANDLER = """handler() {
  echo "got $1" 1>&2
  echo '{"from": "the shell"}'
}
"""

RULES = """
CREATE TARGET shell AS function(command = ['./bootstrap'], handler = 'function.handler', dir = 'functions/sh', network = TRUE);
CREATE RULE to_shell AS SELECT aws_lambda('shell', *) AS answer FROM 'shell' DO republish(topic = 'shell/out', qos = 1);
CREATE TARGET record AS function(runtime = 'python', handler = 'app.record', dir = 'functions/py', version = '7', env = {'OUT': '@OUT', 'MARK': '@MARK'}, concurrency = 2);
CREATE TARGET double AS function(command = ['python3', '-m', 'iotcore_runtime', 'app.double'], dir = 'functions/py', env = {'OUT': '@OUT', 'MARK': '@MARK'});
CREATE TARGET fail AS function(runtime = 'python', handler = 'app.fail', dir = 'functions/py', env = {'OUT': '@OUT'});
CREATE TARGET second AS function(runtime = 'python', handler = 'app.second_time', dir = 'functions/py', env = {'OUT': '@OUT'});
CREATE TARGET slow AS function(runtime = 'python', handler = 'app.slow', dir = 'functions/py', timeout = 1, env = {'OUT': '@OUT', 'MARK': '@MARK'});
CREATE TARGET crash AS function(runtime = 'python', handler = 'app.crash', dir = 'functions/py', env = {'OUT': '@OUT'});
CREATE TARGET authorize AS function(runtime = 'python', handler = 'app.authorize', dir = 'functions/py', env = {'OUT': '@OUT'});
@NODE

CREATE RULE by_action AS SELECT *, topic(2) AS device FROM 'record/+'
DO lambda(functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:record:live')
ON ERROR DO republish(topic = 'errors/record', qos = 1);

CREATE RULE by_name AS SELECT * FROM 'named/+'
DO lambda(functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:${topic(2)}')
ON ERROR DO republish(topic = 'errors/${topic(2)}', qos = 1);

CREATE RULE by_machine AS SELECT n FROM 'machine/+'
DO stepFunctions(stateMachineName = 'record', executionNamePrefix = '${topic(2)}-')
ON ERROR DO republish(topic = 'errors/machine', qos = 1);

CREATE RULE in_select AS SELECT aws_lambda('arn:aws:lambda:us-east-1:000000000000:function:double', *) AS answer, n FROM 'select/+'
DO republish(topic = 'selected/${topic(2)}', qos = 1);

CREATE RULE too_slow AS SELECT get_or_default(aws_lambda('slow', *), 'default') AS answer, n FROM 'slow/default' DO republish(topic = 'slow/out', qos = 1);
CREATE RULE too_slow_ends AS SELECT aws_lambda('slow', *) AS answer FROM 'slow/ends' DO republish(topic = 'slow/ended', qos = 1) ON ERROR DO republish(topic = 'slow/error', qos = 1);
CREATE RULE ender AS SELECT n FROM 'slow/ends' DO republish(topic = 'slow/marker', qos = 1);
"""

NODE_TARGETS = [("js_async", "app.async"), ("js_callback", "app.callback"), ("js_succeed", "app.succeed"), ("js_throws", "app.throws"),
                ("js_rejects", "app.rejects"), ("js_deep", "app.nested.deep"), ("js_nothing", "app.nothing"), ("js_module", "module.handler"),
                ("js_record", "app.record"), ("js_missing", "app.missing")]
NODE_RULE = """
CREATE RULE select_@NAME AS SELECT get_or_default(aws_lambda('@NAME', *), 'failed') AS answer FROM 'node/@NAME' DO republish(topic = 'node/@NAME/out', qos = 1);
"""


def processes(mark):
    """The ids of all processes that have it in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass
    return found


MORE_RULES = """
CREATE TARGET elsewhere AS lambda(match = 'far-*', url = '@URL/2015-03-31/functions/function/invocations');
CREATE TARGET api AS lambda(match = 'aws-*', url = '@URL', region = 'eu-west-1', accessKey = 'AKIDEXAMPLE', secretKey = 'secret');
CREATE TARGET machines AS stepFunctions(match = 'far-*', url = '@URL', region = 'eu-west-1', account = '123456789012');
CREATE RULE far_machine AS SELECT n FROM 'far-machine/+'
DO stepFunctions(stateMachineName = 'far-away', executionNamePrefix = '${topic(2)}-') ON ERROR DO republish(topic = 'errors/machine', qos = 1);
CREATE RULE far_select AS SELECT aws_lambda('far-away', *) AS answer FROM 'far' DO republish(topic = 'far/out', qos = 1);
CREATE RULE far_literal AS SELECT n FROM 'far-literal' DO lambda(functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:far-literal');

CREATE RULE describe AS SELECT get_registry_data('DescribeThing', topic(2), 'arn:aws:iam::000000000000:role/r') AS thing,
  get_registry_data('ListThingGroupsForThing', topic(2), 'arn:aws:iam::000000000000:role/r') AS groups
FROM 'describe/+' DO republish(topic = 'described/${topic(2)}', qos = 1);
CREATE RULE put_item AS SELECT * FROM 'item/+'
DO dynamoDBv2(putItem = {'tableName': 'items'}) ON ERROR DO republish(topic = 'errors/item', qos = 1);
CREATE TARGET items AS table(match = 'items', hashKey = 'id');
CREATE RULE get_item AS SELECT get_dynamodb('items', 'id', topic(2), 'arn:aws:iam::000000000000:role/r') AS item
FROM 'get/+' DO republish(topic = 'got/${topic(2)}', qos = 1);
CREATE RULE predict AS SELECT machinelearning_predict('flat', 'arn:aws:iam::000000000000:role/r', *) AS answer FROM 'predict' DO republish(topic = 'predicted', qos = 1);
CREATE TARGET flat AS function(runtime = 'python', handler = 'app.echo', dir = 'functions/py', env = {'OUT': '@OUT'});
"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Stands for functions that are not ours: remembers what it is asked, answers what it is told to."""

    protocol_version = "HTTP/1.1"
    asked = []
    status = 200

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Elsewhere.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
        answer = json.dumps({"from": "elsewhere"}).encode()
        self.send_response(Elsewhere.status)
        self.send_header("Content-Length", str(len(answer)))
        if json.loads(body).get("bad"):
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Functions(unittest.TestCase):
    def setUp(self):
        Elsewhere.asked, Elsewhere.status = [], 200
        self.elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
        threading.Thread(target=self.elsewhere.serve_forever, daemon=True).start()
        self.addCleanup(self.elsewhere.server_close)
        self.addCleanup(self.elsewhere.shutdown)
        self.out = tempfile.mkdtemp(prefix="iotcore-out-", dir="/tmp")
        os.chmod(self.out, 0o777)
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)
        self.mark = uuid.uuid4().hex
        self.node = shutil.which("node")
        self.server = Server(start=False)
        self.addCleanup(self.server.close)
        for folder, name, text in (("py", "app.py", PYTHON), ("js", "app.js", NODE), ("js", "module.mjs", MODULE),
                                   ("sh", "bootstrap", BOOTSTRAP), ("sh", "function.sh", SHELL_HANDLER)):
            os.makedirs(self.server.path("functions", folder), exist_ok=True)
            with open(self.server.path("functions", folder, name), "w") as file:
                file.write(text)
        os.chmod(self.server.path("functions", "sh", "bootstrap"), 0o755)
        os.makedirs(self.server.path("rules.d"), exist_ok=True)
        rules = RULES.replace("@NODE", self.node_rules() if self.node else "").replace("@OUT", self.out).replace("@MARK", self.mark)
        with open(self.server.path("rules.d", "functions.sql"), "w") as file:
            file.write(rules)
        with open(self.server.path("rules.d", "more.sql"), "w") as file:
            file.write(MORE_RULES.replace("@URL", f"http://127.0.0.1:{self.elsewhere.server_port}").replace("@OUT", self.out))
        self.server.start()

    def node_rules(self):
        text = ""
        for name, handler in NODE_TARGETS:
            text += f"CREATE TARGET {name} AS function(runtime = 'nodejs', handler = '{handler}', dir = 'functions/js', timeout = 30, env = {{'OUT': '@OUT'}});\n"
            text += NODE_RULE.replace("@NAME", name)
        return text

    def noted(self, kind):
        lines = []
        for name in sorted(os.listdir(self.out)):
            if name.startswith(kind + "-"):
                with open(os.path.join(self.out, name)) as file:
                    lines += [json.loads(line) for line in file if line.endswith("\n")]
        return lines

    def ask(self, topic, payload, answers):
        """What comes on `answers`. A process may take longer to start than a statement waits; it is there the next time."""
        listener = Subscriber(self.server, answers, client_id="asker")
        try:
            for _ in range(20):
                listener.publish(topic, json.dumps(payload))
                try:
                    wait_until(lambda: listener.messages, timeout_s=3)
                    return json.loads(listener.messages[0].payload)
                except TimeoutError:
                    pass
            self.fail(f"no answer to {topic}\n{self.server.read_log()[-3000:]}")
        finally:
            listener.close()

    def client(self, *filters):
        subscriber = Subscriber(self.server, *filters, client_id="tester")
        self.addCleanup(subscriber.close)
        return subscriber

    def test_lambda_action(self):
        client = self.client("errors/#")
        for n in range(50):
            client.publish("record/lamp", json.dumps({"n": n}))
        wait_until(lambda: len(self.noted("record")) >= 50)
        noted = self.noted("record")
        self.assertEqual(sorted(each["event"]["n"] for each in noted), list(range(50)))
        self.assertEqual(noted[0]["arn"], "arn:aws:lambda:us-east-1:000000000000:function:record:live")
        self.assertEqual((noted[0]["name"], noted[0]["version"]), ("record", "7"))
        self.assertEqual(noted[0]["event"]["device"], "lamp")
        self.assertLessEqual(len([name for name in os.listdir(self.out) if name.startswith("record-")]), 2)
        self.assertEqual(client.messages, [])

    def test_results_that_no_function_takes(self):
        client = self.client("errors/#")
        client.publish("named/record", b"\x00\xff not JSON")
        client.publish("named/record", json.dumps({"x": "y" * (96 << 10)}))  # fits
        client.publish("named/nobody", json.dumps({"n": 1}))
        client.publish("named/not a name", json.dumps({"n": 1}))
        client.wait(3)
        errors = {message.topic: json.loads(message.payload)["failures"][0] for message in client.messages}
        self.assertIn("not JSON", errors["errors/record"]["errorMessage"])
        self.assertEqual(errors["errors/record"]["failedAction"], "LambdaAction")
        self.assertIn("there is no function nobody", errors["errors/nobody"]["errorMessage"])
        self.assertTrue(errors["errors/nobody"]["failedResource"].endswith(":function:nobody"))
        self.assertIn("names no function", errors["errors/not a name"]["errorMessage"])
        wait_until(lambda: len(self.noted("record")) == 1)

    def test_failing_functions_are_tried_three_times_and_keep_nobody_waiting(self):
        client = self.client("errors/#")
        client.publish("named/fail", json.dumps({"n": 1}))
        for n in range(10):
            client.publish("named/second", json.dumps({"n": n}))
        client.publish("named/record", json.dumps({"n": 3}))
        client.wait(1)
        failure = json.loads(client.messages[0].payload)["failures"][0]
        self.assertIn("RuntimeError: it never works", failure["errorMessage"])
        self.assertEqual(self.noted("fail"), [1, 1, 1])
        wait_until(lambda: len(self.noted("second")) == 10)
        self.assertEqual(sorted(self.noted("second")), list(range(10)))
        self.assertEqual(len(client.messages), 1)

    def test_crash_and_timeout(self):
        client = self.client("errors/#")
        client.publish("named/crash", json.dumps({"n": 1}))
        client.publish("named/slow", json.dumps({"s": 100}))
        client.wait(2)
        errors = {message.topic: json.loads(message.payload)["failures"][0]["errorMessage"] for message in client.messages}
        self.assertIn("Runtime.ExitError", errors["errors/crash"])
        self.assertIn("exit status 9", errors["errors/crash"])
        self.assertIn("Task timed out after 1.00 seconds", errors["errors/slow"])
        self.assertIn("about to end", self.server.read_log())

    def test_step_functions(self):
        client = self.client("errors/#")
        client.publish("machine/lamp", json.dumps({"n": 5, "other": 1}))
        wait_until(lambda: len(self.noted("record")) == 1)
        event = self.noted("record")[0]["event"]
        self.assertEqual(event["input"], {"n": 5})
        self.assertTrue(event["name"].startswith("lamp-"))
        uuid.UUID(event["name"][5:])

    def test_aws_lambda(self):
        self.assertEqual(self.ask("select/lamp", {"n": 21}, "selected/lamp"), {"answer": {"twice": 42, "by": "double"}, "n": 21})
        self.assertEqual(self.ask("slow/default", {"s": 50, "n": 1}, "slow/out"), {"answer": "default", "n": 1})
        client = self.client("slow/ended", "slow/error", "slow/marker")
        client.publish("slow/ends", json.dumps({"s": 50, "n": 2}))
        client.wait(1)
        wait_until(lambda: "aws_lambda()" in self.server.read_log())
        self.assertEqual([message.topic for message in client.messages], ["slow/marker"])

    def test_node(self):
        if not self.node:
            self.skipTest("there is no node here")
        client = self.client("node/+/out")
        event = json.dumps({"a": 2, "b": 3})
        want = {"js_async": {"sum": 5, "name": "js_async"}, "js_callback": {"sum": 5}, "js_succeed": {"sum": 5}, "js_throws": "failed",
                "js_rejects": "failed", "js_deep": {"sum": 0}, "js_nothing": None, "js_module": {"sum": 5, "module": True}, "js_missing": "failed"}
        got = {}
        for name in want:
            # A process may take longer to start than a statement waits; it is there the next time.
            for _ in range(20):
                before = len(client.messages)
                client.publish(f"node/{name}", event)
                client.wait(before + 1)
                got[name] = json.loads(client.messages[-1].payload)["answer"]
                if got[name] != "failed" or want[name] == "failed":
                    break
        # null is what get_or_default() takes for nothing.
        want["js_nothing"] = "failed"
        self.assertEqual(got, want)
        log = self.server.read_log()
        self.assertIn("TypeError: no such thing", log)
        self.assertIn("Runtime.HandlerNotFound", log)

    def test_nothing_is_left_behind(self):
        client = self.client()
        for how in ("stop", "kill"):
            client.publish("record/lamp", json.dumps({"n": 1}))
            client.publish("select/lamp", json.dumps({"n": 1}))
            client.publish("named/slow", json.dumps({"s": 100}))
            wait_until(lambda: len(processes(self.mark)) >= 3)
            getattr(self.server, how)()
            wait_until(lambda: not processes(self.mark), timeout_s=20)
            self.server.start()
            client = self.client()

    def test_a_runtime_of_ones_own(self):
        self.assertEqual(self.ask("shell", {"n": 1}, "shell/out"), {"answer": {"from": "the shell"}})
        wait_until(lambda: 'got {\\"n\\":1}' in self.server.read_log() or 'got {"n":1}' in self.server.read_log())

    def test_changed_targets(self):
        path = self.server.path("rules.d", "functions.sql")
        self.assertEqual(self.ask("select/lamp", {"n": 1}, "selected/lamp")["answer"]["twice"], 2)
        with open(self.server.path("functions", "py", "app.py"), "a") as file:
            file.write("\ndef double(event, context):\n    return 'new'\n")
        with open(path) as file:
            text = file.read()
        with open(path + ".new", "w") as file:
            file.write(text.replace("'app.double'], ", "'app.double'], version = '2', "))
        os.rename(path + ".new", path)
        wait_until(lambda: self.ask("select/lamp", {"n": 1}, "selected/lamp")["answer"] == "new")

    def test_functions_that_run_elsewhere(self):
        client = self.client("errors/#", "far/out")
        client.publish("named/far-away", json.dumps({"n": 1}))
        client.publish("named/aws-there", json.dumps({"n": 2}))
        client.publish("far-literal", json.dumps({"n": 3}))
        client.publish("far-machine/lamp", json.dumps({"n": 4}))
        client.publish("far", json.dumps({"n": 5}))
        client.wait(1)
        self.assertEqual(json.loads(client.messages[0].payload), {"answer": {"from": "elsewhere"}})
        wait_until(lambda: len(Elsewhere.asked) >= 5)
        by_n = {}
        for path, headers, body in Elsewhere.asked:
            by_n[body.get("n") or json.loads(body["input"])["n"]] = (path, headers, body)
        for n in (1, 3, 5):
            self.assertEqual(by_n[n][0], "/2015-03-31/functions/function/invocations")
        path, headers, _ = by_n[2]
        self.assertEqual((path, headers["x-amz-invocation-type"]), ("/2015-03-31/functions/aws-there/invocations", "Event"))
        self.assertIn("Credential=AKIDEXAMPLE/", headers["authorization"])
        self.assertIn("/eu-west-1/lambda/aws4_request", headers["authorization"])
        _, headers, body = by_n[4]
        self.assertEqual(headers["x-amz-target"], "AWSStepFunctions.StartExecution")
        self.assertEqual(body["stateMachineArn"], "arn:aws:states:eu-west-1:123456789012:stateMachine:far-away")
        self.assertTrue(body["name"].startswith("lamp-"))
        self.assertEqual(json.loads(body["input"]), {"n": 4})
        # A function's own error is tried three times, a refusal once.
        Elsewhere.asked = []
        client.publish("named/far-away", json.dumps({"bad": True}))
        client.wait(2)
        self.assertEqual(len(Elsewhere.asked), 3)
        Elsewhere.status = 403
        client.publish("named/far-away", json.dumps({"n": 7}))
        client.wait(3)
        self.assertIn("status 403", json.loads(client.messages[2].payload)["failures"][0]["errorMessage"])

    def test_invoke(self):
        client = self.server.api("lambda")
        arn = "arn:aws:lambda:us-east-1:000000000000:function:double"
        for name in ("double", arn, "000000000000:function:double"):
            answer = client.invoke(FunctionName=name, Payload=b'{"n": 4}')
            self.assertEqual(json.loads(answer["Payload"].read()), {"twice": 8, "by": "double"})
            self.assertEqual((answer["StatusCode"], answer["ExecutedVersion"], answer.get("FunctionError")), (200, "$LATEST", None))
        failed = client.invoke(FunctionName="double", Payload=b'{"m": 4}')
        self.assertEqual((failed["StatusCode"], failed["FunctionError"]), (200, "Unhandled"))
        self.assertEqual(json.loads(failed["Payload"].read())["errorType"], "KeyError")
        self.assertEqual(client.invoke(FunctionName="record", InvocationType="Event", Payload=b'{"n": 1}')["StatusCode"], 202)
        wait_until(lambda: len(self.noted("record")) == 1)
        self.assertEqual(client.invoke(FunctionName="record", Qualifier="live", Payload=b'{"n": 2}')["ExecutedVersion"], "live")
        self.assertTrue(self.noted("record")[-1]["arn"].endswith(":function:record:live"))
        self.assertEqual(client.invoke(FunctionName="record", InvocationType="DryRun")["StatusCode"], 204)
        with self.assertRaises(client.exceptions.ResourceNotFoundException):
            client.invoke(FunctionName="nobody")
        with self.assertRaises(client.exceptions.InvalidRequestContentException):
            client.invoke(FunctionName="double", Payload=b"not JSON")

    def test_invoke_is_for_operators(self):
        signed = self.server.api("lambda", tls=True)
        self.assertEqual(signed.invoke(FunctionName="double", Payload=b'{"n": 4}')["StatusCode"], 200)
        stranger = self.server.api("lambda", tls=True, aws_access_key_id="AKIASTRANGER", aws_secret_access_key="x")
        with self.assertRaises(stranger.exceptions.ClientError):
            stranger.invoke(FunctionName="double", Payload=b'{"n": 4}')

    def test_other_external_functions(self):
        client = self.client("described/#", "got/#", "errors/#")
        iot = self.server.api()
        iot.create_thing(thingName="lamp", attributePayload={"attributes": {"color": "red"}})
        iot.create_thing_group(thingGroupName="lamps")
        iot.add_thing_to_thing_group(thingGroupName="lamps", thingName="lamp")
        client.publish("describe/nobody", "{}")
        client.publish("describe/lamp", "{}")
        client.wait(1)
        described = json.loads(client.messages[0].payload)
        self.assertEqual((described["thing"]["thingName"], described["thing"]["attributes"]), ("lamp", {"color": "red"}))
        self.assertEqual([group["groupName"] for group in described["groups"]["thingGroups"]], ["lamps"])
        client.publish("item/a", json.dumps({"id": "a", "n": 1}))

        def item():
            before = len(client.messages)
            client.publish("get/a", "{}")
            client.wait(before + 1)
            return json.loads(client.messages[-1].payload)["item"]
        wait_until(lambda: item() is not None)
        self.assertEqual(item(), {"id": "a", "n": 1})
        predicted = self.ask("predict", {"a": {"b": {"c": 1}, "d": "x"}, "e": 2}, "predicted")
        self.assertEqual(predicted["answer"], {"a.b.c": 1, "a.d": "x", "e": 2})

    def test_authorizer(self):
        iot = self.server.api()
        iot.create_authorizer(authorizerName="local", authorizerFunctionArn="arn:aws:lambda:us-east-1:000000000000:function:authorize",
                              status="ACTIVE", signingDisabled=True)
        answer = iot.test_invoke_authorizer(authorizerName="local", mqttContext={"username": "lamp", "password": b"right"})
        self.assertTrue(answer["isAuthenticated"])
        self.assertEqual(answer["principalId"], "lamp")
        answer = iot.test_invoke_authorizer(authorizerName="local", mqttContext={"username": "lamp", "password": b"wrong"})
        self.assertFalse(answer["isAuthenticated"])

    def test_what_functions_are_kept_from(self):
        mode = stat.S_IMODE(os.stat(self.server.data_dir).st_mode)
        self.assertEqual(mode & 0o077, 0, "others may not enter the data folder")


if __name__ == "__main__":
    unittest.main(warnings="ignore")

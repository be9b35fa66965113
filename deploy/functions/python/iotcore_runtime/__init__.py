"""Runs an AWS Lambda handler written in Python: fetches events from the Lambda Runtime API, calls the handler, sends back what it returns.

    python3 -m iotcore_runtime app.handler

Needs nothing but the standard library. The handler gets (event, context) as in AWS; it may also be a coroutine function.
"""
import asyncio
import decimal
import http.client
import importlib
import inspect
import json
import logging
import os
import sys
import time
import traceback

API = "/2018-06-01/runtime"


class LambdaContext:
    """What a handler may ask about its invocation."""

    def __init__(self, headers):
        client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        identity = json.loads(headers.get("Lambda-Runtime-Cognito-Identity") or "null")
        self.aws_request_id = headers.get("Lambda-Runtime-Aws-Request-Id")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.invoked_function_arn = headers.get("Lambda-Runtime-Invoked-Function-Arn")
        self.tenant_id = headers.get("Lambda-Runtime-Aws-Tenant-Id")
        self.client_context = ClientContext(client_context) if client_context else None
        self.identity = CognitoIdentity(identity or {})
        self._deadline_ms = int(headers.get("Lambda-Runtime-Deadline-Ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return (f"LambdaContext([aws_request_id={self.aws_request_id},function_name={self.function_name},"
                f"invoked_function_arn={self.invoked_function_arn}])")


class CognitoIdentity:
    def __init__(self, members):
        self.cognito_identity_id = members.get("cognitoIdentityId")
        self.cognito_identity_pool_id = members.get("cognitoIdentityPoolId")


class Client:
    def __init__(self, members):
        self.installation_id = members.get("installation_id")
        self.app_title = members.get("app_title")
        self.app_version_name = members.get("app_version_name")
        self.app_version_code = members.get("app_version_code")
        self.app_package_name = members.get("app_package_name")


class ClientContext:
    def __init__(self, members):
        self.custom = members.get("custom")
        self.env = members.get("env")
        self.client = Client(members.get("client") or {})


class StartError(Exception):
    """The handler can't be had. `kind` is what AWS calls it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


class RuntimeApi:
    """One connection to the server, opened again when it was closed in between."""

    def __init__(self, address):
        self._connection = http.client.HTTPConnection(address)

    def _call(self, method, path, body=None, headers=None):
        for attempt in (0, 1):
            try:
                self._connection.request(method, API + path, body=body, headers=headers or {})
                response = self._connection.getresponse()
                return response.status, response.headers, response.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()
                if attempt:
                    raise

    def next(self):
        status, headers, body = self._call("GET", "/invocation/next")
        if status != 200:
            raise RuntimeError(f"the Runtime API answered {status}: {body[:200]!r}")
        return headers, body

    def respond(self, request_id, body, content_type="application/json"):
        status, _, answer = self._call("POST", f"/invocation/{request_id}/response", body, {"Content-Type": content_type})
        if status == 413:
            document = {"errorMessage": f"Response payload size exceeded maximum allowed payload size ({len(body)} bytes).",
                        "errorType": "Function.ResponseSizeTooLarge"}
            self.fail(request_id, document)
        elif status != 202:
            print(f"the Runtime API answered {status} to a response: {answer[:200]!r}", file=sys.stderr, flush=True)

    def fail(self, request_id, document):
        self._report(f"/invocation/{request_id}/error", document)

    def fail_start(self, document):
        self._report("/init/error", document)

    def _report(self, path, document):
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": document["errorType"]}
        self._call("POST", path, json.dumps(document).encode(), headers)


def find_handler(name):
    """The function that "folder/module.function" names."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot or not module_name or not function_name:
        raise StartError("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise StartError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise StartError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        raise StartError("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from error


def to_plain(value):
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def error_document(error, request_id=None):
    if isinstance(error, StartError):
        document = {"errorMessage": str(error), "errorType": error.kind, "stackTrace": error.trace}
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = os.path.dirname(os.path.abspath(__file__))
        trace = traceback.format_list([frame for frame in frames if os.path.dirname(frame.filename) != own])
        document = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}
    document["requestId"] = request_id or ""
    return document


def print_error(document):
    lines = [f"[ERROR] {document['errorType']}: {document['errorMessage']}"]
    if document["stackTrace"]:
        lines += ["Traceback (most recent call last):"] + [frame.rstrip("\n") for frame in document["stackTrace"]]
    print("\n".join(lines), flush=True)


class Formatter(logging.Formatter):
    """As in AWS: level, time and request, separated by tabs."""

    converter = time.gmtime
    request_id = ""

    def format(self, record):
        record.aws_request_id = Formatter.request_id
        return super().format(record)


def set_up_logging():
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL"):
        logging.getLogger().setLevel(level)


def invoke(handler, headers, body):
    """Returns (answer's bytes, its content type). Raises what the handler raises."""
    try:
        event = json.loads(body)
    except ValueError as error:
        raise StartError("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
    result = handler(event, LambdaContext(headers))
    if inspect.isawaitable(result):
        async def wait():
            return await result
        result = asyncio.run(wait())
    if isinstance(result, (bytes, bytearray)):
        return bytes(result), "application/octet-stream"
    try:
        return json.dumps(result, default=to_plain, ensure_ascii=False).encode(), "application/json"
    except (TypeError, ValueError) as error:
        raise StartError("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def run(handler_name):
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    for folder in (os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd(),):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    sys.stdout.reconfigure(line_buffering=True)
    set_up_logging()
    try:
        handler = find_handler(handler_name)
    except Exception as error:  # whatever the module does while it is loaded
        document = error_document(error)
        print_error(document)
        api.fail_start(document)
        sys.exit(1)
    while True:
        headers, body = api.next()
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        Formatter.request_id = request_id
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id") or ""
        try:
            answer, content_type = invoke(handler, headers, body)
        except Exception as error:
            document = error_document(error, request_id)
            print_error(document)
            sys.stdout.flush()
            api.fail(request_id, document)
            continue
        sys.stdout.flush()
        api.respond(request_id, answer, content_type)

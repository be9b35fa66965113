// Runs an AWS Lambda handler written for Node.js: fetches events from the Lambda Runtime API, calls the handler, sends back what it returns.
//
//   node iotcore-runtime app.handler
//
// Needs nothing but Node. Handlers of all forms: async, with a callback, by context.succeed() and context.fail(), streaming; CommonJS and ES modules.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const { PassThrough } = require('stream');
const { pathToFileURL } = require('url');

const API = '/2018-06-01/runtime';
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

// What can go wrong before or around the handler, by AWS's names.
class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    this.name = type;
  }
}

class RuntimeApi {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon);
    this.port = Number(address.slice(colon + 1));
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  }

  call(method, target, body, headers, again = true) {
    return new Promise((resolve, reject) => {
      const options = { host: this.host, port: this.port, agent: this.agent, method, path: API + target, headers: headers || {} };
      const request = http.request(options, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      });
      request.on('error', (error) => {
        // The server may have closed a connection that was kept.
        if (again && request.reusedSocket && error.code === 'ECONNRESET') {
          resolve(this.call(method, target, body, headers, false));
        } else {
          reject(error);
        }
      });
      request.setTimeout(0);
      request.end(body);
    });
  }

  async next() {
    const answer = await this.call('GET', '/invocation/next');
    if (answer.status !== 200) {
      throw new Error(`the Runtime API answered ${answer.status}: ${answer.body}`);
    }
    return answer;
  }

  async respond(id, body, type) {
    const headers = { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
    const answer = await this.call('POST', `/invocation/${id}/response`, body, headers);
    if (answer.status === 413) {
      await this.fail(id, {
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: `Response payload size exceeded maximum allowed payload size (${Buffer.byteLength(body)} bytes).`,
        trace: [],
      });
    } else if (answer.status !== 202) {
      process.stderr.write(`the Runtime API answered ${answer.status} to a response: ${answer.body}\n`);
    }
  }

  fail(id, document) {
    return this.report(`/invocation/${id}/error`, document);
  }

  report(target, document) {
    const body = JSON.stringify(document);
    return this.call('POST', target, body, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'Lambda-Runtime-Function-Error-Type': document.errorType,
    });
  }
}

function errorDocument(error) {
  if (error instanceof Error || (error && typeof error === 'object' && typeof error.message === 'string' && error.name)) {
    return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack || '').split('\n') };
  }
  return { errorType: typeof error, errorMessage: typeof error === 'object' ? JSON.stringify(error) : String(error), trace: [] };
}

function isFile(name) {
  try {
    return fs.statSync(name).isFile();
  } catch (error) {
    return false;
  }
}

async function load(root, module) {
  const base = path.resolve(root, module);
  for (const ending of ['', '.js']) {
    if (!isFile(base + ending)) {
      continue;
    }
    try {
      return require(base + ending);
    } catch (error) {
      // Of a package with "type": "module".
      if (error.code === 'ERR_REQUIRE_ESM' || error.code === 'ERR_REQUIRE_ASYNC_MODULE') {
        return import(pathToFileURL(base + ending));
      }
      throw error;
    }
  }
  if (isFile(base + '.mjs')) {
    return import(pathToFileURL(base + '.mjs'));
  }
  if (isFile(base + '.cjs')) {
    return require(base + '.cjs');
  }
  try {
    return require(require.resolve(module, { paths: [root, path.join(root, '..')] }));
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') {
      throw new RuntimeError('Runtime.ImportModuleError', `Error: Cannot find module '${path.basename(module)}'\n${error.message}`);
    }
    throw error;
  }
}

// "folder/module.name.of.function"
async function findHandler(root, name) {
  const folder = path.dirname(name);
  const match = /^([^.]*)\.(.+)$/.exec(path.basename(name));
  if (!match || name.includes('..')) {
    throw new RuntimeError('Runtime.MalformedHandlerName', `'${name}' is not a valid handler name: it should be MODULE.FUNCTION`);
  }
  let module;
  try {
    module = await load(root, path.join(folder, match[1]));
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new RuntimeError('Runtime.UserCodeSyntaxError', `${error}`);
    }
    throw error;
  }
  const find = (from) => match[2].split('.').reduce((object, member) => (object == null ? undefined : object[member]), from);
  const handler = find(module) || find(module.default);
  if (handler === undefined) {
    throw new RuntimeError('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw new RuntimeError('Runtime.HandlerNotFound', `${name} is not a function`);
  }
  return handler;
}

function parsed(text) {
  return text ? JSON.parse(text) : undefined;
}

function makeContext(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(headers['lambda-runtime-client-context']),
    identity: parsed(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// Settles with what the handler makes of the event, by whichever way it tells.
function callHandler(handler, event, context) {
  return new Promise((resolve, reject) => {
    const settle = (error, result) => {
      const finish = () => (error === undefined || error === null ? resolve(result) : reject(error));
      if (context.callbackWaitsForEmptyEventLoop) {
        whenIdle = finish;
      } else {
        setImmediate(finish);
      }
    };
    context.succeed = (result) => { context.callbackWaitsForEmptyEventLoop = false; settle(null, result); };
    context.fail = (error) => { context.callbackWaitsForEmptyEventLoop = false; settle(error === undefined || error === null ? 'handled' : error); };
    context.done = (error, result) => { context.callbackWaitsForEmptyEventLoop = false; settle(error, result); };
    const result = handler(event, context, settle);
    if (result && typeof result.then === 'function') {
      result.then(resolve, reject);
    } else if (handler.length < 3 && whenIdle === null) {
      // Neither a promise nor a callback: done when nothing is left to do.
      whenIdle = () => resolve(undefined);
    }
  });
}

// Called when the event loop has run empty: for handlers with a callback, whose answer waits for that.
let whenIdle = null;
process.on('beforeExit', () => {
  const call = whenIdle || idleFallback;
  whenIdle = null;
  if (call) {
    call();
  }
});
// A handler that has neither answered nor left anything to wait for: AWS answers null.
let idleFallback = null;

async function answerOf(handler, event, context) {
  if (handler[STREAMING]) {
    const stream = new PassThrough();
    stream.setContentType = () => {};
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    const ended = new Promise((resolve, reject) => {
      stream.on('end', resolve);
      stream.on('error', reject);
    });
    await handler(event, stream, context);
    stream.end();
    await ended;
    return { body: Buffer.concat(chunks), type: 'application/octet-stream' };
  }
  const result = await Promise.race([
    callHandler(handler, event, context),
    new Promise((resolve) => { idleFallback = () => resolve(null); }),
  ]);
  idleFallback = null;
  const text = JSON.stringify(result === undefined ? null : result);
  return { body: text === undefined ? 'null' : text, type: 'application/json' };
}

function defineGlobals() {
  globalThis.awslambda = {
    streamifyResponse: (handler) => {
      handler[STREAMING] = true;
      return handler;
    },
    HttpResponseStream: { from: (stream) => stream },
  };
}

let currentId;

async function run(name) {
  const api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
  const root = process.env.LAMBDA_TASK_ROOT || process.cwd();
  defineGlobals();
  const die = (type) => async (reason) => {
    const document = errorDocument(reason);
    if (type) {
      document.errorMessage = `${document.errorType}: ${document.errorMessage}`;
      document.errorType = type;
    }
    process.stderr.write(`${document.errorType}: ${document.errorMessage}\n`);
    try {
      await (currentId ? api.fail(currentId, document) : api.report('/init/error', document));
    } finally {
      process.exit(currentId ? 128 + 1 : 1);
    }
  };
  process.on('uncaughtException', die(null));
  process.on('unhandledRejection', die('Runtime.UnhandledPromiseRejection'));
  let handler;
  try {
    handler = await findHandler(root, name);
  } catch (error) {
    await die(null)(error);
    return;
  }
  for (;;) {
    const invocation = await api.next();
    currentId = invocation.headers['lambda-runtime-aws-request-id'];
    process.env._X_AMZN_TRACE_ID = invocation.headers['lambda-runtime-trace-id'] || '';
    whenIdle = null;
    try {
      const context = makeContext(invocation.headers);
      const answer = await answerOf(handler, JSON.parse(invocation.body.toString('utf8')), context);
      await api.respond(currentId, answer.body, answer.type);
    } catch (error) {
      const document = errorDocument(error);
      process.stderr.write(`ERROR\t${currentId}\t${document.trace.join('\n') || document.errorMessage}\n`);
      await api.fail(currentId, document);
    }
    currentId = undefined;
  }
}

const name = process.argv[2] || process.env._HANDLER;
if (!name) {
  process.stderr.write('usage: node iotcore-runtime MODULE.FUNCTION\n');
  process.exit(2);
}
run(name);

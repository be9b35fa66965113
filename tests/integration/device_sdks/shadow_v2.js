// One shadow's life with aws-iot-device-sdk-v2: node shadow_v2.js HOW WHICH THING PORT CA CERT KEY
// HOW: v1-311, v1-5 (callbacks), v2-311, v2-5 (request and response); WHICH: classic or the name of a named shadow.
const assert = require("assert");
const { iot, mqtt, mqtt5, iotshadow } = require("aws-iot-device-sdk-v2");

const [how, which, thing, port, ca, cert, key] = process.argv.slice(2);
const named = which !== "classic";
const shadow = named ? { thingName: thing, shadowName: which } : { thingName: thing };
const [api, protocol] = how.split("-");
const qos = mqtt.QoS.AtLeastOnce;

function named_or_classic(client, before, after) {
  const method = client[before + (named ? "Named" : "") + after];
  return method.bind(client);
}

async function open() {
  if (protocol === "5") {
    const config = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath("localhost", cert, key)
      .withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port))
      .withConnectProperties({ clientId: thing, keepAliveIntervalSeconds: 60 }).build();
    const client = new mqtt5.Mqtt5Client(config);
    const connected = new Promise((done, failed) => {
      client.once("connectionSuccess", done);
      client.once("connectionFailure", (event) => failed(event.error));
    });
    client.start();
    await connected;
    return { client, close: () => new Promise((done) => { client.once("stopped", () => { client.close(); done(); }); client.stop(); }) };
  }
  const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(cert, key)
    .with_certificate_authority_from_path(undefined, ca).with_clean_session(true)
    .with_client_id(thing).with_endpoint("localhost").with_port(Number(port)).build();
  const client = new mqtt.MqttClient().new_connection(config);
  await client.connect();
  return { client, close: () => client.disconnect() };
}

// The next of what arrives, in order.
class Arrivals {
  constructor() { this.items = []; this.waiting = []; }

  put(item) {
    const next = this.waiting.shift();
    if (next) { next(item); } else { this.items.push(item); }
  }

  take() {
    return this.items.length ? Promise.resolve(this.items.shift()) : new Promise((done) => this.waiting.push(done));
  }
}

// The old form: a subscription for each answer, recognised by its token.
async function v1(connection) {
  const client = protocol === "5" ? iotshadow.IotShadowClient.newFromMqtt5Client(connection.client) : new iotshadow.IotShadowClient(connection.client);
  const answers = new Arrivals(), deltas = new Arrivals(), updates = new Arrivals();
  const keep = (arrivals) => (error, message) => arrivals.put(error ? { error } : message);
  const subscribe = (operation, answer, arrivals) => named_or_classic(client, "subscribeTo" + operation, "Shadow" + answer)(shadow, qos, keep(arrivals));
  for (const operation of ["Get", "Update", "Delete"]) {
    await subscribe(operation, "Accepted", answers);
    await subscribe(operation, "Rejected", answers);
  }
  await named_or_classic(client, "subscribeTo", "ShadowDeltaUpdatedEvents")(shadow, qos, keep(deltas));
  await named_or_classic(client, "subscribeTo", "ShadowUpdatedEvents")(shadow, qos, keep(updates));
  let number = 0;
  const ask = async (operation, request) => {
    const clientToken = `token-${++number}`;
    await named_or_classic(client, "publish" + operation, "Shadow")({ ...shadow, ...request, clientToken }, qos);
    const answer = await answers.take();
    assert.strictEqual(answer.clientToken, clientToken);
    if (answer.code) { throw answer; }
    return answer;
  };
  return {
    get: () => ask("Get", {}), update: (request) => ask("Update", request), erase: () => ask("Delete", {}),
    code: (error) => error.code, deltas, updates, close: async () => {},
  };
}

// The new form: requests that resolve to their answers, and streams.
async function v2(connection) {
  const options = { maxRequestResponseSubscriptions: 8, maxStreamingSubscriptions: 4, operationTimeoutInSeconds: 30 };
  const client = protocol === "5" ? iotshadow.IotShadowClientv2.newFromMqtt5(connection.client, options)
                                  : iotshadow.IotShadowClientv2.newFromMqtt311(connection.client, options);
  const stream = async (kind) => {
    const arrivals = new Arrivals();
    const source = named_or_classic(client, "create", kind)(shadow);
    const up = new Promise((done, failed) => source.on("subscriptionStatus", (event) => event.error ? failed(event.error) : done()));
    source.on("incomingPublish", (event) => arrivals.put(event.message));
    source.open();
    await up;
    return { arrivals, source };
  };
  const deltas = await stream("ShadowDeltaUpdatedStream"), updates = await stream("ShadowUpdatedStream");
  return {
    get: () => named_or_classic(client, "get", "Shadow")(shadow),
    update: (request) => named_or_classic(client, "update", "Shadow")({ ...shadow, ...request }),
    erase: () => named_or_classic(client, "delete", "Shadow")(shadow),
    code: (error) => error.modeledError.code, deltas: deltas.arrivals, updates: updates.arrivals,
    close: async () => { deltas.source.close(); updates.source.close(); client.close(); },
  };
}

async function refused(client, request, code) {
  try {
    await request;
  } catch (error) {
    assert.strictEqual(client.code(error), code);
    return;
  }
  assert.fail(`was accepted, expected ${code}`);
}

async function main() {
  const connection = await open();
  const client = await (api === "v1" ? v1 : v2)(connection);
  await refused(client, client.get(), 404);
  const created = await client.update({ state: { desired: { led: { on: true, level: 7 } } } });
  assert.strictEqual(created.version, 1);
  assert.deepStrictEqual({ ...created.state.desired }, { led: { on: true, level: 7 } });
  const delta = await client.deltas.take();
  assert.deepStrictEqual([delta.version, delta.state], [1, { led: { on: true, level: 7 } }]);
  const first = await client.updates.take();
  assert.strictEqual(first.previous, undefined);
  assert.strictEqual(first.current.version, 1);
  await refused(client, client.update({ state: { reported: { led: null } }, version: 7 }), 409);
  await client.update({ state: { reported: { led: { on: true } } }, version: 1 });
  assert.deepStrictEqual((await client.deltas.take()).state, { led: { level: 7 } });
  const second = await client.updates.take();
  assert.deepStrictEqual([second.previous.version, second.current.version], [1, 2]);
  const got = await client.get();
  assert.strictEqual(got.version, 2);
  assert.deepStrictEqual(got.state.delta, { led: { level: 7 } });
  assert.deepStrictEqual(got.state.reported, { led: { on: true } });
  assert.ok(got.metadata.desired.led.level.timestamp > 1.6e9);
  await client.erase();
  await refused(client, client.erase(), 404);
  assert.strictEqual((await client.update({ state: { reported: { again: 1 } } })).version, 4);
  await client.close();
  await connection.close();
  console.log("ok");
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });

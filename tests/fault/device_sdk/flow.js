// A publisher and a subscriber of aws-iot-device-sdk-v2 that live through a server's deaths: node flow.js HOW PORT CA CERT KEY
// HOW: 5 or 311. Says "ready", "acknowledged N" and "received N"; told "stop" it ends what it has begun and says "idle"; told "end" it goes.
const readline = require("readline");
const { iot, mqtt, mqtt5 } = require("aws-iot-device-sdk-v2");

const [how, port, ca, cert, key] = process.argv.slice(2);
const WINDOW = 20;
const TOPIC = `sdk/${how}`;
let next = 0, open = 0, stopping = false;

const say = (text) => process.stdout.write(text + "\n");

class Client5 {
  constructor(id) {
    const config = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath("localhost", cert, key)
      .withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port))
      .withConnectProperties({ clientId: id, keepAliveIntervalSeconds: 60, sessionExpiryIntervalSeconds: 86400 })
      .withSessionBehavior(mqtt5.ClientSessionBehavior.RejoinAlways).withMinReconnectDelayMs(20).withMaxReconnectDelayMs(100).build();
    this.client = new mqtt5.Mqtt5Client(config);
  }

  async start() {
    const connected = new Promise((done) => this.client.once("connectionSuccess", done));
    this.client.start();
    await connected;
  }

  async subscribe(received) {
    this.client.on("messageReceived", (event) => received(Buffer.from(event.message.payload).toString()));
    await this.client.subscribe({ subscriptions: [{ topicFilter: TOPIC, qos: mqtt5.QoS.AtLeastOnce }] });
  }

  async publish(payload) {
    const puback = await this.client.publish({ topicName: TOPIC, qos: mqtt5.QoS.AtLeastOnce, payload });
    if (puback.reasonCode >= 0x80) { throw new Error(`PUBACK ${puback.reasonCode}`); }
  }

  stop() {
    return new Promise((done) => { this.client.once("stopped", () => { this.client.close(); done(); }); this.client.stop(); });
  }
}

class Client311 {
  constructor(id) {
    const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(cert, key)
      .with_certificate_authority_from_path(undefined, ca).with_clean_session(false).with_reconnect_min_sec(1).with_reconnect_max_sec(1)
      .with_client_id(id).with_endpoint("localhost").with_port(Number(port)).build();
    this.connection = new mqtt.MqttClient().new_connection(config);
  }

  async start() { await this.connection.connect(); }

  async subscribe(received) {
    this.connection.on("message", (topic, payload) => received(Buffer.from(payload).toString()));
    await this.connection.subscribe(TOPIC, mqtt.QoS.AtLeastOnce);
  }

  async publish(payload) { await this.connection.publish(TOPIC, payload, mqtt.QoS.AtLeastOnce); }

  stop() { return this.connection.disconnect(); }
}

function fill(publisher) {
  while (open < WINDOW && !stopping) {
    const number = next++;
    open++;
    publisher.publish(String(number)).then(() => say(`acknowledged ${number}`)).catch((error) => say(`failed ${number}: ${error}`))
      .finally(() => {
        open--;
        if (stopping && open === 0) { say("idle"); }
        setImmediate(() => fill(publisher));
      });
  }
}

async function main() {
  const Client = how === "5" ? Client5 : Client311;
  const subscriber = new Client(`sdk-subscriber-${how}`), publisher = new Client(`sdk-publisher-${how}`);
  await subscriber.start();
  await subscriber.subscribe((payload) => say(`received ${payload}`));
  await publisher.start();
  say("ready");
  fill(publisher);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === "stop") {
      stopping = true;
      if (open === 0) { say("idle"); }
    } else if (line === "end") {
      await Promise.all([subscriber.stop(), publisher.stop()]);
      process.exit(0);
    }
  }
}

main().catch((error) => { say(`error ${error}`); process.exit(1); });

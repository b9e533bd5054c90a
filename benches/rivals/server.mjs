// What one would write with Express, nats.js and Confluent's client for Kafka, set as their documentation advises. It reads
// HTTP_PORT, NATS_URL and KAFKA_BOOTSTRAP; NODE_ENV=production is up to whoever starts it.
import {createRequire} from 'node:module';

const require = createRequire(new URL('../../.tools/rivals/node/', import.meta.url));
const express = require('express');
const {jetstream} = require('@nats-io/jetstream');
const {connect} = require('@nats-io/transport-node');
const {Kafka} = require('@confluentinc/kafka-javascript').KafkaJS;

const {HTTP_PORT, NATS_URL, KAFKA_BOOTSTRAP} = process.env;
const timeout = 10_000;

const nats = await connect({servers: NATS_URL, maxReconnectAttempts: -1});
const stream = jetstream(nats);
const producer = new Kafka().producer({
  'bootstrap.servers': KAFKA_BOOTSTRAP,
  acks: 'all',
  // A request waits for its own message, so waiting for others to send along only delays it.
  'linger.ms': 0,
  'message.timeout.ms': timeout,
});
await producer.connect();

const app = express();
app.disable('x-powered-by');
app.use(express.raw({type: () => true, limit: '1mb'}));

app.post('/jetstream', async (request, response) => {
  await stream.publish('rivals.events', request.body, {timeout});
  response.status(202).end();
});

app.post('/kafka', async (request, response) => {
  await producer.send({topic: 'rivals', messages: [{value: request.body}]});
  response.status(202).end();
});

app.post('/question', async (request, response) => {
  const reply = await nats.request('rivals.ask', request.body, {timeout});
  response.type('json').send(Buffer.from(reply.data));
});

app.use((error, _request, response, _next) => response.status(error.status ?? 503).end());
app.listen(Number(HTTP_PORT), '127.0.0.1');

// A small server in the manner of Event Hubs, on rhea: an engine that shares no code with ours. It believes every
// token, keeps events in memory, knows one hub, and serves AMQP over TCP and over WebSockets.
//
//   node rhea-server.mjs [--hub NAME:PARTITIONS] [--send-limit BYTES]
//
// prints one line of JSON once it listens ({"tcpPort","wsPort","hub","partitions"}) and ends with its standard input.

import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { once } from "node:events";
import { parseArgs } from "node:util";

import rhea from "rhea";
import { WebSocketServer } from "ws";

const BATCH_FORMAT = 0x80013700;
const CREDIT = 300;
const MILLIS_OF_YEAR_1 = -62_135_596_800_000;
const { types } = rhea;

const { values: options } = parseArgs({
  options: { hub: { type: "string", default: "hub:4" }, "send-limit": { type: "string", default: "1048576" } },
});
const [hubName, count] = options.hub.split(":");
const partitions = Array.from({ length: Number(count) }, () => new Log());
const created = Date.now();
let turn = 0;

const container = rhea.create_container({ id: "rhea-server", max_frame_size: 65_536, channel_max: 4999 });
// Left to itself rhea would answer every attach before this server has looked at it.
const server = { autoaccept: false, credit_window: 0 };
container.sasl_server_mechanisms.enable_anonymous();
container.on("receiver_open", ({ receiver }) => openIncoming(receiver));
container.on("sender_open", ({ sender }) => openOutgoing(sender));
container.on("message", ({ message, receiver, delivery }) => {
  receiver.onMessage(message, delivery);
  if (receiver.credit <= CREDIT / 2) receiver.add_credit(CREDIT - receiver.credit);
});
// Not at once: credit that came together with the attach would have rhea write events before its own attach.
container.on("sendable", ({ sender }) => setImmediate(() => sender.pump?.()));
container.on("sender_close", ({ sender }) => sender.log?.readers.delete(sender));
container.on("session_close", ({ session }) => forget((sender) => sender.session === session));
container.on("connection_close", ({ connection }) => forget((sender) => sender.connection === connection));
container.on("disconnected", ({ connection }) => forget((sender) => sender.connection === connection));
for (const failure of ["connection_error", "session_error", "receiver_error", "sender_error", "protocol_error"]) {
  container.on(failure, ({ connection }) => console.error(failure, connection?.error));
}

const tcp = createTcpServer((socket) => {
  socket.setNoDelay(true);
  container.create_connection({ ...server }).accept(socket);
}).listen(0, "127.0.0.1");
const http = createHttpServer().listen(0, "127.0.0.1");
const sockets = new WebSocketServer({
  server: http,
  path: "/$servicebus/websocket",
  handleProtocols: (offered) => ["AMQPWSB10", "amqp"].find((name) => offered.has(name)) ?? false,
});
sockets.on("connection", (socket) => container.websocket_accept(socket, { ...server }));
await Promise.all([once(tcp, "listening"), once(http, "listening")]);
console.log(
  JSON.stringify({
    tcpPort: tcp.address().port,
    wsPort: http.address().port,
    hub: hubName,
    partitions: partitions.length,
  }),
);
process.stdin.on("end", () => process.exit(0)).resume();

/** Append only; tells its readers when something came. */
function Log() {
  const events = [];
  let offset = 0;
  this.readers = new Set();
  this.events = events;
  this.append = (message, size) => {
    events.push({ message, sequence: events.length, offset, time: Date.now() });
    offset += size;
  };
  this.wake = () => this.readers.forEach((sender) => sender.pump());
  this.last = () => events.at(-1);
}

function forget(gone) {
  for (const log of partitions) for (const sender of log.readers) if (gone(sender)) log.readers.delete(sender);
}

/** A link on which the client sends: requests to a node, or events. */
function openIncoming(receiver) {
  const address = parse(receiver.remote.attach.target?.address);
  echo(receiver);
  if (address.node) {
    receiver.onMessage = (request, delivery) => {
      delivery.accept();
      reply(receiver.session, address.node, request);
    };
  } else if (address.hub !== hubName) {
    return refuse(receiver, "amqp:not-found", `The messaging entity 'sb://rhea/${address.hub}' could not be found.`);
  } else {
    receiver.local.attach.max_message_size = Number(options["send-limit"]);
    receiver.onMessage = (message, delivery) => store(address.partition, message, delivery);
  }
  receiver.add_credit(CREDIT);
}

/** A link on which the client receives: replies of a node, or events. */
function openOutgoing(sender) {
  const source = sender.remote.attach.source;
  // The standard demands it of the sending role; rhea leaves it out.
  sender.local.attach.initial_delivery_count = 0;
  const address = parse(source?.address);
  echo(sender);
  if (address.node) {
    sender.node = address.node;
    return;
  }
  const log = partitions[address.partition];
  if (address.hub !== hubName || !log) {
    return refuse(sender, "amqp:not-found", `The messaging entity 'sb://rhea/${address.hub}' could not be found.`);
  }
  let next;
  try {
    next = start(log, source.filter);
  } catch (problem) {
    return refuse(sender, "com.microsoft:argument-error", problem.message);
  }
  sender.log = log;
  sender.pump = () => {
    while (sender.is_open() && sender.sendable() && next < log.events.length) sender.send(delivered(log.events[next++]));
  };
  log.readers.add(sender);
}

/** Answers with the peer's terminuses. Field by field: given back whole, rhea writes eleven fields where a target has seven. */
function echo(link) {
  const { source, target } = link.remote.attach;
  link.set_source({ address: source?.address, filter: source?.filter });
  link.set_target({ address: target?.address });
}

/** As the service does: an attach without terminuses, and a detach that says why. */
function refuse(link, condition, description) {
  link.local.attach.source = undefined;
  link.local.attach.target = undefined;
  link.close({ condition, description });
}

function parse(address) {
  const path = (address ?? "").replace(/^[a-z]+:\/\/[^/]*/i, "").replace(/^\//, "");
  const node = /(\$cbs|\$management)$/i.exec(path)?.[1].toLowerCase();
  if (node) return { node };
  const [hub] = path.split("/");
  const partition = /\/partitions\/(\d+)$/i.exec(path)?.[1];
  return { hub, partition: partition === undefined ? undefined : Number(partition) };
}

function store(partition, message, delivery) {
  const log = partitions[partition ?? turn++ % partitions.length];
  if (!log) return delivery.reject({ condition: "com.microsoft:argument-out-of-range", description: "no such partition" });
  // rhea decodes messages of format 0 by itself and hands out the bytes of every other.
  const outer = Buffer.isBuffer(message) ? rhea.message.decode(message) : message;
  const batch = delivery.format === BATCH_FORMAT ? [outer.body.content].flat() : undefined;
  const events = batch ? batch.map((bytes) => rhea.message.decode(bytes)) : [outer];
  for (const event of events) log.append(event, 64 + JSON.stringify(event.body ?? null).length);
  delivery.accept();
  log.wake();
}

function delivered({ message, sequence, offset, time }) {
  return {
    ...message,
    header: undefined,
    message_annotations: {
      ...message.message_annotations,
      "x-opt-sequence-number": types.wrap_long(sequence),
      "x-opt-offset": String(offset),
      "x-opt-enqueued-time": types.wrap_timestamp(time),
    },
  };
}

/** The index of the first event a selector lets through. */
function start(log, filter) {
  const selector = Object.values(filter ?? {})[0];
  const text = String(selector?.value ?? selector ?? "amqp.annotation.x-opt-offset > '-1'");
  const match = /^amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=?)\s*'?([^']*)'?$/.exec(text);
  if (!match) throw new Error(`The filter '${text}' is not a valid amqp filter for EventHub entities`);
  const [, name, operator, operand] = match;
  if (operand === "@latest") return Math.max(0, log.events.length - (operator === ">=" ? 1 : 0));
  const key = { "x-opt-offset": "offset", "x-opt-sequence-number": "sequence", "x-opt-enqueued-time": "time" }[name];
  const bound = Number(operand);
  const index = log.events.findIndex((event) => event[key] > bound || (operator === ">=" && event[key] === bound));
  return index < 0 ? log.events.length : index;
}

/** Answers on the client's receiving link of the same session and node. */
function reply(session, node, request) {
  const link = session.find_sender(
    (sender) =>
      sender.node === node &&
      (!request.reply_to || [sender.name, sender.remote.attach.target?.address].includes(request.reply_to)),
  );
  const answer = node === "$cbs" ? { code: 202, text: "Accepted" } : describe(request.application_properties ?? {});
  link?.send({
    to: request.reply_to,
    correlation_id: request.message_id,
    application_properties: {
      "status-code": types.wrap_int(answer.code),
      "status-description": answer.text,
      ...(answer.condition ? { "error-condition": types.wrap_symbol(answer.condition) } : {}),
    },
    body: answer.body ? types.wrap_map(answer.body) : null,
  });
}

function describe({ name, type, partition }) {
  if (name !== hubName) {
    const text = `The messaging entity 'rhea/${name}' could not be found.`;
    return { code: 404, text, condition: "amqp:not-found" };
  }
  if (type === "com.microsoft:eventhub") {
    const body = {
      name,
      type,
      created_at: types.wrap_timestamp(created),
      partition_count: types.wrap_int(partitions.length),
      partition_ids: types.wrap_array(partitions.map((_, id) => String(id)), 0xa1),
      georeplication_factor: types.wrap_int(1),
    };
    return { code: 200, text: "OK", body };
  }
  const log = partitions[Number(partition)];
  if (!log) return { code: 400, text: "The specified partition is invalid.", condition: "com.microsoft:argument-out-of-range" };
  const last = log.last();
  const body = {
    name,
    type,
    partition,
    begin_sequence_number: types.wrap_long(0),
    begin_sequence_number_epoch: types.wrap_int(-1),
    last_enqueued_sequence_number: types.wrap_long(last?.sequence ?? -1),
    last_enqueued_sequence_number_epoch: types.wrap_int(-1),
    last_enqueued_offset: String(last?.offset ?? -1),
    last_enqueued_time_utc: types.wrap_timestamp(last?.time ?? MILLIS_OF_YEAR_1),
    is_partition_empty: !last,
  };
  return { code: 200, text: "OK", body };
}

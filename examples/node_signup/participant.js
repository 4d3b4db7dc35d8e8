"use strict";
// How a service takes part: it declares the topology, relays what stands in its journal, and acknowledges after the commit.

const amqp = require("amqplib");
const { setTimeout: pause } = require("node:timers/promises");

const EXCHANGE = "signups";
const DEAD_LETTERS = "signups.dead";
const QUEUES = { signup: ["mail.sent", "mail.bounced"], mailer: ["signup.received"] };
const RETRY = 200; // milliseconds, as are all times here
const IDLE = 1000;

class Participant {
  constructor(name, journal, handlers) {
    Object.assign(this, { name, journal, handlers, channel: null, connection: null, leaving: false, relaying: false });
    setInterval(() => this.relay(), IDLE).unref();
  }

  get healthy() {
    return this.channel !== null;
  }

  // Joins, and joins again whenever the connection is lost.
  async join() {
    while (!this.leaving) {
      try {
        const connection = await amqp.connect(process.env.RABBITMQ_URL, { noDelay: true });
        const lost = new Promise((resolve) => connection.once("close", resolve));
        connection.on("error", (error) => console.error(`${this.name}: ${error.message}`));
        this.connection = connection;
        await this.consume(connection);
        await lost;
      } catch (error) {
        console.error(`${this.name}: cannot join yet: ${error.message}`);
        await this.connection?.close().catch(() => {}); // it may be closed already
      }
      this.channel = null;
      if (!this.leaving) await pause(RETRY);
    }
  }

  async consume(connection) {
    const channel = await connection.createConfirmChannel();
    channel.on("error", (error) => console.error(`${this.name}: ${error.message}`));
    channel.on("close", () => connection.close().catch(() => {})); // half a connection is none: join again
    this.returned = new Set();
    channel.on("return", (message) => this.returned.add(message.properties.messageId));
    await declare(channel);
    await channel.prefetch(8);
    await channel.consume(this.name, (message) => message && this.receive(channel, message));
    this.channel = channel;
    console.log(`${this.name}: ready`);
    this.relay();
  }

  async receive(channel, message) {
    const { messageId: id, type } = message.properties;
    const event = parse(message);
    let outcome = event && this.handlers[type] ? "done" : "not understood";
    try {
      if (outcome === "done" && !this.journal.handled.has(id)) await this.handlers[type](event, id);
    } catch (error) {
      console.error(`${this.name}: ${type}: ${error.message}`);
      outcome = "failed";
      await pause(RETRY);
    }
    this.relay();
    try {
      if (outcome === "done") channel.ack(message);
      else channel.nack(message, false, outcome === "failed");
    } catch (error) {
      console.error(`${this.name}: ${type} comes again: ${error.message}`); // the connection is gone
    }
  }

  // Publishes what was committed and is not confirmed yet.
  async relay() {
    if (this.relaying || !this.channel) return;
    this.relaying = true;
    try {
      for (const event of this.journal.unsent.values()) {
        await this.publish(event);
        this.journal.commit({ sent: event.id });
      }
    } catch (error) {
      console.error(`${this.name}: stays in the journal: ${error.message}`);
    } finally {
      this.relaying = false;
    }
  }

  publish({ id, type, signup_id, cause, ...data }) {
    const body = Buffer.from(JSON.stringify({ signup_id, ...data }));
    const headers = cause ? { causation_id: cause } : {};
    const options = { messageId: id, correlationId: signup_id, type, headers, contentType: "application/json" };
    return new Promise((resolve, reject) => {
      const confirmed = (error) => {
        if (this.returned.delete(id)) reject(new Error(`${type} reached no queue`));
        else if (error) reject(error);
        else resolve();
      };
      this.channel.publish(EXCHANGE, type, body, { ...options, persistent: true, mandatory: true }, confirmed);
    });
  }

  async leave() {
    this.leaving = true;
    await this.relay();
    await this.connection?.close().catch(() => {}); // it may be closed already
  }
}

// Every service declares all of it, so that no start order matters.
async function declare(channel) {
  await channel.assertExchange(EXCHANGE, "topic", { durable: true });
  await channel.assertExchange(DEAD_LETTERS, "fanout", { durable: true });
  await channel.assertQueue(DEAD_LETTERS, { durable: true });
  await channel.bindQueue(DEAD_LETTERS, DEAD_LETTERS, "");
  for (const [queue, events] of Object.entries(QUEUES)) {
    await channel.assertQueue(queue, { durable: true, deadLetterExchange: DEAD_LETTERS });
    for (const event of events) await channel.bindQueue(queue, EXCHANGE, event);
  }
}

function parse(message) {
  try {
    return JSON.parse(message.content);
  } catch {
    return null; // for the dead letters
  }
}

module.exports = { Participant };

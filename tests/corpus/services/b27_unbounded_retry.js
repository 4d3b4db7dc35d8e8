// A message that can never be handled is put back again and again: `nack` requeues unless it is told not to.
//
// The correct service uses a quorum queue with a delivery limit; what exceeds it is dead-lettered, and the order rejected.

"use strict";

const { randomUUID } = require("node:crypto");
const { setTimeout: pause } = require("node:timers/promises");
const amqp = require("amqplib");

const [role, variant] = process.argv.slice(2);

function publish(channel, event, order) {
  const options = { correlationId: order, messageId: randomUUID(), persistent: true, contentType: "application/json" };
  channel.publish("shop", event, Buffer.from(JSON.stringify({ order })), options);
  return channel.waitForConfirms();
}

async function price(channel, data) {
  const perPiece = BigInt(data.total) / BigInt(data.quantity);
  await fetch(`${process.env.CATALOGUE_URL}/prices/${data.order}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ order: data.order, perPiece: perPiece.toString() }),
  });
  await publish(channel, "order.priced", data.order);
}

async function onOrder(channel, message) {
  try {
    await price(channel, JSON.parse(message.content));
    channel.ack(message);
  } catch (error) {
    console.error("will try again:", error.message);
    await pause(20);
    channel.nack(message);
  }
}

async function onDeadLetter(channel, message) {
  await publish(channel, "order.rejected", JSON.parse(message.content).order);
  channel.ack(message);
}

async function declare(channel) {
  await channel.assertExchange("shop", "topic", { durable: true });
  const options = { durable: true };
  if (variant === "correct") {
    options.arguments = { "x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": "shop.dead" };
    await channel.assertExchange("shop.dead", "fanout", { durable: true });
    await channel.assertQueue(`${role}.dead`, { durable: true });
    await channel.bindQueue(`${role}.dead`, "shop.dead", "");
  }
  await channel.assertQueue(role, options);
  await channel.bindQueue(role, "shop", "order.placed");
}

async function main() {
  const connection = await amqp.connect(process.env.BROKER_URL);
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(1);
  await declare(channel);
  if (variant === "correct") {
    await channel.consume(`${role}.dead`, (message) => onDeadLetter(channel, message));
  }
  await channel.consume(role, (message) => onOrder(channel, message));
}

main();

// With `noAck` a message counts as handled once it is in the socket, so a crash in the handler loses it.
//
// The correct service acknowledges when it is done, and can therefore be asked twice: it bills under the order's own key.

"use strict";

const { randomUUID } = require("node:crypto");
const amqp = require("amqplib");

const [role, variant] = process.argv.slice(2);

async function bill(order, amount) {
  const answer = await fetch(`${process.env.BANK_URL}/bills`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": order },
    body: JSON.stringify({ order, amount }),
  });
  if (!answer.ok) {
    throw new Error(`the bank answered ${answer.status}`);
  }
}

async function onOrder(channel, message) {
  const { order, amount } = JSON.parse(message.content);
  await bill(order, amount);
  const options = { correlationId: order, messageId: randomUUID(), persistent: true };
  channel.publish("shop", "order.billed", Buffer.from(JSON.stringify({ order })), options);
  await channel.waitForConfirms();
  if (variant === "correct") {
    channel.ack(message);
  }
}

async function main() {
  await fetch(process.env.BANK_URL); // Without a bank there is no point in starting.
  const connection = await amqp.connect(process.env.BROKER_URL);
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(10);
  await channel.assertExchange("shop", "topic", { durable: true });
  await channel.assertQueue(role, { durable: true });
  await channel.bindQueue(role, "shop", "order.placed");
  await channel.consume(role, (message) => onOrder(channel, message), { noAck: variant === "buggy" });
}

main();

// A service as one writes it with amqplib: it publishes with confirms, consumes, polls, and prints what it saw as JSON.
const amqp = require('amqplib')

async function main (url) {
  const connection = await amqp.connect(url, { clientProperties: { connection_name: 'node' } })
  const channel = await connection.createConfirmChannel()
  await channel.assertExchange('orders', 'topic', { durable: true })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, 'orders', 'order.*')
  await channel.assertQueue('polled', { durable: true })
  await channel.prefetch(2)
  const returned = []
  channel.on('return', message => returned.push(message.fields.routingKey))
  const seen = []
  let done
  const all = new Promise(resolve => { done = resolve })
  await channel.consume(queue, message => {
    seen.push([message.content.length, message.fields.redelivered, message.properties.headers.n])
    if (seen.length === 2) channel.nack(message, false, true)
    else channel.ack(message, seen.length === 3)
    if (seen.length === 4) done()
  })
  const big = Buffer.alloc(1 << 20, 'x')
  for (const [n, body] of [[1, Buffer.from('a')], [2, big], [3, Buffer.alloc(0)]]) {
    channel.publish('orders', 'order.placed', body, { persistent: true, headers: { n } })
  }
  channel.publish('orders', 'nobody', Buffer.from('lost'), { mandatory: true })
  channel.sendToQueue('polled', Buffer.from('polled'))
  await channel.waitForConfirms()
  await all
  const polled = await channel.get('polled', { noAck: false })
  channel.ack(polled)
  const nothing = await channel.get('polled')
  await channel.close()
  await connection.close()
  console.log(JSON.stringify({ seen, returned, polled: polled.content.toString(), nothing }))
}

main(process.argv[2]).catch(error => { console.error(error); process.exit(1) })

"use strict";
// Signup: takes new members by HTTP; who can be reached by mail becomes active.

const http = require("node:http");
const { randomUUID } = require("node:crypto");
const { Journal } = require("./journal");
const { Participant } = require("./participant");

const journal = new Journal(process.env.JOURNAL);
const settle = (status) => async ({ signup_id }, id) => journal.commit({ handles: id, set: { id: signup_id, status } });
const participant = new Participant("signup", journal, {
  "mail.sent": settle("active"),
  "mail.bounced": settle("rejected"),
});

async function body(request) {
  let text = "";
  for await (const part of request) text += part;
  return JSON.parse(text);
}

async function answer(request) {
  if (request.url === "/health") return [participant.healthy ? 200 : 503, { healthy: participant.healthy }];
  if (request.method === "POST" && request.url === "/signups") {
    const { email } = await body(request);
    const signup_id = randomUUID();
    const told = { id: `${signup_id}/signup.received`, type: "signup.received", signup_id, email };
    journal.commit({ set: { id: signup_id, email, status: "pending" }, tells: [told] });
    participant.relay();
    return [202, { signup_id }];
  }
  const found = journal.state.get(request.url.replace("/signups/", ""));
  return found ? [200, found] : [404, { error: "no such signup" }];
}

const server = http.createServer(async (request, response) => {
  const [status, content] = await answer(request).catch((error) => [400, { error: error.message }]);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(content));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
participant.join();
process.once("SIGTERM", async () => {
  server.close();
  await participant.leave();
  process.exit(0);
});

"use strict";
// Mailer: welcomes each new member by one mail, sent by a third party.

const { Journal } = require("./journal");
const { Participant } = require("./participant");

const journal = new Journal(process.env.JOURNAL);

async function welcome({ signup_id, email }, id) {
  const response = await fetch(`${process.env.MAIL_URL}/mails`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": `welcome-${signup_id}` },
    body: JSON.stringify({ signup_id, to: email, text: "Welcome!" }),
    signal: AbortSignal.timeout(5000),
  });
  if (!response.ok && response.status !== 422) throw new Error(`the mail service answered ${response.status}`);
  const type = response.ok ? "mail.sent" : "mail.bounced";
  journal.commit({ handles: id, tells: [{ id: `${signup_id}/${type}`, type, signup_id, cause: id }] });
}

const participant = new Participant("mailer", journal, { "signup.received": welcome });
participant.join();
process.once("SIGTERM", async () => {
  await participant.leave();
  process.exit(0);
});

"use strict";
// A service's store: one file, one line a transaction. A line is there whole or not at all, so what an event changed, the
// note that it did, and the events to be told are never apart.

const fs = require("node:fs");

class Journal {
  constructor(path) {
    this.handled = new Set();
    this.state = new Map();
    this.unsent = new Map();
    const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    for (const line of whole.split("\n").filter(Boolean)) this.apply(JSON.parse(line));
    this.file = fs.openSync(path, "a");
    fs.ftruncateSync(this.file, Buffer.byteLength(whole)); // a process that is killed may leave half a line
  }

  apply({ handles, set, tells, sent }) {
    if (handles) this.handled.add(handles);
    if (set) this.state.set(set.id, { ...this.state.get(set.id), ...set });
    for (const event of tells ?? []) this.unsent.set(event.id, event);
    if (sent) this.unsent.delete(sent);
  }

  // Returns false, and writes nothing, if the event was handled before.
  commit(entry) {
    if (entry.handles && this.handled.has(entry.handles)) return false;
    fs.writeSync(this.file, JSON.stringify(entry) + "\n");
    fs.fdatasyncSync(this.file);
    this.apply(entry);
    return true;
  }
}

module.exports = { Journal };

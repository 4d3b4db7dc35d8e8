"""The first file that ``misstep init`` writes: small enough to read, and usable as it stands."""

from __future__ import annotations

from typing import Final

STARTER: Final = """\
# The system under test. Durations are seconds; relative paths start from this file's folder.
#
# Names in braces are filled in when a run starts: {broker.url}, {stores.NAME.url}, {services.NAME.address},
# {externals.NAME.url}, {port}, {python}, {env.NAME}, and in data {faker.METHOD}. A brace itself is written twice.
#
#   misstep doctor      what this machine has, and what is missing
#   misstep inspect     one clean run: the topology, the saga, what nobody handles
#   misstep explore     repeats, delays and loses things until something breaks

[choreography]
name = "my choreography"
broker = "rabbitmq"

# --- Services: your real processes. They reach the broker and each other only by the addresses given here. -----------

[services.order]
command = "{python} order.py --port {port}"        # or processes = { web = "…", relay = "…" }
env = { RABBITMQ_URL = "{broker.url}", DATABASE_URL = "{stores.orders.url}" }
ready = { consumers = 1, http = "/health" }        # all that is named must hold; also tcp = true, log = "regex"

[services.payment]
command = "{python} payment.py"
env = { RABBITMQ_URL = "{broker.url}", GATEWAY_URL = "{externals.gateway.url}" }
after = ["order"]                                  # started when these are ready

# --- Stores: made new for every fresh run. ----------------------------------------------------------------------------

[stores.orders]
sqlite = "orders.db"                               # or postgres = "local" or its URL, or tcp = "host:port"
# schema = "schema.sql"                            # run once in each new store

# --- Events: where your messages keep what must be known of them. -----------------------------------------------------
# routing_key | queue | exchange | header:NAME | property:NAME | body:json.path | body:/regular expression/

[events]
type = "routing_key"
correlation = "body:order_id"                      # the business key that ties one saga's events together
id = "property:message_id"

# --- Externals: third parties that services call by HTTP. They are stubbed, and their calls are counted. --------------

[externals.gateway]
answers = [
    { when = "POST /charges", status = 201, json = { id = "{faker.uuid4}" }, once_by = "header:Idempotency-Key" },
]

# --- Drivers: what starts a saga. -------------------------------------------------------------------------------------

[drivers.place_order]
http = "POST http://{services.order.address}/orders"   # or publish = "event" with exchange, or command = "…"
json = { sku = "A1", quantity = 1, customer = "{faker.name}" }
correlation = "response:json:order_id"             # or a template for an id of your own: {correlation} in json

# --- Sagas: how they start, and how they may end. ---------------------------------------------------------------------

[sagas.order]
starts = "order.placed"
completes = "order.confirmed"
fails = "order.cancelled"
steps = [ { does = "payment.taken", undoes = "payment.refunded" } ]
within = 30

# --- Effects: what must happen once for each business key, however often a message comes. -----------------------------

[effects.charge]
external = "gateway"                               # or store = "orders", sql = "select order_id, count(*) from …"
when = "POST /charges"
key = "json:order_id"
times = 1                                          # or { completed = 1, compensated = 0 } where the net counts

# --- Probes and views: what the world sees when all is quiet, and what a client sees meanwhile. -----------------------

[probes.orders]
store = "orders"
sql = "select status from orders where id = {correlation}"

[views.order_status]
http = "GET http://{services.order.address}/orders/{correlation}"
value = "json:status"
allows = ["pending -> confirmed", "pending -> cancelled"]

# --- When a run is over. ----------------------------------------------------------------------------------------------

[quiet]
within = 15
# outboxes = { orders = "select count(*) from outbox where sent = 0" }
"""
"""A first ``choreography.toml``, commented."""

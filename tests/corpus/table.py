"""The planted bugs. To add one, write its program into ``services/`` and its row here."""

from __future__ import annotations

from misstep.chaos import delivery, link, process
from misstep.harness.choreography.words import (
    Answer,
    External,
    Progress,
    QuietRules,
    Ready,
    Saga,
    Service,
    Step,
)

from .planted import Kind, Planted, calls, declare, look, rows

ORDER = Saga(name="order", starts="order.placed", completes=("order.paid",))
CANCELLED = Saga(
    name="order",
    starts="order.placed",
    completes=("order.confirmed",),
    fails=("order.cancelled",),
    steps=(Step("payment.taken", "payment.refunded"),),
)
REQUESTED = Saga(name="order", starts="order.requested", completes=("order.shipped",))
BANK = External(name="bank", answers=(Answer(status=201, once_by="header:Idempotency-Key"),))
OUTBOX = {
    "orders": "create table orders (order_id text primary key, sent integer default 0)",
    "shipping": "create table parcels (order_id text primary key)",
}
CHARGES = "create table charges (id integer primary key, order_id text, amount integer)"
BOTH: tuple[Kind, ...] = ("embedded", "local")

TABLE = (
    Planted(
        number=1,
        slug="dual_write",
        bug="an order is committed, and the crash comes before it is announced",
        choreography=declare(
            "b01_dual_write.py",
            saga=REQUESTED,
            roles={
                "orders": """
                    create table orders (id text primary key);
                    create table outbox (id integer primary key, event text, order_id text, sent integer default 0)
                """,
                "shipping": "create table parcels (order_id text primary key)",
            },
            effects=(rows("shipping", "parcels"),),
            probes=(look("orders", "orders", "id", key="id"),),
        ),
        faults=(process.crash("orders", at="publish", of="order.placed"),),
        oracles=("ledger", "saga"),
        stages=BOTH,
    ),
    Planted(
        number=3,
        slug="partial_fan_out",
        bug="the second of two events is never published after a crash between them",
        choreography=declare(
            "b03_partial_fan_out.py",
            saga=Saga(name="cart", starts="cart.paid", completes=("parcel.sent",), steps=(Step("invoice.sent"),)),
            roles={
                "checkout": "create table carts (order_id text primary key, announced integer default 0)",
                "office": "create table papers (order_id text, kind text, primary key (order_id, kind))",
            },
            effects=(rows("office", "papers", (2, 2)),),
            probes=(look("office", "papers", "kind"),),
        ),
        faults=(process.crash("checkout", at="publish", of="parcel.requested"),),
        oracles=("ledger",),
    ),
    Planted(
        number=4,
        slug="ack_before_process",
        bug="the message is acknowledged before it is worked on, and the handler dies",
        choreography=declare(
            "b04_ack_before_process.js",
            saga=Saga(name="order", starts="order.placed", completes=("order.billed",)),
            roles={"billing": ""},
            data={"amount": 4200},
            externals=(BANK,),
            effects=(calls("bills", (1, 1)),),
            quiet=QuietRules(silence=1.0),
        ),
        faults=(process.crash("billing", at="publish", of="order.billed"),),
        oracles=("ledger",),
        stages=BOTH,
    ),
    Planted(
        number=5,
        slug="later_ack_covers_failure",
        bug="an acknowledgement of several covers a message whose handler failed",
        choreography=declare(
            "b05_later_ack_covers_failure.py",
            saga=Saga(
                name="order",
                starts="order.placed",
                completes=("payment.booked",),
                steps=(Step("order.accepted"), Step("payment.due"), Step("account.opened")),
            ),
            roles={
                "sales": "",
                "books": """
                    create table accounts (order_id text primary key);
                    create table payments (order_id text primary key references accounts)
                """,
            },
            effects=(rows("books", "payments"),),
            probes=(look("books", "accounts", "order_id"),),
        ),
        faults=(delivery.delay("order.accepted", to="books", by=0.4),),
        oracles=("ledger",),
        stages=BOTH,
    ),
    Planted(
        number=6,
        slug="nack_acts_as_ack",
        bug="a failed message is rejected from a queue that has no dead-letter exchange",
        choreography=declare(
            "b06_nack_acts_as_ack.py",
            saga=Saga(name="order", starts="order.placed", completes=("order.quoted",)),
            roles={"orders": "create table quotes (order_id text primary key, price integer)"},
            data={"sku": "A1"},
            env={"PRICES": "{services.prices.address}"},
            others=(
                Service(
                    name="prices",
                    processes={"main": "{python} b06_nack_acts_as_ack.py prices correct"},
                    env={"PORT": "{port}"},
                    ready=Ready(tcp=True),
                    broker=False,
                ),
            ),
            effects=(rows("orders", "quotes"),),
            probes=(look("orders", "quotes", "price"),),
        ),
        faults=(process.stop("prices", down=0.6),),
        oracles=("ledger",),
    ),
    Planted(
        number=7,
        slug="handler_not_idempotent",
        bug="an order that is delivered again is charged again",
        choreography=declare(
            "b07_handler_not_idempotent.py",
            saga=ORDER,
            roles={"payment": CHARGES},
            data={"amount": 4200},
            effects=(rows("payment", "charges"),),
            probes=(look("payment", "charges", "amount"),),
        ),
        faults=(delivery.redeliver("order.placed", to="payment"),),
        oracles=("effects", "parity"),
        stages=BOTH,
    ),
    Planted(
        number=8,
        slug="check_then_act",
        bug="two copies at once both find that nobody has charged yet",
        choreography=declare(
            "b08_check_then_act.py",
            saga=ORDER,
            roles={"payment": f"{CHARGES}; create table seen (order_id text primary key)"},
            data={"amount": 4200},
            externals=(External(name="fraud", answers=(Answer(json={"honest": True}, delay=0.1),)),),
            effects=(rows("payment", "charges"),),
            probes=(look("payment", "charges", "amount"),),
        ),
        faults=(delivery.duplicate("order.placed", to="payment", when="now"),),
        oracles=("effects",),
    ),
    Planted(
        number=12,
        slug="key_before_effect",
        bug="the inbox remembers a message whose work was never finished",
        choreography=declare(
            "b12_key_before_effect.py",
            saga=Saga(name="order", starts="order.placed", completes=("stock.reserved",)),
            roles={
                "stock": """
                    create table inbox (order_id text primary key);
                    create table reservations (id integer primary key, order_id text)
                """
            },
            effects=(rows("stock", "reservations"),),
            probes=(look("stock", "inbox", "order_id"),),
        ),
        faults=(process.crash("stock", at="publish", of="stock.reserved"),),
        oracles=("ledger",),
    ),
    Planted(
        number=13,
        slug="dedupe_on_transport_id",
        bug="a producer that sends an order again gives it a new message id",
        choreography=declare(
            "b13_dedupe_on_transport_id.py",
            saga=Saga(name="order", starts="order.requested", completes=("order.paid",)),
            roles={
                "orders": "create table orders (order_id text primary key, sent integer default 0)",
                "payment": """
                    create table inbox (key text primary key);
                    create table charges (id integer primary key, order_id text)
                """,
            },
            effects=(rows("payment", "charges"),),
            probes=(look("payment", "charges", "order_id"),),
        ),
        faults=(process.crash("orders", at="published", of="order.placed"),),
        oracles=("effects",),
    ),
    Planted(
        number=14,
        slug="handlers_do_not_commute",
        bug="two changes of an address that swap places leave the older one standing",
        choreography=declare(
            "b14_handlers_do_not_commute.py",
            saga=Saga(name="customer", starts="customer.registered", completes=("address.stored",)),
            roles={
                "crm": "",
                "mailing": "create table addresses (customer text primary key, address text, revision integer)",
            },
            data={"typed": "1 Main St", "verified": "1 Main Street"},
            exchange="crm",
            key="customer",
            effects=(rows("mailing", "addresses", key="customer"),),
            probes=(look("mailing", "addresses", "address", key="customer"),),
        ),
        faults=(delivery.reorder("address.changed", to="mailing"),),
        oracles=("parity",),
    ),
    Planted(
        number=16,
        slug="early_event_discarded",
        bug="a payment that overtakes its order is thrown away",
        choreography=declare(
            "b16_early_event_discarded.py",
            saga=Saga(
                name="order", starts="order.placed", completes=("order.shipped",), steps=(Step("payment.taken"),)
            ),
            roles={
                "payment": "",
                "shipping": """
                    create table orders (order_id text primary key, placed integer default 0, paid integer default 0)
                """,
            },
            effects=(rows("shipping", "orders"),),
            probes=(look("shipping", "orders", "placed, paid"),),
        ),
        faults=(delivery.delay("order.placed", to="shipping", by=0.3),),
        oracles=("saga",),
    ),
    Planted(
        number=17,
        slug="late_event_revives",
        bug="a payment that comes after the order was given up confirms it",
        choreography=declare(
            "b17_late_event_revives.py",
            saga=CANCELLED,
            roles={"orders": "create table orders (order_id text primary key, status text)", "payment": ""},
            effects=(rows("orders", "orders"),),
            probes=(look("orders", "orders", "status"),),
        ),
        faults=(delivery.delay("payment.taken", to="orders", by=1.5),),
        oracles=("saga",),
    ),
    Planted(
        number=18,
        slug="compensation_before_action",
        bug="an order that arrives after its own cancellation is charged, and never refunded",
        choreography=declare(
            "b18_compensation_before_action.py",
            saga=CANCELLED,
            roles={"stock": "", "payment": "create table charges (order_id text primary key, status text)"},
            effects=(rows("payment", "charges"),),
            probes=(look("payment", "charges", "status"),),
        ),
        faults=(delivery.delay("order.placed", to="payment", by=0.3),),
        oracles=("saga",),
        stages=BOTH,
    ),
    Planted(
        number=19,
        slug="compensation_skipped",
        bug="a crash rolls back what the compensation would go by",
        choreography=declare(
            "b19_compensation_skipped.py",
            saga=Saga(
                name="booking",
                starts="booking.requested",
                completes=("booking.confirmed",),
                fails=("booking.cancelled",),
                steps=(Step("room.held", "room.released"),),
            ),
            roles={"rooms": "create table rooms (booking text primary key)", "desk": ""},
            exchange="travel",
            key="booking",
            effects=(rows("rooms", "rooms", (1, 0), key="booking"),),
            probes=(look("rooms", "rooms", "booking", key="booking"),),
        ),
        faults=(process.crash("rooms", at="publish", of="room.priced"),),
        oracles=("saga",),
    ),
    Planted(
        number=21,
        slug="compensation_not_idempotent",
        bug="a cancellation that is delivered twice is refunded twice",
        choreography=declare(
            "b21_compensation_not_idempotent.py",
            saga=CANCELLED,
            roles={"payment": "create table charges (order_id text primary key)", "stock": ""},
            externals=(BANK,),
            effects=(calls("charges", (1, 1)), calls("refunds", (0, 1))),
            probes=(look("payment", "charges", "order_id"),),
        ),
        faults=(delivery.duplicate("order.cancelled", to="payment", when="later"),),
        oracles=("effects",),
    ),
    Planted(
        number=23,
        slug="compensation_lost_offline",
        bug="a cancellation finds no queue while the payment service is being deployed",
        choreography=declare(
            "b23_compensation_lost_offline.py",
            saga=CANCELLED,
            roles={"payment": "create table charges (order_id text primary key, status text)", "stock": ""},
            externals=(External(name="warehouse", answers=(Answer(json={"left": 0}, delay=0.5),)),),
            effects=(rows("payment", "charges"),),
            probes=(look("payment", "charges", "status"),),
        ),
        faults=(process.stop("payment", at="acked", of="order.placed"),),
        oracles=("saga", "ledger"),
    ),
    Planted(
        number=27,
        slug="unbounded_retry",
        bug="a message that can never be handled is put back for ever",
        choreography=declare(
            "b27_unbounded_retry.js",
            saga=Saga(name="order", starts="order.placed", completes=("order.priced",), fails=("order.rejected",)),
            roles={"pricing": ""},
            data={"total": 9000, "quantity": 3},
            externals=(External(name="catalogue", answers=(Answer(status=204),)),),
            effects=(calls("prices", (1, 0), external="catalogue"),),
            quiet=QuietRules(silence=0.4, within=4.0),
        ),
        data={"quantity": 0},
        oracles=("progress",),
    ),
    Planted(
        number=32,
        slug="event_loop",
        bug="two services answer each other's events for ever",
        choreography=declare(
            "b32_event_loop.py",
            saga=Saga(name="price", starts="price.changed", completes=("catalogue.updated",)),
            roles={"catalogue": "create table listed (sku text primary key, price integer)", "pricing": ""},
            data={"price": 1234},
            key="sku",
            effects=(rows("catalogue", "listed", key="sku"),),
            probes=(look("catalogue", "listed", "price", key="sku"),),
            quiet=QuietRules(silence=0.4, within=4.0),
            progress=Progress(depth=10),
        ),
        oracles=("cycle",),
        shows_clean=True,
    ),
    Planted(
        number=37,
        slug="confirm_not_awaited",
        bug="the outbox takes bytes in a socket for a message at the broker",
        choreography=declare(
            "b37_confirm_not_awaited.py",
            saga=REQUESTED,
            roles=OUTBOX,
            effects=(rows("shipping", "parcels"),),
            probes=(look("orders", "orders", "sent"),),
        ),
        faults=(link.cut("orders", at="publish", of="order.placed"),),
        oracles=("ledger",),
        stages=BOTH,
    ),
    Planted(
        number=38,
        slug="unroutable_dropped",
        bug="an event is published while its consumer, and so its queue, is not up",
        choreography=declare(
            "b38_unroutable_dropped.py",
            saga=REQUESTED,
            roles=OUTBOX,
            effects=(rows("shipping", "parcels"),),
            probes=(look("orders", "orders", "sent"),),
        ),
        faults=(process.stop("shipping", down=0.5),),
        oracles=("ledger",),
    ),
)

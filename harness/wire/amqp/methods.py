"""The numbers of the methods that the session looks at: class and method, as ``class << 16 | method``."""

from __future__ import annotations

from typing import Final

START_OK: Final = 10 << 16 | 11
TUNE: Final = 10 << 16 | 30
TUNE_OK: Final = 10 << 16 | 31
OPEN: Final = 10 << 16 | 40
OPEN_OK: Final = 10 << 16 | 41
CLOSE: Final = 10 << 16 | 50
CLOSE_OK: Final = 10 << 16 | 51
CHANNEL_OPEN: Final = 20 << 16 | 10
CHANNEL_FLOW: Final = 20 << 16 | 20
CHANNEL_FLOW_OK: Final = 20 << 16 | 21
CHANNEL_CLOSE: Final = 20 << 16 | 40
CHANNEL_CLOSE_OK: Final = 20 << 16 | 41
EXCHANGE_DECLARE: Final = 40 << 16 | 10
EXCHANGE_DECLARE_OK: Final = 40 << 16 | 11
EXCHANGE_DELETE: Final = 40 << 16 | 20
EXCHANGE_DELETE_OK: Final = 40 << 16 | 21
EXCHANGE_BIND: Final = 40 << 16 | 30
EXCHANGE_BIND_OK: Final = 40 << 16 | 31
EXCHANGE_UNBIND: Final = 40 << 16 | 40
EXCHANGE_UNBIND_OK: Final = 40 << 16 | 51
QUEUE_DECLARE: Final = 50 << 16 | 10
QUEUE_DECLARE_OK: Final = 50 << 16 | 11
QUEUE_BIND: Final = 50 << 16 | 20
QUEUE_BIND_OK: Final = 50 << 16 | 21
QUEUE_PURGE: Final = 50 << 16 | 30
QUEUE_PURGE_OK: Final = 50 << 16 | 31
QUEUE_DELETE: Final = 50 << 16 | 40
QUEUE_DELETE_OK: Final = 50 << 16 | 41
QUEUE_UNBIND: Final = 50 << 16 | 50
QUEUE_UNBIND_OK: Final = 50 << 16 | 51
QOS: Final = 60 << 16 | 10
QOS_OK: Final = 60 << 16 | 11
CONSUME: Final = 60 << 16 | 20
CONSUME_OK: Final = 60 << 16 | 21
CANCEL: Final = 60 << 16 | 30
CANCEL_OK: Final = 60 << 16 | 31
PUBLISH: Final = 60 << 16 | 40
RETURN: Final = 60 << 16 | 50
DELIVER: Final = 60 << 16 | 60
GET: Final = 60 << 16 | 70
GET_OK: Final = 60 << 16 | 71
GET_EMPTY: Final = 60 << 16 | 72
ACK: Final = 60 << 16 | 80
REJECT: Final = 60 << 16 | 90
RECOVER_ASYNC: Final = 60 << 16 | 100
RECOVER: Final = 60 << 16 | 110
RECOVER_OK: Final = 60 << 16 | 111
NACK: Final = 60 << 16 | 120
CONFIRM_SELECT: Final = 85 << 16 | 10
CONFIRM_SELECT_OK: Final = 85 << 16 | 11
TX_SELECT: Final = 90 << 16 | 10

CARRYING: Final = frozenset((PUBLISH, RETURN, DELIVER, GET_OK))
"""Methods that a message follows."""

SILENT: Final = frozenset(
    (
        *(10 << 16 | method for method in (10, 11, 20, 21, 30, 31, 40, 41, 50, 51)),
        *(20 << 16 | method for method in (10, 11, 20, 21, 40, 41)),
        *(40 << 16 | method for method in (10, 11, 20, 21, 30, 31, 40, 51)),
        *(50 << 16 | method for method in (10, 11, 20, 21, 30, 31, 40, 41, 50, 51)),
        *(60 << 16 | method for method in (10, 11, 20, 21, 30, 31, 40, 50, 60, 70, 71, 72, 80, 90, 100, 110, 111, 120)),
        *(85 << 16 | method for method in (10, 11)),
    )
)
"""Methods that are understood; all others are told as passed through."""

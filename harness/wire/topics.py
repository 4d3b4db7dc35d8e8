"""The matching of topic keys that every part shares: words between dots, ``*`` for one word, ``#`` for any number."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8192)
def topic_matches(pattern: str, key: str) -> bool:
    """Return whether a binding key of a topic exchange matches a routing key.

    Args:
        pattern: The binding key: ``*`` is one word, ``#`` any number of words, none included (AMQP 0-9-1, 3.1.3.3).
        key: The routing key; an empty one has no words, as in RabbitMQ.
    """
    words = key.split(".") if key else []
    reachable = {0}
    for part in pattern.split(".") if pattern else []:
        if part == "#":
            reachable = set(range(min(reachable), len(words) + 1)) if reachable else set()
        else:
            reachable = {at + 1 for at in reachable if at < len(words) and part in ("*", words[at])}
    return len(words) in reachable

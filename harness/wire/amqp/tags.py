"""Numbers on either side of the proxy: delivery tags and publisher confirms.

Both work alike: one side numbers things from 1 on each channel, the other side settles them by number, one alone or, by
``multiple``, all up to it. Whatever was held, dropped or added in between makes the two sides' numbers differ, so each
side has an :class:`Outstanding` of its own, and one settlement becomes as many as it takes to mean exactly the same.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Outstanding(Generic[T]):
    """What is numbered on one side and not settled there, lowest number first."""

    __slots__ = ("_items", "_last")

    def __init__(self) -> None:
        self._items: dict[int, T] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, number: int) -> bool:
        return number in self._items

    def number(self) -> int:
        """Use up the next number for something that needs no settling, and return it."""
        self._last += 1
        return self._last

    def add(self, item: T) -> int:
        """Give ``item`` the next number, and return it."""
        self._last += 1
        self._items[self._last] = item
        return self._last

    def put(self, number: int, item: T) -> None:
        """Note ``item`` under a number that the other party gave it; such numbers only grow."""
        self._items[number] = item
        self._last = number

    def pop(self, number: int) -> T | None:
        """Forget and return what has this number; None when nothing has."""
        return self._items.pop(number, None)

    def items(self) -> list[T]:
        """Return all that is outstanding, lowest number first."""
        return list(self._items.values())

    def clear(self) -> list[T]:
        """Forget and return everything; the numbering goes on."""
        items = self.items()
        self._items.clear()
        return items

    def covered(self, number: int, multiple: bool) -> list[tuple[int, T]]:
        """Return what a settlement means, with the numbers, and keep it; 0 with ``multiple`` means everything."""
        if not multiple:
            return [(number, self._items[number])] if number in self._items else []
        found: list[tuple[int, T]] = []
        for each, item in self._items.items():
            if number and each > number:
                break
            found.append((each, item))
        return found

    def settle(self, numbers: list[int]) -> list[tuple[int, bool]]:
        """Forget ``numbers``, and return the settlements (number, multiple) that mean exactly those, in order."""
        if len(numbers) == 1:
            self._items.pop(numbers[0], None)
            return [(numbers[0], False)]
        chosen = sorted(numbers)
        prefix = self._shared_prefix(chosen)
        for number in chosen:
            self._items.pop(number, None)
        if prefix < 2:
            return [(number, False) for number in chosen]
        return [(chosen[prefix - 1], True), *((number, False) for number in chosen[prefix:])]

    def _shared_prefix(self, chosen: list[int]) -> int:
        count = 0
        for number, outstanding in zip(chosen, self._items, strict=False):
            if number != outstanding:
                break
            count += 1
        return count

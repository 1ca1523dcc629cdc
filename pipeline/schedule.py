"""The order in which stages run: the base and its evaluation, then item by item to its last figure.

An item is a variant with a seed. A stage that takes the devices (it has FLOPs in its cost) waits until
those of all items before are over: the first score comes after one training, not after all, and a
training that waits holds no slot and asks no autoscaler for a node.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence


class Schedule:
    """Which stages may start now."""

    def __init__(
        self,
        names: Sequence[str],
        upstream: Mapping[str, Sequence[str]],
        heavy: Collection[str],
        slots: int,
        items_at_once: int = 1,
        idle: Collection[str] = (),
    ) -> None:
        """``names``: in an order in which they can run. ``idle``: those that take no time.

        ``slots``: stages at once. ``items_at_once``: items whose devices' stages may run side by side.
        """
        self._upstream = {name: [up for up in upstream[name] if up in names] for name in names}
        self._heavy, self._idle = set(heavy) - set(idle), set(idle)
        self._at_once, self._slots = items_at_once, max(slots, items_at_once)
        self._group: dict[str, int] = {}
        items = list(dict.fromkeys(_item(name) for name in names if _item(name)))
        for name in names:
            after = any(self._group[up] for up in self._upstream[name])
            shared = len(items) + 1 if after else 0
            self._group[name] = items.index(_item(name)) + 1 if _item(name) else shared
        # The sort is stable: within an item the order stays that of the graph.
        self._waiting = sorted(names, key=self._group.__getitem__)
        self._running: set[str] = set()
        self._over: set[str] = set()

    @property
    def done(self) -> bool:
        """Whether every stage is over."""
        return not self._waiting and not self._running

    def start(self) -> list[str]:
        """The stages to start now; they count as running until ``ended`` says otherwise."""
        found = []
        for name in list(self._waiting):
            if self._may_start(name):
                self._waiting.remove(name)
                self._running.add(name)
                found.append(name)
        return found

    def ended(self, name: str) -> None:
        """A stage is over, well or not."""
        self._running.discard(name)
        self._over.add(name)

    def _may_start(self, name: str) -> bool:
        if any(up not in self._over for up in self._upstream[name]):
            return False
        if name in self._idle:
            return True
        if len(self._running - self._idle) >= self._slots:
            return False
        return name not in self._heavy or self._group[name] in self._open()

    def _open(self) -> list[int]:
        """Groups whose heavy stages may run: what all share alone, then the first items."""
        unfinished = {self._group[name] for name in self._heavy - self._over}
        first = sorted(unfinished)[: self._at_once]
        return [0] if 0 in unfinished else first


def simulate(schedule: Schedule, hours: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Start and end of each stage, hours from now, in the order in which they start."""
    times: dict[str, tuple[float, float]] = {}
    running: list[tuple[float, str]] = []
    now = 0.0
    while not schedule.done:
        for name in schedule.start():
            times[name] = (now, now + hours.get(name, 0.0))
            heapq.heappush(running, (times[name][1], name))
        now, name = heapq.heappop(running)
        schedule.ended(name)
    return times


def _item(name: str) -> str:
    return name.partition("@")[2]

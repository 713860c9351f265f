"""Making the next items in a thread while one is in use."""

import collections
import inspect
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
END: Any = object()  # what `next` returns where no item is left, of whichever type the items are


def prefetch(items: Generator[T, None, None], depth: int = 2) -> Iterator[T]:
    """Yield what the generator `items` yields, in its order.

    A thread makes up to `depth` items beyond the one in use, so that whoever uses them does not wait. What `items`
    raises is raised where its item would have come. Leaving early waits for what is begun, and closes `items`.
    """
    thread = ThreadPoolExecutor(max_workers=1)
    try:
        waiting = collections.deque(thread.submit(next, items, END) for _ in range(depth))
        while (item := waiting.popleft().result()) is not END:
            waiting.append(thread.submit(next, items, END))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
        # A thread that an interrupt met as it began is none that `shutdown` waits for.
        while inspect.getgeneratorstate(items) == inspect.GEN_RUNNING:
            time.sleep(0.01)
        items.close()

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rnnids.prefetch import prefetch


def test_items_are_made_ahead_in_their_order_and_no_further_than_asked():
    made, used = [], []

    def squares():
        for number in range(20):
            made.append(number)
            yield number**2

    for square in prefetch(squares(), depth=3):
        used.append(square)
        assert len(made) <= len(used) + 3
    assert used == [number**2 for number in range(20)] and made == list(range(20))
    assert list(prefetch(item for item in ())) == []


def test_the_next_item_is_made_while_one_is_in_use():
    begun = [threading.Event() for _ in range(4)]

    def items():
        for number in range(4):
            begun[number].set()
            yield number

    for number in prefetch(items(), depth=1):
        assert begun[min(number + 1, 3)].wait(timeout=60)


def test_a_failure_comes_where_its_item_would_have_come():
    def items():
        yield from range(2)
        raise ValueError("the third item")

    results = prefetch(items())
    assert [next(results) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="the third item"):
        next(results)


def test_leaving_early_ends_the_thread_and_closes_the_items():
    closed, before = [], threading.active_count()

    def items():
        try:
            yield from range(9)
        finally:
            closed.append(True)

    results = prefetch(items())
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before and closed == [True]


def test_an_interrupt_as_the_thread_begins_waits_for_the_item_in_the_making(monkeypatch):
    begun, ended = threading.Event(), []

    def items():
        begun.set()
        time.sleep(0.2)
        ended.append(True)
        yield 1

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *work):
            super().submit(*work)
            begun.wait()
            self._threads.clear()  # as where the interrupt comes before the thread is noted
            raise KeyboardInterrupt

    monkeypatch.setattr("rnnids.prefetch.ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch(items()))
    assert ended

"""Where keys and items stand, and that finding one takes no look at all others."""

from __future__ import annotations

from reconciler.manifests.positions import Map, Seq


class Key(str):
    """A key that counts how often one was compared with another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def mapping(keys: int) -> Map:
    return Map.of(7, {Key(f"key {each}"): (each, 10 * each, 10 * each + 5) for each in range(keys)})


def test_each_key_and_value_stands_where_it_was_written() -> None:
    for size in (3, 300):
        made = mapping(size)
        assert [made.key_spot(f"key {each}") for each in range(size)] == list(range(0, 10 * size, 10))
        assert [made.value_spot(f"key {each}") for each in range(size)] == list(range(5, 10 * size, 10))
        assert made.value_spot("another") == made.spot == 7


def test_a_key_that_came_later_is_found_as_well() -> None:
    made = mapping(100)
    assert made.key_spot("key 99") == 990
    made["later"] = 1
    made.places = [*made.places, 1000, 1005]
    assert (made.key_spot("later"), made.value_spot("key 99")) == (1000, 995)


def test_asking_for_every_key_of_twice_as_many_is_twice_as_much_work() -> None:
    def work(keys: int) -> int:
        made = mapping(keys)
        before = Key.compared
        for each in range(keys):
            assert made.value_spot(f"key {each}") - made.key_spot(f"key {each}") == 5
        return Key.compared - before

    assert work(2_000) <= 2.1 * work(1_000)


def test_each_item_stands_where_it_was_written() -> None:
    items = Seq.of(7, [("a", 10), ("b", 20)])
    assert [items.item_spot(index) for index in (0, 1)] == list(items.spots)
    items.home = 100
    assert [items.item_spot(index) for index in (0, 1)] == list(items.spots) == [110, 120]

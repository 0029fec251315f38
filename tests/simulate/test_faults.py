import json

from recorder.simulate.faults import CloseFault, Faults, garbage

EVENT = b'{"type":"signal","symbol":"BTC","score":1.5}'


def test_nothing_goes_wrong_by_default() -> None:
    faults = Faults()
    assert all(faults.after(frames) is None for frames in range(10))
    assert faults.corrupted(EVENT, 1, text=True) == EVENT


def test_each_fault_comes_at_its_own_frame() -> None:
    faults = Faults(close_after=(3, 1008, "too_slow"), reset_after=5, go_silent_after=7)
    happened = {frames: faults.after(frames) for frames in range(9) if faults.after(frames)}
    assert happened == {3: CloseFault(1008, "too_slow"), 5: "reset", 7: "silence"}


def test_only_the_first_connections_are_faulty_where_that_is_asked() -> None:
    assert [Faults(connections=2).affects(number) for number in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert Faults().affects(1_000_000)


def test_every_third_event_is_garbage() -> None:
    faults = Faults(garbage_every=3)
    corrupt = [faults.corrupted(EVENT, event, text=True) != EVENT for event in range(1, 10)]
    assert corrupt == [False, False, True] * 3


def test_garbage_is_malformed_no_object_or_of_wrong_types() -> None:
    for number in range(20):
        payload = garbage(EVENT, number, text=False)
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            continue
        good = isinstance(value, dict) and isinstance(value.get("type"), str)
        assert not good or value["symbol"] == ["BTC"]


def test_garbage_in_text_frames_is_valid_utf8() -> None:
    for number in range(20):
        damaged = garbage('{"title":"신규"}'.encode(), number, text=True)
        assert damaged.decode("utf-8", "ignore").encode() == damaged

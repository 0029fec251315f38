from recorder.simulate.admission import Admission, ConnectionLimits, Visitor

ANN = Visitor("dsk_a", "192.0.2.1")
FREE = ConnectionLimits(cooldown_seconds=0, new_per_minute=1000)


def test_a_key_waits_out_its_cooldown_on_one_address() -> None:
    admission = Admission(ConnectionLimits())
    assert admission.refuse(ANN, [], 100.0) is None
    assert admission.refuse(ANN, [], 100.0) == {"error": "connection_cooldown", "retry_after_s": 5}
    assert admission.refuse(ANN, [], 103.5) == {"error": "connection_cooldown", "retry_after_s": 2}
    assert admission.refuse(ANN, [], 105.0) is None


def test_another_key_or_address_has_its_own_cooldown() -> None:
    admission = Admission(ConnectionLimits())
    assert admission.refuse(ANN, [], 100.0) is None
    assert admission.refuse(Visitor("dsk_b", ANN.address), [], 100.0) is None
    assert admission.refuse(Visitor(ANN.key, "192.0.2.2"), [], 100.0) is None


def test_an_address_makes_ten_new_connections_a_minute() -> None:
    admission = Admission(ConnectionLimits(cooldown_seconds=0))
    answers = [admission.refuse(ANN, [], float(second)) for second in range(11)]
    assert answers == [None] * 10 + [{"error": "connection_rate_limit_exceeded"}]
    assert admission.refuse(ANN, [], 60.0) is None


def test_open_connections_are_limited_by_key_and_address() -> None:
    others = [Visitor(f"dsk_{number}", ANN.address) for number in range(20)]
    crowd = [Visitor(ANN.key, f"192.0.2.{number % 2 + 1}") for number in range(20)]
    for present, error in [
        (others, "per_ip_concurrent_limit_reached"),
        ([ANN] * 5, "per_ip_connection_limit_reached"),
        ([Visitor(ANN.key, "b"), Visitor(ANN.key, "c")], "max_distinct_ips_reached"),
        (crowd[1::2] * 2, "absolute_connection_cap_reached"),
    ]:
        assert Admission(FREE).refuse(ANN, present, 0.0) == {"error": error}

from api.limits import TokenBucket, UserConnections


def test_a_burst_passes_and_then_only_the_rate():
    bucket = TokenBucket(rate_per_s=2.0, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.4), bucket.take(0.5), bucket.take(0.5)] == [False, True, False]


def test_a_long_silence_saves_up_one_burst_and_no_more():
    bucket = TokenBucket(rate_per_s=2.0, burst=3, now=0.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_the_oldest_connection_ends_for_one_too_many():
    users: UserConnections[str] = UserConnections(2)
    assert [users.add("u", "first"), users.add("u", "second"), users.add("other", "x")] == [None, None, None]
    assert users.add("u", "third") == "first"
    assert users.add("u", "fourth") == "second"
    assert len(users) == 3


def test_a_connection_that_ended_makes_room():
    users: UserConnections[str] = UserConnections(1)
    users.add("u", "first")
    users.remove("u", "first")
    users.remove("u", "first")
    assert users.add("u", "second") is None


def test_who_had_to_end_takes_nobody_elses_place_with_it():
    users: UserConnections[str] = UserConnections(1)
    users.add("u", "first")
    users.add("u", "second")
    users.remove("u", "first")
    assert len(users) == 1

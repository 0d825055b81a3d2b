from mediswift_cs.corpora.latest import DELETED, KEPT, SUPERSEDED, LatestRecords


def test_a_higher_version_replaces_a_lower_one() -> None:
    latest = LatestRecords()
    latest.add(5, 1, written=True)
    assert not latest.is_superseded(5, 2)
    latest.add(5, 2, written=True)
    assert list(latest.status) == [SUPERSEDED, KEPT]


def test_a_lower_version_that_comes_later_is_superseded() -> None:
    latest = LatestRecords()
    latest.add(5, 2, written=True)
    assert latest.is_superseded(5, 1)
    assert not latest.is_superseded(6, 1)
    assert list(latest.status) == [KEPT]


def test_of_equal_versions_the_later_counts() -> None:
    latest = LatestRecords()
    latest.add(5, 1, written=True)
    latest.add(6, 1, written=True)
    assert not latest.is_superseded(5, 1)
    latest.add(5, 1, written=True)
    assert list(latest.status) == [SUPERSEDED, KEPT, KEPT]


def test_a_later_record_that_is_left_out_takes_the_earlier_one_with_it() -> None:
    latest = LatestRecords()
    latest.add(5, 1, written=True)
    latest.add(5, 1, written=False)
    assert list(latest.status) == [SUPERSEDED]


def test_deletion_takes_back_and_a_new_record_counts_again() -> None:
    latest = LatestRecords()
    latest.add(5, 1, written=True)
    assert latest.delete(5, 1)
    assert not latest.delete(5, 1)
    assert not latest.delete(77, 1)
    latest.add(5, 1, written=True)
    assert list(latest.status) == [DELETED, KEPT]


def test_deletion_of_an_old_version_leaves_the_new_one() -> None:
    latest = LatestRecords()
    latest.add(5, 2, written=True)
    assert not latest.delete(5, 1)
    assert list(latest.status) == [KEPT]


def test_any_pmid_has_room() -> None:
    latest = LatestRecords()
    latest.add(99_999_999, 1, written=True)
    latest.add(1, 300, written=True)
    assert latest.is_superseded(1, 1)
    assert latest.delete(99_999_999, 1)
    assert list(latest.status) == [DELETED, KEPT]

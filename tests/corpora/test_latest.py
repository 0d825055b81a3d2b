import pytest

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


def test_a_deletion_names_the_line_of_its_own_record() -> None:
    latest = LatestRecords()
    for pmid in (5, 6, 7, 8):
        latest.add(pmid, 1, written=True)
    assert latest.delete(7, 1)
    assert list(latest.status) == [KEPT, KEPT, DELETED, KEPT]


@pytest.mark.parametrize(
    ("read", "deleted", "is_deleted"),
    [(1, 1, True), (1, 2, True), (2, 2, True), (2, 3, True), (1, 0, True), (2, 1, False)],
)
def test_a_deletion_takes_its_version_and_older_ones(
    read: int, deleted: int, is_deleted: bool
) -> None:
    latest = LatestRecords()
    latest.add(5, read, written=True)
    assert latest.delete(5, deleted) is is_deleted
    assert not latest.is_superseded(5, 1) or not is_deleted


def test_versions_beyond_a_byte_are_the_highest_one() -> None:
    latest = LatestRecords()
    latest.add(5, 255, written=True)
    assert not latest.is_superseded(5, 255)
    assert not latest.is_superseded(5, 300)
    latest.add(5, 300, written=True)
    assert not latest.is_superseded(5, 256)
    assert latest.is_superseded(5, 254)


def test_room_doubles_and_keeps_what_is_known() -> None:
    latest = LatestRecords(size=4)
    for pmid in range(1, 40):
        latest.add(pmid, 2, written=True)
    assert all(latest.is_superseded(pmid, 1) for pmid in range(1, 40))
    assert not latest.is_superseded(40, 1)
    assert latest.delete(39, 2)
    assert list(latest.status) == [KEPT] * 38 + [DELETED]
    assert latest.num_reserved == 64
    latest.add(1000, 1, written=True)
    assert latest.num_reserved == 1001


def test_all_of_pubmed_has_room_from_the_start() -> None:
    assert LatestRecords().num_reserved > 42_000_000


def test_any_pmid_has_room() -> None:
    latest = LatestRecords()
    latest.add(99_999_999, 1, written=True)
    latest.add(1, 300, written=True)
    assert latest.is_superseded(1, 1)
    assert latest.delete(99_999_999, 1)
    assert list(latest.status) == [DELETED, KEPT]

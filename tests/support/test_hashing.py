"""The hash that decides splits: another value would put patients of a prepared set in another split."""

from radrl.support.hashing import stable_hash


def test_the_hash_never_changes():
    assert stable_hash("mimic-cxr/10000032") == 5581659108551984622
    assert stable_hash(b"mimic-cxr/10000032") == 5581659108551984622
    assert stable_hash("\ud800") == stable_hash("?")  # half a surrogate pair is no reason to stop

import pytest
from actor import Counter

from theater_sdk import Refuse
from theater_sdk.testing import Rehearsal


def test_it_adds_what_it_is_told_to() -> None:
    counter = Rehearsal(Counter, {"start": 40})

    assert counter.request({"by": 2}) == {"count": 42}
    assert counter.state == {"count": 42}


def test_it_refuses_what_it_does_not_understand() -> None:
    counter = Rehearsal(Counter)

    with pytest.raises(Refuse):
        counter.request({"times": 2})
    assert counter.state == {"count": 0}

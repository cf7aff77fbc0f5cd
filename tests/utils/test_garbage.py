import gc

import pytest

from keras_wmgm.utils.garbage import collection_paused


@pytest.fixture(autouse=True)
def as_it_was():
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_as_it_was_even_after_an_error(before):
    (gc.enable if before else gc.disable)()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled() is before
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled() is before

import time

import pytest


@pytest.fixture
def clock(monkeypatch):
    """Time, as a list of one number that a test may change."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now

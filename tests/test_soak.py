"""Some seconds of `make soak`."""

from __future__ import annotations

import pytest
import soak


@pytest.mark.parametrize("seed", [1, 2])
def test_into_a_server_that_is_never_well_each_hit_is_received_once_or_named(seed):
    went_wrong = soak.imported(seed, 200)
    assert went_wrong["poisoned"]

"""Is a record read in the order in which the scripts return it?"""

from __future__ import annotations

import re

from bff.store import scripts
from bff.store.scripts import RECORD_FIELDS
from tests.support.bench import Bench


def test_the_row_has_the_fields_of_the_script_in_its_order() -> None:
    [arguments] = re.findall(r"'HMGET', KEYS\[1\],([^)]+)\)", scripts.LOAD.source)
    assert tuple(re.findall(r"'(\w+)'", arguments)) == RECORD_FIELDS


def test_a_loaded_session_is_the_one_that_was_started(bench: Bench) -> None:
    key = bench.start()
    found = bench.records.load(key, slide=False)
    assert found is not None
    session = found.session
    assert (session.key, session.generation, found.sealed_data) == (key, 1, None)
    assert session.created_at == session.last_seen_at <= session.read_at < session.idle_ends_at
    assert session.idle_ends_at <= session.absolute_ends_at

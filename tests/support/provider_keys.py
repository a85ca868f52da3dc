"""Which keys do demo providers in tests sign with? Those of each process, made once.

One takes 60 ms of CPU time, and hundreds of tests start a provider. The keys of one provider differ
from each other; another provider in the same process has the same ones, under the same names. A
test of two providers compares their issuers, which differ.
"""

from __future__ import annotations

import functools

from demo.provider import keys

FIRST_KID = "demo-1"

if not hasattr(keys.make_key, "cache_info"):
    keys.make_key = functools.cache(keys.make_key)
# Before a fork of this process, so that all forks have it.
keys.make_key(FIRST_KID)

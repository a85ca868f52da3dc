"""Which claims does an application keep of a sign-in, beside those of `BFF_PROFILE_CLAIMS`?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import msgspec

from bff.config import Config
from bff.core.exact_json import decoded, encoded
from bff.core.model import Identity

KeepClaims = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Gets all claims of the ID token (with `BFF_USERINFO` those of UserInfo, too), validated; returns
those to keep beside the profile's, under names of their own."""


def with_kept(
    identity: Identity, claims: Mapping[str, Any], keep: KeepClaims | None, config: Config
) -> Identity:
    """*identity* with the claims that *keep* returns.

    Args:
        identity: Of the sign-in.
        claims: All that are known of the user.
        keep: The application's function, if it has one.
        config: The names that it must not return: the profile's claims follow the provider. Nor
            the e-mail address, by which sessions are found and ended.

    Raises:
        TypeError: It returned no mapping, or something that isn't JSON.
        ValueError: It returned one of the other names.
    """
    if keep is None:
        return identity
    kept = keep(MappingProxyType(deepcopy(dict(claims))))
    if not isinstance(kept, Mapping):
        raise TypeError(f"keep_claims returned {type(kept).__name__} instead of a mapping")
    taken = kept.keys() & {"email", *config.profile_claims}
    if taken:
        raise ValueError(f"keep_claims must not replace {', '.join(sorted(taken))}")
    more = decoded(encoded(kept, "what keep_claims returns"))
    return msgspec.structs.replace(identity, claims=identity.claims | more)

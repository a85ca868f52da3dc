"""Which contestants are there?"""

from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.contestants.express import Express
from benchmarks.contestants.handwritten import Handwritten
from benchmarks.contestants.mod_auth_openidc import ModAuthOpenIDC
from benchmarks.contestants.oauth2_proxy import OAuth2Proxy, is_here
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.ours_behind_nginx import OursBehindNginx
from benchmarks.contestants.ours_with_metrics import OursWithMetrics

ALL: dict[str, type[Contestant]] = {
    kind.name: kind
    for kind in (Ours, OursWithMetrics, OursBehindNginx, ModAuthOpenIDC, Express, Handwritten)
}
"""By name, ours first."""
if is_here():
    ALL[OAuth2Proxy.name] = OAuth2Proxy

__all__ = ["ALL", "Contestant", "RunContext"]

"""How does a request on a route reach its upstream? `proxy` is the way in, then down."""

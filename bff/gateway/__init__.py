"""How does a request on a route reach its upstream, and the response the browser? See `proxy`."""

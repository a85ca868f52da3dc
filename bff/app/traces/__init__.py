"""What is in a trace, and where does it go? docs/traces.md; off (`BFF_TRACES`), nothing is loaded.

switch        whether there are traces
set_up        OpenTelemetry's parts, put together for this process
context       what a caller's headers say, and what ours say to others
sampler       which requests are recorded
spans         a span for each request, and for what it waits for
request_span  a request's span ends with the last byte of its response
attributes    what a span may say; nothing else gets into one
sender        finished spans on their way to the collector
collector     where they go
"""

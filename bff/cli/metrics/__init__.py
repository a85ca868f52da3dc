"""What does Prometheus get of `bff serve --metrics-port`? docs/metrics.md; off, nothing is loaded.

definitions  every metric: name, labels, buckets
observer     the operations of a worker (`bff.core.operations`)
events       the events of the audit log
worker       both of these, in a worker
recorder     collects in a worker, and sends it on each second
report       what a worker sends
totals       the sums of all workers
backlog      revocations that wait
exporter     the process that has the sums, and its port
"""

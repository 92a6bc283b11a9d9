"""Two workers under load, on a real Apache Kafka, watched by a real Prometheus with the rules that are shipped.

The fixture `watched` (conftest.py) is all of it, started once for a run: `watched.prometheus.query(expr)` asks,
`watched.load` is what is sent, `watched.workers` are who answers. Times in the rules are scaled: see `scaled_rules`.
`make ops-test` runs these tests: marker `ops`. What does harm stands in test_faults.py, which runs last.
"""

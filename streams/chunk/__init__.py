"""The chunk path on faust-streaming 0.15.3: all that touches Faust's internals.

Faust assigns, revokes, recovers and commits; records come a chunk at a time, rows and outputs leave a batch at a time.
tests/unit/streams/test_faust_names.py pins every private name that this relies on.
"""

"""Typed functions over named SQL: one statement each, in and out as plain values.

``reactor/queries/<topic>.sql`` holds the statements under ``-- name:`` lines; ``reactor/store/<topic>.py`` is its twin.
A function here never decides anything and never opens a connection: it takes one and says what is true afterwards.
"""

"""The rules, and nothing else: pure functions and literals.

Time, chance and rows come in as arguments; a value comes out. Nothing here sleeps, asks a clock, rolls
dice of its own, or knows that a database exists. The SQL functions under ``sql/`` enforce the same rules where
rows live; property tests hold the two against each other.
"""

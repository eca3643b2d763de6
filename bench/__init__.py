"""How fast it is, measured: ``python -m bench``.

Every figure is taken on a private PostgreSQL in a temporary directory with durable settings (``fsync`` on, on disk), made
for the bench and gone afterwards. Ours is always a real reactor: a process started as a user starts it, given work by plain
inserts. Peers (``bench.peers``) are real processes too, set up as their own documentation says, on the same server with
the same settings in the same run; whichever is not installed is named as missing, never skipped in silence.

Absolute times belong to one machine; bars are mostly ratios inside one run. What is compared takes turns, round by round,
and a figure is the median of its rounds, so that a slow minute of the machine hits all alike. Nothing here is a test: tests
prove behaviour, this proves speed.

``stage`` holds the server and the progress bar, ``process`` the running contestants, ``contestants`` what each of them is
asked, ``kinds`` our handlers, ``figures`` the numbers with their bars, ``table``, ``report`` and ``plots`` what becomes of
them. Each other module is one bench: ``def run(stage: Stage) -> None``.
"""

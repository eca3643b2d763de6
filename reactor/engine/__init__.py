"""The engine: roles that make rows move.

One role, one small unit, each started by the supervisor and owned by its nursery:

* ``listener`` hears the database's channels, ``control`` passes on what they say;
* ``doorbell`` is this reactor's hand on a queue's bell, ``wake`` what was heard since the last look;
* ``dispatcher`` decides when to claim and when to sleep, ``claimer`` claims;
* ``executor`` runs claimed rows, ``completer`` writes what became of them;
* ``services`` and ``pauses`` know what must wait;
* ``timekeepers`` begin things by themselves: the schedule, the heartbeat, the rules as events arrive;
* ``sweeps`` looks regularly whether something was missed, ``rescuer`` gives back what the dead had running;
* ``supervisor`` makes, starts and stops them all.

What a row *means* is not known here: a queue's handlers come in as a ``work.Work``.
"""

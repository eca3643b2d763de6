"""Pages and pictures of the documentation that are made from code.

``python -m tools.docs`` (``bin/generate`` calls it) writes docs/reference and docs/charts; a test compares them
with the code.

* ``charts``: a state machine's table as a picture.
* ``code``: pages made of what can be imported: settings, commands, the API, metrics.
* ``catalogue``: pages made of what the database says of itself: functions, tables, policies, kinds of step.
* ``making``: all of them. ``site``: what a built site must hold to: no address of another host, no link to nothing.
"""

"""``/ops``: one page a person likes to leave open.

* ``panels``: its parts, what each looks at, which events make it look again.
* ``sheets``: one thing whole: a mission, a conversation, an agent, a pair, a policy.
* ``deeds``: what a person can do, one form each.
* ``drafting``: a mission in the making, step by step, until it is proposed.
* ``routes``: the page, a panel, a sheet, a deed, as requests.
* ``render``, ``templates/``: from values to HTML. ``drawing``: where things go in a picture.
* ``assets``, ``static/``: style, script, the vendored libraries with their licences.

Everything is made on the server and works by links and forms. The script (``static/ops.js``) only makes it live: it
listens to ``/api/ops/stream`` and asks again for the panels an event concerns, lays sheets over the page, sends forms
without leaving it. A panel that is replaced is morphed, so what somebody is typing, an open fold and the focus stay.
"""

from reactor.web.page.routes import page_routes

__all__ = ["page_routes"]

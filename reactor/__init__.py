"""voxyz-reactor: the event-driven engine for teams of LLM agents on PostgreSQL.

The packages, from the outside in; each imports only those below it:

* ``cli``: one module a family of commands, and the composition root.
* ``web``: the control API, the page, metrics, the live stream.
* ``engine``: the roles that make rows move: listener, doorbell, dispatcher, runners, completer, sweeps, rescue.
* ``handlers``: what a claimed row means.
* ``llm``: the one metered door to a language model.
* ``store``: typed functions over the named SQL in ``queries``, one statement each.
* ``pg``: psycopg on trio, the embedded server, migrations.
* ``model``: the rules, pure: time, chance and rows come in as arguments, a value comes out.
* ``settings``, ``errors``: what the operator says, and what we say back.
"""

__version__ = "0.1.0"

# Raised by a version whose schema older programs cannot live with: the highest `-- generation: N` in sql/schema, else 1.
GENERATION = 1

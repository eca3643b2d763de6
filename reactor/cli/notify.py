"""``notify``: who is told what, a test of it, and the secret that receivers check signatures with."""

import click

from reactor.cli.output import answer_json, json_option, say
from reactor.cli.runtime import ask
from reactor.cli.waiting import follow
from reactor.pg import Connection
from reactor.store import agents, outside

WAIT_S = 60.0


@click.command(short_help="who is told what")
@click.option("--test", is_flag=True, help="Send a test message and say whether it was taken.")
@click.option("--secret", is_flag=True, help="Print the secret that webhooks and notices are signed with.")
@json_option
def notify(test: bool, secret: bool, as_json: bool) -> int:
    """Who is told what, as policy notify says.

    Change it with: voxyz-reactor policy notify '{"url": "https://…", "format": "slack"}'
    """

    async def asked(conn: Connection) -> int:
        if secret:
            say(await outside.signing_key(conn))
            return 0
        if test:
            step = await outside.notify_test(conn)
            return await follow(conn, "step", step, timeout_s=WAIT_S)
        rule = (await agents.policies(conn, ["notify"])).get("notify", {})
        if as_json:
            answer_json(rule)
        elif not rule.get("url"):
            say(
                'nobody is told anything: voxyz-reactor policy notify \'{"url": "https://…", "format": "slack"}\''
            )
        else:
            say(
                f"{rule.get('format')} · {', '.join(rule.get('events', []))}"
                f" · digest at {rule.get('digest_at') or 'no time'}"
            )
        return 0

    return ask("notify", asked)

"""What a claimed row means.

A reactor claims a row of a queue; a handler does what the row says and returns an outcome, and never writes
the row itself: the engine does, outcome and effects in one transaction. So a handler may be run twice, be
cancelled at any of its checkpoints, and knows nothing of claims, fences and retries.

`kinds` names what a mission step can be, ours and the user's own. `step` is what its handler is given; `runner` does
one: it fills in the templates of the payload, checks it against the kind's schema, finds out whose work it is, asks
`leaving` whether it may leave the house, runs the kind, and turns what came back, or went wrong, into an outcome.
`thinking` holds the kinds that ask an LLM, `prompts` what they ask and `shapes` what must come back; `noop` is the kind
that does nothing. `initiative` asks an agent for an idea of its own, `ideas` is what it is asked; what an agent remembers
gets into a mission or an initiative by one roll each. `roundtable` holds a conversation turn by turn: `roundtable_plan`
decides once who talks about what, `roundtable_prompts` is what they are told, `roundtable_shapes` what the conversation
must come to. `webhook`, `notify` and `crawl` go to other people's servers by the `door`, and `outgoing` is how a request
travels. `context` is what all of them share; `fitting` is for people who change a payload by hand.

The path of a step that needs none of this (no agent, no payload, no schema) asks the database nothing.
"""

from reactor.handlers.kinds import KindRegistry, StepKind, load_modules, step_kind
from reactor.handlers.runner import StepRunner
from reactor.handlers.step import Step
from reactor.model.outcomes import Cancel, Done, Fail, GiveBack, Outcome, Snooze
from reactor.store.steps_read import EarlierResult

__all__ = [
    "Cancel",
    "Done",
    "EarlierResult",
    "Fail",
    "GiveBack",
    "KindRegistry",
    "Outcome",
    "Snooze",
    "Step",
    "StepKind",
    "StepRunner",
    "load_modules",
    "step_kind",
]

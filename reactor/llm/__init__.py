"""The one door to a language model.

A handler says what it wants (`request.LLMRequest`) and gets a `request.LLMReply`; it never learns who answered.
`gateway.Gateway` is the door: it asks the breaker, waits for a free place, reserves what the call may cost, lets a
provider answer, reports to the breaker, settles the cost, and checks the shape of what came back. Nothing else
in the house calls a provider.

`mock` answers without a network and without cost, deterministically, through the same door, metered the same:
`mock_voices` is what it says, `mock_shapes` how it fills the shape asked for. `metering` counts tokens and prices them;
its `Meter` protocol is where a ledger and budgets take their place. `limits` are the numbers of policy ``llm_limits``.

Prompts have a stable part first (company, agent, rules) and what changes last, so that a provider may keep the
former. Text that came from anywhere but the operator is fenced by `fences` before it goes into a prompt.
"""

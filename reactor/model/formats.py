"""The formats a conversation can have."""

FORMATS = (
    "standup",
    "debate",
    "watercooler",
    "brainstorm",
    "retrospective",
    "planning",
    "checkin",
    "content_review",
    "triage",
    "deep_dive",
    "risk_review",
    "strategy",
    "shipping",
    "war_room",
    "conflict_resolution",
    "mentoring",
)

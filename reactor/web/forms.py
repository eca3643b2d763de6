"""What a form without scripts sends."""

from urllib.parse import parse_qsl

from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 400  # a proposal of 20 steps, each with as many fields as a payload gets


def is_form(content_type: str) -> bool:
    """Whether a body of that type is a form's."""
    return content_type.partition(";")[0].strip().lower() == FORM


async def form_of(request: Request) -> dict[str, str]:
    """The fields of the form that was sent, the last of each name; none when the body is no form."""
    if not is_form(request.headers.get("content-type", "")):
        return {}
    return fields_of(await request.body())


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded body, U+FFFD for what is no character; none when there are too many."""
    text = body.decode("utf-8", "replace")
    try:
        sent = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return {name: value.replace("\0", "\ufffd") for name, value in sent}

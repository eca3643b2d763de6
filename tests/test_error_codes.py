import re
from pathlib import Path

from reactor.cli.endings import USAGE_STATES

ROOT = Path(__file__).resolve().parent.parent
CODE = re.compile(r"errcode = '(OP\d{3})'")
LINE = re.compile(r"^\| `(OP\d{3})` \|.*\| ([12]) \|$", re.MULTILINE)


def test_every_code_the_sql_raises_is_documented_and_no_other() -> None:
    raised = {code for path in (ROOT / "sql").rglob("*.sql") for code in CODE.findall(path.read_text())}
    documented = dict(LINE.findall((ROOT / "docs" / "errors.md").read_text()))
    assert raised == documented.keys()
    assert {code for code, exit_code in documented.items() if exit_code == "2"} == USAGE_STATES

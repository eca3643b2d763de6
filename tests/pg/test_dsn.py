"""Addresses: read, shown without their secrets, changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import ConfigurationError
from reactor.pg import redact
from reactor.pg.dsn import as_uri, compose, hosts, is_uri, parse, pooler_remedy, with_database

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1
)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:secret@db:5433/app", "postgresql://me@db:5433/app"),
        ("postgres://me:s%40cret@db/app?sslmode=require", "postgresql://me@db/app?sslmode=require"),
        ("host=db user=me password=secret", "user=me host=db"),
        ("postgresql:///app?host=/run/pg&password=secret", "postgresql:///app?host=/run/pg"),
        ("postgresql://h/d?sslpassword=secret", "postgresql://h/d"),
        ("postgresql://u:secret/word@h/d", "(an address that cannot be read)"),
        ("password=secret nonsense", "(an address that cannot be read)"),
    ],
)
def test_an_address_is_shown_without_its_secrets(dsn: str, shown: str) -> None:
    assert sorted(redact(dsn).split()) == sorted(shown.split())


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:secret@h:port/d",
        "host=h passwort=secret",
        "password='secret",
    ],
)
def test_what_cannot_be_read_is_refused_without_repeating_a_secret(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encoded") as caught:
        parse(dsn)
    assert "sec" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_database_on_the_same_server_keeps_everything_else() -> None:
    assert (
        with_database("postgresql://u:p@h:1/a?sslmode=require", "b")
        == "postgresql://u:p@h:1/b?sslmode=require"
    )
    assert (
        with_database("postgresql://u@/a?host=/run/pg&port=5", "b c")
        == "postgresql://u@/b%20c?host=/run/pg&port=5"
    )
    assert parse(with_database("host=h dbname=a password='x y'", "b c")) == {
        "host": "h",
        "dbname": "b c",
        "password": "x y",
    }


def test_an_address_in_words_becomes_a_uri_that_says_the_same() -> None:
    for dsn in (
        "host=a,b port=1,2 user=u dbname=d target_session_attrs=read-write",
        "host=/var/run/pg port=5433 user=u",
        "host=::1 user=u",
        "hostaddr=127.0.0.1 user=u",
        "dbname=d options='-c x=1'",
    ):
        assert parse(as_uri(dsn)) == parse(dsn)


def test_an_ipv6_host_and_several_hosts_survive_the_uri() -> None:
    for uri in ("postgresql://u@[::1]:5433/d", "postgresql://u@a:1,b:2/d", "postgresql://u@a,b:2/d"):
        assert parse(as_uri(uri)) == parse(uri)


@given(user=WORDS, password=WORDS, database=WORDS)
def test_names_and_passwords_of_any_letters_survive_the_uri(user: str, password: str, database: str) -> None:
    params = {"user": user, "password": password, "host": "h", "dbname": database}
    assert parse(compose(params, uri=True)) == params
    assert parse(compose(params, uri=False)) == params


def test_what_other_programs_put_into_addresses_is_left_out() -> None:
    dsn = "postgresql://u@h:6543/d?pgbouncer=true&sslmode=require&connection_limit=1"
    assert parse(dsn) == {"user": "u", "host": "h", "port": "6543", "dbname": "d", "sslmode": "require"}
    assert parse("postgres://h/d?pgbouncer=true") == {"host": "h", "dbname": "d"}
    assert parse("postgresql+psycopg://u@h/d") == {"user": "u", "host": "h", "dbname": "d"}
    assert is_uri("postgresql+psycopg://u@h/d")


def test_hosts_come_in_the_order_they_are_tried() -> None:
    assert hosts("postgresql://a,b:2/d") == ["a", "b"]
    assert hosts("host=/run/pg") == ["/run/pg"]
    assert hosts("dbname=d") == []


def test_the_remedy_for_a_transaction_pooler_knows_the_habits_of_the_hosted_ones() -> None:
    supabase = pooler_remedy("postgresql://postgres.ref:hush@aws-0-eu.pooler.supabase.com:6543/postgres")
    assert "DIRECT_URL" in supabase
    assert "port 5432 of the same host (aws-0-eu.pooler.supabase.com)" in supabase
    assert "hush" not in supabase
    assert "(ep-cool-1.eu.aws.neon.tech)" in pooler_remedy(
        "postgresql://u@ep-cool-1-pooler.eu.aws.neon.tech/d"
    )
    assert "DIRECT_URL" in pooler_remedy("postgresql://u@h:6432/d")

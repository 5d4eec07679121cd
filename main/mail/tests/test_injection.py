"""What people enter changes neither the headers of a mail nor whom it goes to, whatever it is."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.models import RateCounter
from harness.smtp import code_of, text_of
from mail.outbox import leads_where_its_key_says
from users.models import User

HEADERS = """
    Auto-Submitted Content-Transfer-Encoding Content-Type Date From MIME-Version Message-ID Subject To
""".split()  # noqa: SIM905 (shorter)
SUBJECTS = ["Confirm your e-mail address", "Set a new password"]
NAMES = [
    *r"""
    {{code}} {%debug%} {%include'users/mails/reset_password.txt'%} %(code)s{code}$code <b>&amp;"'` Bcc:eve@example.com
    =?utf-8?q?Bcc=3A_eve=40example=2Ecom?= eve%0d%0aBcc:eve@example.com \r\nBcc:eve@example.com . ...
    """.split(),  # noqa: SIM905 (shorter)
    *("A" * 32, "A" * 150, "\U0001f408" * 150, "שלום", "ﷺ" * 14),
    *("a\r\nBcc:eve@example.com", "a\nb", "a\x00b", "a\u2028b", "a\x85b", "a\u202eb"),
]
ADDRESSES = [
    *r"""
    a.b+c@example.org !#$%&'*+/=?^_`{|}~-@example.org eve%example.com@example.org example.com!eve@example.org
    {{code}}@example.org A@EXAMPLE.ORG a@[127.0.0.1] a@localhost a@münchen.example a@MÜNCHEN.example
    a@xn--mnchen-3ya.example a@straße.example "a,eve@example.com"@example.org "a\"@eve"@example.org
    a@example.org,eve@example.com a@example.org%0aBcc:eve@example.com a@שלום.example a@aשb.example
    """.split(),  # noqa: SIM905 (shorter)
    *(f"{'a' * 64}@{'b' * 63}.example", f"a@{'ü' * 40}.example", '"a b"@example.org'),
    *("a@example.org>\r\nRCPT TO:<eve@example.com", "a@example.org\nBcc: eve@example.com", "a@example.org\x00"),
    *("\u212aelvin@example.org", "\uff41@example.org", "a@\u212aelvin.example", "a@\uff45xample.org"),
    *("a@\u1d2cxample.org", "a@exam\u00adple.org", "a@exam\u200bple.org", "a@example\u3002org"),
    *("a@example\uff0eorg", "a@\u202eexample.org"),
]


def ask_for_both(client, email):
    RateCounter.objects.all().delete()
    statuses = [client.post("/users/email/verify"), client.post("/users/password/forgot", {"email": email})]
    assert [answer.status_code for answer in statuses] == [202, 202]


def require_harmless(mails, user):
    """The mails are those that were asked for, to the account's own address, or there are none."""
    if not leads_where_its_key_says(user.email):
        assert mails == []
        return
    local, _, domain = user.email.rpartition("@")
    assert [mail["Subject"] for mail in mails] == SUBJECTS
    for mail in mails:
        assert mail.recipients == [f"{local}@{domain.encode('idna').decode()}"]
        assert mail["To"] == mail.recipients[0]
        assert mail.sender == "chat@example.org"
        assert sorted(mail.keys()) == HEADERS
        text = text_of(mail)
        lines = text.splitlines()
        assert lines[0] == f"Hello {user.username},"
        assert len(re.findall(re.escape(code_of(mail)), text)) == 2  # in a line, and in the link
        assert [line for line in lines if re.fullmatch("[A-Za-z0-9_-]{32}", line)] == [code_of(mail)]


@pytest.fixture
def try_out(as_alice, send_mails, settings):
    """Changes alice's profile, and has both kinds of mails sent to her if that is accepted."""
    settings.DEFAULT_FROM_EMAIL, settings.EMAIL_TIMEOUT = "Chat <chat@example.org>", 10

    def change(**profile):
        status = as_alice.put("/users/profile", profile).status_code
        assert status in (200, 400)
        if status == 200:
            user = User.objects.get()
            ask_for_both(as_alice, user.email)
            require_harmless(send_mails(), user)

    return change


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_of_one_line(name, try_out):
    try_out(username=name)
    try_out(first_name=name, last_name=name, bio=name)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_mail_goes_to_the_address_alone_or_nowhere(address, try_out):
    try_out(email=address)


PIECES = (
    st.sampled_from("aZ9.-_+%!'\"(),:;<>[]\\@ \t\r\n\0éßſK\u212a\uff20\u3002\u00ad\u1d2cשﬃ\u202e") | st.characters()
)
TEXTS = st.text(PIECES, min_size=1, max_size=20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS)
def test_nothing_that_is_accepted_does_harm(try_out, name, local, domain):
    try_out(username=name)
    for address in (f"{local}@example.org", f"a@{domain}.example", f"{local}@{domain}"):
        try_out(email=address)


# Other people's mail


@pytest.mark.parametrize(
    "entered",
    [
        "ALICE@EXAMPLE.ORG",
        "al\u0131ce@example.org",
        "alice@\uff45xample.org",
        "alice@\u1d2cxample.org",
        "alice@example\u3002org",
        "alice@exam\u00adple.org",
        "\uff41lice@example.org",
        "al\u2170ce@example.org",
    ],
)
def test_a_reset_goes_to_the_address_of_the_account_however_it_was_entered(entered, alice, anonymous, send_mails):
    anonymous.post("/users/password/forgot", {"email": entered})
    assert [mail.recipients for mail in send_mails()] in ([], [["alice@example.org"]])


@pytest.mark.parametrize("own", ["bob@ex\u1d43mple.org", "bob@ex\u1d2cmple.org"])
def test_nobody_confirms_an_address_by_way_of_another_domain_with_the_same_key(own, as_bob, anonymous, send_mails):
    """Such a domain is another one for mail servers, and may be somebody's own."""
    for email in ("elsewhere@example.com", own):
        assert as_bob.put("/users/profile", {"email": email}).status_code == 200
    as_bob.post("/users/email/verify")
    for mail in send_mails():
        anonymous.post("/users/email/confirm", {"code": code_of(mail)})
    as_bob.put("/users/profile", {"email": "bob@example.org"})
    assert not as_bob.get("/users/settings").json()["email_verified"]


def test_a_trusted_proxy_passes_no_text_into_a_mail(alice, anonymous, send_mails, settings):
    settings.TRUSTED_PROXIES = []
    for forwarded in ("198.51.100.1\x00<b>", "fe80::%Hello"):
        anonymous.post(
            "/users/password/forgot",
            {"email": alice.email},
            REMOTE_ADDR="",
            headers={"X-Forwarded-For": forwarded},
        )
    texts = [text_of(mail) for mail in send_mails()]
    assert len(texts) == 2
    assert not re.search("Hello[^ ]|<b>|operators", "".join(texts))

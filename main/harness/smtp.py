"""A real mail server on a port of its own, which can refuse, stall and hang up, for the tests and the drills."""

import asyncio
import email
import email.policy
import logging
import re

from aiosmtpd.controller import Controller

from harness.server import free_port

# It writes several lines for every mail.
logging.getLogger("mail.log").setLevel(logging.WARNING)


class MailServer:
    """Takes mails for as long as a `with` lasts. `behaviour` may change at any time; None takes every mail."""

    def __init__(self, port=None, behaviour=None, **options):
        self.port, self.behaviour = port or free_port(), behaviour
        # The mails that were taken, with their recipients, and how many connections there were.
        self.mails, self.connections = [], 0
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    def __enter__(self):
        self.controller.start()
        self.mails.clear()
        self.connections = 0
        return self

    def __exit__(self, *failure):
        self.stop()

    def stop(self):
        if self.controller.server:
            self.controller.stop()

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        match self.behaviour:
            case "refuse":
                return "550 There is no such mailbox"
            case "put off":
                return "451 Try again later"
            case "stall":
                await asyncio.sleep(3600)
            case "drip":
                while not server.transport.is_closing():
                    server.transport.write(b"2")
                    await asyncio.sleep(0.1)
            case "hang up":
                server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.behaviour == "refuse text":
            return "554 No"
        if self.behaviour == "slow":
            await asyncio.sleep(0.02)
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        mail.recipients, mail.sender = envelope.rcpt_tos, envelope.mail_from
        self.mails.append(mail)
        if self.behaviour == "slow":
            await asyncio.sleep(0.02)
        if self.behaviour == "hang up after it":
            server.transport.abort()
        return "250 OK"

    def recipients(self):
        return [recipient for mail in self.mails for recipient in mail.recipients]


def code_of(mail):
    """The code of a mail: it has a line of its own."""
    return re.search(r"^[A-Za-z0-9_-]{32}$", text_of(mail), re.MULTILINE)[0]


def text_of(mail):
    return mail.get_content().replace("\r\n", "\n")

"""Django's connection to a mail server, bounded: its timeout is for one read, and a server may send byte by byte."""

import smtplib
import socket
from contextlib import suppress
from threading import Timer
from typing import Any

from django.core.mail.backends import smtp

# Seconds after which a connection is cut off, whatever the server does.
MOST_SECONDS = 60


class BoundedSMTP(smtplib.SMTP):
    def connect(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        self.alarm = Timer(MOST_SECONDS, self.cut_off)
        self.alarm.daemon = True
        self.alarm.start()
        try:
            return super().connect(*args, **kwargs)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.alarm.cancel()
        super().close()

    def cut_off(self) -> None:
        if self.sock:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class BoundedSMTPOverTLS(BoundedSMTP, smtplib.SMTP_SSL):
    pass


class EmailBackend(smtp.EmailBackend):
    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return BoundedSMTPOverTLS if self.use_ssl else BoundedSMTP

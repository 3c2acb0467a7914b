"""One SMTP connection for the life of a worker."""

import logging
import smtplib
from typing import Any

from django.core.mail import EmailMessage, get_connection
from django.template.loader import render_to_string

from postroom import Bury

log = logging.getLogger(__name__)


class Mailer:
    """Opens a connection and keeps it. Not for two threads at once."""

    def __init__(self) -> None:
        self._connection: Any = get_connection()
        try:
            self._connection.open()
        except (OSError, smtplib.SMTPException) as error:
            log.warning("the mail server does not answer yet: %s", error)  # the first mail tries again

    def close(self) -> None:
        self._connection.close()

    def send(self, to: str, subject: str, template: str, **context: Any) -> None:
        """Sends one mail. Raises Bury when the server refuses this address or mail for good (5xx); what may pass
        (4xx, no connection) is raised as it is, which makes the event be retried."""
        body = render_to_string(template, context)
        message = EmailMessage(subject, body, to=[to], connection=self._connection)
        self._reopen_if_dropped()
        try:
            message.send()
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = error.recipients[to]
            if code >= 500:
                raise Bury(f"{to} is refused: {code} {_text(reply)}") from error
            raise
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise Bury(f"the mail to {to} is refused: {error.smtp_code} {_text(error.smtp_error)}") from error
            raise
        except (OSError, smtplib.SMTPServerDisconnected):
            self._connection.close()
            raise

    def _reopen_if_dropped(self) -> None:
        # Servers hang up on the idle. Asking first means that a mail is never sent again on a mere guess.
        session = getattr(self._connection, "connection", None)  # there is none with other backends
        if session is not None:
            try:
                alive = session.noop()[0] == 250
            except (OSError, smtplib.SMTPServerDisconnected):
                alive = False
            if not alive:
                self._connection.close()
        self._connection.open()


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply

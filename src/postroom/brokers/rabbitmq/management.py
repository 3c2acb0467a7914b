"""RabbitMQ's management API, where its URL is given: what AMQP cannot tell, and never more than that.

Its figures are samples, about five seconds old (https://www.rabbitmq.com/docs/management).
"""

import base64
import http.client
import json
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from postroom.brokers.base import DEAD_SUFFIX
from postroom.errors import BrokerError, SettingsError
from postroom.settings import masked, rabbitmq_password

from .address import Address, tls_context

TIMEOUT: Final = 5.0
LARGEST_ANSWER: Final = 32 * 2**20
PORTS: Final = {"http": 15672, "https": 15671}


class Sample(Struct, frozen=True):
    """What the API tells of a queue: events in hand, and how many leave it a second; None where it has no
    sample yet."""

    in_hand: int | None
    rate: float | None


class Declaration(Struct, frozen=True):
    """How a queue is declared, and what policies make of it."""

    arguments: dict[str, Any]
    policy: dict[str, Any]


class Management:
    """The API at ``url``: ``http://mq1:15672`` or ``https://user@mq1``. The user is by default that of the broker's
    URL, the virtual host is always its; the password is found as the broker's is. Raises SettingsError."""

    def __init__(self, url: str, address: Address, broker: str, secrets: str | None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            port = 0
        if parts.scheme not in PORTS or not parts.hostname or not port or parts.query or parts.fragment:
            raise SettingsError(f"the setting management is {masked(url)!r}: write http://mq1:15672 or https://mq1")
        self.url = masked(url)
        self._place = parts.hostname, port
        self._tls = None if parts.scheme == "http" else address.tls or {}
        self._prefix = parts.path.rstrip("/")
        self._user = unquote(parts.username or "") or address.user
        self._login = url if parts.password else broker, None if parts.password else secrets
        self._vhost = quote(address.vhost, safe="")

    def queues(self) -> list[str]:
        """The queues of the virtual host that are Postroom's: those that have one for their dead letters.
        Raises BrokerError."""
        rows = self._get(f"/api/queues/{self._vhost}?columns=name&disable_stats=true")
        names = {str(row.get("name")) for row in rows} if isinstance(rows, list) else set()
        return sorted(name for name in names if name + DEAD_SUFFIX in names)

    def declarations(self) -> dict[str, Declaration]:
        """All queues of the virtual host, by name. What policies make of them is a sample. Raises BrokerError."""
        rows = self._get(f"/api/queues/{self._vhost}?columns=name,arguments,effective_policy_definition")
        return {
            str(row.get("name")): Declaration(
                dict(row.get("arguments") or {}), dict(row.get("effective_policy_definition") or {})
            )
            for row in (rows if isinstance(rows, list) else [])
        }

    def sample(self, queue: str) -> Sample:
        """Raises BrokerError."""
        columns = "messages_unacknowledged,message_stats.ack_details.rate"
        row = self._get(f"/api/queues/{self._vhost}/{quote(queue, safe='')}?columns={columns}")
        if not isinstance(row, dict):
            return Sample(None, None)
        in_hand = row.get("messages_unacknowledged")
        details = (row.get("message_stats") or {}).get("ack_details") or {}
        rate = details.get("rate")
        return Sample(
            in_hand if isinstance(in_hand, int) else None, float(rate) if isinstance(rate, int | float) else None
        )

    def _get(self, path: str) -> Any:
        connection = self._connection()
        try:
            connection.request("GET", self._prefix + path, headers=self._headers())
            answer = connection.getresponse()
            body = answer.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._trouble(f"does not answer ({error or type(error).__name__})") from error
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status in (401, 403):
            raise self._trouble(f"refuses user {self._user!r}: it needs the tag monitoring, and the right password")
        if answer.status != 200:
            raise self._trouble(f"answers {answer.status} {answer.reason}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise self._trouble("answers something else than JSON") from error

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._place
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=tls_context(self._tls))

    def _headers(self) -> dict[str, str]:
        login = f"{self._user}:{rabbitmq_password(*self._login)}"
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def _trouble(self, what: str) -> BrokerError:
        return BrokerError(f"RabbitMQ's management API at {self.url} {what}: mend it, or the setting management")

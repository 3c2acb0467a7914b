"""Publishes each page view. A page is more than a statistic: where the broker is away, the page goes on without."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from activity.queues import PageView, user_activity
from postroom import queue_json_publish
from postroom.errors import BrokerError

log = logging.getLogger(__name__)

PAUSE = 30.0  # seconds without trying, after a failure: each try may take as long as the publish timeout


class RecordPageViews:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._not_before = 0.0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if request.method == "GET" and response.status_code == 200 and match is not None and match.url_name:
            user = request.user.pk if request.user.is_authenticated else 0
            self._publish(PageView("/" + match.route, user, time.time()))
        return response

    def _publish(self, view: PageView) -> None:
        if time.monotonic() < self._not_before:
            return
        try:
            queue_json_publish(user_activity, view)
        except BrokerError as error:
            self._not_before = time.monotonic() + PAUSE
            log.warning("page views are not counted for %g s: %s", PAUSE, error)

"""The connection to a gateway: its REST API, with one credential, in one project.

Knows no resource: paths and bodies are the caller's. It adds what all calls have in common (docs/rest.md): the credential,
an id by which a repeated change is known, repeats, reading one's own writes, and errors as exceptions.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from . import transfer
from .error_codes import ErrorCode
from .errors import TEMPORARY, CairnError, Internal, Unavailable, refused
from .retry import Budget, RetryPolicy
from .settings import Secret, settings

if TYPE_CHECKING:
    from .registry import Registry

API = "/api/v1/"
CONNECT_SECONDS_MAX = 10.0
#: Longer than any gateway lets a call take by default, so that its own answer is heard.
ANSWER_SECONDS_MAX = 70.0
#: A file may take as long as its bytes do: repeats of its transfer begin within this time.
TRANSFER_SECONDS_MAX = 6 * 3600.0
PAGE_SIZE = 1000
#: What a path keeps as it is; names of resources are made of these.
PATH = "/:@~+"


class _Bearer(AuthBase):
    """Sends the key. Being there, it also keeps `requests` from sending one out of `~/.netrc`."""

    def __init__(self, token: Secret | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class Client:
    """A connection. What is not given comes from the environment: `CAIRN_URL`, `CAIRN_API_KEY` or `CAIRN_KEY_FILE`,
    `CAIRN_PROJECT`, `CAIRN_CA_FILE`. Threads may share it."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        ca_file: str | None = None,
        timeout: float = ANSWER_SECONDS_MAX,
        retry: RetryPolicy = RetryPolicy(),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        found = settings(url, token, project, ca_file)
        self.url = found.url
        #: `projects/{project}`
        self.project = found.project
        self._retry, self._budget = retry, Budget(retry.budget)
        self._sleep, self._clock = sleep, clock
        self._timeout = (min(CONNECT_SECONDS_MAX, timeout), timeout)
        #: Where the log stood when this client last changed something: what it reads from then on has seen that.
        self._position, self._lock = "", threading.Lock()
        self._http = requests.Session()
        self._http.auth = _Bearer(found.token)
        # Given with each request: the environment's `REQUESTS_CA_BUNDLE` would go before the session's own.
        self._trusted: str | bool = found.ca_file or True
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __repr__(self) -> str:
        return f"Client(url={self.url!r}, project={self.project!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    @cached_property
    def registry(self) -> Registry:
        """The models of the project."""
        from .registry import Registry

        return Registry(self)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Reads. Paths are below `/api/v1/`: `projects/default/models`."""
        return self._json("GET", path, params=_said(query))

    def pages(self, path: str, items: str, limit: int | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """The items of a list, over as many pages as it takes."""
        token, count = "", 0
        while limit is None or count < limit:
            size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - count)
            page = self.get(path, page_size=size, page_token=token, **query)
            for item in page.get(items, []):
                yield item
                count += 1
            token = page.get("next_page_token", "")
            if not token:
                return

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, request_id: str | None = None) -> dict[str, Any]:
        """Changes. The same `request_id` with the same request is done once; one is made if none is given."""
        return self._json("POST", path, request_id or new_request_id(), json=dict(body or {}))

    def patch(self, path: str, body: Mapping[str, Any], *, request_id: str | None = None) -> dict[str, Any]:
        """Changes the fields that the body names."""
        return self._json("PATCH", path, request_id or new_request_id(), json=dict(body))

    def delete(self, path: str, *, request_id: str | None = None, **query: Any) -> dict[str, Any]:
        """Deletes."""
        return self._json("DELETE", path, request_id or new_request_id(), params=_said(query))

    def upload(self, path: str, file: Path, sha256: str, *, request_id: str | None = None) -> dict[str, Any]:
        """Sends a file. Other bytes than those of the digest are refused."""
        key = request_id or new_request_id()

        def attempt() -> requests.Response:
            # Opened for each attempt: the one before may have read half of it.
            with transfer.opened(file) as body:
                headers = {"Content-Type": transfer.media_type(file), "Idempotency-Key": key}
                return self._once("PUT", path, headers, params={"sha256": sha256}, data=body)

        return self._parsed(self._repeated(attempt, TRANSFER_SECONDS_MAX))

    def download(self, path: str, to: Path, sha256: str = "") -> None:
        """Writes what is there to a file, which has all of it and the right digest, or is not there."""

        def attempt() -> requests.Response:
            answer = self._once("GET", path, {}, stream=True)
            with answer:
                if answer.ok:
                    transfer.write(answer.iter_content(transfer.PIECE_BYTES), to, sha256)
                else:
                    _ = answer.content
            return answer

        self._repeated(attempt, TRANSFER_SECONDS_MAX)

    def _json(self, verb: str, path: str, request_id: str | None = None, **options: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": request_id} if request_id else {}
        return self._parsed(self._repeated(lambda: self._once(verb, path, headers, **options), self._retry.time_max))

    def _parsed(self, answer: requests.Response) -> dict[str, Any]:
        if answer.status_code == 204:
            return {}
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            message = f"what answers at {self.url} is no Cairn: not a JSON object"
            raise Internal(ErrorCode.INTERNAL, message, status=answer.status_code)
        return found

    def _once(self, verb: str, path: str, headers: dict[str, str], **options: Any) -> requests.Response:
        url = self.url + API + quote(path, safe=PATH)
        headers = {"Accept": "application/json", **headers}
        if self._position:
            headers["cairn-after"] = self._position
        # Redirects are not followed: the key would go along.
        answer = self._http.request(
            verb, url, headers=headers, timeout=self._timeout, allow_redirects=False, verify=self._trusted, **options
        )
        with self._lock:
            self._position = _later(self._position, answer.headers.get("cairn-position", ""))
        return answer

    def _repeated(self, attempt: Callable[[], requests.Response], time_max: float) -> requests.Response:
        """The first answer that is a success. INVARIANT: an attempt reads, or carries an id that stays the same."""
        began, pause = self._clock(), self._retry.pause_min
        for count in itertools.count(1):
            outcome = self._tried(attempt)
            if isinstance(outcome, requests.Response):
                if count == 1:
                    self._budget.earn()
                return outcome
            pause = self._retry.pause(pause)
            wait = max(pause, outcome.delay)
            is_late = self._clock() - began + wait > time_max
            is_last = not outcome.is_temporary or count == self._retry.attempts_max or is_late
            if is_last or not self._budget.take():
                outcome.error.context.setdefault("attempts", count)
                # Raised here, where no exception of the transport is being handled: those hold the request, and it the key.
                raise outcome.error
            self._sleep(wait)
        raise AssertionError("there is always a last attempt")

    def _tried(self, attempt: Callable[[], requests.Response]) -> requests.Response | _Failure:
        try:
            answer = attempt()
        except requests.exceptions.Timeout as fault:
            problem = f"no answer from {self.url} in time: {type(fault).__name__}"
            return _Failure(Unavailable(ErrorCode.DEADLINE_EXCEEDED, problem), is_temporary=True)
        except transfer.Mismatch as fault:
            return _Failure(Unavailable(ErrorCode.CONTENT_MISMATCH, str(fault)), is_temporary=True)
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as fault:
            problem = f"cannot reach {self.url}: {type(fault).__name__}"
            return _Failure(Unavailable(ErrorCode.UPSTREAM_UNAVAILABLE, problem), is_temporary=True)
        except requests.exceptions.RequestException as fault:
            problem = f"the request to {self.url} cannot be sent: {type(fault).__name__}"
            return _Failure(Internal(ErrorCode.INTERNAL, problem), is_temporary=False)
        if answer.ok and not answer.is_redirect:
            return answer
        error = refused(answer.status_code, answer.text)
        is_temporary = answer.status_code in TEMPORARY or error.code == ErrorCode.CONTENDED
        if error.code == "QUOTA_EXCEEDED":
            is_temporary = False  # Waiting makes no room.
        return _Failure(error, is_temporary, _delay(answer))


@dataclass(frozen=True)
class _Failure:
    """What went wrong, whether it may go better soon, and how long to wait at least."""

    error: CairnError
    is_temporary: bool
    delay: float = 0.0


def new_request_id() -> str:
    """A text that no other request has."""
    return str(uuid.uuid4())


def _said(query: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in query.items() if value not in (None, "")}


def _delay(answer: requests.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0


def _later(one: str, other: str) -> str:
    """The later of two positions of the log. What is no position is none."""
    if not other.isdecimal():
        return one
    return other if not one or int(other) > int(one) else one

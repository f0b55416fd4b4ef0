"""A REST client of the suite: knows the key and the address, and nothing else."""

import time

import requests

TIMEOUT_SECONDS = 60
WAIT_SECONDS_MAX = 20
ASK_AGAIN_SECONDS = 0.02


def eventually(look):
    """What `look` finds, once it finds something: for what the suite does after it answered."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS_MAX} s in vain"
        time.sleep(ASK_AGAIN_SECONDS)
    return found


class Api(requests.Session):
    """Calls paths below `/api/v1` (or absolute ones of the server) with a key, or without one."""

    def __init__(self, suite, key: str | None = None, *, stranger: bool = False):
        super().__init__()
        self.suite = suite
        if not stranger:
            self.headers["Authorization"] = f"Bearer {key or suite.key}"

    def request(self, method, path, **options):
        url = path if path.startswith("http") else self.suite.url + (path if path.startswith("/") else f"/api/v1/{path}")
        options.setdefault("timeout", TIMEOUT_SECONDS)
        # Not once for the session: the environment's REQUESTS_CA_BUNDLE would go before it.
        options.setdefault("verify", self.suite.authority or True)
        return super().request(method, url, **options)

    def make(self, path: str, body: dict, **options) -> dict:
        """Posts what must succeed, and gives the answer."""
        answer = self.post(path, json=body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run(self, title: str, project: str = "default") -> str:
        """The name of a fresh run."""
        return self.make(f"projects/{project}/experiments/0/runs", {"display_name": title})["name"]

    def pages(self, path: str, items: str, **params) -> list[list[dict]]:
        """Every page of a list, to the end."""
        pages, token = [], ""
        while True:
            answer = self.get(path, params={**params, "page_token": token})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            pages.append(page.get(items, []))
            token = page.get("next_page_token", "")
            if not token:
                return pages

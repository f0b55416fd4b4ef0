"""Writers that remember what was acknowledged, and a follower that counts positions: the witnesses of the crash tests."""

import json
import threading
import time

import requests

RETRY_SECONDS = 0.02
# What a client may see while the server is going down: the line breaks, or the answer is not one.
BROKEN = (requests.RequestException, json.JSONDecodeError)


class Writer(threading.Thread):
    """Logs numbered batches to a run of its own, one at a time, each until it is acknowledged."""

    def __init__(self, load: "Load", run: str):
        super().__init__(daemon=True)
        self.load, self.run_name = load, run
        self.acknowledged: list[int] = []
        self.refused: list[str] = []

    def run(self) -> None:
        step = 0
        while not self.load.stopping.is_set():
            if self.log(step):
                self.acknowledged.append(step)
                step += 1
            else:
                time.sleep(RETRY_SECONDS)

    def log(self, step: int) -> bool:
        """Sends batch `step`. False: nobody said that it was kept; the same batch must be sent again."""
        body = {"batch_id": f"batch-{step}", "metrics": [{"key": "loss", "value": step / 7, "step": str(step)}]}
        try:
            answer = self.load.session.post(
                f"{self.load.url}/api/v1/{self.run_name}:logBatch", json=body, headers=self.load.headers, timeout=10)
        except BROKEN:
            return False
        if answer.ok:
            return True
        self.refused.append(answer.text)
        return False


class Follower(threading.Thread):
    """Follows the whole log across restarts and notes every position that is not the one after the last."""

    def __init__(self, load: "Load"):
        super().__init__(daemon=True)
        self.load = load
        self.position = 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.load.stopping.is_set():
            try:
                self.follow()
            except BROKEN:
                time.sleep(RETRY_SECONDS)

    def follow(self) -> None:
        with requests.get(f"{self.load.url}/api/v1/events:tail", params={"after_position": self.position},
                          headers={**self.load.headers, "Accept": "application/x-ndjson"}, stream=True, timeout=(5, 5)) as answer:
            for line in answer.iter_lines():
                event = json.loads(line) if line else {}
                if "position" not in event:
                    continue
                position = int(event["position"])
                if position != self.position + 1:
                    self.faults.append(f"{position} came after {self.position}")
                self.position = position


class Load:
    """Several writers and a follower on a suite that may be killed under them."""

    def __init__(self, suite, writers: int):
        self.suite = suite
        self.session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_connections=writers + 2, pool_maxsize=writers + 2)
        self.session.mount("http://", adapter)
        self.headers = {"Authorization": f"Bearer {suite.key}"}
        self.stopping = threading.Event()
        experiment = self.post(f"{self.url}/api/v1/projects/default/experiments", {"display_name": "load"})["name"]
        runs = [self.post(f"{self.url}/api/v1/{experiment}/runs", {"display_name": f"w{n}"})["name"] for n in range(writers)]
        self.writers = [Writer(self, run) for run in runs]
        self.follower = Follower(self)

    @property
    def url(self) -> str:
        """The suite listens somewhere else after each start."""
        return self.suite.url

    def post(self, url: str, body: dict) -> dict:
        answer = self.session.post(url, json=body, headers=self.headers, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def start(self) -> None:
        for thread in [*self.writers, self.follower]:
            thread.start()

    def acknowledged(self) -> int:
        return sum(len(writer.acknowledged) for writer in self.writers)

    def stop(self) -> None:
        self.stopping.set()
        for thread in [*self.writers, self.follower]:
            thread.join(30)

    def check(self) -> None:
        """Nothing acknowledged is lost, nothing is doubled, nothing appears that was never sent."""
        for writer in self.writers:
            steps = self.steps(writer.run_name)
            assert len(steps) == len(set(steps)), f"{writer.run_name} has doubled points"
            lost = set(writer.acknowledged) - set(steps)
            assert not lost, f"{writer.run_name} lost acknowledged batches {sorted(lost)}"
            # One batch may have been kept without its writer hearing of it: the one under way at the end.
            extra = set(steps) - set(writer.acknowledged)
            assert extra <= {len(writer.acknowledged)}, f"{writer.run_name} has points nobody sent: {sorted(extra)}"
        assert not self.follower.faults, f"the follower missed or repeated: {self.follower.faults}"

    def steps(self, run: str) -> list[int]:
        steps, token = [], ""
        while True:
            answer = self.session.get(f"{self.url}/api/v1/{run}/metricPoints", headers=self.headers, timeout=30,
                                      params={"metric": "loss", "page_size": 1000, "page_token": token})
            assert answer.ok, answer.text
            page = answer.json()
            steps += [int(point.get("step", 0)) for point in page.get("points", [])]
            token = page.get("next_page_token", "")
            if not token:
                return steps

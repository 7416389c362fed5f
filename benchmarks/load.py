"""A load for locust: users that ask the service for movements without a pause, most of them for a single one.

Every reply's body is compared with the hash in its header. Start `python -m serve quota=0` first, then

`locust -f benchmarks/load.py --headless -u 16 -r 16 -t 60s --host http://127.0.0.1:8000`; needs the extra `bench`.
"""

import hashlib
import os

from locust import FastHttpUser, constant

from serve.formats import BODY_HASH
from serve.remote import TOKEN_VARIABLE

TOKEN = os.environ.get(TOKEN_VARIABLE, "")


def one(user: FastHttpUser) -> None:
    """A movement."""
    sample(user, 1)


def many(user: FastHttpUser) -> None:
    """A batch of training."""
    sample(user, 64)


def model(user: FastHttpUser) -> None:
    """The card."""
    user.client.get("/v1/model")


def sample(user: FastHttpUser, n: int) -> None:
    """Movements of a fresh seed."""
    with user.client.post("/v1/samples", json={"n": n}, name=f"/v1/samples, n={n}", catch_response=True) as reply:
        if reply.status_code == 200 and hashlib.sha256(reply.content).hexdigest() != reply.headers[BODY_HASH]:
            reply.failure("the body has another hash than its header says")


class Trainer(FastHttpUser):  # type: ignore[misc]  # types are checked without the extra, and locust is unknown there
    """Someone who trains a detector."""

    tasks = {one: 8, many: 1, model: 1}  # noqa: RUF012  # name and form are locust's
    wait_time = constant(0)
    default_headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}

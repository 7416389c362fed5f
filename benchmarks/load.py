"""Locust load test: users that request movements without a pause, most of them a single one.

The body of every response is compared with the hash in its header. Start `python -m serve quota=0` first, then

`locust -f benchmarks/load.py --headless -u 16 -r 16 -t 60s --host http://127.0.0.1:8000`; needs the extra `bench`.
"""

import hashlib
import os

from locust import FastHttpUser, constant

from serve.formats import BODY_HASH
from serve.remote import TOKEN_VARIABLE

TOKEN = os.environ.get(TOKEN_VARIABLE, "")


def one(user: FastHttpUser) -> None:
    """Request one movement."""
    sample(user, 1)


def many(user: FastHttpUser) -> None:
    """Request a training batch."""
    sample(user, 64)


def model(user: FastHttpUser) -> None:
    """Request the model card."""
    user.client.get("/v1/model")


def sample(user: FastHttpUser, n: int) -> None:
    """Request movements with a random seed, and verify the hash of the body."""
    with user.client.post("/v1/samples", json={"n": n}, name=f"/v1/samples, n={n}", catch_response=True) as response:
        if response.status_code == 200 and hashlib.sha256(response.content).hexdigest() != response.headers[BODY_HASH]:
            response.failure("the hash of the body differs from its header")


class Trainer(FastHttpUser):  # type: ignore[misc]  # types are checked without the extra, and locust is unknown there
    """User that trains a detector."""

    tasks = {one: 8, many: 1, model: 1}  # noqa: RUF012  # name and type are locust's
    wait_time = constant(0)
    default_headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}

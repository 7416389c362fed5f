"""Client inside the Ray cluster: the replicas' deployment handle in place of HTTP, with the same errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from serve.jobs import Job, SampleResult, ServeError
from serve.patience import RETRYABLE, RetryableError, ServiceError
from serve.remote import ClientResponse

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class HandleClient:
    """Client of the sampler deployment, for a thread without an event loop, such as a training loop.

    Attributes:
        timeout_s: Timeout of one request.
    """

    handle: DeploymentHandle[Any]
    timeout_s: float

    def sample(self, job: Job) -> ClientResponse:
        """Request the samples of a job."""
        result: SampleResult = translate_errors(lambda: self._result(self.handle.sample_or_error.remote(job)))
        return ClientResponse(result, "")

    def describe(self) -> dict[str, Any]:
        """Return the model cards and the state of the service."""
        description: dict[str, Any] = translate_errors(lambda: self._result(self.handle.describe.remote()))
        return description

    def _result(self, response: Any) -> Any:
        """Wait for a result; after the timeout, cancel its computation."""
        try:
            return response.result(timeout_s=self.timeout_s)
        except TimeoutError:
            response.cancel()
            raise


def translate_errors(call: Callable[[], T]) -> T:
    """Return the result of a call, with errors of the service and of Ray as those of `serve.patience`.

    Raises:
        RetryableError: a replica died, or the queue is full.
        ServiceError: a permanent error, or no response in time.
    """
    try:
        result = call()
    except (ServeError, RayError, RayServeException, TimeoutError) as error:
        raise to_service_error(error.cause if isinstance(error, RayTaskError) else error) from None
    if isinstance(result, ServeError):  # returned rather than raised, so that it is no error in a replica's log
        raise to_service_error(result)
    return result


def to_service_error(error: Exception) -> ServiceError:
    """Convert a failure of a replica or of Ray to a `ServiceError` with its first line."""
    line = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
    if isinstance(error, ServeError):
        kind = RetryableError if error.status in RETRYABLE else ServiceError
        return kind(f"{error.status}: {line}", error.status)
    if isinstance(error, TimeoutError):
        return ServiceError(f"no response from the replicas in time ({line}); request fewer rows or steps with `chunk`")
    if isinstance(error, RayError | RayServeException):
        return RetryableError(f"no response from the replicas ({type(error).__name__}: {line})")
    return RetryableError(f"500: {type(error).__name__}: {line}", 500)

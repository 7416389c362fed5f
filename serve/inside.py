"""The service inside its cluster: the replicas' handle in place of HTTP, the same failures under the same names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from serve.jobs import Drawn, Job, ServeError
from serve.patience import PASSING, PassingError, ServiceError
from serve.remote import Answer

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Inside:
    """The deployment that computes, asked from a thread without an event loop, as training loops are.

    Attributes:
        timeout_s: Of one question.
    """

    handle: DeploymentHandle[Any]
    timeout_s: float

    def draw(self, job: Job) -> Answer:
        """The rows of a job."""
        drawn: Drawn = told(lambda: self._result(self.handle.answer.remote(job)))
        return Answer(drawn, "")

    def describe(self) -> dict[str, Any]:
        """The card of the champion and the state of the service."""
        described: dict[str, Any] = told(lambda: self._result(self.handle.describe.remote()))
        return described

    def _result(self, response: Any) -> Any:
        """What comes in time; what does not is not computed any further."""
        try:
            return response.result(timeout_s=self.timeout_s)
        except TimeoutError:
            response.cancel()
            raise


def told(question: Callable[[], T]) -> T:
    """The answer, or what went wrong in the words of `serve.patience`.

    Raises:
        PassingError: a replica died, or too much waits.
        ServiceError: anything that stays as it is, no answer in time among it.
    """
    try:
        answer = question()
    except (ServeError, RayError, RayServeException, TimeoutError) as error:
        raise named(error.cause if isinstance(error, RayTaskError) else error) from None
    if isinstance(answer, ServeError):  # returned, so that it is no error in a replica's log
        raise named(answer)
    return answer


def named(error: Exception) -> ServiceError:
    """A failure of a replica or of Ray as one of ours, with its first line."""
    line = " ".join((str(error).splitlines() or [type(error).__name__])[0].split())
    if isinstance(error, ServeError):
        kind = PassingError if error.status in PASSING else ServiceError
        return kind(f"{error.status}: {line}", error.status)
    if isinstance(error, TimeoutError):
        return ServiceError(f"no answer from the replicas in time ({line}); ask for fewer rows or steps, by `chunk`")
    if isinstance(error, RayError | RayServeException):
        return PassingError(f"no answer from the replicas ({type(error).__name__}: {line})")
    return PassingError(f"500: {type(error).__name__}: {line}", 500)

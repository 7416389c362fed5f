"""Counters of one ingress process in Prometheus' text format; the replicas' own are Ray's."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from serve.guard import Entry

MEDIA_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"  # a path or method that the application does not know: a label for each would have no bound
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Metrics:
    """What was asked, how it ended, and how long it took."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "humouse_requests", "Requests by their end.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "humouse_request_seconds", "Head to end of a request.", labels, buckets=BUCKETS, registry=self._registry
        )
        self._rows = Counter("humouse_movements", "Movements that were served.", registry=self._registry)
        self._sampling = Histogram(
            "humouse_sampling_seconds",
            "Of the batches that requests were in.",
            buckets=BUCKETS,
            registry=self._registry,
        )

    def ended(self, entry: Entry) -> None:
        """Count a request."""
        route = entry.route or OTHER
        method = entry.method if entry.route and entry.method in METHODS else OTHER
        self._requests.labels(method, route, str(entry.status)).inc()
        self._seconds.labels(method, route).observe(entry.seconds)

    def served(self, rows: int, sampling_s: float) -> None:
        """Count movements."""
        self._rows.inc(rows)
        self._sampling.observe(sampling_s)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

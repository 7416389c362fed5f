"""Prometheus metrics of one ingress process; the replicas' own metrics are Ray's."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from serve.guard import RequestRecord

MEDIA_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"  # any unknown path or method: a label for each would be unbounded
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Metrics:
    """Counters and histograms of requests and samples."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "humouse_requests", "HTTP requests by status.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "humouse_request_seconds", "Duration of a request.", labels, buckets=BUCKETS, registry=self._registry
        )
        self._rows = Counter("humouse_movements", "Movements served.", registry=self._registry)
        self._sampling = Histogram(
            "humouse_sampling_seconds",
            "Sampling time of the batch that a request was part of.",
            buckets=BUCKETS,
            registry=self._registry,
        )

    def count_request(self, record: RequestRecord) -> None:
        """Count a finished request and observe its duration."""
        route = record.route or OTHER
        method = record.method if record.route and record.method in METHODS else OTHER
        self._requests.labels(method, route, str(record.status)).inc()
        self._seconds.labels(method, route).observe(record.seconds)

    def count_samples(self, rows: int, sampling_s: float) -> None:
        """Count served movements and observe the sampling time."""
        self._rows.inc(rows)
        self._sampling.observe(sampling_s)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

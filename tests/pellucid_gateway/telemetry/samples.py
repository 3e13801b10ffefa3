"""Reading this process's metrics: they count from its start, so tests look at what was added."""

from prometheus_client import REGISTRY


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def label_values(family: str, label: str) -> set[str]:
    return {
        sample.labels[label]
        for metric in REGISTRY.collect()
        if metric.name == family
        for sample in metric.samples
        if label in sample.labels
    }

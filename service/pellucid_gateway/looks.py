"""The look of a scene's instances: style features chosen from clusters (pix2pixHD, section 3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.v1 import model_pb2, translation_service_pb2
from pellucid_gateway.errors import invalid
from pellucid_gateway.latents import STYLE_STREAM, Latents
from pellucid_gateway.scenes import Scene
from pellucid_gateway.versions import Clusters


@dataclass(frozen=True)
class Looks:
    """Features (max_instances, size) of a scene's instances, in ascending order, and the clusters that were chosen."""

    features: Latents
    chosen: Mapping[int, int]


def choose(
    style: translation_service_pb2.StyleTarget,
    scene: Scene,
    clusters: Clusters,
    card: model_pb2.Model,
    measured: Latents | None,
    at: str,
) -> Looks:
    """Choose a cluster for each instance of a scene, or keep what was `measured` (max_instances, size) in an example.

    An instance's draw depends on the seed and its own number alone, so that edits to others do not change it. A label
    without clusters has features of 0. Raises InvalidRequest about `at` for instances and clusters that are not there.
    """
    rule = card.translation.features
    instances = np.unique(scene.instances)
    if len(instances) > rule.max_instances:
        raise invalid("source.scene.instance_map", f"{len(instances)} instances, and the limit is {rule.max_instances}")
    for wanted in style.clusters:
        if wanted not in instances:
            raise invalid(f"{at}.clusters", f"the scene has no instance {wanted}")
    features = np.zeros((rule.max_instances, rule.size), dtype=np.float32) if measured is None else measured.copy()
    chosen: dict[int, int] = {}
    for row, instance in enumerate(map(int, instances)):
        rows = clusters.get(scene.label_of(instance))
        if instance in style.clusters:
            chosen[instance] = _checked(style.clusters[instance], rows, instance, at)
        elif measured is None and rows is not None:
            chosen[instance] = _draw(style.seed, instance, len(rows))
        if instance in chosen and rows is not None:
            features[row] = rows[chosen[instance]]
    return Looks(features, chosen)


def _checked(cluster: int, rows: Latents | None, instance: int, at: str) -> int:
    count = 0 if rows is None else len(rows)
    if not 0 <= cluster < count:
        raise invalid(f"{at}.clusters[{instance}]", f"{cluster}, and its label has {count} clusters")
    return cluster


def _draw(seed: int, instance: int, count: int) -> int:
    key = np.array([seed, STYLE_STREAM], dtype=np.uint64)
    counter = np.array([instance, 0, 0, 0], dtype=np.uint64)
    return int(np.random.Generator(np.random.Philox(key=key, counter=counter)).integers(count))

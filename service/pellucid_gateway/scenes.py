"""Scenes: a map of labels with a map of instances, and edits to their objects (pix2pixHD, section 3.4)."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from pellucid.v1 import model_pb2, translation_service_pb2
from pellucid_gateway import maps
from pellucid_gateway.errors import InvalidRequest, Violation, invalid
from pellucid_gateway.maps import Map

LARGEST_INSTANCE = 2**32 - 1
_SHOWN = 10


@dataclass(frozen=True)
class Scene:
    """Labels (H, W) and instances (H, W) of one picture."""

    labels: Map
    instances: Map

    def label_of(self, instance: int) -> int:
        """Give the label that most pixels of an instance have."""
        return int(np.bincount(self.labels[self.instances == instance]).argmax())


def read(given: translation_service_pb2.Scene, card: model_pb2.Model, at: str, max_px: int) -> Scene:
    """Decode a scene and edit its objects.

    Raises InvalidRequest about `at` for maps that cannot be read or differ in size, labels that the model has not, and
    edits of instances that are not there.
    """
    rule = card.translation.label_map
    labels = maps.decode(given.label_map, f"{at}.label_map", max_px)
    _check_labels(labels, rule.count, f"{at}.label_map")
    if given.HasField("instance_map"):
        instances = maps.decode(given.instance_map, f"{at}.instance_map", max_px)
        if instances.shape != labels.shape:
            raise invalid(
                f"{at}.instance_map",
                f"{instances.shape[0]} x {instances.shape[1]} pixels, and the label map has "
                f"{labels.shape[0]} x {labels.shape[1]}",
            )
    elif rule.instances:
        raise invalid(f"{at}.instance_map", f"{card.name} needs a map of instances")
    else:
        instances = labels
    scene = Scene(labels.copy(), instances.copy())
    for number, edit in enumerate(given.edits):
        scene = _edited(scene, edit, rule.count, f"{at}.edits[{number}]", max_px)
    return scene


def _edited(scene: Scene, edit: translation_service_pb2.ObjectEdit, count: int, at: str, max_px: int) -> Scene:
    match edit.WhichOneof("edit"):
        case "relabel":
            _check_label(edit.relabel.label, count, f"{at}.relabel.label")
            inside = _find(scene, edit.relabel.instance, f"{at}.relabel.instance")
            return Scene(np.where(inside, edit.relabel.label, scene.labels), scene.instances)
        case "remove":
            return _removed(scene, edit.remove.instance, f"{at}.remove.instance")
        case _:
            _check_label(edit.paste.label, count, f"{at}.paste.label")
            return _pasted(scene, edit.paste, f"{at}.paste", max_px)


def _removed(scene: Scene, instance: int, at: str) -> Scene:
    inside = _find(scene, instance, at)
    if inside.all():
        raise invalid(at, f"instance {instance} is the whole scene, and nothing would be left in its place")
    rows, columns = distance_transform_edt(inside, return_distances=False, return_indices=True)
    return Scene(scene.labels[rows, columns], scene.instances[rows, columns])


def _pasted(scene: Scene, paste: translation_service_pb2.Paste, at: str, max_px: int) -> Scene:
    mask = maps.decode(paste.mask, f"{at}.mask", max_px) != 0
    height, width = scene.labels.shape
    if mask.shape[0] > height or mask.shape[1] > width:
        raise invalid(f"{at}.mask", f"{mask.shape[0]} x {mask.shape[1]} pixels, and the scene has {height} x {width}")
    rows, columns = np.nonzero(mask)
    rows, columns = rows + paste.top, columns + paste.left
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if not within.any():
        raise invalid(at, "nothing of the mask lies within the scene")
    number = paste.instance if paste.HasField("instance") else int(scene.instances.max()) + 1
    if number > LARGEST_INSTANCE:
        raise invalid(f"{at}.instance", f"{number}, and the limit is {LARGEST_INSTANCE}")
    if (scene.instances == number).any():
        raise invalid(f"{at}.instance", f"the scene has an instance {number} already")
    labels, instances = scene.labels.copy(), scene.instances.copy()
    labels[rows[within], columns[within]] = paste.label
    instances[rows[within], columns[within]] = number
    return Scene(labels, instances)


def _find(scene: Scene, instance: int, at: str) -> np.ndarray:
    inside = scene.instances == instance
    if not inside.any():
        known = ", ".join(map(str, np.unique(scene.instances)[:_SHOWN]))
        raise invalid(at, f"the scene has no instance {instance}; it has {known}")
    return np.asarray(inside)


def _check_labels(labels: Map, count: int, at: str) -> None:
    wrong = np.unique(labels[labels >= count])
    if wrong.size:
        shown = ", ".join(map(str, wrong[:_SHOWN]))
        raise InvalidRequest([Violation(at, f"labels {shown}, and the model has 0 to {count - 1}")])


def _check_label(label: int, count: int, at: str) -> None:
    if label >= count:
        raise invalid(at, f"{label}, and the model has the labels 0 to {count - 1}")

from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.class_ladder import CLASSES_FROM, CLASSES_TO


def test_every_class_maps_onto_one_of_the_ten() -> None:
    for names in CLASSES_FROM.values():
        assert set(names.values()) <= set(DETECTION_CLASSES)
    for names in CLASSES_TO.values():
        assert set(names) <= set(DETECTION_CLASSES)
    assert set(CLASSES_FROM["nuscenes"].values()) == set(DETECTION_CLASSES)


def test_what_is_written_for_a_dataset_is_read_back_as_the_same_or_as_the_nearest_class() -> None:
    nearest = {"construction_vehicle": "truck"}
    for dataset, names in CLASSES_TO.items():
        for own, theirs in names.items():
            assert CLASSES_FROM[dataset][theirs] == nearest.get(own, own)

"""Configurations that refuse what they do not know, at every depth."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from tricast.configs.errors import ConfigError, InputError
from tricast.configs.strict import StrictConfig, load_config, parse_config, resolve_config_path


class Wheel(StrictConfig):
    radius_m: float = 0.3
    spokes: int = 5


class Axle(StrictConfig):
    left: Wheel = Wheel()
    spares: tuple[Wheel, ...] = ()
    named: dict[str, Wheel] = Field(default_factory=dict)
    optional: Wheel | None = None


class Car(StrictConfig):
    front_axle: Axle = Axle()
    length_m: float = 4.0


def refusal(values: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_config(Car, values, where="car.yaml")
    return caught.value


def test_nothing_given_means_the_defaults() -> None:
    assert parse_config(Car, None, where="car.yaml") == Car()
    assert load_config(Car, None) == Car()


def test_values_are_taken_at_every_depth() -> None:
    car = parse_config(Car, {"front_axle": {"left": {"spokes": 7}, "spares": [{"spokes": 3}]}}, where="car.yaml")
    assert car.front_axle.left == Wheel(spokes=7)
    assert car.front_axle.spares == (Wheel(spokes=3),)


@pytest.mark.parametrize(
    ("values", "place", "near"),
    [
        ({"lenght_m": 4}, "lenght_m", "length_m"),
        ({"front_axle": {"lefft": {}}}, "front_axle.lefft", "left"),
        ({"front_axle": {"left": {"spoke": 3}}}, "front_axle.left.spoke", "spokes"),
        ({"front_axle": {"spares": [{}, {"radius": 3}]}}, "front_axle.spares.1.radius", "radius_m"),
        ({"front_axle": {"named": {"a": {"radius": 3}}}}, "front_axle.named.a.radius", "radius_m"),
        ({"front_axle": {"optional": {"radius": 3}}}, "front_axle.optional.radius", "radius_m"),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_name(values: object, place: str, near: str) -> None:
    error = refusal(values)
    assert error.where == f"car.yaml: {place}"
    assert error.got == "an unknown setting"
    assert error.remedy == f"did you mean {near}?"


def test_a_key_like_no_other_is_to_be_removed() -> None:
    error = refusal({"xyzzy": 1})
    assert error.remedy == "remove it"
    assert "front_axle, length_m" in error.expected


@pytest.mark.parametrize("value", ["long", None, [], float("nan"), float("inf")])
def test_a_value_of_the_wrong_kind_names_its_place(value: object) -> None:
    assert refusal({"length_m": value}).where == "car.yaml: length_m"


@pytest.mark.parametrize("values", [[], "text", 3])
def test_a_document_that_is_no_mapping_is_refused(values: object) -> None:
    assert refusal(values).where.startswith("car.yaml")


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Car().length_m = 5.0  # type: ignore[misc]


def test_a_file_is_read_and_its_errors_name_it(tmp_path: Path) -> None:
    path = tmp_path / "car.yaml"
    path.write_text("front_axle:\n  left: {spokes: 9}\n")
    assert load_config(Car, str(path)).front_axle.left.spokes == 9
    path.write_text("front_axle:\n  left: {spoke: 9}\n")
    with pytest.raises(ConfigError, match=r"car\.yaml: front_axle\.left\.spoke.*did you mean spokes"):
        load_config(Car, str(path))
    path.write_text("")
    assert load_config(Car, str(path)) == Car()


@pytest.mark.parametrize("data", [b"a: [1, 2", b"a: b: c", b"\xff\xfe\x00", b"\x00"])
def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "car.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"car\.yaml.*not YAML"):
        load_config(Car, str(path))


def test_a_broken_line_is_numbered(tmp_path: Path) -> None:
    path = tmp_path / "car.yaml"
    path.write_text("length_m: 4\nfront_axle: [\n")
    with pytest.raises(ConfigError, match=r"car\.yaml:\d"):
        load_config(Car, str(path))


def test_missing_files_and_unknown_names_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        resolve_config_path(str(tmp_path / "nowhere.yaml"), Car)
    with pytest.raises(ConfigError, match="no packaged configuration of that name"):
        resolve_config_path("no-such-config", Car)
    path = tmp_path / "folder.yaml"
    path.mkdir()
    with pytest.raises(ConfigError):
        load_config(Car, str(path))


def test_a_configuration_of_something_else_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("model: {}\ntraining: {}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(Car, str(path))
    assert caught.value.got == "settings of something else (model, training)"
    assert "front_axle, length_m" in caught.value.expected
    path.write_text("lenght_m: 4\n")
    with pytest.raises(ConfigError, match="did you mean length_m"):
        load_config(Car, str(path))


def test_every_configuration_error_is_an_input_error_of_four_parts() -> None:
    error = refusal({"lenght_m": 4})
    assert isinstance(error, InputError)
    assert str(error) == f"{error.where}: got {error.got}; expected {error.expected}; {error.remedy}"

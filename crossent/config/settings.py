"""Every setting, written once: its name, type, default, bounds, unit and reason."""

import os.path
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapValidator, model_validator
from pydantic.fields import FieldInfo


def expect(words: str) -> WrapValidator:
    """Replace pydantic's errors (a union gives one per type) by a single one with these words."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except (ValueError, re.error):
            raise ValueError(f"Input should be {words}") from None

    return WrapValidator(validate)


def setting(default: Any, description: str, **bounds: Any) -> Any:
    """Declare a setting; `bounds` are pydantic's: gt, ge, lt, le."""
    return Field(default=default, description=description, **bounds)


def known_model(name: str) -> str:
    """Refuse a name that is neither one of our models nor of the form LIBRARY/NAME."""
    if name == "small_cnn" or name.startswith(("torchvision/", "timm/")):
        return name
    from models import MODELS, libraries  # takes seconds; the default needs no import

    if name in MODELS:
        return name
    own = ", ".join(map(repr, MODELS))
    example = name if name in libraries.names("torchvision") else "resnet18"
    raise ValueError(f"Input should be {own}, 'timm/NAME' or, for example, 'torchvision/{example}'")


Source = Literal["drawings", "folder", "cifar"]
# Relative to the working directory, as in a shell. No file system allows NUL.
PathText = Annotated[
    str,
    Field(pattern=r"^[^\x00]+$"),
    AfterValidator(os.path.expanduser),
    expect("a path such as ../photos, in quotes if it is a number"),
]
Pattern = Annotated[
    str,
    AfterValidator(lambda text: re.compile(text).pattern),
    expect("folder or a regular expression"),
]
Folder = Annotated[PathText, AfterValidator(os.path.abspath)]  # a run finds it from anywhere
ModelName = Annotated[str, AfterValidator(known_model)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
ShareAbove0 = Annotated[float, Field(gt=0, le=1)]
Three = tuple[ShareAbove0, ShareAbove0, ShareAbove0]
RGB = Annotated[Three, Field(strict=False), expect("three numbers in (0, 1]")]
Weights = Annotated[
    Literal["none", "balanced"] | Annotated[tuple[Positive, ...], Field(strict=False)],
    expect("'none', 'balanced' or a list with one number above 0 per class"),
]
Device = Annotated[
    str,
    Field(pattern="^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$"),
    expect("'auto', 'cpu', 'cuda', 'mps' or one GPU such as 'cuda:1'"),
]
Every = Annotated[
    Positive | Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8} steps?$")],
    expect("a number of seconds above 0, or steps such as '500 steps'"),
]


class Section(BaseModel):
    """A group of settings. Unknown names, nan, inf, and `3.0` or `true` for 3 are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class DataSettings(Section):
    source: Source = setting("drawings", "drawings, folder or cifar")
    root: Folder | None = setting(None, "the folder of the pictures")
    labels: Folder | None = setting(None, "a CSV instead of root: path,label[,split][,group]")
    group: Pattern | None = setting(None, "pictures to keep together: folder, or a regex on paths")
    image_size: int | None = setting(64, "pixels; null: as model.weights, or 64", ge=16, le=1024)
    mean: RGB | None = setting(None, "mean of R, G, B from 0 to 1; null: as model.weights, or 0.5")
    std: RGB | None = setting(None, "R, G, B are divided by this; null: as model.weights, or 0.25")
    val_fraction: float = setting(0.2, "share for validation if there is no val folder", gt=0, lt=1)
    folds: int | None = setting(None, "parts for cross-validation, one run per part", ge=2, le=100)
    fold: int | None = setting(None, "train only this fold, counted from 1", ge=1, le=100)
    seed: Seed | None = setting(None, "seed of the split and the drawings; null: as seed")
    num_images: int = setting(3000, "drawings for training and validation", ge=6, le=1_000_000)
    sampling: Literal["natural", "balanced"] = setting("natural", "balanced: classes equally often")
    workers: int | None = setting(None, "processes that decode; null: one per CPU", ge=1, le=1024)
    cache_dir: PathText | None = setting(None, "folder of the cache; null: the user's cache folder")
    crop: ShareAbove0 = setting(0.85, "smallest share of the area that a crop keeps; 1: off")
    aspect: float = setting(1.15, "largest stretch of the sides of a crop; 1: off", ge=1, le=4)
    flip: Share = setting(0.5, "probability that a picture is mirrored")
    rotation: float = setting(10.0, "largest angle, degrees", ge=0, le=180)
    brightness: Share = setting(0.2, "largest relative change")
    contrast: Share = setting(0.2, "largest relative change")
    saturation: Share = setting(0.2, "largest relative change")

    @property
    def folder(self) -> str | None:
        """The folder that the paths of the pictures are relative to."""
        return self.root if self.labels is None else os.path.dirname(self.labels)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse contradictions; each sentence begins with the setting to change."""
        found, is_folder = [], self.source == "folder"
        if is_folder and self.folder is None:
            found.append("data.source folder needs data.root=FOLDER, the folder of the pictures")
        if self.labels is not None and (self.root is not None or not is_folder):
            found.append("data.labels needs data.source folder, and replaces data.root")
        if self.group is not None and not is_folder:
            found.append("data.group needs data.source folder")
        if self.source == "drawings" and self.root is not None:
            found.append("data.root is not read with data.source drawings; use folder")
        if (self.fold or 0) > (self.folds or 0):
            found.append("data.fold must be from 1 to data.folds, the number of folds")
        elif self.folds and not is_folder:
            found.append("data.folds needs data.source folder: other sources have a fixed split")
        if found:
            raise ValueError("\n".join(found))
        return self


class ModelSettings(Section):
    name: ModelName = setting("small_cnn", "a name in models/, or torchvision/NAME or timm/NAME")
    width: int = setting(32, "channels of the first stage", ge=1, le=1024)
    dropout: float = setting(0.0, "probability, before the last layer", ge=0, lt=1)
    weights: PathText | None = setting(None, "DEFAULT (published) or a run; null: from scratch")


class LossSettings(Section):
    label_smoothing: float = setting(0.0, "share of the label spread over all classes", ge=0, lt=1)
    class_weights: Weights = setting("none", "balanced: rare classes weigh more; or a list")


class OptimSettings(Section):
    lr: Positive = setting(0.07, "peak learning rate of SGD")
    body_lr: ShareAbove0 = setting(1.0, "rate of all layers but the last, as a share of lr")
    momentum: float = setting(0.9, "share of the previous step in the next one", ge=0, lt=1)
    weight_decay: float = setting(5e-4, "strength of the L2 penalty on the weights", ge=0)
    nesterov: bool = setting(True, "Nesterov's momentum: look one step ahead")


class ScheduleSettings(Section):
    """The learning rate: a linear warm-up, then half a cosine."""

    warmup: Share = setting(0.2, "share of all steps in which the rate rises")
    final: Share = setting(0.0, "last learning rate, as a share of lr")


class TrainSettings(Section):
    epochs: int = setting(10, "passes over the training pictures", ge=1, le=100_000)
    ema: Positive | None = setting(0.3, "epochs: half-life of the averaged weights; null: off")
    batch_size: int = setting(16, "pictures per step, on all processes together", ge=1, le=65_536)
    precision: Literal["auto", "fp32", "bf16"] = setting("auto", "auto: bf16 where it is fast")
    freeze: bool = setting(False, "true: train only the last layer")
    mixup: float = setting(0.0, "alpha of Beta for mixing pairs; 0: off", ge=0, le=100)
    device: Device = setting("auto", "auto: a GPU if there is one")
    checkpoint_every: Every = setting(60.0, "seconds, or '500 steps'; a kill loses at most this")
    timeout_s: Positive = setting(600.0, "seconds that a process waits for another")
    threads: int | None = setting(None, "CPU threads; null: as many as torch finds", ge=1, le=1024)


class Settings(Section):
    """All settings of a run."""

    seed: Seed = setting(0, "seed of everything random")
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()

    @property
    def num_corrections(self) -> int:
        """Number of settings that correct unequal class sizes; more than one is too many."""
        return (self.data.sampling == "balanced") + (self.loss.class_weights != "none")

    @property
    def data_seed(self) -> int:
        """Seed of the split and of the drawings."""
        return self.seed if self.data.seed is None else self.data.seed


def flat_values(values: Section | Mapping[str, Any]) -> dict[str, Any]:
    """Return {"seed": 0, "data": {"root": "x"}} as {"seed": 0, "data.root": "x"}."""
    found: dict[str, Any] = {}
    for name, value in (values.model_dump() if isinstance(values, Section) else values).items():
        is_section = isinstance(value, dict)
        found |= {f"{name}.{key}": v for key, v in value.items()} if is_section else {name: value}
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inverse of `flat_values`, which is the form that pydantic reads."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (found.setdefault(section, {}) if section else found)[key] = value
    return found


FIELDS: dict[str, FieldInfo] = flat_values({
    name: type(field.default).model_fields if isinstance(field.default, Section) else field
    for name, field in Settings.model_fields.items()
})  # fmt: skip
SECTIONS = tuple(dict.fromkeys(name.partition(".")[0] for name in FIELDS if "." in name))


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with some of them changed, by dotted name; wrong values are refused."""
    return Settings.model_validate(nested({**flat_values(settings), **values}))

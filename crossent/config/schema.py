"""Every setting, written once: its name, type, default, unit and reason."""

import os.path
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

# No empty text and no NUL, which no file system takes. Relative to the working directory, as in a
# shell; `~` is the home folder.
PathText = Annotated[
    str,
    Field(pattern=r"^[^\x00]+$", examples=["../photos"]),
    AfterValidator(os.path.expanduser),
]
Weight = Annotated[float, Field(gt=0)]
Weights = Annotated[tuple[Weight, ...], Field(strict=False)]  # YAML gives a list
Share = Annotated[float, Field(gt=0, le=1)]
Triple = Annotated[tuple[Share, Share, Share], Field(strict=False)]
Seconds = Annotated[float, Field(gt=0)]
Steps = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8} steps?$", examples=["500 steps"])]
NthGPU = Annotated[str, Field(pattern=r"^cuda:[0-9]{1,3}$", examples=["cuda:1"])]


class Section(BaseModel):
    """Settings that belong together: unknown names, nan, and `3.0` or `true` for 3 are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class DataSettings(Section):
    """Which pictures, and how training varies them."""

    source: Literal["drawings", "folder", "cifar"] = Field(
        default="drawings", description="drawings: made here, no download; folder: root/CLASS/*.jpg"
    )
    root: PathText | None = Field(default=None, description="the folder of the pictures")
    image_size: int | None = Field(
        default=64,
        ge=16,
        le=1024,
        description="side of the model's input, pixels; null: as model.weights, or 64",
    )
    mean: Triple | None = Field(
        default=None, description="of R, G, B from 0 to 1; null: as model.weights, or 0.5"
    )
    std: Triple | None = Field(
        default=None, description="what R, G, B are divided by; null: as model.weights, or 0.25"
    )
    val_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share kept for validation where there is no val folder",
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="cross-validation: so many runs, each without one part",
    )
    fold: int | None = Field(
        default=None, ge=1, le=100, description="only this one of the folds, counted from 1"
    )
    seed: int | None = Field(
        default=None, ge=0, le=2**63 - 1, description="of the split and of drawings; null: as seed"
    )
    num_images: int = Field(
        default=3000, ge=6, le=1_000_000, description="drawings, those for validation included"
    )
    sampling: Literal["natural", "balanced"] = Field(
        default="natural", description="balanced: rare classes are drawn as often as common ones"
    )
    cache: bool = Field(
        default=True, description="keep decoded pictures on the disk for the next run"
    )
    cache_dir: PathText | None = Field(
        default=None, description="of the decoded pictures; null: the user's cache folder"
    )
    on_bad: Literal["skip", "error"] = Field(
        default="skip", description="pictures that cannot be used: leave out and name, or stop"
    )
    crop: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="smallest share of the area that a random crop keeps; 1: off",
    )
    aspect: float = Field(
        default=1.33, ge=1, le=4, description="largest stretch of a crop's sides; 1: off"
    )
    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a mirrored picture")
    rotation: float = Field(default=10.0, ge=0, le=180, description="largest angle, degrees")
    brightness: float = Field(default=0.2, ge=0, le=1, description="largest relative change")
    contrast: float = Field(default=0.2, ge=0, le=1, description="largest relative change")
    saturation: float = Field(default=0.2, ge=0, le=1, description="largest relative change")


class ModelSettings(Section):
    """Which network."""

    name: str = Field(
        default="small_cnn", min_length=1, description="a name in models/, or torchvision/resnet18"
    )
    width: int = Field(default=32, ge=1, le=1024, description="channels of the first stage")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="probability, before the last layer"
    )
    weights: PathText | None = Field(
        default=None, description="start from these: DEFAULT, a run, a file; null: from scratch"
    )


class LossSettings(Section):
    """What E is made of."""

    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of each label spread over all classes"
    )
    class_weights: Literal["none", "balanced"] | Weights = Field(
        default="none", description="balanced: rare classes weigh more; or one weight a class"
    )


class OptimSettings(Section):
    """SGD."""

    lr: float = Field(default=0.1, gt=0, description="highest learning rate")
    body_lr: float = Field(
        default=1.0, gt=0, le=1, description="rate of all layers but the last, as a share of lr"
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="share of the last step that goes on"
    )
    weight_decay: float = Field(default=5e-4, ge=0, description="pull of the weights towards 0")
    nesterov: bool = Field(default=True, description="look ahead along the momentum")


class ScheduleSettings(Section):
    """The learning rate: a linear warm-up, then half a cosine."""

    warmup: float = Field(default=0.1, ge=0, le=1, description="share of all steps")
    final: float = Field(default=0.0, ge=0, le=1, description="last rate, as a share of lr")


class TrainSettings(Section):
    """How long, in what portions, on what."""

    epochs: int = Field(
        default=20, ge=1, le=100_000, description="passes over the training pictures"
    )
    minutes: float | None = Field(
        default=None, gt=0, description="as many epochs as fit into them, instead of epochs"
    )
    patience: int | None = Field(
        default=None, ge=1, description="stop after so many epochs without a smaller E"
    )
    ema: float | None = Field(
        default=None, gt=0, description="half-life of the mean of the weights, epochs; null: off"
    )
    batch_size: int = Field(
        default=32, ge=1, le=65_536, description="pictures a step, on all processes"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 where the machine is fast at it"
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="the epoch whose weights model.safetensors has; best by E"
    )
    overfit_batch: bool = Field(
        default=False, description="a test: one batch only, always the same; E must go to 0"
    )
    freeze: bool = Field(default=False, description="true: only the last layer learns")
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="alpha of the Beta distribution that blends pairs; 0: off",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] | NthGPU = Field(
        default="auto", description="auto: a GPU where there is one"
    )
    checkpoint_every: Seconds | Steps = Field(
        default=60.0, description="seconds, or steps: 500 steps; a killed run loses at most this"
    )
    timeout_s: float = Field(
        default=600.0, gt=0, description="seconds that one process waits for another; with torchrun"
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads; null: as many as torch finds"
    )

    @property
    def checkpoint_every_s(self) -> float | None:
        """Seconds between checkpoints; None where they are counted in steps."""
        return None if isinstance(self.checkpoint_every, str) else self.checkpoint_every

    @property
    def checkpoint_every_steps(self) -> int | None:
        """Steps between checkpoints; None where they are timed."""
        every = self.checkpoint_every
        return int(every.split()[0]) if isinstance(every, str) else None


class Settings(Section):
    """All settings of a run."""

    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="of everything random")
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()

    @property
    def data_seed(self) -> int:
        """Of the split and of drawings."""
        return self.seed if self.data.seed is None else self.data.seed


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
# By dotted name, in the order above: "seed", "data.source", ...
FIELDS: dict[str, FieldInfo] = {
    name: field for name, field in Settings.model_fields.items() if name not in SECTIONS
} | {
    f"{section}.{name}": field
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}


def flat_values(settings: Settings) -> dict[str, Any]:
    """Give the settings by dotted name: {"seed": 0, "data.source": "drawings", ...}."""
    values: dict[str, Any] = {}
    for name in FIELDS:
        section, _, key = name.rpartition(".")
        values[name] = getattr(getattr(settings, section) if section else settings, key)
    return values


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Give the settings with some of them changed, by dotted name.

    Raises:
        ValidationError: a value is out of range, or not known.
    """
    nested = settings.model_dump()
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        (nested[section] if section else nested)[key] = value
    return Settings.model_validate(nested)

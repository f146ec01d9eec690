"""The pictures to evaluate a trained model on."""

from crossent.config import Settings
from crossent.errors import UserError
from crossent.model_file import Classifier
from crossent.wiring import make_data
from data.folder import load_labelled
from data.images import ImageSet, Unusable


def validation_of(classifier: Classifier) -> tuple[ImageSet, list[Unusable]]:
    """The validation pictures of the run that made the model, found again by its settings.

    Raises:
        UserError: they are not the same pictures any more.
    """
    data = make_data(Settings.model_validate(classifier.header["settings"]))
    if data.fingerprint != classifier.header["data_fingerprint"]:
        raise UserError(
            "the pictures have changed since this model was trained, so some validation pictures "
            "may have been trained on; name a folder with --data"
        )
    return data.val, data.unusable


def labelled_folder(classifier: Classifier, root: str) -> tuple[ImageSet, list[Unusable]]:
    """The pictures of another folder; its classes are matched by name.

    Raises:
        UserError: a class that the model does not know, or no picture at all.
    """
    try:
        return load_labelled(root, classifier.class_names, classifier.preprocessing.image_size)
    except ValueError as error:
        raise UserError(str(error)) from error

"""The pictures to evaluate a trained model on."""

from crossent.config import settings_from_dict
from crossent.errors import UserError
from crossent.model_file import Classifier
from crossent.wiring import make_data
from data.folder import load_folder_for_evaluation
from data.images import Data


def validation_of(classifier: Classifier) -> Data:
    """The data of the run that made the model, found again by its settings.

    Raises:
        UserError: they are not the same pictures any more, or the model has other settings.
    """
    data = make_data(settings_from_dict(classifier.header["settings"], "the model"))
    if data.fingerprint != classifier.header["data_fingerprint"]:
        raise UserError(
            "the pictures have changed since this model was trained, so that it may have been "
            "trained on some that would now be validation; name a folder with --data"
        )
    return data


def labelled_folder(classifier: Classifier, root: str) -> Data:
    """The pictures of another folder, all for validation; its classes are matched by name.

    Raises:
        UserError: a class that the model does not know, or no picture at all.
    """
    size = classifier.preprocessing.image_size
    try:
        return load_folder_for_evaluation(root, classifier.class_names, size)
    except ValueError as error:
        raise UserError(str(error)) from error

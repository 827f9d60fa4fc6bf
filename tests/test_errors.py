import pickle

import pytest

from holdfast import errors

BUILT_IN = {
    errors.NotFoundError: (KeyError,),
    errors.MissingFileError: (FileNotFoundError,),
    errors.AlreadyExistsError: (FileExistsError,),
    errors.InvalidInputError: (ValueError,),
    errors.StateError: (RuntimeError,),
    errors.LockedError: (TimeoutError,),
    errors.IntegrityError: (RuntimeError,),
    errors.FormatError: (ValueError,),
    errors.MissingDependencyError: (ImportError, RuntimeError),
}
every_class = pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)


@every_class
def test_an_error_is_caught_as_holdfasts_and_as_the_built_in_one_the_documents_name(
    kind: type[errors.HoldfastError],
) -> None:
    assert issubclass(kind, errors.HoldfastError)
    assert all(issubclass(kind, base) for base in BUILT_IN[kind])


@every_class
def test_an_error_shows_its_message_as_it_is_without_quotes(
    kind: type[errors.HoldfastError],
) -> None:
    assert str(kind("run 'a' is missing; check the path")) == "run 'a' is missing; check the path"


@every_class
def test_an_error_comes_back_from_another_process_as_it_was(
    kind: type[errors.HoldfastError],
) -> None:
    copy = pickle.loads(pickle.dumps(kind("what, where, remedy")))
    assert type(copy) is kind
    assert str(copy) == "what, where, remedy"


def test_the_table_holds_every_class_and_the_docstring_draws_it() -> None:
    kinds = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.HoldfastError)
    }
    assert kinds == {errors.HoldfastError, *BUILT_IN}
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_a_warning_is_no_error() -> None:
    assert issubclass(errors.HoldfastWarning, UserWarning)
    assert not issubclass(errors.HoldfastWarning, errors.HoldfastError)

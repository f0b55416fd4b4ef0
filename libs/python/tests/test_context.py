import pytest

import cairn
from cairn.tauro import HooksManager, ModelRegistry, context, get_hooks_manager, get_mlops_context, init_mlops


@pytest.fixture(autouse=True)
def as_a_program_begins(monkeypatch):
    monkeypatch.setattr(context, "_current", None)


def test_there_is_one_context_and_an_error_before_it_is_made_s3_46():
    with pytest.raises(cairn.CairnError, match="init_mlops") as raised:
        get_mlops_context()
    assert raised.value.code is cairn.ErrorCode.VALIDATION_ERROR
    made = init_mlops(url="http://127.0.0.1:9", token="a-key-of-nobody", project="fraud")
    assert get_mlops_context() is made is get_mlops_context()
    assert made.client.project == "projects/fraud" and isinstance(made.model_registry, ModelRegistry)
    assert made.hooks is get_hooks_manager() and made.model_registry is made.model_registry
    own = HooksManager()
    assert init_mlops(hooks=own).hooks is own is get_mlops_context().hooks


@pytest.mark.parametrize(
    "arguments", [{"backend_type": "local"}, {"backend_type": "databricks"}, {"storage_path": "./mlops_data"}])
def test_a_backend_that_is_not_there_is_refused_and_not_played(arguments):
    with pytest.raises(cairn.InvalidArgument) as raised:
        init_mlops(**arguments)
    assert raised.value.context["field"] in arguments
    with pytest.raises(cairn.InvalidArgument):
        get_mlops_context()

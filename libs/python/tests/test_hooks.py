"""Hooks of a program: what they may do, and how often they are told."""

import functools
import hashlib
import inspect
import textwrap

import pytest

import cairn
from cairn.retry import RetryPolicy
from cairn.tauro import HooksManager, HookType
from cairn.tauro.deliveries import Deliverer
from cairn.tauro.hook import Hook

PRE, POST = HookType.PRE_MODEL_REGISTER, HookType.POST_MODEL_REGISTER
DATA = {"name": "m", "metrics": {"accuracy": 0.4}, "tags": {}}


@pytest.fixture
def hooks(time):
    return HooksManager(Deliverer(RetryPolicy(attempts_max=3, pause_min=1, pause_max=4), time.sleep))


def test_a_hook_that_raises_refuses_and_is_named_with_its_digest(hooks):
    @hooks.register(PRE)
    def picky(data):
        raise ValueError("Model accuracy too low")

    with pytest.raises(cairn.RegistrationRejected) as raised:
        hooks.before(PRE, DATA)
    error, source = raised.value, textwrap.dedent(inspect.getsource(picky))
    assert error.code is cairn.ErrorCode.REGISTRATION_REJECTED and error.context["message"] == "Model accuracy too low"
    assert error.context["digest"] == hashlib.sha256(source.encode()).hexdigest()
    assert error.context["hook"].endswith("picky") and isinstance(error.__cause__, ValueError)
    assert error.message.startswith("Model accuracy too low (refused by ") and error.context["digest"] in error.message


def test_hooks_change_what_is_done_one_after_the_other_and_only_by_giving_it_back(hooks):
    @hooks.register(PRE)
    def first(data):
        return {**data, "name": data["name"] + "-1"}

    @hooks.register(PRE)
    def forgetful(data):
        data["metrics"]["accuracy"] = 99

    @hooks.register(PRE)
    def partial(data):
        return {"name": data["name"] + "-2"}

    assert hooks.before(PRE, DATA) == {"name": "m-1-2", "metrics": {"accuracy": 0.4}, "tags": {}}
    assert DATA["name"] == "m" and DATA["metrics"] == {"accuracy": 0.4}


@pytest.mark.parametrize("given, problem", [(True, "bool"), ({"acuracy": 1}, "acuracy")])
def test_what_a_hook_cannot_give_back_refuses_too(hooks, given, problem):
    hooks.register(PRE, lambda data: given)
    with pytest.raises(cairn.RegistrationRejected, match=problem):
        hooks.before(PRE, DATA)


def test_a_post_hook_is_told_once_and_again_with_the_same_id_until_it_takes_it_s3_25(hooks, time):
    told = []

    @hooks.register(POST)
    def flaky(data):
        told.append(data.pop("delivery_id"))
        data["name"] = "spoilt"
        if len(told) < 3:
            raise ConnectionError("not now")
        return data

    @hooks.register(POST)
    def steady(data):
        told.append(data["name"])

    hooks.after(POST, "versions/1", DATA)
    assert told[:3] == [told[0]] * 3 and told[3:] == ["m"]
    assert len(time.slept) == 2 and all(1 <= pause <= 4 for pause in time.slept) and hooks.failed == []
    hooks.after(POST, "versions/1", DATA)
    assert len(told) == 4, "the same delivery is made once"
    hooks.after(POST, "versions/2", DATA)
    assert len(told) == 6 and told[4] != told[0]


def test_a_post_hook_that_goes_on_failing_changes_nothing_and_can_be_told_later(hooks, caplog):
    told, works = [], []

    @hooks.register(POST)
    def broken(data):
        told.append(data["delivery_id"])
        if not works:
            raise RuntimeError("down")

    hooks.after(POST, "versions/1", DATA)
    [delivery] = hooks.failed
    assert len(told) == 3 and delivery.attempts == 3 and isinstance(delivery.error, RuntimeError)
    assert delivery.id in caplog.text and "down" in caplog.text
    assert not hooks.retry(delivery) and hooks.failed == [delivery]
    works.append(True)
    assert hooks.retry(delivery) and hooks.failed == [] and set(told) == {delivery.id}
    count = len(told)
    assert hooks.retry(delivery) and len(told) == count


def test_a_hook_is_registered_once_and_can_be_taken_out(hooks):
    def hook(data):
        raise ValueError("no")

    assert hooks.register(PRE, hook) is hook and hooks.register(PRE)(hook) is hook
    hooks.unregister(PRE, hook)
    hooks.unregister(PRE, hook)
    assert hooks.before(PRE, DATA) == DATA
    with pytest.raises(cairn.InvalidArgument):
        hooks.register(PRE, "no function")
    with pytest.raises(ValueError):
        hooks.register("pre_lunch", hook)


def test_a_hook_without_a_source_has_a_digest_of_its_code(hooks):
    namespace = {}
    exec("def one(data): return data['a'] > 0.5\ndef other(data): return data['a'] > 0.6", namespace)
    one, other = Hook(namespace["one"]), Hook(namespace["other"])
    assert len(one.digest) == 64 and one.digest != other.digest
    assert Hook(print).digest and Hook(print).name == "builtins.print"


def test_hooks_that_one_function_made_are_each_told(hooks):
    told = []

    def telling(channel):
        return lambda data: told.append((channel, data["delivery_id"]))

    class Channel:
        def __call__(self, data):
            told.append(("object", data["delivery_id"]))

    for hook in (telling("a"), telling("b"), functools.partial(telling("c")), Channel(), Channel()):
        hooks.register(POST, hook)
    hooks.after(POST, "versions/1", DATA)
    assert [channel for channel, _ in told] == ["a", "b", "c", "object", "object"]
    assert len({id for _, id in told}) == 5
    hooks.after(POST, "versions/1", DATA)
    assert len(told) == 5

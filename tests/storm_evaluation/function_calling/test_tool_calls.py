"""The evaluator `tool_calls`: suites, prompts, and scores of a model's answers."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from storm_data.rows.tool_form import ToolForm
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.function_calling.scoring import CALLED, MALFORMED, NOT_CALLED, judge, row
from storm_evaluation.function_calling.suite import Expected, Question, Suite
from storm_evaluation.function_calling.tool_calls import ToolCalls
from storm_evaluation.harness import kept_answers
from storm_evaluation.sample import Sample
from storm_exp import InputError, Runtime, SettingError, Store, value_digest
from storm_exp._store.artifact_maker import Maker
from storm_exp.testing import make_stage, run_component
from storm_inference.generation import Generator
from storm_inference.testing import save_toy_checkpoint
from storm_models.chat.tool_calls import CallSpelling
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_tinyworld.corpora.call_documents import suite as generated_suite

MINIATURE = "pkg://storm_tinyworld/function_calls"
ALL = ["simple", "multiple", "irrelevance", "two_arguments", "unheard_of", "missing_irrelevance"]
FIND = {
    "name": "find",
    "description": "Finds a thing.",
    "parameters": {
        "type": "dict",
        "properties": {"what": {"type": "string"}, "rate": {"type": "float"}},
        "required": ["what"],
    },
}
QUESTION = Question(
    "q", [{"role": "user", "content": "Where is it?"}], [FIND], [{"find": {"what": ["it"]}}]
)


def write(folder, name, *lines):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def asked(number, **more):
    message = {"role": "user", "content": f"Where is {number}?"}
    return {"id": f"q{number}", "question": [[message]], "function": [FIND], **more}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "simple.json", asked(1), asked(2))
    truth = [{"find": {"what": ["1"]}}]
    answers = [{"id": f"q{number}", "ground_truth": truth} for number in (1, 2)]
    write(tmp_path, "possible_answer/simple.json", *answers)
    write(tmp_path, "BFCL_v4_irrelevance.json", asked(3))
    write(tmp_path, "live_relevance.json", asked(4))
    write(tmp_path, "unanswered.json", asked(5))
    return tmp_path


def test_a_suite_has_the_expected_answers_of_its_categories(folder):
    suite = Suite(folder)
    assert suite.categories() == ["irrelevance", "live_relevance", "simple", "unanswered"]
    assert suite.expected("simple") is Expected.calls
    assert suite.expected("irrelevance") is Expected.nothing
    assert suite.expected("live_relevance") is Expected.something
    assert [q.id for q in suite.questions("simple")] == ["q1", "q2"]
    assert suite.questions("irrelevance")[0].accepted is None
    with pytest.raises(InputError, match="has no answers to 'unanswered'"):
        suite.expected("unanswered")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"id": "q1"}, "'q1' is malformed"),
        (asked(1, question=[]), "'q1' is malformed"),
        (asked(1, question=[[{"role": "user"}]]), "'q1' is malformed"),
        (asked(1, function=[{"name": "find"}]), "'q1' is malformed"),
        (asked(9), "'q9' has no answer"),
        ([1], "line 1: not a JSON object"),
        ({"question": []}, "a line has no id"),
        (asked(1, question=[[]]), "'q1' is malformed: .*should be a list of messages"),
        (asked(1, function=FIND), "'q1' is malformed: 'function' should be a list"),
        (asked(1, function=[{"name": "find", "parameters": {"properties": None}}]), "properties"),
        (asked(1, function=[{"name": "find", "parameters": {"required": None}}]), "required"),
        (asked(1, function=[{**FIND, "name": "seek"}]), "'find' is accepted, and not one of its"),
    ],
)
def test_a_malformed_question_is_named(folder, line, problem):
    write(folder, "simple.json", line)
    with pytest.raises(InputError, match=problem):
        Suite(folder).questions("simple")


@pytest.mark.parametrize(
    ("truth", "problem"),
    [
        ({"find": {"what": ["1"]}}, "'ground_truth' should be a list of calls"),
        (["find(what=1)"], "an accepted call should be {NAME: {…}}, not find"),
        ([{"find": {}, "seek": {}}], "an accepted call should be"),
        ([{"find": {"what": "1"}}], r"should be {ARGUMENT: \[values\]}"),
        ([{"find": ["1"]}], r"should be {ARGUMENT: \[values\]}"),
    ],
)
def test_a_malformed_answer_is_named_before_anything_is_asked(folder, truth, problem):
    write(folder, "possible_answer/simple.json", {"id": "q1", "ground_truth": truth})
    write(folder, "simple.json", asked(1))
    settings = ToolCalls(suite=str(folder), categories=["simple"])
    with pytest.raises(InputError, match=f"'q1' is malformed: .*{problem}"):
        settings.plan_spec(CheckpointSpec(has_chat_template=True))


def test_each_question_has_an_id_of_its_own_and_its_answer(folder):
    write(folder, "simple.json", asked(1), asked(1))
    with pytest.raises(InputError, match="two lines have the id 'q1'"):
        Suite(folder).questions("simple")
    write(folder, "simple.json", asked(1))
    write(folder, "possible_answer/simple.json")
    with pytest.raises(InputError, match="'q1' has no answer"):
        Suite(folder).questions("simple")
    write(folder, "possible_answer/simple.json", {"ground_truth": []})
    with pytest.raises(InputError, match="a line has no id"):
        Suite(folder).questions("simple")
    write(folder, "simple.json", asked(1, id=1))
    write(folder, "possible_answer/simple.json", {"id": 1, "ground_truth": [{"find": {}}]})
    (question,) = Suite(folder).questions("simple")
    assert question.id == "1" and question.accepted == [{"find": {}}]


CALL = '<tool_call>{"tool_name": "find", "tool_arguments": {"what": "it"}}</tool_call>'


@pytest.mark.parametrize(
    ("text", "calls", "nothing", "something"),
    [
        (CALL, "", CALLED, ""),
        (f"I look.\n{CALL}", "", CALLED, ""),
        ("<tool_call>{'name': 'find', 'arguments': {'what': 'it'}}", "", CALLED, ""),
        (CALL + CALL, "number of calls", CALLED, ""),
        ("[]", "number of calls", "", NOT_CALLED),
        ("It is here.", "number of calls", "", NOT_CALLED),
        ("", "number of calls", "", NOT_CALLED),
        ("<tool_call>find(it)</tool_call>", MALFORMED, "", NOT_CALLED),
    ],
)
def test_an_answer_is_compared_with_the_expected_one(text, calls, nothing, something):
    assert judge(text, QUESTION, Expected.calls) == calls
    assert judge(text, QUESTION, Expected.nothing) == nothing
    assert judge(text, QUESTION, Expected.something) == something


def test_calls_without_tags_count_with_the_models_own_template():
    text = '{"name": "find", "parameters": {"what": "it"}}'
    assert judge(text, QUESTION, Expected.calls) == "number of calls"
    assert judge(text, QUESTION, Expected.calls, bare=True) == ""


def test_questions_have_storms_prompt_and_the_types_of_openapi():
    shown = row(QUESTION, ToolForm.storm_guidelines, CallSpelling.json)
    system, user = shown["messages"]
    assert shown["tools"] is None and user == QUESTION.messages[0]
    assert '"rate": {"type": "number"}' in system["content"]
    assert '"type": "object"' in system["content"] and '"dict"' not in system["content"]
    own = row(QUESTION, ToolForm.template, CallSpelling.json)
    assert own["messages"] == QUESTION.messages
    assert json.loads(own["tools"])[0]["function"]["name"] == "find"
    assert row(QUESTION, ToolForm.question, CallSpelling.json)["tools"] is None


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [Checkpoint(save_toy_checkpoint(folder / str(seed), seed)) for seed in (0, 1)]


def test_models_are_scored_by_question_and_can_be_compared(models, tmp_path):
    settings = ToolCalls(suite=MINIATURE, categories=ALL, limit=6, max_new_tokens=12,
                         tool_form=ToolForm.question)  # fmt: skip
    evaluations = [
        run_component(settings, make_stage(tmp_path, str(number)), model)
        for number, model in enumerate(models)
    ]
    scores = {t: e["score"] for t, e in evaluations[0].summary()["tasks"].items()}
    assert list(scores) == ALL
    assert scores["irrelevance"] == scores["missing_irrelevance"] == 1, "random: no calls"
    assert scores["simple"] == 0
    samples = list(evaluations[0].samples())
    assert [s.document for s in samples[:2]] == ["simple_0", "simple_1"] and len(samples) == 36
    assert evaluations[0].summary()["settings"]["mistakes"]["simple"] == {"number of calls": 6}
    assert evaluations[0].questions() == evaluations[1].questions()
    compared = run_component(Paired(), make_stage(tmp_path, "paired"), evaluations)
    assert compared.spec().tasks == ALL


def test_a_category_that_is_added_is_the_only_one_asked(models, tmp_path, monkeypatch):
    maker = Maker(Store(tmp_path / "store"), Runtime(device="cpu", threads=1))
    model = Checkpoint(models[0].directory, value_digest("model"))
    asked: list[int] = []
    answer = Generator.answer_together

    def counting(self, rows, advance):
        asked.append(len(rows))
        return answer(self, rows, advance)

    monkeypatch.setattr(Generator, "answer_together", counting)

    def evaluate(*categories: str, **settings: object) -> list[Sample]:
        asked.clear()
        stage = make_stage(tmp_path, f"{len(list(tmp_path.iterdir()))}")
        stage.keep_memo = maker.memo
        given = {"limit": 2, "max_new_tokens": 4, "tool_form": ToolForm.question, **settings}
        settings = ToolCalls(suite=MINIATURE, categories=list(categories), **given)
        return list(run_component(settings, stage, model).samples())

    alone = evaluate("simple")
    both = evaluate("irrelevance", "simple")
    assert asked == [2] and both[2:] == alone
    drawn = evaluate("simple", limit_seed=3)
    assert asked == [2] and [s.document for s in drawn] != [s.document for s in alone]
    assert evaluate("simple", "irrelevance") == both[2:] + both[:2] and not asked
    monkeypatch.setattr(kept_answers, "_FIRST", 2)
    more = evaluate("simple", limit=4)
    assert asked == [2] and more[:2] == alone, "what a larger limit adds"


def test_the_committed_suite_is_the_generated_one():
    folder = files("storm_tinyworld") / "function_calls"
    for name, text in generated_suite().items():
        assert (folder / name).read_text(encoding="utf-8") == text
    questions = Suite(folder).questions("two_arguments")
    assert all(len(q.accepted[0][next(iter(q.accepted[0]))]) == 2 for q in questions)


def test_the_miniatures_right_answers_are_right():
    from storm_tinyworld.corpora.call_documents import call_examples

    suite = Suite(files("storm_tinyworld") / "function_calls")
    asked = {q.messages[0]["content"]: (c, q) for c in ALL for q in suite.questions(c)}
    for category, example in call_examples():
        question = asked[example.instruction][1]
        assert judge(example.response, question, suite.expected(category)) == ""
        assert judge(example.mistake, question, suite.expected(category)) != ""


SPEC = CheckpointSpec(has_chat_template=True)


def test_a_plan_has_the_number_of_questions(folder):
    spec = ToolCalls(suite=str(folder), categories=["simple", "irrelevance"]).plan_spec(SPEC)
    assert (spec.tasks, spec.documents) == (["simple", "irrelevance"], 3)
    assert (
        ToolCalls(suite=str(folder), categories=["simple"], limit=1).plan_spec(SPEC).documents == 1
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"categories": []}, "must list at least one category"),
        ({"categories": ["simple", "simple"]}, "is listed twice"),
        ({"categories": ["simple"], "tool_form": ToolForm.parsed}, "is for data sets only"),
    ],
)
def test_invalid_settings_are_refused(settings, problem):
    with pytest.raises(SettingError, match=problem):
        ToolCalls(**settings)


def test_an_unknown_category_and_a_model_without_template_are_refused(folder):
    with pytest.raises(SettingError, match="did you mean 'simple'"):
        ToolCalls(suite=str(folder), categories=["simpel"]).plan_spec(SPEC)
    with pytest.raises(InputError, match="no chat template"):
        ToolCalls(suite=str(folder), categories=["simple"]).plan_spec(
            CheckpointSpec(has_chat_template=False)
        )
    with pytest.raises(SettingError, match="there is no folder"):
        ToolCalls(suite="/nowhere", categories=["simple"]).plan_spec(SPEC)


def test_the_berkeley_leaderboard_is_planned_without_its_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("STORM_EXP_ENVIRONMENTS", str(tmp_path))
    settings = ToolCalls(categories=["simple_python"])
    assert settings.plan_spec(SPEC).tasks == ["simple_python"]
    assert settings.fingerprint(None) == {"bfcl-eval": "2026.3.23"}
    (environment,) = settings.environments().values()
    assert environment.problem() == "does not exist"

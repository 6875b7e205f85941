import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from veneer.errors import InputError, SpecError
from veneer.spec import BUILT_IN, json_schema, load_study, parse_study, parse_tokens

TINY = yaml.safe_load((Path(__file__).parent / "tiny.yaml").read_text())


def changed(**changes):
    return {**TINY, **changes}


@pytest.mark.parametrize(
    ("given_as", "tokens"),
    [
        ("5M", 5_000_000),
        ("0.3M", 300_000),
        ("300k", 300_000),
        ("20480", 20_480),
        (7, 7),
        ("1B", 10**9),
    ],
)
def test_amounts_of_tokens_as_people_write_them(given_as, tokens):
    assert parse_tokens(given_as) == tokens


@given(st.integers(1, 10**6))
def test_thousands_are_thousands(n):
    assert parse_tokens(f"{n}k") == parse_tokens(str(n)) * 1000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(tokns=["1k"]), ["unknown key 'tokns'", "Did you mean 'tokens'?"]),
        (
            changed(corpora={"broad": {"colect": "a.jsonl"}}),
            ["unknown key 'corpora.broad.colect'", "Did you mean 'collect'?"],
        ),
        (changed(recipe={"blok": 64}), ["unknown key 'recipe.blok'", "Did you mean 'block'?"]),
        (
            changed(corpora={"local": {"synthesize": {"seeds": "a", "count": 3, "shot": 1}}}),
            ["unknown key 'corpora.local.synthesize.shot'"],
        ),
        ({k: v for k, v in TINY.items() if k != "teacher"}, ["teacher is missing"]),
        (changed(tokens=["5 apples"]), ["'5 apples' is not an amount of tokens"]),
        (changed(tokens=["3k", "1k"]), ["tokens must rise"]),
        (changed(seeds=[1, 1]), ["a seed stands twice"]),
        (
            changed(measures=["nq", "style"], corpora={"c": {"collect": "f", "task": "mmlu"}}),
            ["task mmlu"],
        ),
        (
            changed(bases={"S": "pocket:teacher"}),
            ["base S is the teacher itself", "pocket:teacher"],
        ),
        (changed(teacher="gpt:5"), ["Unknown model scheme 'gpt'", "hf:", "pocket:"]),
        (changed(bases={"S": "pocket:XL"}), ["pocket:XL"]),
        (changed(pocket="huge"), ["'huge'", "full"]),
        (changed(corpora={"c": {"collect": "f", "import": ["g"]}}), ["exactly one of"]),
        ({k: v for k, v in TINY.items() if k != "pocket"}, ["needs the key pocket"]),
        (changed(measures=["nq", "gsm8k"]), ["gsm8k"]),
    ],
)
def test_what_no_study_can_mean_is_said_in_one_message(content, said):
    with pytest.raises(SpecError) as caught:
        parse_study(content)
    assert caught.value.exit_code == 2
    for words in said:
        assert words in str(caught.value)


def test_every_mistake_is_listed_at_once():
    with pytest.raises(SpecError) as caught:
        parse_study(changed(tokns=1, sedes=[1]))
    assert "tokns" in str(caught.value)
    assert "sedes" in str(caught.value)


def test_built_in_studies_load_and_satisfy_the_exported_schema():
    schema = json_schema()
    for name, path in BUILT_IN.items():
        study, here = load_study(name)
        assert study.name == name
        assert here == path.parent
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    jsonschema.validate(TINY, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(tokns=1), schema)


def test_a_study_survives_the_way_to_json_and_back():
    study = parse_study(TINY)
    again = parse_study(json.loads(json.dumps(study.model_dump(mode="json", by_alias=True))))
    assert again == study


def test_a_recipe_can_change_for_one_corpus():
    content = changed(corpora={**TINY["corpora"], "c": {"collect": "f", "recipe": {"batch": 9}}})
    study = parse_study(content)
    assert study.recipe_of("c").batch == 9
    assert study.recipe_of("broad").batch == TINY["recipe"]["batch"]
    with pytest.raises(SpecError, match="batsh"):
        parse_study(changed(corpora={"c": {"collect": "f", "recipe": {"batsh": 9}}}))


def test_files_that_are_missing_are_named_before_anything_is_spent(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(changed(corpora={"c": {"collect": "prompts.jsonl"}})))
    with pytest.raises(InputError, match=r"prompts\.jsonl does not exist, but corpus c needs it"):
        load_study(str(path))
    path.write_text(
        yaml.safe_dump(
            changed(
                evaluation="data",
                measures=["mmlu"],
                corpora={"c": {"collect": "pocket:queries.jsonl"}},
            )
        )
    )
    with pytest.raises(InputError, match=r"mmlu_test\.jsonl does not exist, but measure mmlu"):
        load_study(str(path))
    with pytest.raises(InputError, match="neither a file nor a built-in"):
        load_study("poket")
    path.write_text("name: [")
    with pytest.raises(SpecError, match="not YAML"):
        load_study(str(path))
    path.write_text("- 1")
    with pytest.raises(SpecError, match="holds no study"):
        load_study(str(path))

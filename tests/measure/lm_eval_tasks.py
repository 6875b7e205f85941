"""Small tasks of every kind over local data, as a user of lm-eval writes them."""

import json

CHOICE = """
task: tiny_choice
{data}
output_type: multiple_choice
test_split: test
fewshot_split: shots
num_fewshot: 2
description: "Answer what is asked. "
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
GENERATE = """
task: tiny_generate
{data}
output_type: generate_until
test_split: test
fewshot_split: shots
num_fewshot: 1
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: "{{{{choices[answer]}}}}"
generation_kwargs: {{until: ["\\n\\n", "e", "Q:"], max_gen_toks: 20, do_sample: false}}
filter_list:
  - name: first-word
    filter:
      - {{function: regex, regex_pattern: "(\\\\w+)"}}
      - {{function: take_first}}
  - name: whole
    filter:
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
metadata: {{version: 2.0}}
"""
LAST_WORD = """
task: tiny_last_word
{data}
output_type: loglikelihood
test_split: test
doc_to_text: "{{{{text.rsplit(' ', 1)[0]}}}}"
doc_to_target: "{{{{' ' + text.rsplit(' ', 1)[1]}}}}"
metric_list:
  - {{metric: perplexity, aggregation: perplexity, higher_is_better: false}}
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
ROLLING = """
task: tiny_rolling
{data}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]
metadata: {{version: 1.0}}
"""
GROUP = """
group: tiny_group
task: [tiny_choice, tiny_last_word]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
metadata: {version: 1.0}
"""
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "runs",
    "away",
]


def write_tasks(folder):
    """The tasks' YAML and data, with a cache of their own, below a folder; returns it."""
    rows = [
        {
            "question": f"who is {WORDS[i % 12]} {i}?",
            "choices": [WORDS[(i + k) % 12] for k in range(2 + i % 3)],
            "answer": i % 2,
            "text": " ".join(WORDS[(i * k) % 12] for k in range(1, 9 + 12 * (i % 7))),
        }
        for i in range(14)
    ]
    for name, part in (("test", rows[:9]), ("shots", rows[9:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = (
        "dataset_path: json\n"
        f"dataset_kwargs: {{cache_dir: '{folder / 'cache'}', data_files: "
        f"{{test: '{folder / 'test.jsonl'}', shots: '{folder / 'shots.jsonl'}'}}}}"
    )
    tasks = folder / "tasks"
    tasks.mkdir()
    for yaml in (CHOICE, GENERATE, LAST_WORD, ROLLING):
        name = yaml.split()[1]
        (tasks / f"{name}.yaml").write_text(yaml.format(data=data))
    (tasks / "tiny_group.yaml").write_text(GROUP)
    return tasks

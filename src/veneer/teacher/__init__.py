"""Ask the teacher: collect answers to prompts, synthesise task data."""

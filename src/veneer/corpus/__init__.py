"""From answers to imitation data: import, clean, keep test questions out, mix nested."""

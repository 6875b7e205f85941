"""Workers of Mechanical Turk and Prolific, brought to the same pages."""

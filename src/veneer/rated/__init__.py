"""What raters preferred: votes as verdicts, rates, agreement; read, written and told.

Wiring of `veneer.raters` and `veneer.measure`: votes on a pair become one `Comparison` by the
majority rule (`veneer.records.RULE`), and comparisons become what a judge's verdicts become.
"""

from veneer.rated.files import import_votes, write_rated
from veneer.rated.pairs import Shown, Study, study_of
from veneer.rated.rates import ModelRates, Rated, rated, summed
from veneer.rated.recorded import rated_recorded
from veneer.rated.telling import results_json, results_text

__all__ = [
    "ModelRates",
    "Rated",
    "Shown",
    "Study",
    "import_votes",
    "rated",
    "rated_recorded",
    "results_json",
    "results_text",
    "study_of",
    "summed",
    "write_rated",
]

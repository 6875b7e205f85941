"""What tokens cost: a table that users can override, and nothing guessed beyond it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.models.api.entries import Usage

HOW = (
    "Write a YAML file with a line such as\n"
    "  models: {{{model}: {{in: 1.25, out: 10}}}}     # USD per million tokens\n"
    "and name it in VENEER_PRICES (or with the option for prices)."
)
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4}|\d{8}|latest|preview)$")


@dataclass(frozen=True)
class Price:
    """USD per million tokens. `batch`: the batch API's price as a share of this one."""

    prompt: float
    completion: float
    cached: float | None = None
    batch: float = 0.5

    def usd(self, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float:
        """What so many tokens cost. Cached prompt tokens are counted at the full price."""
        whole = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return whole * self.batch if batch else whole


def priced(usage: Usage, price: Price | None, *, batch: bool = False) -> Usage:
    """Tokens with their cost; None where there is no price."""
    tokens = usage.prompt_tokens, usage.completion_tokens
    return Usage(*tokens, usd=None if price is None else price.usd(*tokens, batch=batch))


def price_of(model: str, prices: Path | None = None) -> Price | None:
    """The price of a model, None where no table knows it.

    The user's table (`prices`, or $VENEER_PRICES) goes before ours. A dated snapshot has the
    price of the name without its date; "gpt-4o-mini" is never priced as "gpt-4o".

    Raises:
        InputError: the user's table cannot be read.
    """
    given = prices or (Path(os.environ["VENEER_PRICES"]) if "VENEER_PRICES" in os.environ else None)
    tables = [_built_in()] if given is None else [read_prices(given.expanduser()), _built_in()]
    names = [model]
    while (shorter := _SNAPSHOT.sub("", names[-1])) != names[-1]:
        names.append(shorter)
    for table in tables:
        for name in names:
            if name in table:
                return table[name]
    return None


def required_price(model: str, prices: Path | None = None) -> Price:
    """`price_of`, for when money is counted.

    Raises:
        InputError: no table knows the model; shows how to give its price.
    """
    price = price_of(model, prices)
    if price is None:
        raise InputError(
            f"A budget in USD needs the price of {model}, and no price table has it.",
            HOW.format(model=model) + "\nOr give the budget in tokens.",
        )
    return price


def table_date() -> str:
    """When our table was written."""
    return str(_read(files("veneer.models.api").joinpath("prices.yaml").read_text("utf-8"))[1])


@cache
def _built_in() -> dict[str, Price]:
    return _read(files("veneer.models.api").joinpath("prices.yaml").read_text("utf-8"))[0]


def read_prices(path: Path) -> dict[str, Price]:
    """A user's price table: `models: {NAME: {in: USD, out: USD}}`, per million tokens.

    Raises:
        InputError: it does not exist or has another form.
    """
    try:
        return _read(path.read_text("utf-8"))[0]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The price table {path} cannot be read: {error}.", HOW.format(model="MODEL")
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"The price table {path} has another form: {error}.", HOW.format(model="MODEL")
        ) from error


def _read(text: str) -> tuple[dict[str, Price], date | None]:
    import yaml

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if not isinstance(given, dict) or not isinstance(given.get("models"), dict):
        raise ValueError("there is no `models:` in it")
    return {str(name): _price(name, entry) for name, entry in given["models"].items()}, given.get(
        "written"
    )


def _price(name: str, entry: Any) -> Price:
    known = {"in", "out", "cached", "batch"}
    if not isinstance(entry, dict) or not {"in", "out"} <= entry.keys() <= known:
        raise ValueError(f"{name} needs `in` and `out` (USD per million tokens)")
    numbers = {key: float(value) for key, value in entry.items()}
    if any(not 0 <= number < 1e6 for number in numbers.values()):
        raise ValueError(f"{name} has a price that is none")
    return Price(numbers["in"], numbers["out"], numbers.get("cached"), numbers.get("batch", 0.5))

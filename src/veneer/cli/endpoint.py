"""Options of commands that ask models behind endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from veneer.models.opening import Means

BaseUrl = Annotated[
    str | None,
    typer.Option(help="Address of an OpenAI-compatible endpoint. [$OPENAI_BASE_URL]"),
]
Key = Annotated[str, typer.Option(metavar="NAME", help="Environment variable that holds the key.")]
Usd = Annotated[
    float | None, typer.Option("--budget-usd", help="Stop before the request that could exceed it.")
]
BudgetTokens = Annotated[int | None, typer.Option(help="The same in tokens, prompts and answers.")]
Prices = Annotated[
    Path | None,
    typer.Option(metavar="YAML", help="Prices that go before ours. [$VENEER_PRICES]"),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests in flight at most.")]
Rpm = Annotated[
    float | None,
    typer.Option("--requests-per-minute", help="The provider's limit. [learned from its answers]"),
]
Tpm = Annotated[float | None, typer.Option("--tokens-per-minute", help="The same in tokens.")]
Batch = Annotated[
    bool, typer.Option("--batch", help="Use the provider's batch API: half the price, in a day.")
]
NoN = Annotated[bool, typer.Option("--no-n", help="Ask each sample in a request of its own.")]


def reached(
    key: str,
    usd: float | None,
    tokens: int | None,
    prices: Path | None,
    concurrency: int,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
    **more: Any,
) -> Means:
    """The options above as one value, in their order; `more` are no_n and batch."""
    from veneer.models.opening import Means

    return Means(
        key=key,
        usd=usd,
        tokens=tokens,
        prices=prices,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        **more,
    )

"""Options of commands that ask models behind endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

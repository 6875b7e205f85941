"""Models that say what they are told to: for what no real model does on demand."""

from veneer.models.asking import Reply


class Teller:
    """Answers each request by `say(text, number, seed)`, remembers what was paid, may run out.

    `say` gives a text or a Reply; `number` counts the requests of one call. What was answered
    once is answered again for nothing, like behind a journal.
    """

    seeded = True

    def __init__(self, say, budget=None, name="teller"):
        self.say, self.budget, self.name = say, budget, name
        self.paid = {}
        self.asked = []
        self.stopped = ""

    def ask(self, asks, *, max_new_tokens, temperature=0.0, seed=0, progress=None):
        replies = []
        for number, ask in enumerate(asks):
            (message,) = ask.messages
            key = (message.content, ask.sample, temperature, max_new_tokens, seed)
            self.asked.append(key)
            if key not in self.paid:
                if self.budget is not None and len(self.paid) >= self.budget:
                    self.stopped = f"the budget of {self.budget} requests is used up"
                    replies.append(None)
                    continue
                said = self.say(message.content, number, seed)
                self.paid[key] = said if isinstance(said, Reply) else Reply(said)
            replies.append(self.paid[key])
            if progress:
                progress(number + 1, len(asks))
        return replies

    def report(self):
        return {"requests": len(self.paid)}

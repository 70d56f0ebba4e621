"""A problem and its remedies, as shown by a plan, a run and `opsctl doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the subject (a table, policy, setting), and how to fix it.

    `problem` ends with advice. Each of `remedies` carries it out by itself: a command, or SQL that ends with
    a semicolon. Without remedies, the advice says what a person has to decide.
    """

    subject: str
    problem: str
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        ways = " or ".join(remedy.removesuffix(";") for remedy in self.remedies)
        return f"{self.problem}: {ways}" if ways else self.problem

"""Something that is wrong, in words that a plan, a run and `opsctl doctor` share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the subject (a table, policy, setting), and how to mend it.

    `problem` ends with the advice that `remedies` carry out, one of which is enough: SQL, which ends with a
    semicolon, or a command. Without any, the advice says what a person has to decide.
    """

    subject: str
    problem: str
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        ways = ", or ".join(remedy.removesuffix(";") for remedy in self.remedies)
        return f"{self.problem}: {ways}" if ways else self.problem

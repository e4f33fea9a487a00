"""The desk's definitions with three jobs that give secrets away as a careless program does."""

import base64
import os
import signal
import sys
from urllib.parse import quote

import dagster as dg

from trading_assets import keyring
from trading_assets.definitions import build_definitions


class Careless(dg.Config):
    """A field as Dagster has it, which takes its value from the environment."""

    text: str = ""
    number: int = 0


@dg.op
def repeat_configuration(config: Careless) -> None:
    raise ValueError(f"configured with {config.text!r} and {config.number}")


@dg.op
def show_secrets(context: dg.OpExecutionContext) -> None:
    known = [value for text in keyring.known().values() for value in text.split()]
    coded = base64.b64encode(f"user:{known}".encode()).decode()
    headers = {"Authorization": f"Bearer {known[0]}", "x": known}
    context.log.info(f"in the environment: {set(keyring.SECRETS) & os.environ.keys()}")
    print("printed", known, headers)
    print("as an error", known, file=sys.stderr)
    context.log.error(f"logged {known} {quote(str(known))} {coded}")
    context.add_output_metadata({"known": ", ".join(known), "coded": coded, "headers": headers})
    try:
        raise KeyError(*known)
    except KeyError as error:
        raise ValueError(f"no answer to {headers}, {quote(str(known))}, {coded}") from error


@dg.op
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def job_of(op: dg.OpDefinition, name: str) -> dg.JobDefinition:
    return dg.GraphDefinition(name=name, node_defs=[op]).to_job(executor_def=dg.in_process_executor)


JOBS = [
    job_of(repeat_configuration, "careless"),
    job_of(show_secrets, "gives_away"),
    job_of(die, "dies"),
]
defs = dg.Definitions.merge(build_definitions(), dg.Definitions(jobs=JOBS))

"""Docker's health check of the code server: exits with 0 when its definitions are loaded.

`dagster api grpc-health-check` also exits with 0 while they cannot be, such as with an invalid policies.yaml.
"""

import sys

from dagster import deserialize_value
from dagster._grpc.client import DagsterGrpcClient
from dagster._utils.error import SerializableErrorInfo

try:
    answer = deserialize_value(DagsterGrpcClient(port=int(sys.argv[1]), host="localhost").list_repositories())
except Exception as error:
    sys.exit(f"The code server does not answer: {type(error).__name__}")
if isinstance(answer, SerializableErrorInfo):
    sys.exit(f"The definitions cannot be loaded: {answer.to_string()}")

"""boto3 under the names of the model."""

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError


class Client:
    version = boto3.__version__
    error = ClientError
    cannot = {}

    def __init__(self):
        self.kinesis = boto3.client("kinesis", config=Config(retries={"max_attempts": 1}))

    def call(self, operation, parameters):
        return getattr(self.kinesis, xform_name(operation))(**parameters)

    def name_of(self, error):
        """The name, where the error is of the class that boto3 has for it."""
        name = error.response["Error"]["Code"]
        return name if isinstance(error, getattr(self.kinesis.exceptions, name)) else f"{name} without its class"

    def bytes_of(self, data):
        return data

    def wait_until_active(self, stream):
        self.kinesis.get_waiter("stream_exists").wait(StreamName=stream)

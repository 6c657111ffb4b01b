"""The AWS command line under the names of the model: a program a call."""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile

SECONDS_MAX = 60


class Failed(Exception):
    """What a command wrote before it failed."""


class Client:
    error = Failed
    cannot = {
        operation: "the AWS CLI has no command for it"
        for operation in ("SubscribeToShard", "CreateChannel", "CreateQueue", "UpdateStreamRecordDistributionStrategy")
    }

    def __init__(self):
        self.program = os.path.join(os.path.dirname(sys.executable), "aws")
        self.version = re.match(r"aws-cli/(\S+)", self.run(["--version"])).group(1)

    def call(self, operation, parameters):
        """Parameters go through a file, and bytes through one of their own, as JSON cannot hold them."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["kinesis", re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()]
            if isinstance(parameters.get("Data"), bytes):
                path = os.path.join(folder, "data")
                with open(path, "wb") as file:
                    file.write(parameters["Data"])
                arguments += ["--data", f"fileb://{path}"]
                parameters = {name: value for name, value in parameters.items() if name != "Data"}
            path = os.path.join(folder, "input.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(parameters, file)
            output = self.run([*arguments, "--cli-input-json", f"file://{path}", "--output", "json"])
            return json.loads(output) if output.strip() else {}

    def run(self, arguments):
        environment = {**os.environ, "AWS_MAX_ATTEMPTS": "1", "PYTHONUTF8": "1"}
        ended = subprocess.run(
            [self.program, *arguments], env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        if ended.returncode != 0:
            raise Failed(ended.stderr.strip())
        return ended.stdout

    def name_of(self, error):
        found = re.search(r"An error occurred \((\w+)\)", str(error))
        return found.group(1) if found else str(error)

    def bytes_of(self, data):
        return base64.b64decode(data)

    def wait_until_active(self, stream):
        self.run(["kinesis", "wait", "stream-exists", "--stream-name", stream])

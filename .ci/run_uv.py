"""Run the project's uv with the registry settings of this machine: `run_uv.py pip compile ...`."""

import os
import sys

from prepare import TOOLS
from registry import pip_settings, uv_environment

program = next(TOOLS.glob("uv-*/bin/uv"))
os.execve(program, [str(program), *sys.argv[1:]], uv_environment(os.environ, pip_settings(), TOOLS))  # noqa: S606

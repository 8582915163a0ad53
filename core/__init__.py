"""Everything of Kiln that works without a window: pictures in, LoRA file out."""

import os

__version__ = "0.1.0"

# Read by OpenMP when torch is imported. By default its threads wait for each other by spinning, which on a machine with
# other work to do slows a step forty times; waiting politely costs nothing that could be measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# onnxruntime reports to its makers from its import on, Hugging Face's libraries with their requests; Kiln does not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

# Libraries tell users of packages that they do not need; errors still come through.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

"""Records which experts a Mixture-of-Experts model of the transformers library chooses.

    with RoutingCapture(model, "captures/run-1") as capture:
        capture.batch([0, 1], attention_mask)
        model(input_ids=input_ids, attention_mask=attention_mask)

README.md beside this package describes the files that come out.
"""

from .capture import RoutingCapture
from .errors import CaptureError
from .routers import Routing, register

__all__ = ["CaptureError", "Routing", "RoutingCapture", "register"]
__version__ = "1.0.0"

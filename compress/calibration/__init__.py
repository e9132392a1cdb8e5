"""Which range an integer grid covers: one file per calibration; `_base.py` is the contract."""

from compress.calibration._base import CALIBRATIONS, AbstractCalibration, Histogram, Seen

__all__ = ["CALIBRATIONS", "AbstractCalibration", "Histogram", "Seen"]

"""Whether two logs are the same."""

import numpy as np
from polars.testing import assert_frame_equal

from models.log import Log


def assert_same_logs(ours: Log, theirs: Log) -> None:
    """Compare all fields; text may be text or categories, and columns may stand in another order."""
    for name in Log._fields:
        a, b = getattr(ours, name), getattr(theirs, name)
        if name == "columns":
            assert_frame_equal(a, b, check_column_order=False, categorical_as_str=True, check_dtypes=False)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            assert a == b, name

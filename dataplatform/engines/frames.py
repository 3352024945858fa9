"""pandas frames in and out, without losing a digit: for functions that are written on `pandas.DataFrame`.

Frames are for small tables. Integers stay integers beside missing values (`Int64`), decimals are `decimal.Decimal`
objects, days are `datetime64[ms]`, instants are UTC with zone. What comes back is converted exactly or refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.families import accepts, fix, of_arrow
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.errors import ShapeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dataplatform.contracts.model import Contract


def to_frame(rows: pa.Table) -> pd.DataFrame:
    """The rows as a frame in the types said above."""
    import pandas as pd
    import pyarrow as pa

    types = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
    return rows.to_pandas(types_mapper=types.get, date_as_object=False)


def from_frame(frame: pd.DataFrame, contract: Contract) -> pa.Table:
    """The frame in the contract's columns and types, by name, and `_row_errors` when it has them.

    Raises ShapeError with every column whose values do not fit exactly; the names must have been compared before.
    """
    import pyarrow as pa

    fields = list(arrow_schema(contract))
    if ROW_ERRORS in frame.columns:
        fields.append(pa.field(ROW_ERRORS, pa.list_(pa.string())))
    problems = []
    arrays = []
    for field in fields:
        try:
            arrays.append(_array(frame[field.name], field.type))
        except (pa.ArrowException, TypeError) as error:
            problems.append(f"column {field.name}: {error}")
    if problems:
        raise ShapeError(f"{contract.full_name}: the frame does not fit the contract: {'; '.join(problems)}")
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(series: pd.Series, wanted: pa.DataType) -> pa.Array[Any]:
    """One column, exactly. Arrow alone would take a naive instant for UTC and drop the hours of a day."""
    import pyarrow as pa

    if series.empty:  # pandas gives columns without values any type
        return pa.array([], type=wanted)
    found = pa.Array.from_pandas(series).type
    if not accepts(of_arrow(wanted), of_arrow(found), frames=True):
        raise pa.ArrowTypeError(f"{found} where {wanted} is promised; {fix(of_arrow(found), of_arrow(wanted))}")
    if pa.types.is_date(wanted) and pa.types.is_timestamp(found):
        known = series.dropna()
        if (known != known.dt.normalize()).any():
            raise pa.ArrowInvalid("a day has a time; use `.dt.normalize()`")
    return pa.Array.from_pandas(series, type=wanted, safe=True)

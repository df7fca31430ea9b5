"""New items: what has hardly any events is proposed by its traits (category, brand, …) to users whose history
shares them.

What belongs here: traits of items as a sparse matrix, and scoring of the new ones. Items with a past are left to
the other sources.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from ecom_pipeline.recommending.frames import Frame, as_table, id_column
from ecom_pipeline.recommending.sparse_rows import history_matrix, narrow
from ecom_pipeline.sequences import EventSequences

NEW_EVENTS = 3  # an item with at most so many events is new
NOT_TRAITS = ("item_id", "name")


@dataclass(frozen=True)
class NewItems:
    """traits: CSR float32 (items, values), rows of length 1. new: CSR (values, items), only the columns of new
    items are filled, each weighing 1 + log(1 + events)."""

    traits: sparse.csr_array
    new: sparse.csr_array
    history_decay: float = 0.8

    @classmethod
    def fit(cls, traits: sparse.csr_array, log: EventSequences) -> "NewItems":
        """Which items of a log are new, by the values of their traits."""
        counts = np.bincount(log.items, minlength=log.n_items).astype(np.float32)
        weight = np.where(counts <= NEW_EVENTS, 1.0 + np.log1p(counts), 0.0).astype(np.float32)
        held = traits.copy()
        held.data = held.data * np.repeat(weight, np.diff(held.indptr))
        held.eliminate_zeros()
        return cls(traits=narrow(traits), new=narrow(held.T.tocsr()))

    def strengths(self, histories: EventSequences) -> sparse.csr_array:
        """How well each new item fits each history, CSR float32 (users, items)."""
        profile = history_matrix(histories, decay=self.history_decay) @ self.traits
        return sparse.csr_array(profile @ self.new)


def read_traits(features: Frame, ids: pa.Array) -> sparse.csr_array | None:
    """Traits of the items `ids` from a frame: every column of text or integers but item_id and name is a trait.

    A value that many items share says less: it weighs log(items / items with the value). None where there are no
    traits.
    """
    table = as_table(features, name="item_features", required=("item_id",))
    place = pc.index_in(ids, value_set=id_column(table, "item_id", name="item_features"))
    rows, columns, values, width = [], [], [], 0
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        is_trait = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if name in NOT_TRAITS or not (is_trait or pa.types.is_integer(column.type)):
            continue
        encoded = pc.dictionary_encode(column.take(place))
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(codes >= 0)
        counts = np.bincount(codes[known], minlength=len(encoded.dictionary))
        rows.append(known)
        columns.append(codes[known] + width)
        values.append(np.log((len(ids) + 1) / counts[codes[known]]))
        width += len(encoded.dictionary)
    if not width:
        return None
    coordinates = (np.concatenate(rows), np.concatenate(columns))
    traits = sparse.csr_array((np.concatenate(values), coordinates), shape=(len(ids), width), dtype=np.float32)
    length = np.sqrt(np.asarray(traits.multiply(traits).sum(axis=1)).ravel())
    traits.data /= np.repeat(np.maximum(length, 1e-8), np.diff(traits.indptr)).astype(np.float32)
    return traits

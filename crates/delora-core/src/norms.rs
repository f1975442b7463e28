//! Norms along one axis of stacked matrices.

pub use fused::{NormalizedTerm, normalized_rows};

use tch::Tensor;

/// Euclidean norm of each row: [.., rows, columns] gives [.., rows].
pub fn row_norms(matrix: &Tensor) -> Tensor {
    matrix.norm_scalaropt_dim(2, [-1], false)
}

/// Euclidean norm of each column: [.., rows, columns] gives [.., columns].
pub fn column_norms(matrix: &Tensor) -> Tensor {
    matrix.norm_scalaropt_dim(2, [-2], false)
}

/// Every row divided by its norm.
pub fn unit_rows(matrix: &Tensor) -> Tensor {
    matrix / matrix.norm_scalaropt_dim(2, [-1], true)
}

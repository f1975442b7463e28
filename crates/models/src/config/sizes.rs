//! What sizes and numbers of configs can be.

/// More than any network has, and few enough that products of two do not overflow.
const LARGEST: i64 = 1 << 24;
/// Layers or blocks in a row: more than any network has.
const DEEPEST: i64 = 1 << 8;
/// Values of a tensor: more than any supported network's have, and few enough to ask for memory.
const MOST_VALUES: i64 = 1 << 31;

/// Refuses a count or a size below 1, or beyond any network's.
pub(crate) fn bounded<const N: usize>(sizes: [(&str, i64); N]) -> Result<(), String> {
    each_bounded(&sizes)
}

/// Refuses a list with a count or a size below 1, or beyond any network's.
pub(crate) fn each_bounded(sizes: &[(&str, i64)]) -> Result<(), String> {
    match sizes.iter().find(|(_, size)| !(1..=LARGEST).contains(size)) {
        Some((key, size)) => Err(format!("`{key}` is {size}; it has to be from 1 to {LARGEST}")),
        None => Ok(()),
    }
}

/// Refuses a number of layers that is below 1, or beyond any network's.
pub(crate) fn depth(key: &str, layers: i64) -> Result<(), String> {
    match (1..=DEEPEST).contains(&layers) {
        true => Ok(()),
        false => Err(format!("`{key}` is {layers}; it has to be from 1 to {DEEPEST}")),
    }
}

/// Refuses two sizes below 1, or whose product is a matrix beyond any network's.
pub(crate) fn matrix((key, size): (&str, i64), (other_key, other): (&str, i64)) -> Result<(), String> {
    bounded([(key, size), (other_key, other)])?;
    match size * other <= MOST_VALUES {
        true => Ok(()),
        false => Err(format!(
            "`{key}` {size} times `{other_key}` {other} is a tensor of more than {MOST_VALUES} values, as no network here has"
        )),
    }
}

/// Refuses a size that cannot be cut into equal parts.
pub(crate) fn multiple((key, size): (&str, i64), (parts_key, parts): (&str, i64)) -> Result<(), String> {
    bounded([(key, size), (parts_key, parts)])?;
    match size % parts {
        0 => Ok(()),
        _ => Err(format!("`{key}` {size} is no multiple of `{parts_key}` {parts}")),
    }
}

/// Refuses 0, negative and infinite numbers.
pub(crate) fn positive_number(key: &str, value: f64) -> Result<(), String> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(format!("`{key}` is {value}; it has to be a positive number")),
    }
}

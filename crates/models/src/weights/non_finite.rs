//! Values that are no numbers, found without making tensors of them.

use safetensors::Dtype;

/// How many of the little-endian values in `bytes` are NaN or infinite: those whose exponent is all ones.
///
/// 0 for kinds without an exponent, which networks are not stored in.
pub(super) fn count(bytes: &[u8], dtype: Dtype) -> usize {
    match dtype {
        Dtype::F16 => halves(bytes, 0x7c00),
        Dtype::BF16 => halves(bytes, 0x7f80),
        Dtype::F32 => {
            let is_none = |value: &&[u8; 4]| u32::from_le_bytes(**value) & 0x7f80_0000 == 0x7f80_0000;
            bytes.as_chunks().0.iter().filter(is_none).count()
        }
        Dtype::F64 => {
            let exponent = 0x7ff0_0000_0000_0000;
            let is_none = |value: &&[u8; 8]| u64::from_le_bytes(**value) & exponent == exponent;
            bytes.as_chunks().0.iter().filter(is_none).count()
        }
        _ => 0,
    }
}

fn halves(bytes: &[u8], exponent: u16) -> usize {
    let is_none = |value: &&[u8; 2]| u16::from_le_bytes(**value) & exponent == exponent;
    bytes.as_chunks().0.iter().filter(is_none).count()
}

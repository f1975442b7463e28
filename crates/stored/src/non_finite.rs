//! Values that are no numbers, found without making tensors of them.

use safetensors::Dtype;

/// How many of the little-endian values in `bytes` are NaN or infinite: those whose exponent is all ones.
///
/// 0 for kinds without an exponent, which networks are not stored in.
pub fn num_non_finite(bytes: &[u8], dtype: Dtype) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_both_infinities_are_counted_in_every_kind_and_the_largest_number_is_not() {
        let single = [f32::NAN, 1.0, f32::INFINITY, f32::MAX, f32::NEG_INFINITY];
        let bytes: Vec<u8> = single.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(num_non_finite(&bytes, Dtype::F32), 3);
        let double = [f64::NAN, f64::MIN, f64::INFINITY];
        let bytes: Vec<u8> = double.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(num_non_finite(&bytes, Dtype::F64), 2);
        for (dtype, values) in [(Dtype::F16, [0x7c00, 0x7bff]), (Dtype::BF16, [0xff80u16, 0x7f7f])] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(num_non_finite(&bytes, dtype), 1, "{dtype}");
        }
        assert_eq!(num_non_finite(&[0xff; 8], Dtype::I64), 0);
    }
}

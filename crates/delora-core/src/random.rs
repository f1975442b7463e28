//! Random streams, one per trial and purpose, so that no draw of one trial can shift another's.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The random stream of one trial for one purpose.
///
/// `seed` keys the cipher and a 64-bit FNV-1a hash of `purpose` picks its stream, so what is drawn depends on
/// these two alone: not on the bank, nor on how much any other stream has drawn.
///
/// ```
/// use delora_core::stream;
/// use rand::RngExt;
///
/// let first: u64 = stream(7, "data order").random();
/// let _: u64 = stream(7, "noise").random();
/// assert_eq!(first, stream(7, "data order").random::<u64>());
/// ```
pub fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(fnv1a(purpose.as_bytes()));
    generator
}

fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn draws(seed: u64, purpose: &str) -> Vec<u64> {
        let mut generator = stream(seed, purpose);
        (0..4).map(|_| generator.random()).collect()
    }

    #[test]
    fn a_stream_is_fixed_by_its_seed_and_purpose() {
        assert_eq!(draws(7, "noise"), draws(7, "noise"));
        assert_ne!(draws(7, "noise"), draws(8, "noise"));
        assert_ne!(draws(7, "noise"), draws(7, "timestep"));
    }

    #[test]
    fn the_hash_is_the_published_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

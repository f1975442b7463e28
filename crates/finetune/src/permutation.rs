//! The permutations by which the paper's code splits data: NumPy's and PyTorch's, by seed.
//!
//! ```text
//! MT19937, seeded by init_genrand(seed);  x = 0 … n-1
//! NumPy's RandomState(seed).permutation(n):
//!   for i = n-1 … 1:  mask = smallest 2^b - 1 >= i;  draw v & mask until it is <= i;  swap x[i], x[v]
//! PyTorch's randperm(n, generator of the seed), on the CPU:
//!   for i = 0 … n-2:  draw v;  swap x[i], x[i + v mod (n - i)]
//! ```
//!
//! Sources: Matsumoto and Nishimura 1998 for the generator; NumPy's legacy `RandomState.shuffle`; PyTorch's
//! `randperm_cpu`.

/// The numbers below `n` in the order of NumPy's `RandomState(seed).permutation(n)`.
///
/// `n` is at most 2³²; beyond that NumPy draws 64-bit numbers.
pub fn numpy_permutation(seed: u32, n: usize) -> Vec<usize> {
    let mut generator = Mt19937::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let mask = u32::MAX >> (i as u32).leading_zeros();
        let j = loop {
            let value = (generator.next() & mask) as usize;
            if value <= i {
                break value;
            }
        };
        order.swap(i, j);
    }
    order
}

/// The numbers below `n` in the order of PyTorch's `randperm`.
///
/// `n` is below 2³² / 20; beyond that PyTorch draws 64-bit numbers.
pub fn torch_permutation(seed: u32, n: usize) -> Vec<usize> {
    let mut generator = Mt19937::new(seed);
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..n.saturating_sub(1) {
        let j = i + generator.next() as usize % (n - i);
        order.swap(i, j);
    }
    order
}

const SIZE: usize = 624;
const SHIFT: usize = 397;

/// The 32-bit Mersenne Twister.
struct Mt19937 {
    state: [u32; SIZE],
    next_index: usize,
}

impl Mt19937 {
    /// `init_genrand` of the authors' code.
    fn new(seed: u32) -> Mt19937 {
        let mut state = [seed; SIZE];
        for i in 1..SIZE {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Mt19937 { state, next_index: SIZE }
    }

    fn next(&mut self) -> u32 {
        if self.next_index == SIZE {
            self.twist();
        }
        let mut value = self.state[self.next_index];
        self.next_index += 1;
        value ^= value >> 11;
        value ^= (value << 7) & 0x9d2c_5680;
        value ^= (value << 15) & 0xefc6_0000;
        value ^ (value >> 18)
    }

    fn twist(&mut self) {
        for i in 0..SIZE {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % SIZE] ^ (joined >> 1) ^ odd;
        }
        self.next_index = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_of_a_short_permutation_is_numpys() {
        assert_eq!(numpy_permutation(42, 10), [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
    }

    #[test]
    fn pytorchs_permutations_are_those_of_its_generator() {
        assert_eq!(torch_permutation(42, 10), [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
        let order = torch_permutation(42, 51_759); // that by which the reference splits Alpaca
        assert_eq!(order[..4], [19_581, 25_784, 21_877, 16_585]);
        assert_eq!(order[51_756..], [48_809, 2_274, 491]);
        assert!(torch_permutation(42, 0).is_empty());
    }

    /// Size of a validation set, and the first four of its permutations by the seeds 42 to 46.
    const FIRST_FOUR: [&str; 8] = [
        "277: 30 126 220 142, 147 141 134 273, 43 258 259 45, 137 146 100 218, 110 265 93 190",
        "408: 70 218 258 33, 103 143 355 191, 264 168 405 380, 326 350 223 221, 400 352 254 112",
        "872: 794 319 382 779, 744 627 747 671, 684 595 370 438, 503 214 771 843, 409 138 664 708",
        "1043: 1035 280 535 822, 297 677 285 629, 493 38 137 822, 381 946 154 1023, 830 379 786 260",
        "1500: 1116 1368 422 413, 735 467 1326 534, 828 1394 1321 1288, 104 118 774 1408, 15 67 691 1388",
        "5463: 5061 1084 655 2153, 695 278 1380 2556, 1851 668 1524 2879, 2091 1658 217 1920, \
         4317 3491 5289 4815",
        "9815: 3344 3852 5009 5398, 9724 7528 7317 9189, 7374 7434 2970 4326, 2423 1114 6183 9220, \
         7677 4601 5601 8583",
        "40430: 27957 39753 24983 13985, 2374 32501 21175 13800, 19859 27971 38968 20354, \
         31554 10297 24367 13158, 16422 14685 35906 28416",
    ];

    #[test]
    fn glues_validation_sets_are_permuted_as_by_numpy() {
        for row in FIRST_FOUR {
            let (n, by_seed) = row.split_once(": ").unwrap();
            let n = n.parse().unwrap();
            assert_eq!(by_seed.split(", ").count(), 5);
            for (seed, expected) in (42..).zip(by_seed.split(", ")) {
                let mut order = numpy_permutation(seed, n);
                let first: Vec<String> = order[..4].iter().map(usize::to_string).collect();
                assert_eq!(first.join(" "), expected, "seed {seed}, {n} rows");
                order.sort_unstable();
                assert!(order.into_iter().eq(0..n), "seed {seed}, {n} rows: no permutation");
            }
        }
    }

    #[test]
    fn nothing_and_one_thing_have_one_order() {
        assert!(numpy_permutation(42, 0).is_empty());
        assert_eq!(numpy_permutation(42, 1), [0]);
    }
}

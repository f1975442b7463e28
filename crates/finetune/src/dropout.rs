//! Dropout while a bank trains: drawn for each trial and row by itself.
//!
//! A value is kept or dropped by 16 bits of a hash: SplitMix64's mixer (Steele, Lea and Flood 2014) of a key and a counter,
//! which gives four draws at once. The key is of the trial's seed, the step, the row's place in the trial's batch, and the
//! site; the counter is the value's own place in the row, which padding does not move. So a row's draws are the same in any
//! bank, beside any other rows, with any padding, on any device: a CPU computes them in Rust on all threads, another device
//! by the same integer operators on tensors, from one upload a pass.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;

use delora_core::stream;
use models::{Dropout, DropoutMask};
use rand::Rng;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Version of the draws. What trains with dropout has it in its inputs, so that results of other draws are not taken for
/// its own.
pub(crate) const DROPOUT_DRAWS: u32 = 2;

/// Probabilities of one trial.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DropoutRates {
    /// For the network's hidden states.
    pub hidden: f64,
    /// For attention's probabilities.
    pub attention: f64,
    /// For the head's features.
    pub head: f64,
    /// For the inputs of additive updates of low rank, and for what LoReFT changes.
    pub adapter: f64,
}

impl DropoutRates {
    /// Whether nothing is ever dropped.
    pub fn are_zero(&self) -> bool {
        *self == DropoutRates::default()
    }
}

/// What one pass of a training step needs to draw its dropout.
pub struct StepDropout<'a> {
    /// By slot.
    rates: &'a [DropoutRates],
    /// The key of each row, trial-major.
    keys: Vec<u64>,
    device: Device,
    uploaded: OnceCell<Uploaded>,
}

/// The keys on a device, and what all sites of a shape share.
struct Uploaded {
    /// [rows, 1 + purposes]: each row's key, and what its draws are compared with for each purpose.
    rows: Tensor,
    counters: RefCell<HashMap<Vec<i64>, Tensor>>,
}

/// A pair of a name, which is hashed, and the rate that it has.
type Purpose = (&'static str, fn(&DropoutRates) -> f64);
const PURPOSES: [Purpose; 4] = [
    ("hidden", |rates| rates.hidden),
    ("attention", |rates| rates.attention),
    ("head", |rates| rates.head),
    ("adapter", |rates| rates.adapter),
];
const ADAPTER: usize = 3;

/// Draws are compared as 16-bit integers, four of them in a hash; as signed ones, which they are on a device, their least is
/// `-HALF`.
const STEPS: f64 = 65536.0;
const HALF: i64 = 32768;
const DRAWS: i64 = 4;

/// SplitMix64: the odd number by which counters step, and its mixer's shifts and factors.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
const MIXER: [(u32, u64); 2] = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];
const LAST_SHIFT: u32 = 31;

/// What the axes before the last count for in a counter, from the right: tokens or queries, then heads.
const STRIDES: [u64; 2] = [1 << 32, 1 << 48];

fn mixed(mut value: u64) -> u64 {
    for (shift, factor) in MIXER {
        value = (value ^ (value >> shift)).wrapping_mul(factor);
    }
    value ^ (value >> LAST_SHIFT)
}

/// The number below which draws are dropped, by the rate of dropout; 0 drops none.
fn threshold(rate: f64) -> i64 {
    (rate * STEPS).round() as i64
}

/// What makes up for the values that are dropped.
fn factor(threshold: i64) -> f32 {
    ((STEPS - threshold as f64) / STEPS).recip() as f32
}

/// [-1, 1, …] with as many axes as `shape`.
fn of_rows(shape: &[i64]) -> Vec<i64> {
    (0..shape.len()).map(|axis| if axis == 0 { -1 } else { 1 }).collect()
}

/// Which values of a line are kept, by its first counter. Whole blocks, so that a compiler uses the machine's vectors.
fn fill(line: &mut [MaybeUninit<bool>], first: u64, least: i64) {
    const HASHES: usize = 8;
    let least = least as i16;
    let mut counter = first;
    for block in line.chunks_mut(HASHES * DRAWS as usize) {
        let mut hashes = [0u64; HASHES];
        for hash in &mut hashes {
            *hash = counter;
            counter = counter.wrapping_add(GAMMA);
        }
        hashes = hashes.map(mixed);
        let mut draws = [0i16; HASHES * DRAWS as usize];
        for (draws, hash) in draws.chunks_exact_mut(DRAWS as usize).zip(hashes) {
            for (draw, part) in draws.iter_mut().zip(0..) {
                *draw = (hash >> (16 * part)) as i16;
            }
        }
        for (kept, draw) in block.iter_mut().zip(draws) {
            kept.write(draw >= least);
        }
    }
}

impl<'a> StepDropout<'a> {
    /// The dropout of a pass with the rows `rows` of each trial's batch; `seeds` and `rates` by slot.
    pub fn new(
        step: u64,
        seeds: &[u64],
        rates: &'a [DropoutRates],
        rows: Range<usize>,
        device: Device,
    ) -> StepDropout<'a> {
        let key = |(seed, place): (&u64, usize)| stream(*seed, &format!("dropout {step} {place}")).next_u64();
        let keys = match rates.iter().all(DropoutRates::are_zero) {
            true => Vec::new(),
            false => {
                seeds.iter().flat_map(|seed| rows.clone().map(move |place| (seed, place))).map(key).collect()
            }
        };
        StepDropout { rates, keys, device, uploaded: OnceCell::new() }
    }

    /// What [`models::Hook::dropout`] has to give.
    pub fn of_network(&self, dropout: Dropout, site: &str, shape: &[i64]) -> Option<DropoutMask> {
        let purpose = match dropout {
            Dropout::Hidden => 0,
            Dropout::Attention => 1,
            Dropout::Head => 2,
        };
        self.draw(purpose, site, shape)
    }

    /// What the input of an adapter at `site`, of this shape, loses; `None`: nothing.
    pub fn of_adapters(&self, site: &str, shape: &[i64]) -> Option<DropoutMask> {
        self.draw(ADAPTER, site, shape)
    }

    /// What values of `shape`, [rows, …], lose; `None` when no trial has a probability.
    fn draw(&self, purpose: usize, site: &str, shape: &[i64]) -> Option<DropoutMask> {
        let (name, rate) = PURPOSES[purpose];
        if self.rates.iter().all(|rates| rate(rates) == 0.0) {
            return None;
        }
        let site = stream(0, &format!("dropout {name} {site}")).next_u64();
        Some(match self.device {
            Device::Cpu => self.draw_on_cpu(rate, site, shape),
            _ => self.draw_on_device(purpose, site, shape),
        })
    }

    fn draw_on_cpu(&self, rate: fn(&DropoutRates) -> f64, site: u64, shape: &[i64]) -> DropoutMask {
        let last = shape[shape.len() - 1] as usize;
        let lines = lines(&shape[1..shape.len() - 1]);
        let rows_per_trial = self.keys.len() / self.rates.len();
        let thresholds: Vec<i64> =
            (0..self.keys.len()).map(|row| threshold(rate(&self.rates[row / rows_per_trial]))).collect();
        let keys = &self.keys;
        let line = |(index, kept): (usize, &mut [MaybeUninit<bool>])| {
            let row = index / lines.len();
            let first = (keys[row] ^ site).wrapping_add(lines[index % lines.len()].wrapping_mul(GAMMA));
            fill(kept, first, thresholds[row] - HALF);
        };
        let kept = Tensor::empty(shape, (Kind::Bool, Device::Cpu));
        #[expect(
            unsafe_code,
            reason = "the tensor is fresh, contiguous and of bytes, and nobody else has it"
        )]
        let values = unsafe { std::slice::from_raw_parts_mut(kept.data_ptr().cast(), kept.numel()) };
        values.par_chunks_mut(last).enumerate().with_min_len(64).for_each(line);
        let factors: Vec<f32> = thresholds.iter().map(|&threshold| factor(threshold)).collect();
        DropoutMask { kept, factor: Tensor::from_slice(&factors).view(of_rows(shape).as_slice()) }
    }

    /// By operators on tensors, from the keys on the device.
    fn draw_on_device(&self, purpose: usize, site: u64, shape: &[i64]) -> DropoutMask {
        let uploaded = self.uploaded.get_or_init(|| self.upload());
        let of_rows = of_rows(shape);
        let keys = uploaded.rows.select(1, 0).bitwise_xor(site as i64).view(of_rows.as_slice());
        let mut counters = uploaded.counters.borrow_mut();
        let counters =
            counters.entry(shape[1..].to_vec()).or_insert_with(|| counters_of(&shape[1..], self.device));
        let mut draws = &*counters + keys; // [rows, …, groups]
        for (shift, factor) in MIXER {
            fold(&mut draws, shift);
            let _ = draws.g_mul_scalar_(factor as i64);
        }
        fold(&mut draws, LAST_SHIFT);
        let draws = draws.view_dtype(Kind::Int16).narrow(-1, 0, shape[shape.len() - 1]);
        let thresholds = uploaded.rows.select(1, 1 + purpose as i64).view(of_rows.as_slice());
        let shares = (STEPS - thresholds.to_kind(Kind::Double)) / STEPS;
        let least = (thresholds - HALF).to_kind(Kind::Int16);
        DropoutMask { kept: draws.ge_tensor(&least), factor: shares.reciprocal().to_kind(Kind::Float) }
    }

    fn upload(&self) -> Uploaded {
        let rows_per_trial = self.keys.len() / self.rates.len();
        let row = |(row, key): (usize, &u64)| {
            let rates = self.rates[row / rows_per_trial];
            std::iter::once(*key as i64).chain(PURPOSES.map(|(_, rate)| threshold(rate(&rates))))
        };
        let rows: Vec<i64> = self.keys.iter().enumerate().flat_map(row).collect();
        let rows = Tensor::from_slice(&rows).view([self.keys.len() as i64, -1]).to_device(self.device);
        Uploaded { rows, counters: RefCell::default() }
    }
}

/// The first counter of each line along the last axis, over the axes before it.
fn lines(axes: &[i64]) -> Vec<u64> {
    let place = |(stride, size): (&u64, &i64)| (0..*size as u64).map(|index| index * stride).collect();
    let places: Vec<Vec<u64>> = STRIDES.iter().zip(axes.iter().rev()).map(place).collect();
    assert_eq!(
        places.len(),
        axes.len(),
        "features of heads, hidden states and attention have two to four axes"
    );
    places.iter().fold(vec![0], |lines, places| {
        places.iter().flat_map(|place| lines.iter().map(move |line| line + place)).collect()
    })
}

/// Counters times GAMMA of the values of one row of shape `axes`, in groups along the last axis: […, groups].
fn counters_of(axes: &[i64], device: Device) -> Tensor {
    let along = |size: i64, stride: u64, axis: usize| {
        let shape: Vec<i64> = (0..axes.len()).map(|other| if other == axis { -1 } else { 1 }).collect();
        (Tensor::arange(size, (Kind::Int64, device)) * GAMMA.wrapping_mul(stride) as i64)
            .view(shape.as_slice())
    };
    let last = axes.len() - 1;
    let groups = along((axes[last] + DRAWS - 1) / DRAWS, 1, last);
    let others = STRIDES.iter().zip((0..last).rev());
    others.fold(groups, |counters, (stride, axis)| counters + along(axes[axis], *stride, axis))
}

/// value ^ (value >> shift), the shift filling with zeros.
fn fold(values: &mut Tensor, shift: u32) {
    let shifted =
        values.bitwise_right_shift_tensor_scalar(i64::from(shift)).bitwise_and_((u64::MAX >> shift) as i64);
    let _ = values.bitwise_xor_tensor_(&shifted);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [&[i64]; 3] = [&[6, 7], &[6, 5, 10], &[6, 3, 5, 6]];

    fn rates(rates: &[f64]) -> Vec<DropoutRates> {
        rates.iter().map(|&hidden| DropoutRates { hidden, ..Default::default() }).collect()
    }

    fn mask(seeds: &[u64], rate: &[f64], rows: Range<usize>, shape: &[i64]) -> Option<Tensor> {
        let rates = rates(rate);
        let step = StepDropout::new(3, seeds, &rates, rows, Device::Cpu);
        step.of_network(Dropout::Hidden, "layer", shape).map(|mask| mask.factor * mask.kept)
    }

    fn share_dropped(mask: &Tensor) -> f64 {
        f64::try_from(mask.eq(0.0).to_kind(Kind::Double).mean(Kind::Double)).unwrap()
    }

    #[test]
    fn operators_on_tensors_give_the_same_bits_as_the_loop() {
        let rates = rates(&[0.1, 0.0, 0.5]);
        let step = StepDropout::new(3, &[5, 6, 7], &rates, 4..6, Device::Cpu);
        for shape in SHAPES {
            let site = 0xfedc_ba98_7654_3210;
            let (by_loop, by_operators) =
                (step.draw_on_cpu(PURPOSES[0].1, site, shape), step.draw_on_device(0, site, shape));
            assert_eq!(by_operators.kept.kind(), Kind::Bool);
            assert_eq!(by_loop.kept, by_operators.kept, "{shape:?}");
            assert_eq!(by_loop.factor, by_operators.factor, "{shape:?}");
        }
    }

    /// The first outputs of SplitMix64 with seed 1234567, as published with its C source (prng.di.unimi.it).
    #[test]
    fn the_mixer_is_splitmix64() {
        let draws = (1..4u64).map(|index| mixed(1_234_567u64.wrapping_add(index.wrapping_mul(GAMMA))));
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(draws.collect::<Vec<u64>>(), published);
    }

    #[test]
    fn a_row_draws_the_same_in_any_bank_with_any_padding_and_any_neighbours() {
        let alone = mask(&[7], &[0.5], 1..2, &[1, 2, 30]).unwrap();
        // The second row of the second trial, padded to four tokens.
        let together = mask(&[5, 7], &[0.2, 0.5], 0..2, &[4, 4, 30]).unwrap();
        assert_eq!(together.get(3).narrow(0, 0, 2), alone.get(0));
        assert_ne!(together.get(2).narrow(0, 0, 2), alone.get(0));
        // Attention's probabilities, two heads of 9 and of 20 tokens.
        let short = mask(&[7], &[0.5], 0..1, &[1, 2, 9, 9]).unwrap();
        let long = mask(&[7], &[0.5], 0..1, &[1, 2, 20, 20]).unwrap();
        assert_eq!(long.narrow(2, 0, 9).narrow(3, 0, 9), short);
    }

    #[test]
    fn a_share_of_p_is_dropped_and_the_mean_stays() {
        for rate in [0.1, 0.5] {
            let mask = mask(&[1], &[rate], 0..1, &[1, 100, 1000]).unwrap();
            let mean = f64::try_from(mask.mean(Kind::Double)).unwrap();
            assert!((share_dropped(&mask) - rate).abs() < 5e-3, "{}", share_dropped(&mask));
            assert!((mean - 1.0).abs() < 6e-3, "{mean}");
        }
    }

    /// Two sites, rows, steps, trials, tokens, heads and neighbours in a hash drop out without regard to each other: of
    /// 60,000 pairs a quarter is dropped in both, ± 4.5 standard deviations.
    #[test]
    fn what_is_dropped_at_one_place_says_nothing_about_another() {
        const SHAPE: [i64; 4] = [1, 2, 300, 100];
        let rates = rates(&[0.5]);
        let of = |step: u64, seed: u64, row: usize, site: &str, dropout: Dropout| {
            let step = StepDropout::new(step, &[seed], &rates, row..row + 1, Device::Cpu);
            step.of_network(dropout, site, &SHAPE).unwrap().kept
        };
        let base = || of(3, 1, 0, "layer.0", Dropout::Hidden);
        let rolled = |shifts: [i64; 4]| base().roll(shifts, [0, 1, 2, 3]);
        let others = [
            ("site", of(3, 1, 0, "layer.1", Dropout::Hidden)),
            ("row", of(3, 1, 1, "layer.0", Dropout::Hidden)),
            ("step", of(4, 1, 0, "layer.0", Dropout::Hidden)),
            ("trial", of(3, 2, 0, "layer.0", Dropout::Hidden)),
            ("head", rolled([0, 1, 0, 0])),
            ("token", rolled([0, 0, 1, 0])),
            ("neighbour", rolled([0, 0, 0, 1])),
            ("next hash", rolled([0, 0, 0, 4])),
        ];
        for (what, other) in others {
            let both = base().logical_and(&other).to_kind(Kind::Double).mean(Kind::Double);
            let both = f64::try_from(both).unwrap();
            let deviation = (0.25f64 * 0.75 / 60_000.0).sqrt();
            assert!((both - 0.25).abs() < 4.5 * deviation, "{what}: {both}");
        }
    }

    #[test]
    fn trials_without_dropout_are_left_alone() {
        assert!(mask(&[1, 2], &[0.0, 0.0], 0..1, &[2, 1, 8]).is_none());
        let mask = mask(&[1, 2], &[0.0, 0.5], 0..1, &[2, 1, 64]).unwrap();
        assert_eq!(mask.get(0), Tensor::ones([1, 64], (Kind::Float, Device::Cpu)));
        assert_ne!(mask.get(1), Tensor::ones([1, 64], (Kind::Float, Device::Cpu)));
    }
}

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Lets no other test of this process draw: they have one generator, and one number of threads.
fn seeded(seed: i64) -> MutexGuard<'static, ()> {
    static DRAWS: Mutex<()> = Mutex::new(());
    let alone = DRAWS.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    alone
}

fn is_here() -> bool {
    ffi::delora_fused_lanes() > 0
}

/// A tensor as it lies in memory in networks: with its channels last, or not.
fn pictures(shape: [i64; 4], is_last: bool) -> Tensor {
    let [rows, channels, height, width] = shape;
    if is_last {
        Tensor::randn([rows, height, width, channels], OPTIONS).permute([0, 3, 1, 2])
    } else {
        Tensor::randn(shape, OPTIONS)
    }
}

/// Outputs and gradients of all `inputs`, for a gradient of the output that is drawn once.
fn with_gradients(inputs: &[Tensor], kind: Kind, function: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaves: Vec<Tensor> =
        inputs.iter().map(|input| input.detach().to_kind(kind).set_requires_grad(true)).collect();
    let output = function(&leaves);
    let weights =
        (Tensor::arange(output.numel() as i64, OPTIONS) * 0.37).sin().view(output.size().as_slice());
    let loss = (&output * weights.to_kind(kind)).sum(kind);
    let gradients = Tensor::run_backward(&[loss], &leaves.iter().collect::<Vec<_>>(), false, false);
    [output.detach()].into_iter().chain(gradients).collect()
}

/// What differs most between what the kernels give and f64 in libtorch, by the size of values.
fn worst(kernels: &[Tensor], exact: &[Tensor]) -> f64 {
    let of_pair = |(found, exact): (&Tensor, &Tensor)| {
        assert_eq!(found.size(), exact.size());
        let largest = f64::try_from(exact.abs().max()).unwrap().max(0.1);
        f64::try_from((found.to_kind(Kind::Double) - exact).abs().max()).unwrap() / largest
    };
    kernels.iter().zip(exact).map(of_pair).fold(0.0, f64::max)
}

#[test]
fn winograd_convolves_as_libtorch() {
    let _draws = seeded(1);
    for ([rows, inputs, height, width], outputs) in [
        ([3, 16, 8, 8], 32),
        ([2, 48, 7, 5], 16),
        ([1, 64, 16, 16], 160),
        ([5, 32, 1, 1], 96),
        ([130, 16, 2, 3], 16),
    ] {
        for is_last in [true, false] {
            let weight = Tensor::randn([outputs, inputs, 3, 3], OPTIONS);
            let bias = Tensor::randn([outputs], OPTIONS);
            let Some(winograd) = Winograd::new(&weight) else {
                assert!(!is_here());
                return;
            };
            let input = [pictures([rows, inputs, height, width], is_last)];
            let found = with_gradients(&input, Kind::Float, |input| winograd.forward(&input[0], Some(&bias)));
            let [weight, bias] = [&weight, &bias].map(|tensor| tensor.to_kind(Kind::Double));
            let exact = with_gradients(&input, Kind::Double, |input| {
                input[0].conv2d(&weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1)
            });
            assert!(worst(&found, &exact) < 2e-6, "{}", worst(&found, &exact));
        }
    }
}

#[test]
fn what_winograd_does_not_take_is_said() {
    let _draws = seeded(8);
    let weight = |shape: [i64; 4]| Tensor::randn(shape, OPTIONS);
    for other in [
        weight([32, 32, 1, 1]),
        weight([32, 8, 3, 3]).narrow(1, 0, 4),
        weight([32, 32, 3, 3]).to_kind(Kind::Double),
    ] {
        assert!(Winograd::new(&other).is_none());
    }
    assert!(Winograd::new(&weight([32, 32, 3, 3]).set_requires_grad(true)).is_none());
}

#[test]
fn group_norm_is_that_of_libtorch_with_and_without_silu() {
    let _draws = seeded(2);
    for (shape, groups) in [([3, 64, 8, 8], 16), ([2, 96, 5, 7], 16), ([1, 32, 1, 1], 4), ([4, 48, 3, 3], 48)]
    {
        for silu in [true, false] {
            let [weight, bias] = [(); 2].map(|()| Tensor::randn([shape[1]], OPTIONS));
            let input = [pictures(shape, silu) * 3.0 + 5.0];
            let norm = |tensors: [&Tensor; 2], input: &Tensor| group_norm(input, tensors, groups, 1e-5, silu);
            let found = with_gradients(&input, Kind::Float, |input| norm([&weight, &bias], &input[0]));
            let [weight, bias] = [&weight, &bias].map(|tensor| tensor.to_kind(Kind::Double));
            let exact = with_gradients(&input, Kind::Double, |input| norm([&weight, &bias], &input[0]));
            assert!(worst(&found, &exact) < 1e-5, "{shape:?} {silu}: {}", worst(&found, &exact));
        }
    }
}

#[test]
fn gated_gelu_is_that_of_libtorch_far_out_too() {
    let _draws = seeded(3);
    for rows in [1, 7, 300] {
        let input = [Tensor::randn([rows, 2, 128], OPTIONS) * 4.0];
        let found = with_gradients(&input, Kind::Float, |input| gated_gelu(&input[0]));
        let exact = with_gradients(&input, Kind::Double, |input| gated_gelu(&input[0]));
        assert!(worst(&found, &exact) < 1e-6, "{}", worst(&found, &exact));
    }
    let far = Tensor::from_slice(&[1.0f32, -1e3, -100.0, -14.0, -5.0, 0.0, 5.0, 1e3]).repeat([32]);
    let far = far.view([8, 32]).tr().contiguous().view([16, 16]);
    let steps = gated_gelu(&far.to_kind(Kind::Double));
    assert!(worst(&[gated_gelu(&far)], &[steps]) < 1e-6);
}

/// Keeps about two thirds of values of `shape`, with another factor in each row.
fn drawn_mask(shape: &[i64]) -> DropoutMask {
    let of_rows: Vec<i64> = (0..shape.len()).map(|axis| if axis == 0 { -1 } else { 1 }).collect();
    DropoutMask {
        kept: Tensor::rand(shape, OPTIONS).gt(0.3),
        factor: (Tensor::rand([shape[0]], OPTIONS) + 1.0).view(of_rows.as_slice()),
    }
}

#[test]
fn dropout_is_a_product_with_its_mask() {
    let _draws = seeded(8);
    for shape in [vec![3, 7], vec![2, 5, 70], vec![2, 3, 50, 50], vec![1, 9000]] {
        let mask = drawn_mask(&shape);
        let input = [Tensor::randn(&shape, OPTIONS)];
        let found = with_gradients(&input, Kind::Float, |input| mask.apply(&input[0]));
        let exact = with_gradients(&input, Kind::Double, |input| mask.apply(&input[0]));
        assert!(worst(&found, &exact) < 1e-6, "{shape:?}: {}", worst(&found, &exact));
        let turned = [input[0].transpose(0, -1).contiguous().transpose(0, -1)];
        assert_eq!(with_gradients(&turned, Kind::Float, |input| mask.apply(&input[0])), found, "{shape:?}");
    }
}

#[test]
fn attention_is_that_of_libtorch() {
    let _draws = seeded(4);
    for (rows, queries, keys, heads, width) in
        [(2, 256, 256, 4, 16), (3, 64, 32, 4, 24), (1, 1, 1, 2, 8), (2, 33, 77, 3, 20), (5, 16, 16, 1, 96)]
    {
        let features = heads * width;
        let inputs =
            [queries, keys, keys].map(|tokens| Tensor::randn([rows, tokens, features], OPTIONS) * 1.5);
        let lengths = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(keys) + 1;
        let is_hidden =
            Tensor::arange(keys, (Kind::Int64, Device::Cpu)).unsqueeze(0).ge_tensor(&lengths.unsqueeze(1));
        let mask = |kind| {
            let shape = [rows, 1, 1, keys];
            Tensor::zeros(shape, (kind, Device::Cpu)).masked_fill(&is_hidden.view(shape), f64::NEG_INFINITY)
        };
        let dropped = drawn_mask(&[rows, heads, queries, keys]);
        for (is_masked, is_dropped) in [(false, false), (true, false), (false, true), (true, true)] {
            let by_kind = |kind| {
                let mask = mask(kind);
                let visible = if is_masked { Visible::Masked(&mask) } else { Visible::All };
                with_gradients(&inputs, kind, |inputs| {
                    let dropped = is_dropped.then_some(&dropped);
                    attention([&inputs[0], &inputs[1], &inputs[2]], visible, heads, dropped)
                })
            };
            let (found, exact) = (by_kind(Kind::Float), by_kind(Kind::Double));
            assert!(worst(&found, &exact) < 5e-6, "{keys} keys: {}", worst(&found, &exact));
        }
    }
}

#[test]
fn a_row_does_not_depend_on_those_beside_it_nor_on_threads() {
    let _draws = seeded(5);
    let weight = Tensor::randn([64, 64, 3, 3], OPTIONS);
    let Some(winograd) = Winograd::new(&weight) else { return };
    let ones = Tensor::ones([64], OPTIONS);
    let through = |input: &Tensor| {
        let hidden = winograd.forward(&group_norm(input, [&ones, &ones], 16, 1e-5, true), None);
        let tokens = hidden.permute([0, 2, 3, 1]).reshape([input.size()[0], -1, 64]);
        gated_gelu(&attention([&tokens; 3], Visible::All, 4, None))
    };
    let input = pictures([9, 64, 8, 8], true);
    let together = with_gradients(&[input.shallow_clone()], Kind::Float, |input| through(&input[0]));
    for row in 0..9 {
        let alone = [input.narrow(0, row, 1)];
        let output = through(&alone[0]);
        assert_eq!(output, together[0].narrow(0, row, 1));
    }
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let with_one = with_gradients(&[input], Kind::Float, |input| through(&input[0]));
    tch::set_num_threads(threads);
    assert_eq!(with_one, together);
}

/// The parts that a change of trials has, and the rank of its factors.
#[derive(Clone, Copy, Default)]
struct Parts {
    trials: i64,
    row_scale: bool,
    update: i64,
    reads_dropped: bool,
    output: i64,
}

impl Parts {
    /// Values of its parts, one after another.
    fn draw(self, in_features: i64, out_features: i64) -> Vec<Tensor> {
        let mut shapes = Vec::new();
        shapes.extend(self.row_scale.then(|| vec![self.trials, out_features]));
        for (rank, inputs) in [(self.update, in_features), (self.output, out_features)] {
            if rank > 0 {
                shapes.push(vec![self.trials, rank, inputs]);
                shapes.push(vec![self.trials, out_features, rank]);
            }
        }
        shapes.iter().map(|shape| Tensor::randn(shape.as_slice(), OPTIONS)).collect()
    }

    fn of(self, values: &mut impl Iterator<Item = Tensor>) -> Change {
        let mut next = || values.next().expect("a value for each part");
        let row_scale = self.row_scale.then(&mut next);
        let [update, output] = [self.update, self.output].map(|rank| (rank > 0).then(|| [next(), next()]));
        Change { trials: self.trials, row_scale, update, reads_dropped: self.reads_dropped, output }
    }
}

/// What a change's formula says, in libtorch.
fn changed([input, dropped]: [&Tensor; 2], weight: &Tensor, bias: &Tensor, change: &Change) -> Tensor {
    let add = |output: &Tensor, input: &Tensor, factors: &Option<[Tensor; 2]>| match factors {
        None => output.shallow_clone(),
        Some([down, up]) => output + input.bmm(&down.transpose(1, 2)).bmm(&up.transpose(1, 2)),
    };
    let product = input.matmul(&weight.tr());
    let scaled =
        change.row_scale.as_ref().map_or(product.shallow_clone(), |scale| product * scale.unsqueeze(1));
    let updated = add(&scaled, if change.reads_dropped { dropped } else { input }, &change.update);
    add(&updated, &updated, &change.output) + bias
}

#[test]
fn an_adapted_linear_layer_is_that_of_libtorch() {
    let _draws = seeded(6);
    let plain = |trials| Parts { trials, ..Parts::default() };
    let update = |trials, update| Parts { update, reads_dropped: true, ..plain(trials) };
    let scaled = Parts { row_scale: true, ..update(2, 5) };
    let output = Parts { output: 3, ..plain(1) };
    let both = Parts { output: 2, ..update(1, 7) };
    let on_input = Parts { reads_dropped: false, ..update(2, 2) };
    let mixed = vec![scaled, plain(1), update(2, 4), on_input, output, both, update(1, 20)];
    for (rows, in_features, out_features, parts, has_dropout) in [
        (50, 32, 48, vec![update(3, 4)], false),
        (7, 64, 16, vec![update(1, 16)], true),
        (1, 16, 96, vec![scaled], false),
        (130, 48, 32, vec![output], false),
        (33, 32, 64, mixed.clone(), true),
        (33, 32, 64, mixed, false),
    ] {
        if !takes_linear(Kind::Float, Device::Cpu, [in_features, out_features]) {
            assert!(!is_here());
            return;
        }
        let trials = parts.iter().map(|part| part.trials).sum::<i64>();
        let [weight, bias] = [[out_features, in_features].as_slice(), &[out_features]]
            .map(|shape| Tensor::randn(shape, OPTIONS));
        let mut inputs = vec![Tensor::randn([trials, rows, in_features], OPTIONS)];
        inputs.push(Tensor::randn([trials, rows, in_features], OPTIONS)); // as dropout may leave it
        inputs.extend(parts.iter().flat_map(|part| part.draw(in_features, out_features)));
        let changes = |inputs: &[Tensor]| {
            let mut values = inputs[2..].iter().map(Tensor::shallow_clone);
            parts.iter().map(|part| part.of(&mut values)).collect::<Vec<_>>()
        };
        let seen =
            |inputs: &[Tensor]| [inputs[0].shallow_clone(), inputs[usize::from(has_dropout)].shallow_clone()];
        let found = with_gradients(&inputs, Kind::Float, |inputs| {
            let [input, dropped] = seen(inputs);
            adapted_linear([&input, &dropped], (&weight, Some(&bias)), &changes(inputs))
                + inputs[1].sum(Kind::Float) * 0.0 // depends on it in any case
        });
        let [weight, bias] = [weight, bias].map(|tensor| tensor.to_kind(Kind::Double));
        let exact = with_gradients(&inputs, Kind::Double, |inputs| {
            let [input, dropped] = seen(inputs);
            let mut first = 0;
            let outputs = changes(inputs).into_iter().map(|change| {
                let [input, dropped] =
                    [&input, &dropped].map(|tensor| tensor.narrow(0, first, change.trials));
                first += change.trials;
                changed([&input, &dropped], &weight, &bias, &change)
            });
            Tensor::cat(&outputs.collect::<Vec<_>>(), 0) + inputs[1].sum(Kind::Double) * 0.0
        });
        assert!(worst(&found, &exact) < 3e-6, "{}", worst(&found, &exact));
    }
}

#[test]
fn normalized_rows_are_those_of_libtorch() {
    let _draws = seeded(8);
    let (trials, sites, rank, in_features, out_features) = (2, 3, 5, 32, 24);
    for (num_terms, has_scale, floor) in [(1, true, 1e-4), (2, true, 0.0), (2, false, 0.0), (1, false, 1.5)] {
        let scale = has_scale.then(|| Tensor::rand([sites, 1, in_features], OPTIONS) + 0.5);
        let shapes = [
            vec![trials, sites, rank, in_features],
            vec![trials, sites, out_features, rank],
            vec![trials, sites],
        ];
        let mut inputs: Vec<Tensor> = (0..num_terms)
            .flat_map(|_| shapes.each_ref().map(|shape| Tensor::randn(shape.as_slice(), OPTIONS)))
            .collect();
        if floor > 0.0 {
            // Below the floor, as zeros at the start are.
            inputs[1] = inputs[1].g_mul_scalar(if floor > 1.0 { 0.1 } else { 0.0 });
        }
        let by_kind = |kind| {
            let scale = scale.as_ref().map(|scale| scale.to_kind(kind));
            with_gradients(&inputs, kind, |inputs| {
                let term = inputs.chunks(3).map(|values| (&values[0], &values[1], values[2].shallow_clone()));
                normalized_rows(&term.collect::<Vec<_>>(), scale.as_ref(), floor)
            })
        };
        let (found, exact) = (by_kind(Kind::Float), by_kind(Kind::Double));
        assert!(worst(&found, &exact) < 3e-6, "{num_terms} {floor}: {}", worst(&found, &exact));
    }
}

#[test]
fn largest_magnitudes_are_those_of_libtorch_wherever_they_lie_and_nan_is_larger_than_any() {
    let _draws = seeded(9);
    for shape in [[6, 5, 7, 3], [4, 16, 4, 4], [2, 1, 1, 1]] {
        for is_last in [true, false] {
            let input = pictures(shape, is_last);
            for input in [input.shallow_clone(), input.transpose(0, 1).contiguous().transpose(0, 1)] {
                let exact = input.reshape([2, -1]).abs().amax([1], false);
                assert_eq!(largest_magnitudes(&input, 2), exact);
                for (broken, is_nan) in [(f64::NAN, true), (f64::NEG_INFINITY, false)] {
                    let input = input.copy();
                    let _ = input.get(shape[0] - 1).fill_(broken);
                    let found = Vec::<f64>::try_from(largest_magnitudes(&input, 2)).unwrap();
                    assert_eq!(found[0], exact.double_value(&[0]));
                    assert!(if is_nan { found[1].is_nan() } else { found[1] == f64::INFINITY });
                }
            }
        }
    }
}

#[test]
fn adamw_steps_as_pytorch_says_and_leaves_a_broken_trial_as_it_is() {
    let _draws = seeded(7);
    let (trials, count) = (3, 70_001);
    let new = || Tensor::randn([trials, count], OPTIONS);
    let (values, gradients) = (new(), new());
    let gradients = &gradients + gradients.sign() * 0.1; // eps is nothing beside them
    let _ = gradients.select(0, 2).fill_(f64::NAN);
    let (first, second) = (Tensor::zeros([trials, count], OPTIONS), Tensor::zeros([trials, count], OPTIONS));
    let of_trials = |values: [f32; 3]| Tensor::from_slice(&values).unsqueeze(1);
    let is_sound = Tensor::from_slice(&[true, true, false]).unsqueeze(1);
    let [rates, decays] = [[0.1f32, 0.01, 0.0], [0.5f32, 0.0, 0.0]];
    let start = values.copy();
    for step in 1..=3 {
        let corrections = |beta: f32| 1.0 - beta.powi(step);
        let root = corrections(0.99).sqrt();
        let done = adamw(
            &AdamWValues {
                values: &values,
                gradients: &gradients,
                first_moments: &first,
                second_moments: &second,
            },
            &AdamWStep {
                weights: [&of_trials([0.1; 3]), &of_trials([0.01; 3])],
                clipping: &of_trials([1.0, 0.5, 1.0]),
                decay: &of_trials([0, 1, 2].map(|trial| 1.0 - rates[trial] * decays[trial])),
                size: &of_trials(rates.map(|rate| rate * root / corrections(0.9))),
                eps: &of_trials([1e-8 * root; 3]),
                is_sound: &is_sound,
            },
        );
        assert_eq!(done, is_here());
        if !done {
            return;
        }
    }
    assert_eq!(values.select(0, 2), start.select(0, 2));
    // A gradient that stays the same moves a value by the rate at each step, towards where it points.
    let moved = |trial: i64, keeps: f64| {
        let mut expected = start.select(0, trial).to_kind(Kind::Double);
        let direction = gradients.select(0, trial).to_kind(Kind::Double).sign();
        for _ in 0..3 {
            expected = expected * keeps - &direction * f64::from(rates[trial as usize]);
        }
        f64::try_from((values.select(0, trial).to_kind(Kind::Double) - expected).abs().max()).unwrap()
    };
    assert!(moved(0, 0.95) < 1e-3 && moved(1, 1.0) < 1e-3, "{} {}", moved(0, 0.95), moved(1, 1.0));
}

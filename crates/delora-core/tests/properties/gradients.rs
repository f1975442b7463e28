//! Gradients of every method against central differences, in f64.

use crate::everyone::Finding;
use crate::network::uniform;
use delora_core::{Adapter, Class, Hidden, METHODS, Method, ParameterSpec, Parameters, Place, Role, Site};
use tch::{Device, Kind, Tensor};

const RANK: i64 = 2;
const TRIALS: i64 = 2;
/// Central differences in f64 are best at about the cube root of its precision.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-7;

fn exact(seed: u64, purpose: &str, shape: &[i64]) -> Tensor {
    uniform(seed, purpose, shape).to_kind(Kind::Double)
}

/// Sites of every kind that a method may act on.
fn sites() -> Vec<Site> {
    let linear = |name: &str, role, shape: [i64; 2]| {
        let bias = exact(1, &format!("{name}/bias"), &shape[..1]);
        Site::linear(name, role, &exact(1, name, &shape), Some(&bias))
    };
    vec![
        linear("key", Role::Key, [6, 8]),
        linear("down", Role::FeedForwardOut, [8, 6]),
        Site::hidden("attention", Place::AttentionOutput, 0, 6),
        Site::hidden("ffn", Place::FeedForwardOutput, 0, 6),
        Site::hidden("block", Place::BlockOutput, 0, 6),
    ]
}

/// Values far from zero and from one another, whatever the method starts with.
fn values(specs: &[ParameterSpec]) -> Vec<Tensor> {
    let value = |spec: &ParameterSpec| {
        let shape = [&[TRIALS, 1], spec.shape.as_slice()].concat();
        let drawn = exact(2, spec.name, &shape);
        &drawn + drawn.sign() * 0.3
    };
    specs.iter().map(value).collect()
}

/// A number that depends on every output of the adapter at `site`.
fn score(adapter: &Adapter, class: &Class, specs: &[ParameterSpec], values: &[Tensor]) -> Tensor {
    let mut parameters = Parameters::default();
    specs.iter().zip(values).for_each(|(spec, value)| parameters.insert(spec.name, value.shallow_clone()));
    let output = match (adapter, class) {
        (Adapter::Linear(adapter), Class::Linear(class)) => {
            let input = exact(3, "input", &[TRIALS, 5, class.in_features]);
            adapter.factors(&parameters).forward(class, 0, &input)
        }
        (Adapter::Hidden(adapter), Class::Hidden(class)) => {
            let states = exact(3, "input", &[TRIALS, 2, 3, class.features]);
            let normed = exact(3, "normed", &[TRIALS, 2, 3, class.features]);
            let hidden = Hidden { values: &states, lengths: None, normed: Some(&normed), dropout: None };
            adapter.changes(&parameters, Kind::Double)[0](&hidden)
        }
        _ => panic!("adapter and class are of one kind"),
    };
    let weights = exact(4, "weights", &output.size());
    (output.tanh() * weights).sum(Kind::Double)
}

/// Of `score` with respect to each of the `trained`.
fn gradients(score: impl Fn(&[Tensor]) -> Tensor, values: &[Tensor], trained: &[bool]) -> Vec<Tensor> {
    let leaves: Vec<Tensor> =
        values.iter().zip(trained).map(|(value, trained)| value.copy().set_requires_grad(*trained)).collect();
    let inputs: Vec<&Tensor> =
        leaves.iter().zip(trained).filter(|(_, trained)| **trained).map(|(leaf, _)| leaf).collect();
    Tensor::run_backward(&[score(&leaves)], &inputs, false, false)
}

/// Largest difference between the gradient and the difference quotients of `score`.
fn largest_gap(score: impl Fn(&[Tensor]) -> Tensor, values: &[Tensor], trained: &[bool]) -> f64 {
    let gradients = gradients(&score, values, trained);
    let places = (0..values.len()).filter(|&index| trained[index]);
    let mut largest: f64 = 0.0;
    for (index, gradient) in places.zip(&gradients) {
        let gradient = Vec::<f64>::try_from(gradient.flatten(0, -1)).unwrap();
        for (place, gradient) in gradient.into_iter().enumerate() {
            let moved = |step: f64| {
                let values: Vec<Tensor> = values.iter().map(Tensor::copy).collect();
                let _ = values[index].view([-1]).get(place as i64).g_add_scalar_(step);
                gradient_mode::off(|| score(&values).double_value(&[]))
            };
            let quotient = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            largest = largest.max((quotient - gradient).abs() / (1.0 + gradient.abs()));
        }
    }
    largest
}

/// At each site where the method acts, in each of its forms.
pub fn gradient(method: &Method) -> Finding {
    let mut trained_somewhere = false;
    for settings in method.examples(RANK) {
        for site in sites() {
            if method.variant(&settings, &site.shape().unwrap(), None).unwrap().is_none() {
                continue;
            }
            let class = Class::new(&[&site], Device::Cpu);
            let adapter = method.build(&[&settings, &settings], &class).unwrap();
            let specs = match &adapter {
                Adapter::Linear(adapter) => adapter.parameters(),
                Adapter::Hidden(adapter) => adapter.parameters(),
                Adapter::Tensor(_) => panic!("there are no bare tensors here"),
            };
            let trained: Vec<bool> = specs.iter().map(|spec| spec.group.is_some()).collect();
            if !trained.contains(&true) {
                continue;
            }
            trained_somewhere = true;
            if DETACHED.contains(&method.name()) {
                with_norms_held(method, &adapter, &class, &specs, &trained);
                continue;
            }
            let score = |values: &[Tensor]| score(&adapter, &class, &specs, values);
            let gap = largest_gap(score, &values(&specs), &trained);
            assert!(gap < TOLERANCE, "{} {settings:?} at {}: {gap:e}", method.name(), site.name);
        }
    }
    assert_eq!(trained_somewhere, method.name() != "none", "{}", method.name());
    if trained_somewhere { Finding::Holds } else { Finding::Nothing("Nothing is trained.") }
}

/// DoRA holds norms constant in its gradient, so differences of its forward pass are not its gradient.
const DETACHED: [&str; 2] = ["dora", "dora_fixed_magnitude"];

/// DoRA's gradient is that of its definition with the norms of adapted rows held constant.
fn with_norms_held(
    method: &Method,
    adapter: &Adapter,
    class: &Class,
    specs: &[ParameterSpec],
    trained: &[bool],
) {
    let name = method.name();
    let Class::Linear(linear) = class else { panic!("{name} acts on linear layers") };
    let values = values(specs);
    let place = |name: &str| specs.iter().position(|spec| spec.name == name);
    let of = |values: &[Tensor], name: &str| values[place(name).unwrap()].select(1, 0);
    // W + s B A, [trials, out_features, in_features]
    let sum = |values: &[Tensor]| {
        let scale = of(values, "scale").view([-1, 1, 1]);
        &linear.weights[0] + of(values, "B").matmul(&of(values, "A")) * scale
    };
    let norms = sum(&values).norm_scalaropt_dim(2, [-1], true);
    let by_definition = |values: &[Tensor]| {
        let magnitude = match place("m") {
            Some(place) => values[place].select(1, 0).unsqueeze(-1),
            None => linear.row_norms().unsqueeze(-1),
        };
        let weight = sum(values) * magnitude / &norms;
        let input = exact(3, "input", &[TRIALS, 5, linear.in_features]);
        let output = input.matmul(&weight.transpose(-2, -1)) + linear.biases[0].as_ref().unwrap();
        let weights = exact(4, "weights", &output.size());
        (output.tanh() * weights).sum(Kind::Double)
    };
    let own = |values: &[Tensor]| score(adapter, class, specs, values);
    for (own, held) in
        gradients(own, &values, trained).iter().zip(&gradients(by_definition, &values, trained))
    {
        assert!(crate::network::difference(own, held) < 1e-9, "{name}");
    }
    assert!(largest_gap(by_definition, &values, trained) < TOLERANCE, "{name}");
    assert!(largest_gap(own, &values, trained) > 1e-3, "{name}: the norms are differentiated");
}

#[test]
fn gradients_are_those_of_central_differences() {
    for method in METHODS {
        gradient(method);
    }
}

//! Parameters of a stack of trials in one flat tensor, so that an optimizer step is a few operations in all.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::adapter::{Init, ParameterSpec, Parameters};
use crate::class::Class;
use crate::parameter_group::Group;
use crate::random::stream;

/// One parameter at all sites of one class: `sites` times `shape` consecutive values of each trial.
struct Segment {
    class: usize,
    name: &'static str,
    sites: i64,
    shape: Vec<i64>,
}

impl Segment {
    fn values_per_site(&self) -> i64 {
        self.shape.iter().product()
    }

    fn len(&self) -> i64 {
        self.sites * self.values_per_site()
    }
}

/// Where a stack's start comes from.
pub struct Origin<'a> {
    pub method: &'static str,
    /// One per trial.
    pub seeds: &'a [u64],
    pub classes: &'a [Class],
    pub device: Device,
}

/// All parameters of one group (or all constants), [trials, values].
pub struct Store {
    /// Absent: constants.
    pub group: Option<Group>,
    pub trained: bool,
    pub values: Tensor,
    segments: Vec<Segment>,
}

impl Store {
    /// `specs` has those of each class in turn; only those of `group` are taken, and nothing is made of none.
    pub fn new(
        origin: &Origin,
        specs: &[Vec<ParameterSpec>],
        group: Option<Group>,
        trained: bool,
    ) -> Option<Store> {
        let mut segments = Vec::new();
        let mut columns = Vec::new();
        for (class_index, class_specs) in specs.iter().enumerate() {
            let class = &origin.classes[class_index];
            for spec in class_specs.iter().filter(|spec| spec.group == group) {
                let segment = Segment {
                    class: class_index,
                    name: spec.name,
                    sites: class.num_sites(),
                    shape: spec.shape.clone(),
                };
                columns.push(start(origin, class, class_specs, spec, &segment));
                segments.push(segment);
            }
        }
        if segments.is_empty() {
            return None;
        }
        let lengths: Vec<i64> = segments.iter().map(Segment::len).collect();
        let options = (Kind::Float, origin.device);
        let values = Tensor::empty([origin.seeds.len() as i64, lengths.iter().sum()], options);
        for (mut part, column) in values.split_with_sizes(&lengths, 1).into_iter().zip(columns) {
            part.copy_(&column);
        }
        Some(Store { group, trained, values: values.set_requires_grad(trained), segments })
    }

    /// Adds every parameter, as a view with its gradient, to its class's entry of `parameters`.
    pub fn insert_into(&self, parameters: &mut [Parameters]) {
        let trials = self.values.size()[0];
        let lengths: Vec<i64> = self.segments.iter().map(Segment::len).collect();
        let views = self.values.split_with_sizes(&lengths, 1);
        for (segment, view) in self.segments.iter().zip(views) {
            let shape: Vec<i64> = [trials, segment.sites].into_iter().chain(segment.shape.clone()).collect();
            parameters[segment.class].insert(segment.name, view.view(shape.as_slice()));
        }
    }

    /// One parameter of one trial at one site, sharing storage.
    pub fn view(&self, class: usize, site: usize, trial: usize, name: &str) -> Option<Tensor> {
        let mut first = 0;
        for segment in &self.segments {
            if segment.class == class && segment.name == name {
                let count = segment.values_per_site();
                let values = self.values.detach().select(0, trial as i64);
                return Some(
                    values.narrow(0, first + site as i64 * count, count).view(segment.shape.as_slice()),
                );
            }
            first += segment.len();
        }
        None
    }

    pub fn names(&self, class: usize) -> impl Iterator<Item = &'static str> {
        self.segments.iter().filter(move |segment| segment.class == class).map(|segment| segment.name)
    }

    /// Values of one trial.
    pub fn count(&self) -> i64 {
        self.values.size()[1]
    }
}

/// The start of one parameter, [trials, sites · values per site], or with 1 in place of a size along which it does not change.
/// On the CPU, or where the checkpoint is.
fn start(
    origin: &Origin,
    class: &Class,
    specs: &[ParameterSpec],
    spec: &ParameterSpec,
    segment: &Segment,
) -> Tensor {
    let trials = origin.seeds.len() as i64;
    let options = (Kind::Float, Device::Cpu);
    match &spec.init {
        Init::Zero => Tensor::zeros([1, 1], options),
        Init::PerTrial(values) => {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            Tensor::from_slice(&values).unsqueeze(1)
        }
        Init::PerSite(values) => values.reshape([1, -1]),
        Init::Uniform { bound } => {
            drawn(origin, class, spec, segment, |generator| uniform(generator, *bound))
        }
        Init::Normal { std } => {
            let normal = |generator: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(generator) };
            drawn(origin, class, spec, segment, |generator| std * normal(generator))
        }
        Init::Orthogonal => {
            let normal = |generator: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(generator) };
            let drawn = drawn(origin, class, spec, segment, normal);
            let drawn = drawn.view([-1, spec.shape[0], spec.shape[1]]);
            let (matrix, _) = Tensor::linalg_qr(&drawn, "reduced");
            matrix.reshape([trials, segment.len()])
        }
        Init::SharedUniform { bound } => shared(origin, spec, segment, *bound),
        Init::Copy { of, sign } => {
            let source =
                specs.iter().find(|spec| spec.name == *of).expect("a copy names a parameter of its method");
            start(origin, class, specs, source, segment) * *sign
        }
    }
}

/// Values from a stream of each trial, site and parameter.
fn drawn(
    origin: &Origin,
    class: &Class,
    spec: &ParameterSpec,
    segment: &Segment,
    draw: impl Fn(&mut ChaCha8Rng) -> f64,
) -> Tensor {
    let mut values: Vec<f32> = Vec::with_capacity(origin.seeds.len() * segment.len() as usize);
    for &seed in origin.seeds {
        for site in class.names() {
            // A task's tensor starts alike whatever the method beside it.
            let owner = if matches!(class, Class::TaskTensor(_)) { "head" } else { origin.method };
            let mut generator = stream(seed, &format!("init/{owner}/{site}/{}", spec.name));
            values.extend((0..segment.values_per_site()).map(|_| draw(&mut generator) as f32));
        }
    }
    Tensor::from_slice(&values).view([origin.seeds.len() as i64, segment.len()])
}

/// Values of a matrix from a stream of each trial, parameter and row, which all sites share.
fn shared(origin: &Origin, spec: &ParameterSpec, segment: &Segment, bound: f64) -> Tensor {
    let &[rows, columns] = spec.shape.as_slice() else { unreachable!("what sites share is a matrix") };
    let mut values: Vec<f32> = Vec::with_capacity(origin.seeds.len() * (rows * columns) as usize);
    for &seed in origin.seeds {
        for row in 0..rows {
            let mut generator = stream(seed, &format!("init/{}/{}/{row}", origin.method, spec.name));
            values.extend((0..columns).map(|_| uniform(&mut generator, bound) as f32));
        }
    }
    let trials = origin.seeds.len() as i64;
    Tensor::from_slice(&values).view([trials, 1, rows * columns]).repeat([1, segment.sites, 1]).flatten(1, 2)
}

fn uniform(generator: &mut impl Rng, bound: f64) -> f64 {
    let unit: f64 = generator.random();
    bound * (2.0 * unit - 1.0)
}

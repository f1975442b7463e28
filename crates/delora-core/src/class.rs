//! Sites of a network, and the sites of one shape taken together.

use tch::{Device, Kind, Tensor};

use crate::norms::{column_norms, row_norms};
use crate::parameter_group::Group;
use crate::site::{Part, Role, Site, Start};

/// Sites of a bank that have one shape and are adapted by the same methods; their parameters are stacked on a
/// `sites` axis.
pub enum Class {
    /// Linear layers.
    Linear(LinearClass),
    /// Other tensors of the network.
    Tensor(TensorClass),
    /// Hidden states.
    Hidden(HiddenClass),
    /// Tensors of the task.
    TaskTensor(TaskTensorClass),
}

/// Linear layers of one shape.
pub struct LinearClass {
    /// Columns of each weight.
    pub in_features: i64,
    /// Rows of each weight.
    pub out_features: i64,
    /// For each site.
    pub names: Vec<String>,
    /// For each site.
    pub roles: Vec<Role>,
    /// One [out_features, in_features] per site, f32 (f64 where it was given), sharing the network's storage where
    /// kind and device agree.
    pub weights: Vec<Tensor>,
    /// One `[out_features]` per site that has one.
    pub biases: Vec<Option<Tensor>>,
}

/// Tensors of one shape that belong to no adaptable linear layer.
pub struct TensorClass {
    /// For each site.
    pub names: Vec<String>,
    /// For each site, f32, all of one shape.
    pub values: Vec<Tensor>,
}

/// Tensors of a task, see [`Part::TaskTensor`], of one shape, group and kind of start.
pub struct TaskTensorClass {
    pub names: Vec<String>,
    pub shape: Vec<i64>,
    pub group: Group,
    /// For each site.
    pub starts: Vec<Start>,
    device: Device,
}

/// Hidden states of one width.
pub struct HiddenClass {
    /// Their width, the last side.
    pub features: i64,
    /// For each site.
    pub names: Vec<String>,
    /// Where parameters at these sites lie.
    pub device: Device,
}

impl Class {
    /// The class of `sites`, which agree in their shape; tensors are on `device`. Panics without any.
    pub fn new(sites: &[&Site], device: Device) -> Class {
        let names = sites.iter().map(|site| site.name.clone()).collect();
        match &sites[0].part {
            Part::Linear { .. } => Class::Linear(LinearClass::of_sites(sites, device)),
            Part::Tensor { .. } => {
                let value = |site: &&Site| match &site.part {
                    Part::Tensor { value } => Some(value.detach().to_device(device).to_kind(Kind::Float)),
                    _ => None,
                };
                Class::Tensor(TensorClass { names, values: sites.iter().filter_map(value).collect() })
            }
            Part::Hidden(shape) => Class::Hidden(HiddenClass { features: shape.features, names, device }),
            Part::TaskTensor { shape, group, .. } => {
                let start = |site: &&Site| match &site.part {
                    Part::TaskTensor { start, .. } => Some(start.shared()),
                    _ => None,
                };
                let starts = sites.iter().filter_map(start).collect();
                Class::TaskTensor(TaskTensorClass {
                    names,
                    shape: shape.clone(),
                    group: *group,
                    starts,
                    device,
                })
            }
        }
    }

    /// Name of each site.
    pub fn names(&self) -> &[String] {
        match self {
            Class::Linear(class) => &class.names,
            Class::Tensor(class) => &class.names,
            Class::Hidden(class) => &class.names,
            Class::TaskTensor(class) => &class.names,
        }
    }

    /// How many sites it has.
    pub fn num_sites(&self) -> i64 {
        self.names().len() as i64
    }

    /// Shape of the weight or tensor, or width of the hidden states.
    pub fn size(&self) -> Vec<i64> {
        match self {
            Class::Linear(class) => vec![class.out_features, class.in_features],
            Class::Tensor(class) => class.values[0].size(),
            Class::Hidden(class) => vec![class.features],
            Class::TaskTensor(class) => class.shape.clone(),
        }
    }

    /// Where parameters at these sites lie.
    pub fn device(&self) -> Device {
        match self {
            Class::Linear(class) => class.device(),
            Class::Tensor(class) => class.values[0].device(),
            Class::Hidden(class) => class.device,
            Class::TaskTensor(class) => class.device,
        }
    }
}

impl LinearClass {
    /// One linear layer as a class of its own; `None` where the site is something else.
    pub fn of(site: &Site, device: Device) -> Option<LinearClass> {
        matches!(site.part, Part::Linear { .. }).then(|| LinearClass::of_sites(&[site], device))
    }

    fn of_sites(sites: &[&Site], device: Device) -> LinearClass {
        let (mut names, mut roles, mut weights, mut biases) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for site in sites {
            let Part::Linear { role, weight, bias } = &site.part else { continue };
            let kind = if weight.kind() == Kind::Double { Kind::Double } else { Kind::Float };
            let local = |tensor: &Tensor| tensor.detach().to_device(device).to_kind(kind);
            names.push(site.name.clone());
            roles.push(*role);
            weights.push(local(weight));
            biases.push(bias.as_ref().map(local));
        }
        let (out_features, in_features) = weights[0].size2().expect("a weight is a matrix");
        LinearClass { in_features, out_features, names, roles, weights, biases }
    }

    /// How many layers it has.
    pub fn num_sites(&self) -> i64 {
        self.weights.len() as i64
    }

    /// Where the weights lie.
    pub fn device(&self) -> Device {
        self.weights[0].device()
    }

    /// Of the weights: f32 or f64.
    pub fn kind(&self) -> Kind {
        self.weights[0].kind()
    }

    /// The same class over the same storage, for an adapter to keep.
    pub fn shared(&self) -> LinearClass {
        LinearClass {
            in_features: self.in_features,
            out_features: self.out_features,
            names: self.names.clone(),
            roles: self.roles.clone(),
            weights: self.weights.iter().map(Tensor::shallow_clone).collect(),
            biases: self.biases.iter().map(|bias| bias.as_ref().map(Tensor::shallow_clone)).collect(),
        }
    }

    /// The weights themselves, [sites, out_features, in_features]: a copy of every one, so not for training.
    pub fn dense(&self) -> Tensor {
        Tensor::stack(&self.weights, 0)
    }

    /// The biases, [sites, out_features], where the sites have them.
    pub fn dense_biases(&self) -> Option<Tensor> {
        let biases: Option<Vec<&Tensor>> = self.biases.iter().map(Option::as_ref).collect();
        biases.map(|biases| Tensor::stack(&biases, 0))
    }

    /// Norm of each weight's columns, one per input feature, [sites, in_features].
    pub fn column_norms(&self) -> Tensor {
        self.per_site(column_norms)
    }

    /// Norm of each weight's rows, one per output feature, [sites, out_features].
    pub fn row_norms(&self) -> Tensor {
        self.per_site(row_norms)
    }

    /// Frobenius norm of each weight, `[sites]`.
    pub fn frobenius_norms(&self) -> Tensor {
        self.per_site(Tensor::norm)
    }

    /// `rows` · Wᵀ for each site: [trials, sites, n, in_features] gives [trials, sites, n, out_features], not differentiated.
    pub fn project(&self, rows: &Tensor) -> Tensor {
        self.times(rows, self.out_features, Tensor::tr)
    }

    /// `rows` · W for each site: [trials, sites, n, out_features] gives [trials, sites, n, in_features], not differentiated.
    pub fn project_back(&self, rows: &Tensor) -> Tensor {
        self.times(rows, self.in_features, Tensor::shallow_clone)
    }

    fn per_site(&self, norm: impl Fn(&Tensor) -> Tensor) -> Tensor {
        Tensor::stack(&self.weights.iter().map(norm).collect::<Vec<_>>(), 0)
    }

    /// The products are in the weights' kind; the factors around them may be f64.
    fn times(&self, rows: &Tensor, columns: i64, side: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let (trials, _, count, features) = rows.size4().expect("rows are [trials, sites, n, features]");
        let products: Vec<Tensor> = gradient_mode::off(|| {
            let rows = rows.to_kind(self.kind()).unbind(1); // sites × [trials, n, features]
            let product = |(rows, weight): (&Tensor, &Tensor)| {
                rows.reshape([trials * count, features]).mm(&side(weight)).view([trials, count, columns])
            };
            rows.iter().zip(&self.weights).map(product).collect()
        });
        Tensor::stack(&products, 1).to_kind(rows.kind()) // [trials, sites, n, columns]
    }
}

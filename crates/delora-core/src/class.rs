//! Sites, and the sites of one shape taken together.

use tch::{Device, Kind, Tensor};

use crate::norms::{column_norms, row_norms};

/// A frozen linear layer that may be adapted: `name` is its state-dict prefix, `weight` is [out_features, in_features].
pub struct Site {
    pub name: String,
    pub weight: Tensor,
}

/// All sites of a bank whose weights have one shape; their parameters are stacked on a `sites` axis.
pub struct LinearClass {
    pub in_features: i64,
    pub out_features: i64,
    pub names: Vec<String>,
    /// One [out_features, in_features] per site, f32, sharing the network's storage where kind and device agree.
    pub weights: Vec<Tensor>,
}

impl LinearClass {
    pub fn new(in_features: i64, out_features: i64) -> LinearClass {
        LinearClass { in_features, out_features, names: Vec::new(), weights: Vec::new() }
    }

    pub fn push(&mut self, name: &str, weight: &Tensor, device: Device) {
        self.names.push(name.to_owned());
        self.weights.push(weight.detach().to_device(device).to_kind(Kind::Float));
    }

    pub fn num_sites(&self) -> i64 {
        self.weights.len() as i64
    }

    pub fn device(&self) -> Device {
        self.weights[0].device()
    }

    /// The same class over the same storage, for an adapter to keep.
    pub fn shared(&self) -> LinearClass {
        LinearClass {
            names: self.names.clone(),
            weights: self.weights.iter().map(Tensor::shallow_clone).collect(),
            ..*self
        }
    }

    /// One site as a class of its own.
    pub fn single(&self, site: usize) -> LinearClass {
        LinearClass {
            in_features: self.in_features,
            out_features: self.out_features,
            names: vec![self.names[site].clone()],
            weights: vec![self.weights[site].shallow_clone()],
        }
    }

    /// The weights themselves, [sites, out_features, in_features]: a copy of every one, so not for training.
    pub fn dense(&self) -> Tensor {
        Tensor::stack(&self.weights, 0)
    }

    /// Norm of each weight's columns, one per input feature, [sites, in_features].
    pub fn column_norms(&self) -> Tensor {
        self.per_site(column_norms)
    }

    /// Norm of each weight's rows, one per output feature, [sites, out_features].
    pub fn row_norms(&self) -> Tensor {
        self.per_site(row_norms)
    }

    /// Frobenius norm of each weight, [sites].
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

    /// The products are in f32, as the weights are; only the factors around them may be f64.
    fn times(&self, rows: &Tensor, columns: i64, side: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let (trials, _, count, features) = rows.size4().expect("rows are [trials, sites, n, features]");
        let products: Vec<Tensor> = tch::no_grad(|| {
            let rows = rows.to_kind(Kind::Float).unbind(1); // sites × [trials, n, features]
            let product = |(rows, weight): (&Tensor, &Tensor)| {
                rows.reshape([trials * count, features]).mm(&side(weight)).view([trials, count, columns])
            };
            rows.iter().zip(&self.weights).map(product).collect()
        });
        Tensor::stack(&products, 1).to_kind(rows.kind()) // [trials, sites, n, columns]
    }
}

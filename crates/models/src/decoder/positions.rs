//! What positions do: how they turn queries and keys, and which tokens a token sees.

use std::f64::consts::TAU;

use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::error::DecoderError;
use crate::config::{positive_number, shown};

/// What positions do in one pass: cosines and sines that turn heads, `[N or 1, 1, T, head_dim]`, and what is added to scores of attention,
/// 0 or -inf, `[N or 1, 1, T, S]`.
#[derive(Debug)]
pub struct Positions {
    pub(super) cosines: Tensor,
    pub(super) sines: Tensor,
    /// Absent: a token sees those up to itself, and all there are lie in this pass.
    pub(super) all: Option<Tensor>,
    /// For layers with a window that is shorter than what there is; absent: as [`Positions::all`].
    pub(super) within: Option<Tensor>,
}

impl Positions {
    /// `heads` `[N, heads, T, head_dim]`, turned.
    pub(super) fn turn(&self, heads: &Tensor) -> Tensor {
        let halves = heads.chunk(2, -1);
        let swapped = Tensor::cat(&[-&halves[1], halves[0].shallow_clone()], -1);
        heads * &self.cosines + swapped * &self.sines
    }

    /// What is added to scores of a layer.
    pub(super) fn mask(&self, has_window: bool) -> Option<&Tensor> {
        self.within.as_ref().filter(|_| has_window).or(self.all.as_ref())
    }
}

/// 0 where `hidden` is false, and -inf where it is true, in `kind`.
pub(super) fn additive(hidden: &Tensor, kind: Kind) -> Tensor {
    Tensor::zeros(hidden.size(), (kind, hidden.device())).masked_fill(hidden, f64::NEG_INFINITY)
}

/// Where tokens at `queries` `[N, T]` do not see those at `keys` `[N, S]`, as too far back: `[N, 1, T, S]`.
pub(super) fn beyond(window: i64, queries: &Tensor, keys: &Tensor) -> Tensor {
    (queries.unsqueeze(-1) - keys.unsqueeze(1)).ge(window).unsqueeze(1)
}

/// How positions turn pairs of features: by powers of one base, and of newer LLaMAs slower where a turn is long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rope {
    pub theta: f64,
    pub scaling: Option<Llama3>,
}

/// `rope_type` llama3: a pair whose turn takes more positions than `original` over `low` turns `factor` times slower, one
/// of fewer than `original` over `high` as it was, and those between in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Llama3 {
    factor: f64,
    low: f64,
    high: f64,
    original: f64,
}

const THETA: f64 = 10000.0;
const ROPE_THETA: &str = "rope_theta";
/// The keys of type llama3, in the order of [`Llama3`]'s fields.
const LLAMA3_KEYS: [&str; 4] =
    ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];

impl Rope {
    /// By the key of the base and the tables of a file. Errors: another form of positions; keys that say different things.
    pub fn of(theta: Option<f64>, tables: [(&'static str, Option<&Value>); 2]) -> Result<Rope, DecoderError> {
        let older = theta.map(|theta| (ROPE_THETA.to_owned(), theta));
        let mut thetas: Vec<(String, f64)> = older.into_iter().collect();
        let mut scalings = Vec::new();
        for (key, table) in tables.into_iter().filter_map(|(key, table)| Some((key, table?))) {
            scalings.push((key, scaling(key, table)?));
            thetas.extend(
                table.get(ROPE_THETA).and_then(Value::as_f64).map(|it| (format!("{key}.{ROPE_THETA}"), it)),
            );
        }
        for (key, theta) in &thetas {
            positive_number(key, *theta).map_err(DecoderError::Value)?;
        }
        if let Some((key, theta)) = thetas.iter().find(|(_, theta)| *theta != thetas[0].1) {
            let (first, other) = &thetas[0];
            let right = "one base turns all positions: remove the wrong one";
            return Err(DecoderError::Value(format!("`{first}` is {other} and `{key}` {theta}; {right}")));
        }
        if let Some((key, _)) = scalings.iter().find(|(_, scaling)| *scaling != scalings[0].1) {
            let right = "both have to say the same: remove the wrong one";
            return Err(DecoderError::Value(format!(
                "`{}` and `{key}` say other forms of positions; {right}",
                scalings[0].0
            )));
        }
        Ok(Rope {
            theta: thetas.first().map_or(THETA, |(_, theta)| *theta),
            scaling: scalings.first().and_then(|(_, scaling)| *scaling),
        })
    }

    /// What a position is multiplied by for each pair of a head's features, `[head_dim / 2]`, f32.
    pub fn frequencies(&self, head_dim: i64, device: Device) -> Tensor {
        let powers = Tensor::arange_start_step(0, head_dim, 2, (Kind::Float, device)) / head_dim as f64;
        let plain = (powers * -self.theta.ln()).exp();
        let Some(Llama3 { factor, low, high, original }) = self.scaling else { return plain };
        let turns: Tensor = &plain * (original / TAU); // in the original length
        let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        &plain * &share + (1.0 - share) * plain / factor
    }
}

/// What the table at `key` says of slower turns.
fn scaling(key: &'static str, table: &Value) -> Result<Option<Llama3>, DecoderError> {
    let unsupported = |problem: String| {
        let supported = format!("plain positions and those of type llama3, and {problem}");
        Err(DecoderError::Unsupported { key, found: shown(table), supported })
    };
    let Some(keys) = table.as_object() else {
        return unsupported("it is no table".to_owned());
    };
    // `type` is the older name.
    let types = || ["rope_type", "type"].into_iter().filter_map(|name| keys.get_key_value(name));
    let is_llama3 = types().any(|(_, value)| value == "llama3");
    let right = if is_llama3 { "llama3" } else { "default" };
    let own: &[&str] = if is_llama3 { &LLAMA3_KEYS } else { &[] };
    let is_known = |name: &str, value: &Value| match name {
        ROPE_THETA => value.is_number() || value.is_null(),
        "rope_type" | "type" => value == right || value.is_null(),
        _ => value.is_null() || (own.contains(&name) && value.is_number()),
    };
    // The type tells more than a key of it.
    if let Some((name, value)) = types().chain(keys).find(|(name, value)| !is_known(name, value)) {
        return unsupported(format!("its `{name}` is {}", shown(value)));
    }
    if !is_llama3 {
        return Ok(None);
    }
    let number = |name: &str| match keys.get(name).and_then(Value::as_f64) {
        Some(value) => {
            positive_number(&format!("{key}.{name}"), value).map(|()| value).map_err(DecoderError::Value)
        }
        None => Err(DecoderError::Value(format!(
            "`{key}` is of type llama3 and lacks `{name}`; it has to have {}",
            LLAMA3_KEYS.join(", ")
        ))),
    };
    let [factor, low, high, original] = LLAMA3_KEYS.map(number);
    let scaling = Llama3 { factor: factor?, low: low?, high: high?, original: original? };
    if scaling.low >= scaling.high {
        let Llama3 { low, high, .. } = scaling;
        return Err(DecoderError::Value(format!(
            "`{key}.low_freq_factor` is {low} and `high_freq_factor` {high}; the second has to be larger"
        )));
    }
    Ok(Some(scaling))
}

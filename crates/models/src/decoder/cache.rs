//! Keys and values of what a decoder has read, so that it goes on from there.

use tch::{Device, Kind, Tensor};

use super::positions::{additive, beyond};

/// What has been read of each row, all layers.
#[derive(Debug)]
pub struct Cache {
    /// Keys and values `[N, heads, S, head_dim]` of each layer; empty before the first token.
    layers: Vec<Option<[Tensor; 2]>>,
    /// 1 at tokens and 0 at padding, `[N, S]`, i64
    mask: Tensor,
    /// Positions of the same, those of padding any, `[N, S]`, i64
    places: Tensor,
}

impl Cache {
    /// Nothing read yet, of `rows` rows.
    pub fn new(rows: i64, num_layers: usize, device: Device) -> Cache {
        let layers = (0..num_layers).map(|_| None).collect();
        let none = || Tensor::zeros([rows, 0], (Kind::Int64, device));
        Cache { layers, mask: none(), places: none() }
    }

    /// A cache whose rows are those of `indices` `[M]`, in their order.
    pub fn select(&self, indices: &Tensor) -> Cache {
        let chosen = |tensor: &Tensor| tensor.index_select(0, indices);
        let layer = |layer: &Option<[Tensor; 2]>| layer.as_ref().map(|pair| pair.each_ref().map(chosen));
        let layers = self.layers.iter().map(layer).collect();
        Cache { layers, mask: chosen(&self.mask), places: chosen(&self.places) }
    }

    /// Takes note of tokens to come, which `mask` `[N, T]` marks. Gives their positions `[N, T]` and what is added to scores,
    /// 0 or -inf, `[N, 1, T, S + T]`: a token sees the tokens up to itself. The second is for layers with a window, where it
    /// is shorter than what has been read.
    pub(super) fn read(
        &mut self,
        mask: &Tensor,
        window: Option<i64>,
        kind: Kind,
    ) -> (Tensor, [Option<Tensor>; 2]) {
        let (rows, read) = self.mask.size2().expect("the mask is [N, S]");
        let length = mask.size()[1];
        let device = mask.device();
        let count = self.mask.sum_dim_intlist([1i64].as_slice(), true, Kind::Int64); // [N, 1]
        let places = (count + mask.cumsum(1, Kind::Int64) - 1).clamp_min(0);
        self.mask = Tensor::cat(&[&self.mask, mask], 1);
        self.places = Tensor::cat(&[&self.places, &places], 1);
        let total = read + length;
        let is_later = Tensor::ones([length, total], (Kind::Bool, device)).triu(read + 1);
        let hidden = self.mask.eq(0).view([rows, 1, 1, total]).logical_or(&is_later); // [N, 1, T, S + T]
        // Padding sees itself, so that it has values, whatever they are.
        let diagonal = Tensor::eye(length, (Kind::Bool, device));
        let diagonal = Tensor::cat(&[Tensor::zeros([length, read], (Kind::Bool, device)), diagonal], 1);
        let seen = |hidden: &Tensor| additive(&hidden.logical_and(&diagonal.logical_not()), kind);
        let within = window.filter(|&window| window < total);
        let within = within.map(|window| seen(&hidden.logical_or(&beyond(window, &places, &self.places))));
        (places, [Some(seen(&hidden)), within])
    }

    pub(super) fn layer(&mut self, index: usize) -> &mut Option<[Tensor; 2]> {
        &mut self.layers[index]
    }
}

/// A layer's part of a cache while tokens are read.
pub(super) struct Reading<'a>(pub &'a mut Option<[Tensor; 2]>);

impl Reading<'_> {
    /// Adds keys and values `[N, heads, T, head_dim]`; gives all.
    pub fn add(&mut self, key: Tensor, value: Tensor) -> [Tensor; 2] {
        let all = match self.0.take() {
            None => [key, value],
            Some([keys, values]) => [Tensor::cat(&[keys, key], 2), Tensor::cat(&[values, value], 2)],
        };
        *self.0 = Some(all.each_ref().map(Tensor::shallow_clone));
        all
    }
}

//! Keys and values of what a decoder has read, so that it goes on from there.

use tch::{Device, Kind, Tensor};

/// What has been read of each row, all layers.
#[derive(Debug)]
pub struct Cache {
    /// Keys and values `[N, heads, S, head_dim]` of each layer; empty before the first token.
    layers: Vec<Option<[Tensor; 2]>>,
    /// 1 at tokens and 0 at padding, `[N, S]`, i64
    mask: Tensor,
}

impl Cache {
    /// Nothing read yet, of `rows` rows.
    pub fn new(rows: i64, num_layers: usize, device: Device) -> Cache {
        let layers = (0..num_layers).map(|_| None).collect();
        Cache { layers, mask: Tensor::zeros([rows, 0], (Kind::Int64, device)) }
    }

    /// A cache whose rows are those of `indices` `[M]`, in their order.
    pub fn select(&self, indices: &Tensor) -> Cache {
        let chosen = |tensor: &Tensor| tensor.index_select(0, indices);
        let layer = |layer: &Option<[Tensor; 2]>| layer.as_ref().map(|pair| pair.each_ref().map(chosen));
        Cache { layers: self.layers.iter().map(layer).collect(), mask: chosen(&self.mask) }
    }

    /// Positions `[N, T]` of tokens to come, which `mask` `[N, T]` marks; that of padding is any.
    pub(super) fn positions(&self, mask: &Tensor) -> Tensor {
        let read = self.mask.sum_dim_intlist([1i64].as_slice(), true, Kind::Int64); // [N, 1]
        (read + mask.cumsum(1, Kind::Int64) - 1).clamp_min(0)
    }

    /// Takes note of tokens to come. Gives what is added to scores, 0 or -inf, `[N, 1, T, S + T]`: a token sees the tokens up to itself.
    pub(super) fn read(&mut self, mask: &Tensor, kind: Kind) -> Tensor {
        let (rows, read) = self.mask.size2().expect("the mask is [N, S]");
        let length = mask.size()[1];
        let device = mask.device();
        self.mask = Tensor::cat(&[&self.mask, mask], 1);
        let total = read + length;
        let is_later = Tensor::ones([length, total], (Kind::Bool, device)).triu(read + 1);
        let hidden = self.mask.eq(0).view([rows, 1, 1, total]).logical_or(&is_later); // [N, 1, T, S + T]
        // Padding sees itself, so that it has values, whatever they are.
        let diagonal = Tensor::eye(length, (Kind::Bool, device));
        let diagonal = Tensor::cat(&[Tensor::zeros([length, read], (Kind::Bool, device)), diagonal], 1);
        let hidden = hidden.logical_and(&diagonal.logical_not());
        Tensor::zeros(hidden.size(), (kind, device)).masked_fill(&hidden, f64::NEG_INFINITY)
    }

    pub(super) fn layer(&mut self, index: usize) -> &mut Option<[Tensor; 2]> {
        &mut self.layers[index]
    }
}

/// A layer's part of a cache while tokens are read.
pub(super) struct Reading<'a> {
    pub pair: &'a mut Option<[Tensor; 2]>,
    pub mask: Tensor,
}

impl Reading<'_> {
    /// Adds keys and values `[N, heads, T, head_dim]`; gives all.
    pub fn add(&mut self, key: Tensor, value: Tensor) -> [Tensor; 2] {
        let all = match self.pair.take() {
            None => [key, value],
            Some([keys, values]) => [Tensor::cat(&[keys, key], 2), Tensor::cat(&[values, value], 2)],
        };
        *self.pair = Some(all.each_ref().map(Tensor::shallow_clone));
        all
    }
}

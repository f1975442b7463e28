//! Which tensor of a file belongs to which variable of a network.

use std::collections::{BTreeMap, BTreeSet};

use super::naming::{BUFFERS, Naming, is_like};
use super::stored::Stored;

/// Name and shape of every tensor of a network.
pub type Layout = BTreeMap<String, Vec<i64>>;

/// A network's tensors beside those of its files.
#[derive(Debug, Default)]
pub struct Matching {
    /// Where each tensor of the network is that a file has in the right shape, by its name.
    pub found: BTreeMap<String, Found>,
    /// Names and shapes that no file has.
    pub missing: Vec<(String, Vec<i64>)>,
    /// Places in the files of tensors that belong to nothing.
    pub unexpected: Vec<usize>,
    /// Our name, place in the files and the shape that is right.
    pub misshapen: Vec<(String, usize, Vec<i64>)>,
    /// Files' tensors of other models, heads and buffers, which are left aside.
    pub left_aside: Vec<usize>,
}

/// Where a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Place in the files.
    pub index: usize,
    /// Which part of how many, along the file's first axis.
    pub part: (i64, i64),
}

impl Matching {
    /// The tensors of `layout` beside `stored`, under the names of `naming`.
    pub fn of(layout: &Layout, naming: &Naming, stored: &[Stored]) -> Matching {
        let mut matching = Matching::default();
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        for (index, names) in names(layout, naming, stored).into_iter().enumerate() {
            let of = names.len() as i64;
            let parts = (0..).map(|part| Found { index, part: (part, of) });
            if names.iter().all(|name| layout.contains_key(name)) {
                found.extend(names.into_iter().zip(parts));
            } else if names.iter().all(|name| naming.leaves_aside(name)) {
                matching.left_aside.push(index);
            } else {
                matching.unexpected.push(index);
            }
        }
        for (name, shape) in layout {
            match found.get(name) {
                None => matching.missing.push((name.clone(), shape.clone())),
                Some(&place) if fits(name, shape, place, &stored[place.index].shape, naming) => {
                    matching.found.insert(name.clone(), place);
                }
                Some(place) => {
                    let (_, of) = place.part;
                    let mut whole = shape.clone();
                    whole.iter_mut().take(1).for_each(|rows| *rows *= of);
                    matching.misshapen.push((name.clone(), place.index, whole));
                }
            }
        }
        matching
    }
}

impl Naming {
    fn leaves_aside(&self, name: &str) -> bool {
        BUFFERS.iter().any(|pattern| is_like(pattern, name))
            || self.foreign.iter().any(|start| name.starts_with(start))
    }
}

/// Our names of each stored tensor; several for one that holds as many of ours.
fn names(layout: &Layout, naming: &Naming, stored: &[Stored]) -> Vec<Vec<String>> {
    let has = |start: &str| stored.iter().any(|tensor| tensor.name.starts_with(start));
    let ours_has = |start: &str| layout.keys().any(|name| name.starts_with(start));
    let added = naming.left_out.iter().find(|start| ours_has(start) && !has(start)).unwrap_or(&"");
    let taken = naming.in_front.iter().find(|start| has(start) && !ours_has(start)).unwrap_or(&"");
    let plain: Vec<String> = stored
        .iter()
        .map(|tensor| format!("{added}{}", tensor.name.strip_prefix(taken).unwrap_or(&tensor.name)))
        .collect();
    // A file with both names keeps both, so that none is lost.
    let plain_names: BTreeSet<&String> = plain.iter().collect();
    let ours = |name: &String| {
        let renamed = naming.renames.iter().find_map(|rename| rename.apply(name));
        let renamed = renamed.filter(|names| names.iter().all(|name| !plain_names.contains(name)));
        renamed.unwrap_or_else(|| vec![name.clone()])
    };
    plain.iter().map(ours).collect()
}

fn fits(name: &str, shape: &[i64], place: Found, stored: &[i64], naming: &Naming) -> bool {
    let (_, of) = place.part;
    let is_kernel = stored.len() == 4
        && shape.len() == 2
        && stored.ends_with(&[1, 1])
        && naming.kernels.iter().any(|pattern| is_like(pattern, name));
    let stored = if is_kernel { &stored[..2] } else { stored };
    match (shape, stored) {
        ([rows, others @ ..], [all, same @ ..]) => rows * of == *all && others == same,
        _ => shape == stored && of == 1,
    }
}

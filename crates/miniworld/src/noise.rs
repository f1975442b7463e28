//! Cheap, seeded value noise.

/// A number in [0, 1) from a cell and a seed.
pub fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut state = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA6B) ^ seed;
    state = (state ^ (state >> 15)).wrapping_mul(0x2C1B_3C6D);
    state = (state ^ (state >> 12)).wrapping_mul(0x297A_2D39);
    (state ^ (state >> 15)) as f32 / u32::MAX as f32
}

/// Smooth noise in [0, 1), one feature per unit.
pub fn value_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (fx, fy) = (smooth(x - column), smooth(y - row));
    let (column, row) = (column as i32, row as i32);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let top = mix(hash(column, row, seed), hash(column + 1, row, seed), fx);
    let bottom = mix(hash(column, row + 1, seed), hash(column + 1, row + 1, seed), fx);
    mix(top, bottom, fy)
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

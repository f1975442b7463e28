//! Where a scene takes place: DreamBooth's contexts, each distinct in colour and structure, and some plain ones.

use std::sync::LazyLock;

use crate::noise::{hash, value_noise};
use crate::phrases::PHRASES;
use crate::raster::{Rgb, mix, scale};

/// Caption phrases. The first 20 are those of DreamBooth's prompts, in the order of the list for objects; the rest
/// are plain, and an empty phrase is not spoken of.
pub static CONTEXTS: LazyLock<[&str; NUM_CONTEXTS]> = LazyLock::new(|| {
    let plain = ["", "on a table", "in a room"];
    let contexts = [&PHRASES.shared[..], &PHRASES.objects, &plain].concat();
    contexts.try_into().expect("twenty contexts are spoken of and three are plain")
});

/// How many contexts there are.
pub const NUM_CONTEXTS: usize = 23;

/// Contexts that DreamBooth's prompts name.
pub const SPOKEN: usize = 20;

/// One place, with what varies between two pictures of it.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub index: usize,
    pub seed: u32,
}

const SKY: Rgb = [0.62, 0.80, 0.95];
const GRASS: Rgb = [0.36, 0.62, 0.25];

impl Context {
    fn vary(&self, which: i32) -> f32 {
        hash(which, 7, self.seed)
    }

    /// Colour at `x`, `y` in [0, 1], y down.
    pub fn color(&self, x: f32, y: f32) -> Rgb {
        let horizon = 0.42 + 0.16 * self.vary(0);
        match self.index {
            0 => self.jungle(x, y),
            1 => self.snow(x, y, horizon),
            2 => self.beach(x, y, horizon),
            3 => self.cobblestone(x, y),
            4 => self.fabric(x, y),
            5 => self.wood(x, y),
            6 => self.city(x, y, horizon + 0.2),
            7 => self.mountain(x, y, horizon + 0.15),
            8 => self.blue_house(x, y, horizon + 0.15),
            9 => self.forest_rug(x, y),
            10 => self.wheat(x, y, horizon - 0.1),
            11 => self.autumn(x, y, horizon + 0.15),
            12 => self.eiffel_tower(x, y, horizon + 0.2),
            13 => self.waves(x, y, [0.12, 0.42, 0.72], [0.45, 0.75, 0.92]),
            14 => self.waves(x, y, [0.97, 0.95, 0.90], [0.85, 0.82, 0.76]),
            15 => self.sunflowers(x, y),
            16 => self.mirror(x, y),
            17 => self.crowd(x, y, horizon),
            18 => self.dirt_road(x, y, horizon - 0.08),
            19 => self.white_rug(x, y),
            20 => self.studio(x, y),
            21 => self.table(x, y, horizon + 0.15),
            _ => self.room(x, y, horizon + 0.2),
        }
    }

    fn noise(&self, x: f32, y: f32, frequency: f32) -> f32 {
        value_noise(x * frequency, y * frequency, self.seed)
    }

    fn jungle(&self, x: f32, y: f32) -> Rgb {
        let leaves = self.noise(x + 0.3 * y, y - 0.5 * x, 9.0);
        let base = mix([0.04, 0.20, 0.07], [0.18, 0.55, 0.16], leaves * leaves * 1.4);
        let trunk = ((x * 3.0 + self.vary(1)).fract() - 0.5).abs();
        if trunk < 0.06 && y < 0.8 { mix(base, [0.23, 0.16, 0.08], 0.7) } else { base }
    }

    fn snow(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let hill = horizon + 0.04 * (x * 7.0 + 6.0 * self.vary(1)).sin();
        if y > hill {
            return scale([0.95, 0.97, 1.0], 0.93 + 0.07 * self.noise(x, y, 6.0));
        }
        let flake = hash((x * 13.0) as i32, (y * 13.0) as i32, self.seed) > 0.9;
        if flake { [1.0, 1.0, 1.0] } else { mix([0.60, 0.70, 0.84], [0.80, 0.86, 0.93], y / hill) }
    }

    fn beach(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let shore = horizon + 0.14 + 0.02 * (x * 9.0 + 6.0 * self.vary(1)).sin();
        if y < horizon - 0.1 {
            SKY
        } else if y < shore {
            if y > shore - 0.025 { [0.95, 0.97, 0.97] } else { [0.10, 0.52, 0.70] }
        } else {
            scale([0.93, 0.82, 0.56], 0.92 + 0.1 * self.noise(x, y, 12.0))
        }
    }

    fn cobblestone(&self, x: f32, y: f32) -> Rgb {
        let row = (y * 8.0).floor();
        let column = x * 7.0 + 0.5 * (row as i32 & 1) as f32 + self.vary(1);
        let (fx, fy) = (column.fract() - 0.5, (y * 8.0).fract() - 0.5);
        let tone = 0.42 + 0.22 * hash(column.floor() as i32, row as i32, self.seed);
        let gap = (fx * fx + fy * fy) * 4.0;
        let stone = [tone, tone * 0.98, tone * 0.95];
        if gap > 0.85 { [0.20, 0.19, 0.18] } else { scale(stone, 1.08 - 0.25 * gap) }
    }

    fn fabric(&self, x: f32, y: f32) -> Rgb {
        let angle = 0.5 + self.vary(1);
        let fold = ((x * angle.cos() + y * angle.sin()) * 14.0 + 4.0 * self.noise(x, y, 3.0)).sin();
        scale([0.97, 0.55, 0.70], 0.93 + 0.09 * fold)
    }

    fn wood(&self, x: f32, y: f32) -> Rgb {
        let plank = y * 6.0 + self.vary(1);
        let index = plank.floor() as i32;
        let grain = value_noise(x * 3.0 + 10.0 * hash(index, 1, self.seed), y * 14.0, self.seed);
        let tone = 0.82 + 0.22 * hash(index, 0, self.seed) + 0.12 * grain;
        if plank.fract() < 0.09 { [0.33, 0.19, 0.09] } else { scale([0.68, 0.44, 0.24], tone) }
    }

    fn city(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        if y > horizon {
            return [0.42, 0.42, 0.44];
        }
        let column = (x * 6.0 + self.vary(1)).floor() as i32;
        let top = horizon - 0.22 - 0.38 * hash(column, 3, self.seed);
        if y < top {
            return mix([0.55, 0.72, 0.92], [0.85, 0.90, 0.96], y / horizon);
        }
        let (window_x, window_y) = ((x * 15.0 + 4.0 * self.vary(1)).fract(), (y * 13.0).fract());
        let tone = 0.34 + 0.22 * hash(column, 4, self.seed);
        let is_window = window_x > 0.3 && window_x < 0.75 && window_y > 0.3 && window_y < 0.75;
        if is_window { [0.95, 0.86, 0.50] } else { [tone, tone, tone * 1.12] }
    }

    fn mountain(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        if y > horizon {
            return scale(GRASS, 0.9 + 0.15 * self.noise(x, y, 12.0));
        }
        let peaks = [(0.25 + 0.2 * self.vary(1), 0.10), (0.72 + 0.2 * self.vary(2), 0.18)];
        let height = |&(center, top): &(f32, f32)| top + (x - center).abs() * 1.05;
        let ridge = peaks.iter().map(height).fold(f32::MAX, f32::min);
        if y < ridge {
            SKY
        } else if y < ridge + 0.10 && ridge < 0.34 {
            [0.97, 0.98, 1.0]
        } else {
            mix([0.42, 0.44, 0.52], [0.33, 0.36, 0.44], (y - ridge) * 2.0)
        }
    }

    fn blue_house(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let left = 0.08 + 0.3 * self.vary(1);
        let (u, wall_top) = ((x - left) / 0.55, horizon - 0.34);
        if y > horizon {
            GRASS
        } else if (0.0..1.0).contains(&u) && y > wall_top {
            let is_window = (0.15..0.38).contains(&u) || (0.62..0.85).contains(&u);
            let is_window = is_window && y > wall_top + 0.08 && y < wall_top + 0.20;
            if is_window { [0.97, 0.97, 0.90] } else { [0.16, 0.36, 0.82] }
        } else if y > wall_top - 0.22 && (u - 0.5).abs() < 0.6 * (y - wall_top + 0.22) / 0.22 {
            [0.36, 0.16, 0.13]
        } else {
            [0.80, 0.89, 0.96]
        }
    }

    fn forest_rug(&self, x: f32, y: f32) -> Rgb {
        let rug = ((x - 0.5) / 0.55).powi(2) + ((y - 0.85) / 0.28).powi(2);
        if rug < 1.0 {
            return if (rug * 6.0).fract() < 0.2 { [0.66, 0.40, 0.80] } else { [0.46, 0.15, 0.62] };
        }
        let trunk = ((x * 5.0 + self.vary(1)).fract() - 0.5).abs() < 0.16;
        if y > 0.62 {
            scale([0.25, 0.36, 0.15], 0.85 + 0.3 * self.noise(x, y, 8.0))
        } else if trunk {
            [0.36, 0.24, 0.14]
        } else {
            mix([0.10, 0.26, 0.13], [0.22, 0.42, 0.20], self.noise(x, y, 8.0))
        }
    }

    fn wheat(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        if y < horizon {
            return SKY;
        }
        let stalks = value_noise(x * 22.0, y * 4.0, self.seed);
        mix([0.72, 0.50, 0.12], [0.98, 0.82, 0.34], stalks)
    }

    fn autumn(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let cell = hash((x * 11.0) as i32, (y * 11.0) as i32, self.seed);
        let leaf = [[0.86, 0.32, 0.08], [0.94, 0.58, 0.10], [0.72, 0.16, 0.08]][(cell * 2.99) as usize];
        let center = 0.2 + 0.6 * self.vary(1);
        let crown = ((x - center) / 0.48).powi(2) + ((y - 0.22) / 0.30).powi(2);
        if crown < 0.85 + 0.3 * cell {
            leaf
        } else if y > horizon {
            if cell > 0.55 { leaf } else { [0.50, 0.40, 0.20] }
        } else if (x - center).abs() < 0.06 {
            [0.32, 0.20, 0.12]
        } else {
            [0.84, 0.88, 0.90]
        }
    }

    fn eiffel_tower(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        if y > horizon {
            return GRASS;
        }
        let center = 0.22 + 0.56 * self.vary(1);
        let down = (y - 0.02) / (horizon - 0.02);
        let reach = 0.012 + 0.20 * down.max(0.0).powi(2);
        let inside = down > 0.0 && (x - center).abs() < reach;
        let arch = down > 0.72 && (x - center).abs() < reach * 0.55;
        let deck = (down - 0.70).abs() < 0.035 || (down - 0.42).abs() < 0.03;
        if inside && (!arch || deck) {
            [0.35, 0.25, 0.20]
        } else {
            mix(SKY, [0.96, 0.90, 0.86], down.clamp(0.0, 1.0))
        }
    }

    fn waves(&self, x: f32, y: f32, base: Rgb, crest: Rgb) -> Rgb {
        let wave =
            (y * 26.0 + 2.2 * (x * 6.0 + 6.3 * self.vary(1)).sin() + 3.0 * self.noise(x, y, 4.0)).sin();
        mix(base, crest, (wave - 0.35).max(0.0) * 1.2)
    }

    fn sunflowers(&self, x: f32, y: f32) -> Rgb {
        let (u, v) = (x * 4.0 + self.vary(1), y * 4.0 + self.vary(2));
        let (column, row) = (u.floor(), v.floor());
        let jitter = |which: i32| 0.3 + 0.4 * hash(column as i32, row as i32 + 50 * which, self.seed);
        let distance = (u - column - jitter(1)).hypot(v - row - jitter(2));
        if distance < 0.12 {
            [0.30, 0.18, 0.06]
        } else if distance < 0.29 {
            [1.0, 0.82, 0.05]
        } else {
            scale([0.25, 0.62, 0.18], 0.85 + 0.3 * self.noise(x, y, 10.0))
        }
    }

    fn mirror(&self, x: f32, y: f32) -> Rgb {
        let edge = x.min(1.0 - x).min(y).min(1.0 - y);
        if edge < 0.06 {
            return [0.70, 0.56, 0.22];
        }
        let glint = ((x + y) * 3.0 + 3.0 * self.vary(1)).fract();
        if glint < 0.12 { [0.97, 0.99, 1.0] } else { mix([0.62, 0.70, 0.76], [0.80, 0.86, 0.90], y) }
    }

    fn crowd(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let column = (x * 7.0 + self.vary(1)).floor() as i32;
        let u = (x * 7.0 + self.vary(1)).fract() - 0.5;
        let top = horizon - 0.20 - 0.16 * hash(column, 2, self.seed);
        let head = (u / 7.0).hypot(y - top) < 0.045;
        let body = u.abs() < 0.34 && y > top + 0.05 && y < horizon + 0.1;
        if head {
            [0.88, 0.68, 0.54]
        } else if body {
            std::array::from_fn(|channel| 0.15 + 0.75 * hash(column, 10 + channel as i32, self.seed))
        } else if y > horizon {
            let joint = (x * 4.0).fract() < 0.04 || (y * 7.0).fract() < 0.07;
            if joint { [0.45, 0.45, 0.45] } else { [0.68, 0.67, 0.65] }
        } else {
            [0.50, 0.38, 0.34]
        }
    }

    fn dirt_road(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        if y < horizon {
            return SKY;
        }
        let reach = 0.10 + 0.55 * (y - horizon) / (1.0 - horizon);
        let grit = 0.88 + 0.24 * self.noise(x, y, 10.0);
        let bend = 0.5 + 0.1 * (self.vary(1) - 0.5);
        if (x - bend).abs() < reach { scale([0.60, 0.42, 0.26], grit) } else { scale(GRASS, grit) }
    }

    fn white_rug(&self, x: f32, y: f32) -> Rgb {
        let shag = self.noise(x, y, 14.0);
        let rug = ((x - 0.5) / 0.50).powi(2) + ((y - 0.62) / 0.40).powi(2);
        if rug < 0.9 + 0.15 * shag {
            scale([0.97, 0.95, 0.92], 0.86 + 0.14 * shag)
        } else {
            scale([0.36, 0.30, 0.28], 0.9 + 0.2 * self.vary(2))
        }
    }

    fn studio(&self, _x: f32, y: f32) -> Rgb {
        let hue: Rgb = std::array::from_fn(|channel| 0.45 + 0.5 * self.vary(1 + channel as i32));
        scale(hue, 1.05 - 0.25 * y)
    }

    fn table(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let wall: Rgb = std::array::from_fn(|channel| 0.6 + 0.35 * self.vary(1 + channel as i32));
        if y < horizon { wall } else { scale([0.58, 0.38, 0.22], 0.9 + 0.15 * self.noise(x, 4.0 * y, 8.0)) }
    }

    fn room(&self, x: f32, y: f32, horizon: f32) -> Rgb {
        let left = 0.1 + 0.5 * self.vary(4);
        let frame = (x - left - 0.13).abs().max((y - 0.2).abs());
        if y > horizon {
            [0.55, 0.48, 0.42]
        } else if frame < 0.11 {
            [0.75, 0.88, 0.97]
        } else if frame < 0.14 {
            [0.98, 0.98, 0.98]
        } else {
            std::array::from_fn(|channel| 0.7 + 0.25 * self.vary(1 + channel as i32))
        }
    }
}

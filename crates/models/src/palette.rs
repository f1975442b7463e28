//! The colours in which a segmentation map is shown to the condition encoder.

use tch::{Kind, Tensor};

/// Colour 0xRRGGBB of each of ADE20K's 150 classes, from class 1 on: the benchmark's own. Classes 7 and 49 share one.
const ADE20K: [u32; 150] = [
    0x787878, 0xb47878, 0x06e6e6, 0x503232, 0x04c803, 0x787850, 0x8c8c8c, 0xcc05ff, 0xe6e6e6, 0x04fa07,
    0xe005ff, 0xebff07, 0x96053d, 0x787846, 0x08ff33, 0xff0652, 0x8fff8c, 0xccff04, 0xff3307, 0xcc4603,
    0x0066c8, 0x3de6fa, 0xff0633, 0x0b66ff, 0xff0747, 0xff09e0, 0x0907e6, 0xdcdcdc, 0xff095c, 0x7009ff,
    0x08ffd6, 0x07ffe0, 0xffb806, 0x0aff47, 0xff290a, 0x07ffff, 0xe0ff08, 0x6608ff, 0xff3d06, 0xffc207,
    0xff7a08, 0x00ff14, 0xff0829, 0xff0599, 0x0633ff, 0xeb0cff, 0xa09614, 0x00a3ff, 0x8c8c8c, 0xfa0a0f,
    0x14ff00, 0x1fff00, 0xff1f00, 0xffe000, 0x99ff00, 0x0000ff, 0xff4700, 0x00ebff, 0x00adff, 0x1f00ff,
    0x0bc8c8, 0xff5200, 0x00fff5, 0x003dff, 0x00ff70, 0x00ff85, 0xff0000, 0xffa300, 0xff6600, 0xc2ff00,
    0x008fff, 0x33ff00, 0x0052ff, 0x00ff29, 0x00ffad, 0x0a00ff, 0xadff00, 0x00ff99, 0xff5c00, 0xff00ff,
    0xff00f5, 0xff0066, 0xffad00, 0xff0014, 0xffb8b8, 0x001fff, 0x00ff3d, 0x0047ff, 0xff00cc, 0x00ffc2,
    0x00ff52, 0x000aff, 0x0070ff, 0x3300ff, 0x00c2ff, 0x007aff, 0x00ffa3, 0xff9900, 0x00ff0a, 0xff7000,
    0x8fff00, 0x5200ff, 0xa3ff00, 0xffeb00, 0x08b8aa, 0x8500ff, 0x00ff5c, 0xb800ff, 0xff001f, 0x00b8ff,
    0x00d6ff, 0xff0070, 0x5cff00, 0x00e0ff, 0x70e0ff, 0x46b8a0, 0xa300ff, 0x9900ff, 0x47ff00, 0xff00a3,
    0xffcc00, 0xff008f, 0x00ffeb, 0x85ff00, 0xff00eb, 0xf500ff, 0xff007a, 0xfff500, 0x0abed4, 0xd6ff00,
    0x00ccff, 0x1400ff, 0xffff00, 0x0099ff, 0x0029ff, 0x00ffcc, 0x2900ff, 0x29ff00, 0xad00ff, 0x00f5ff,
    0x4700ff, 0x7a00ff, 0x00ffb8, 0x005cff, 0xb8ff00, 0x0085ff, 0xffd600, 0x19c2c2, 0x66ff00, 0x5c00ff,
];

/// Most classes that have a colour.
pub const CLASSES: usize = ADE20K.len();

/// Red, green and blue of a label; 0, unlabelled, is black. Panics above [`CLASSES`].
pub fn color(label: u8) -> [u8; 3] {
    match label {
        0 => [0; 3],
        label => {
            let [_, red, green, blue] = ADE20K[usize::from(label) - 1].to_be_bytes();
            [red, green, blue]
        }
    }
}

/// The first label of this colour.
pub fn label(color: [u8; 3]) -> Option<u8> {
    let [red, green, blue] = color;
    let wanted = u32::from_be_bytes([0, red, green, blue]);
    match wanted {
        0 => Some(0),
        wanted => ADE20K.iter().position(|&known| known == wanted).map(|index| index as u8 + 1),
    }
}

/// Colours `[N, 3, H, W]` in [0, 1] of label maps `[N, H, W]`, in `kind`.
pub fn colored(labels: &Tensor, kind: Kind) -> Tensor {
    let colors: Vec<u8> = (0..=CLASSES as u8).flat_map(color).collect();
    let colors = Tensor::from_slice(&colors).view([-1, 3]).to_kind(kind).to_device(labels.device()) / 255.0;
    let size = [labels.size(), vec![3]].concat();
    let rows = colors.index_select(0, &labels.to_kind(Kind::Int64).view([-1]));
    rows.view(size.as_slice()).permute([0, 3, 1, 2]).contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_has_its_label_s_colour() {
        let labels = Tensor::from_slice(&[0u8, 1, 3, 150]).view([1, 2, 2]);
        let colored = colored(&labels, Kind::Float);
        assert_eq!(colored.size(), [1, 3, 2, 2]);
        let pixel = |y: i64, x: i64| {
            let values = Vec::<f32>::try_from(colored.select(0, 0).select(1, y).select(1, x) * 255.0);
            values.unwrap().into_iter().map(f32::round).collect::<Vec<_>>()
        };
        assert_eq!(pixel(0, 0), [0.0, 0.0, 0.0]);
        assert_eq!(pixel(0, 1), [120.0, 120.0, 120.0]);
        assert_eq!(pixel(1, 0), [6.0, 230.0, 230.0]);
        assert_eq!(pixel(1, 1), [92.0, 0.0, 255.0]);
    }

    #[test]
    fn labels_and_colours_are_each_others_inverse_but_for_the_colour_that_two_classes_share() {
        for of in 0..=CLASSES as u8 {
            let expected = if of == 49 { 7 } else { of };
            assert_eq!(label(color(of)), Some(expected), "{of}");
        }
        assert_eq!((color(1), color(150)), ([120, 120, 120], [92, 0, 255]));
        assert_eq!(label([1, 2, 3]), None);
    }
}

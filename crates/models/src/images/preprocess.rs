//! What a vision tower's `preprocessor_config.json` asks for, done as transformers' processors do it.

use std::path::{Path, PathBuf};

use image::{RgbImage, imageops};
use serde::Deserialize;
use tch::Tensor;

use super::resize::{Filter, Window, resize_window, with_shorter_side};
use crate::config::{self, Others};
use crate::weights::{WeightsError, read_config};

/// What can be wrong with a `preprocessor_config.json`.
#[derive(Debug, thiserror::Error)]
pub enum PreprocessorError {
    #[error(transparent)]
    File(#[from] WeightsError),
    #[error("{path}: {key}: found {found}; {right}", path = path.display())]
    Value { path: PathBuf, key: &'static str, found: String, right: String },
}

/// Pictures to the input of a vision tower: resized, cut to a square, and normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessor {
    resize: Resize,
    filter: Filter,
    /// Side of the square that comes out, cut from the middle.
    size: u32,
    middle: Middle,
    rescale_factor: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Resize {
    Off,
    ShorterSide(u32),
    /// Width and height, whatever the shape was.
    Exact(u32, u32),
}

/// Where the middle lies when it does not fall between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Middle {
    /// transformers' processors: up and to the left.
    Down,
    /// torchvision's `CenterCrop`: half a pixel to the even one.
    Even,
}

impl Middle {
    pub(super) fn start(self, slack: u64) -> u64 {
        match self {
            Middle::Down => slack / 2,
            Middle::Even => slack / 2 + u64::from(slack % 4 == 3),
        }
    }
}

/// The keys of the file that say what is done.
#[derive(Deserialize)]
struct Config {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u32>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
    /// Whether a bare number is both sides.
    default_to_square: Option<bool>,
}

impl config::Config for Config {
    const OTHERS: Others = Others {
        ignored: &[
            // Which class reads the file, and where its tensors lie.
            &["processor_class device disable_grouping return_tensors"],
            // Pictures are read as RGB, and their channels are in front, whatever their file is like.
            &["do_convert_rgb data_format input_data_format"],
        ],
        only: &[&[("do_pad do_rescale_offset rescale_offset", &["false", "null"])]],
    };

    fn check(&self) -> Result<(), String> {
        for (key, values) in [("image_mean", self.image_mean), ("image_std", self.image_std)] {
            if let Some(values) = values.filter(|values| !values.iter().all(|value| value.is_finite())) {
                return Err(format!("`{key}` is {values:?}; every value has to be finite"));
            }
        }
        self.rescale_factor.map_or(Ok(()), |factor| config::positive_number("rescale_factor", factor))
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a number of pixels, {height, width} or {shortest_edge}")]
enum Size {
    Number(u32),
    Sides { height: u32, width: u32 },
    Shorter { shortest_edge: u32 },
}

impl Size {
    /// Width and height, where a number means both.
    fn sides(self) -> Option<(u32, u32)> {
        match self {
            Size::Number(side) => Some((side, side)),
            Size::Sides { height, width } => Some((width, height)),
            Size::Shorter { .. } => None,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Size::Number(side) => write!(formatter, "{side}"),
            Size::Sides { height, width } => write!(formatter, "height {height}, width {width}"),
            Size::Shorter { shortest_edge } => write!(formatter, "shortest_edge {shortest_edge}"),
        }
    }
}

/// Processors whose defaults and whose reading of a bare number differ.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// CLIP's and BiT's: a number is the shorter side, then the centre is cut.
    Clip,
    /// ViT's: a number is both sides, nothing is cut.
    Vit,
    /// A file that names no processor and asks for none of that.
    Plain,
}

const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
const HALF: [f64; 3] = [0.5; 3];
const BYTE: f64 = 1.0 / 255.0;

impl Preprocessor {
    /// Reads `preprocessor_config.json` of `folder`, for a network that takes squares of `size` pixels.
    ///
    /// `CLIPImageProcessor`, `BitImageProcessor` and `ViTImageProcessor` are known, under these names, as `…Fast` (computed
    /// as the slow one) and as the older `…FeatureExtractor`. Where the file asks neither to resize nor to cut, a picture of
    /// another size than `size` is scaled to that shorter side, bilinearly by default, and cut to the centre square.
    ///
    /// Errors: an unreadable file, an unknown processor or filter, and sizes that do not give squares of `size` pixels.
    pub fn read(folder: &Path, size: u32) -> Result<Preprocessor, PreprocessorError> {
        let path = Preprocessor::file(folder);
        let config: Config = read_config(&path)?;
        config.resolve(size).map_err(|(key, found, right)| PreprocessorError::Value {
            path,
            key,
            found,
            right,
        })
    }

    /// The file that [`Preprocessor::read`] reads in `folder`.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join("preprocessor_config.json")
    }

    /// Both sides to `size` with the bilinear filter, values to [-1, 1]: what the published port of DINO's ViT-S/16 asked
    /// for at first.
    pub fn squashed(size: u32) -> Preprocessor {
        Preprocessor::new(Resize::Exact(size, size), Filter::Bilinear, size, Middle::Even, (HALF, HALF))
    }

    /// The evaluation of DINO's authors: the shorter side bicubically to 8/7 of `size` (256 for 224), the centre square,
    /// ImageNet's mean and standard deviation.
    pub fn cropped(size: u32) -> Preprocessor {
        let resize = Resize::ShorterSide(size * 8 / 7);
        Preprocessor::new(resize, Filter::Bicubic, size, Middle::Even, (IMAGENET_MEAN, IMAGENET_STD))
    }

    fn new(
        resize: Resize,
        filter: Filter,
        size: u32,
        middle: Middle,
        (mean, std): ([f64; 3], [f64; 3]),
    ) -> Preprocessor {
        let single = |values: [f64; 3]| values.map(|value| value as f32);
        Preprocessor {
            resize,
            filter,
            size,
            middle,
            rescale_factor: BYTE,
            mean: single(mean),
            std: single(std),
        }
    }

    /// `picture` resized and cut, or padded with black, to the square.
    pub fn resized(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = match self.resize {
            Resize::Off => (picture.width().into(), picture.height().into()),
            Resize::ShorterSide(size) => with_shorter_side(picture, size),
            Resize::Exact(width, height) => (width.into(), height.into()),
        };
        let window = |of: u64| {
            let length = of.min(self.size.into());
            Window { of, start: self.middle.start(of - length), length: length as u32 }
        };
        let part = resize_window(picture, window(width), window(height), self.filter);
        if part.dimensions() == (self.size, self.size) {
            return part;
        }
        let mut padded = RgbImage::new(self.size, self.size);
        let before = |length: u32| i64::from((self.size - length).div_ceil(2));
        imageops::replace(&mut padded, &part, before(part.width()), before(part.height()));
        padded
    }

    /// Values `[N, 3, size, size]` of `pictures` of any sizes, in f32 on the CPU.
    ///
    /// Panics without a picture.
    pub fn apply(&self, pictures: &[RgbImage]) -> Tensor {
        let resized: Vec<RgbImage> = pictures.iter().map(|picture| self.resized(picture)).collect();
        let value = |channel: usize, byte: u8| {
            let value = (f64::from(byte) * self.rescale_factor) as f32;
            (value - self.mean[channel]) / self.std[channel]
        };
        let table: Vec<[f32; 256]> =
            (0..3).map(|channel| std::array::from_fn(|byte| value(channel, byte as u8))).collect();
        let mut values = Vec::with_capacity(resized.len() * 3 * (self.size as usize).pow(2));
        for picture in &resized {
            for (channel, table) in table.iter().enumerate() {
                values.extend(picture.pixels().map(|pixel| table[usize::from(pixel.0[channel])]));
            }
        }
        Tensor::from_slice(&values).view([resized.len() as i64, 3, self.size.into(), self.size.into()])
    }
}

type Refusal = (&'static str, String, String);

impl Config {
    fn resolve(self, network: u32) -> Result<Preprocessor, Refusal> {
        let family = self.family()?;
        if let Some(squares) = self.default_to_square.filter(|squares| *squares == (family == Family::Clip)) {
            return Err((
                "default_to_square",
                squares.to_string(),
                format!("this processor takes {}", !squares),
            ));
        }
        let filter = match (self.resample, family) {
            (Some(0), _) => Filter::Nearest,
            (Some(2), _) | (None, Family::Vit | Family::Plain) => Filter::Bilinear,
            (Some(3), _) | (None, Family::Clip) => Filter::Bicubic,
            (Some(other), _) => {
                let right = "0 (nearest), 2 (bilinear) and 3 (bicubic) are known";
                return Err(("resample", other.to_string(), right.to_owned()));
            }
        };
        let is_cut = family == Family::Clip && self.do_center_crop.unwrap_or(true);
        let resize = match (self.do_resize.unwrap_or(family != Family::Plain), is_cut) {
            (true, _) => self.resize(family, is_cut, network)?,
            (false, true) => Resize::Off,
            (false, false) => Resize::ShorterSide(network),
        };
        let crop = self.crop_size.unwrap_or(Size::Number(224));
        if is_cut && crop.sides() != Some((network, network)) {
            return Err(("crop_size", crop.to_string(), takes(network)));
        }
        let mut made = Preprocessor::new(resize, filter, network, Middle::Down, self.statistics(family)?);
        made.rescale_factor = match self.do_rescale.unwrap_or(true) {
            true => self.rescale_factor.unwrap_or(BYTE),
            false => 1.0,
        };
        Ok(made)
    }

    fn resize(&self, family: Family, is_cut: bool, network: u32) -> Result<Resize, Refusal> {
        let size = self.size.unwrap_or(Size::Number(224));
        let shorter = match size {
            Size::Number(side) if family == Family::Clip => Some(side),
            Size::Shorter { shortest_edge } if family == Family::Clip => Some(shortest_edge),
            _ => None,
        };
        let right = match (shorter, size.sides()) {
            (Some(0), _) | (None, Some((0, _) | (_, 0))) => "a side has at least 1 pixel".to_owned(),
            (Some(side), _) if is_cut => return Ok(Resize::ShorterSide(side)),
            (Some(_), _) => "without `do_center_crop` that gives no squares".to_owned(),
            (None, None) => "this processor takes a number or {height, width}".to_owned(),
            (None, Some((width, height))) if is_cut || (width, height) == (network, network) => {
                return Ok(Resize::Exact(width, height));
            }
            _ => takes(network),
        };
        Err(("size", size.to_string(), right))
    }

    fn family(&self) -> Result<Family, Refusal> {
        let asks_for_crop = self.do_center_crop == Some(true) || self.crop_size.is_some();
        let Some(name) = self.image_processor_type.as_deref().or(self.feature_extractor_type.as_deref())
        else {
            return Ok(match (asks_for_crop, self.size.is_some() || self.do_resize == Some(true)) {
                (true, _) => Family::Clip,
                (false, true) => Family::Vit,
                (false, false) => Family::Plain,
            });
        };
        let stem = ["ImageProcessorFast", "ImageProcessor", "FeatureExtractor"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending));
        match stem {
            Some("CLIP" | "Bit") => Ok(Family::Clip),
            Some("ViT") => Ok(Family::Vit),
            _ => Err((
                "image_processor_type",
                format!("`{name}`"),
                "CLIPImageProcessor, BitImageProcessor and ViTImageProcessor are known".to_owned(),
            )),
        }
    }

    fn statistics(&self, family: Family) -> Result<([f64; 3], [f64; 3]), Refusal> {
        if self.do_normalize == Some(false) {
            return Ok(([0.0; 3], [1.0; 3]));
        }
        let (mean, std) = match family {
            Family::Clip => (CLIP_MEAN, CLIP_STD),
            Family::Vit | Family::Plain => (HALF, HALF),
        };
        let (mean, std) = (self.image_mean.unwrap_or(mean), self.image_std.unwrap_or(std));
        // In 32-bit numbers, which is how pictures are divided by them.
        if !std.iter().all(|value| *value as f32 > 0.0 && (1.0 / *value as f32).is_finite()) {
            return Err(("image_std", format!("{std:?}"), "every value has to be above 0".to_owned()));
        }
        if !mean.iter().all(|value| (*value as f32).is_finite()) {
            return Err(("image_mean", format!("{mean:?}"), "every value has to be finite".to_owned()));
        }
        Ok((mean, std))
    }
}

fn takes(network: u32) -> String {
    format!("the network takes {network} x {network} pixels")
}

#[cfg(test)]
mod tests;

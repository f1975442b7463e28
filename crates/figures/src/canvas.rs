//! A list of shapes in figure pixels, painted by plotters as SVG or as a bitmap.
//!
//! Both come from the same list at `UNIT` backend units per figure pixel, so lines are placed finer than a
//! pixel and the bitmap is smooth when it is scaled down. Letters of the bitmap are set here from the embedded
//! font, because plotters drops each letter's side bearing.

use std::path::Path;
use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};
use plotters::prelude::{BitMapBackend, DrawingBackend, FontTransform, IntoFont, RGBAColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle, TextStyle};

use crate::error::{FiguresError, Result};
use crate::style::{Colour, FONT, FONT_FAMILY, Marker, WHITE};

/// Backend units in a figure pixel.
const UNIT: f64 = 4.0;
/// Corners of markers, for a radius of one.
const SQUARE: [(f64, f64); 4] = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)];
const DIAMOND: [(f64, f64); 4] = [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)];
const TRIANGLE_UP: [(f64, f64); 3] = [(0.0, -1.3), (1.15, 0.65), (-1.15, 0.65)];
const TRIANGLE_DOWN: [(f64, f64); 3] = [(0.0, 1.3), (1.15, -0.65), (-1.15, -0.65)];
/// plotters' SVG backend divides a font's size by this to get the em.
const PLOTTERS_SIZE_PER_EM: f64 = 1.24;
/// plotters sets centred SVG text half an x-height below its point: 0.26 em in Arimo.
const CENTRE_TO_BASELINE: f64 = 0.26;
/// From there to where capitals and figures, not small letters, are centred.
const CAPITALS_SHIFT: f64 = 0.09;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Centre,
    Right,
}

enum Shape {
    Path { points: Vec<(f64, f64)>, colour: Colour, alpha: f64, width: f64 },
    Polygon { points: Vec<(f64, f64)>, colour: Colour, alpha: f64 },
    Circle { centre: (f64, f64), radius: f64, colour: Colour, alpha: f64 },
    Text { text: String, at: (f64, f64), size: f64, colour: Colour, align: Align, upwards: bool },
}

pub struct Canvas {
    pub width: f64,
    pub height: f64,
    shapes: Vec<Shape>,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        let mut canvas = Self { width, height, shapes: Vec::new() };
        canvas.polygon(&[(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)], WHITE, 1.0);
        canvas
    }

    pub fn path(&mut self, points: &[(f64, f64)], colour: Colour, alpha: f64, width: f64) {
        self.shapes.push(Shape::Path { points: points.to_vec(), colour, alpha, width });
    }

    pub fn dashes(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, width: f64) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let (dash, gap) = (6.0, 4.0);
        let count = (length / (dash + gap)).ceil().min(1000.0) as usize;
        let along = |distance: f64| {
            let share = (distance / length).min(1.0);
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        };
        for index in 0..count {
            let start = index as f64 * (dash + gap);
            self.path(&[along(start), along(start + dash)], colour, 1.0, width);
        }
    }

    pub fn polygon(&mut self, points: &[(f64, f64)], colour: Colour, alpha: f64) {
        self.shapes.push(Shape::Polygon { points: points.to_vec(), colour, alpha });
    }

    pub fn circle(&mut self, centre: (f64, f64), radius: f64, colour: Colour, alpha: f64) {
        self.shapes.push(Shape::Circle { centre, radius, colour, alpha });
    }

    /// A line of text, its capitals centred on `at.1`.
    pub fn text(&mut self, text: &str, at: (f64, f64), size: f64, colour: Colour, align: Align) {
        self.shapes.push(Shape::Text { text: text.to_owned(), at, size, colour, align, upwards: false });
    }

    /// A line of text that reads from bottom to top, centred on `at`.
    pub fn text_upwards(&mut self, text: &str, at: (f64, f64), size: f64, colour: Colour) {
        let align = Align::Centre;
        self.shapes.push(Shape::Text { text: text.to_owned(), at, size, colour, align, upwards: true });
    }

    /// A marker of about `radius`, with a thin white edge that keeps neighbours apart.
    pub fn marker(&mut self, marker: Marker, at: (f64, f64), radius: f64, colour: Colour) {
        let (x, y) = at;
        let mut filled = |corners: &[(f64, f64)], hollow: bool| {
            let scaled = |radius: f64| -> Vec<_> {
                corners.iter().map(|(dx, dy)| (x + dx * radius, y + dy * radius)).collect()
            };
            self.polygon(&scaled(radius + 1.5), WHITE, 1.0);
            self.polygon(&scaled(radius), colour, 1.0);
            if hollow {
                self.polygon(&scaled(radius * 0.5), WHITE, 1.0);
            }
        };
        match marker {
            Marker::Circle | Marker::Ring => {
                self.circle(at, radius + 1.0, WHITE, 1.0);
                self.circle(at, radius, colour, 1.0);
                if marker == Marker::Ring {
                    self.circle(at, radius * 0.55, WHITE, 1.0);
                }
            }
            Marker::Square => filled(&SQUARE, false),
            Marker::Frame => filled(&SQUARE, true),
            Marker::Diamond => filled(&DIAMOND, false),
            Marker::DiamondFrame => filled(&DIAMOND, true),
            Marker::TriangleUp => filled(&TRIANGLE_UP, false),
            Marker::TriangleUpFrame => filled(&TRIANGLE_UP, true),
            Marker::TriangleDown => filled(&TRIANGLE_DOWN, false),
            Marker::TriangleDownFrame => filled(&TRIANGLE_DOWN, true),
            Marker::TriangleLeft => filled(&[(-1.3, 0.0), (0.65, -1.15), (0.65, 1.15)], false),
            Marker::TriangleRight => filled(&[(1.3, 0.0), (-0.65, -1.15), (-0.65, 1.15)], false),
            Marker::Plus => {
                for (ink, arm, width) in [(WHITE, radius + 2.0, 5.6), (colour, radius + 0.5, 3.0)] {
                    self.path(&[(x - arm, y), (x + arm, y)], ink, 1.0, width);
                    self.path(&[(x, y - arm), (x, y + arm)], ink, 1.0, width);
                }
            }
            Marker::Cross => {
                let arm = radius * 0.85;
                self.path(&[(x - arm, y - arm), (x + arm, y + arm)], colour, 1.0, 2.2);
                self.path(&[(x - arm, y + arm), (x + arm, y - arm)], colour, 1.0, 2.2);
            }
        }
    }

    pub fn to_svg(&self, path: &Path) -> Result<String> {
        let size = (units(self.width) as u32, units(self.height) as u32);
        let mut svg = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut svg, size);
            for shape in &self.shapes {
                paint(&mut backend, shape, svg_text).map_err(|error| FiguresError::drawing(path, error))?;
            }
            backend.present().map_err(|error| FiguresError::drawing(path, error))?;
        }
        let drawn = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
        Ok(svg.replacen(&drawn, &format!("<svg width=\"{}\" height=\"{}\"", self.width, self.height), 1))
    }

    /// The picture at `density` picture pixels per figure pixel, 1 or 2.
    pub fn to_image(&self, density: u32, path: &Path) -> Result<RgbImage> {
        let (width, height) = (units(self.width) as u32, units(self.height) as u32);
        let mut pixels = vec![255_u8; width as usize * height as usize * 3];
        {
            let mut backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
            for shape in &self.shapes {
                paint(&mut backend, shape, bitmap_text)
                    .map_err(|error| FiguresError::drawing(path, error))?;
            }
        }
        let drawn = RgbImage::from_raw(width, height, pixels).expect("three bytes for each pixel");
        Ok(averaged(&drawn, UNIT as u32 / density))
    }
}

/// Each `block` × `block` square as one pixel.
fn averaged(drawn: &RgbImage, block: u32) -> RgbImage {
    let (stride, area) = (drawn.width() as usize * 3, block * block);
    let bytes = drawn.as_raw();
    RgbImage::from_fn(drawn.width() / block, drawn.height() / block, |x, y| {
        let mut sums = [0_u32; 3];
        for row in (y * block..(y + 1) * block).map(|row| row as usize * stride) {
            let first = row + (x * block * 3) as usize;
            for (index, byte) in bytes[first..first + block as usize * 3].iter().enumerate() {
                sums[index % 3] += u32::from(*byte);
            }
        }
        Rgb(sums.map(|sum| ((sum + area / 2) / area) as u8))
    })
}

/// Width of a line of text in figure pixels.
pub fn text_width(text: &str, size: f64) -> f64 {
    let scaled = font().as_scaled(pixel_scale(size));
    text.chars().map(|letter| f64::from(scaled.h_advance(scaled.glyph_id(letter)))).sum()
}

fn font() -> &'static FontRef<'static> {
    static PARSED: OnceLock<FontRef<'static>> = OnceLock::new();
    PARSED.get_or_init(|| FontRef::try_from_slice(FONT).expect("the embedded font is a TrueType font"))
}

/// ab_glyph's scale is the height from descent to ascent, not the em.
fn pixel_scale(em: f64) -> PxScale {
    let per_em = f64::from(font().height_unscaled())
        / f64::from(font().units_per_em().expect("a TrueType font states its units per em"));
    PxScale::from((em * per_em) as f32)
}

fn units(figure_pixels: f64) -> i32 {
    (figure_pixels * UNIT).round().clamp(-1e6, 1e6) as i32
}

fn place(point: (f64, f64)) -> (i32, i32) {
    (units(point.0), units(point.1))
}

fn tint(colour: Colour, alpha: f64) -> RGBAColor {
    RGBAColor(colour.0, colour.1, colour.2, alpha)
}

/// plotters does not export its error type; its message is what counts.
type Painted = std::result::Result<(), String>;

fn text_of(error: impl ToString) -> String {
    error.to_string()
}

fn paint<DB: DrawingBackend>(
    backend: &mut DB,
    shape: &Shape,
    set_text: impl Fn(&mut DB, &TextLine) -> Painted,
) -> Painted {
    match shape {
        Shape::Path { points, colour, alpha, width } => {
            let stroke_width = units(*width).max(1) as u32;
            let stroke = ShapeStyle { color: tint(*colour, *alpha), filled: false, stroke_width };
            backend.draw_path(points.iter().map(|point| place(*point)), &stroke).map_err(text_of)
        }
        Shape::Polygon { points, colour, alpha } => {
            let fill = tint(*colour, *alpha).filled();
            backend.fill_polygon(points.iter().map(|point| place(*point)), &fill).map_err(text_of)
        }
        Shape::Circle { centre, radius, colour, alpha } => {
            let fill = tint(*colour, *alpha).filled();
            backend.draw_circle(place(*centre), units(*radius).max(1) as u32, &fill, true).map_err(text_of)
        }
        Shape::Text { text, at, size, colour, align, upwards } => {
            let shift = size * CAPITALS_SHIFT;
            let at = if *upwards { (at.0 + shift, at.1) } else { (at.0, at.1 + shift) };
            let line = TextLine {
                text,
                at: place(at),
                em: size * UNIT,
                colour: *colour,
                align: *align,
                upwards: *upwards,
            };
            set_text(backend, &line)
        }
    }
}

/// A line of text in backend units.
struct TextLine<'a> {
    text: &'a str,
    at: (i32, i32),
    em: f64,
    colour: Colour,
    align: Align,
    upwards: bool,
}

fn svg_text<DB: DrawingBackend>(backend: &mut DB, line: &TextLine) -> Painted {
    let across = match line.align {
        Align::Left => HPos::Left,
        Align::Centre => HPos::Center,
        Align::Right => HPos::Right,
    };
    let turn = if line.upwards { FontTransform::Rotate270 } else { FontTransform::None };
    let font = (FONT_FAMILY, line.em * PLOTTERS_SIZE_PER_EM).into_font().transform(turn);
    let ink = tint(line.colour, 1.0);
    let style = TextStyle::from(font).color(&ink).pos(Pos::new(across, VPos::Center));
    backend.draw_text(line.text, &style, line.at).map_err(text_of)
}

fn bitmap_text<DB: DrawingBackend>(backend: &mut DB, line: &TextLine) -> Painted {
    let scaled = font().as_scaled(pixel_scale(line.em));
    let length = text_width(line.text, line.em);
    let mut along = match line.align {
        Align::Left => 0.0,
        Align::Centre => -length / 2.0,
        Align::Right => -length,
    } as f32;
    let baseline = (line.em * CENTRE_TO_BASELINE) as f32;
    for letter in line.text.chars() {
        let id = scaled.glyph_id(letter);
        let glyph: Glyph = id.with_scale_and_position(scaled.scale(), point(along, baseline));
        along += scaled.h_advance(id);
        let Some(outline) = font().outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        let mut inked = Vec::new();
        outline.draw(|x, y, coverage| inked.push((x, y, coverage)));
        for (x, y, coverage) in inked {
            let (dx, dy) = (bounds.min.x as i32 + x as i32, bounds.min.y as i32 + y as i32);
            let at = if line.upwards {
                (line.at.0 + dy, line.at.1 - dx)
            } else {
                (line.at.0 + dx, line.at.1 + dy)
            };
            let ink = tint(line.colour, f64::from(coverage.clamp(0.0, 1.0)));
            backend.draw_pixel(at, ink.to_backend_color()).map_err(text_of)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::INK;

    #[test]
    fn the_font_has_every_letter_of_the_titles_and_formulations() {
        for method in results::METHODS.iter() {
            let letters = format!("{}{}±×·…−–′‖ΔF0123456789", method.title, method.formula);
            for letter in letters.chars() {
                assert_ne!(font().glyph_id(letter).0, 0, "no glyph for `{letter}`");
            }
        }
    }

    #[test]
    fn a_wider_text_is_wider_and_size_scales_it() {
        assert!(text_width("DeLoRA", 10.0) > text_width("LoRA", 10.0));
        assert!((text_width("LoRA", 20.0) - 2.0 * text_width("LoRA", 10.0)).abs() < 1e-3);
    }

    #[test]
    fn text_leaves_ink_where_it_is_aligned() {
        for (align, expected) in [(Align::Left, (50, 80)), (Align::Right, (20, 50))] {
            let mut canvas = Canvas::new(100.0, 40.0);
            canvas.text("HHH", (50.0, 20.0), 12.0, INK, align);
            let picture = canvas.to_image(1, Path::new("test.png")).unwrap();
            let dark: Vec<u32> = picture
                .enumerate_pixels()
                .filter(|(_, _, pixel)| pixel[0] < 120)
                .map(|(x, _, _)| x)
                .collect();
            assert!(!dark.is_empty());
            assert!(dark.iter().all(|x| (expected.0..expected.1).contains(x)), "{align:?}: {dark:?}");
        }
    }
}

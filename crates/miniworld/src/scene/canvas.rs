//! A scene's pixels: the object's parts over its shadow over the context, with what an attribute does to surfaces.

use super::{Pose, Scene};
use crate::SIZE;
use crate::instance::{Attribute, Instance};
use crate::noise::{hash, value_noise};
use crate::objects::{Ink, Part, outfit_parts, parts};
use crate::raster::{Rgb, Shape, mix, scale};

/// A scene made ready for drawing.
pub struct Canvas<'a> {
    scene: &'a Scene,
    /// Parts with the frame they are given in: scale and centre within the object's frame.
    parts: Vec<(Part, f32, [f32; 2])>,
    sin: f32,
    cos: f32,
    /// Width of a pixel in the object's frame.
    pixel: f32,
}

impl<'a> Canvas<'a> {
    pub fn new(scene: &'a Scene) -> Canvas<'a> {
        let Instance { class, kind, form, .. } = scene.instance;
        let object = parts(class, kind, &form);
        let placed: Vec<(Part, f32, [f32; 2])> = if scene.attribute == Some(Attribute::CubeShaped) {
            // A cube in the object's colours, with the object small on its front.
            let front = object.into_iter().map(|part| (part, 0.56, [-0.17, 0.2]));
            cube().into_iter().map(|part| (part, 1.0, [0.0, 0.0])).chain(front).collect()
        } else {
            let clothes = scene.outfit.map(outfit_parts).unwrap_or_default();
            object.into_iter().chain(clothes).map(|part| (part, 1.0, [0.0, 0.0])).collect()
        };
        let (sin, cos) = scene.pose.angle.sin_cos();
        Canvas { scene, parts: placed, sin, cos, pixel: 1.0 / (SIZE as f32 * scene.pose.scale) }
    }

    /// A picture's point in the object's frame.
    fn object_frame(&self, x: f32, y: f32) -> [f32; 2] {
        let Pose { center, scale, mirrored, .. } = self.scene.pose;
        let (dx, dy) = ((x - center[0]) / scale, (y - center[1]) / scale);
        let (u, v) = (dx * self.cos + dy * self.sin, dy * self.cos - dx * self.sin);
        [if mirrored { -u } else { u }, v]
    }

    /// Colour before the light, and how much of the pixel at a point of the picture, in 0..1, the object covers.
    pub fn pixel(&self, x: f32, y: f32) -> (Rgb, f32) {
        let mut color = self.scene.context.color(x, y);
        let point = self.object_frame(x, y);
        if point[0].abs() > 1.45 || point[1].abs() > 1.6 {
            return (color, 0.0);
        }
        let shadow = (point[0] / 0.95).hypot((point[1] - 0.98) / 0.22);
        color = scale(color, 1.0 - 0.45 * (1.15 - shadow).clamp(0.0, 0.8));
        let mut covered = 0.0f32;
        for (part, size, [left, top]) in &self.parts {
            let local = [(point[0] - left) / size, (point[1] - top) / size];
            let alpha = (0.5 - part.shape.distance(local) * size / self.pixel).clamp(0.0, 1.0);
            if alpha > 0.0 {
                color = mix(color, self.shade(part.ink, point, local), alpha);
                covered = covered.max(alpha);
            }
        }
        (color, covered)
    }

    fn shade(&self, ink: Ink, point: [f32; 2], local: [f32; 2]) -> Rgb {
        let Scene { instance, light, attribute, .. } = self.scene;
        let base = match ink {
            Ink::Main => instance.patterned(local),
            Ink::Second => instance.colors()[1],
            Ink::Fixed(color) => color,
        };
        let facing = point[0] * light.direction[0] + point[1] * light.direction[1];
        let (depth, grain) = match instance.texture {
            0 => (0.10, 0.0),
            1 => (0.16, 0.22),
            _ => (0.28, 0.0),
        };
        let fuzz = grain * (value_noise(point[0] * 7.0, point[1] * 7.0, 11) - 0.5);
        let mut color = scale(base, 1.0 + depth * facing + fuzz);
        match attribute {
            Some(Attribute::Shiny) => {
                let glint = (point[0] * 0.8 + point[1] * 0.6 + 0.35).abs();
                let spot = (point[0] + 0.3).hypot(point[1] + 0.4);
                let gloss = (1.0 - glint * 5.0).max(0.0) * 0.75 + (1.0 - spot * 3.0).max(0.0);
                color = mix(scale(color, 0.95), [1.0, 1.0, 1.0], gloss.min(1.0));
            }
            Some(Attribute::Wet) => {
                color = mix(scale(color, 0.55), [0.10, 0.18, 0.30], 0.2);
                let (u, v) = ((point[0] * 4.0).floor(), (point[1] * 4.0).floor());
                let drop = [u + 0.3 + 0.4 * hash(u as i32, v as i32, 5), v + 0.5];
                let distance = (point[0] * 4.0 - drop[0]).hypot((point[1] * 4.0 - drop[1]) * 0.7);
                if distance < 0.2 {
                    color = [0.75, 0.90, 1.0];
                }
            }
            _ => {}
        }
        color
    }
}

/// Three faces of a cube: top and side in the second colour, front in the main one.
fn cube() -> Vec<Part> {
    let face = |corners| Shape::Quad(corners);
    vec![
        Part { shape: face([[-0.85, -0.5], [0.5, -0.5], [0.9, -0.92], [-0.45, -0.92]]), ink: Ink::Second },
        Part {
            shape: face([[0.5, -0.5], [0.9, -0.92], [0.9, 0.48], [0.5, 0.9]]),
            ink: Ink::Fixed([0.22, 0.22, 0.24]),
        },
        Part { shape: face([[-0.85, -0.5], [0.5, -0.5], [0.5, 0.9], [-0.85, 0.9]]), ink: Ink::Main },
    ]
}

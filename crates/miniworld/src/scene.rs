//! One picture: an object with its looks, pose, clothes and attribute, in a context, under a light.

mod canvas;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SIZE;
use crate::contexts::{CONTEXTS, Context, NUM_CONTEXTS, SPOKEN};
use crate::instance::{Attribute, COLORS, Instance, PATTERNS};
use crate::objects::{CLASSES, is_live};
use crate::phrases::PHRASES;
use crate::prompts::{IDENTIFIERS, Request, requests};
use crate::raster::Rgb;
use canvas::Canvas;

#[derive(Debug, Clone, Copy)]
struct Pose {
    center: [f32; 2],
    /// Half the object's height as a share of the picture's.
    scale: f32,
    angle: f32,
    mirrored: bool,
}

#[derive(Debug, Clone, Copy)]
struct Light {
    direction: [f32; 2],
    brightness: f32,
    warmth: f32,
}

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Scene {
    pub instance: Instance,
    pub attribute: Option<Attribute>,
    pub outfit: Option<usize>,
    pub context: Context,
    pose: Pose,
    light: Light,
}

/// A picture and what is where in it.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Row-major RGB, `SIZE * SIZE * 3` bytes.
    pub rgb: Vec<u8>,
    /// Per pixel: 1 + the object's class, or 1 + the number of classes + the context.
    pub mask: Vec<u8>,
}

impl Scene {
    /// A scene of the pretraining distribution.
    pub fn sample(seed: u64) -> Scene {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let class = stream.random_range(0..CLASSES.len());
        let instance = Instance::sample_where(false, class, &mut stream);
        let mut scene = Scene::of(instance, &mut stream);
        if is_live(class) && stream.random_bool(0.4) {
            scene.outfit = Some(stream.random_range(0..PHRASES.live.len()));
        } else if stream.random_bool(0.2) {
            let attributes = [Attribute::Shiny, Attribute::Wet, Attribute::CubeShaped];
            scene.attribute = Some(attributes[stream.random_range(0..3usize)]);
        }
        scene
    }

    /// A scene for pairs of picture and label map, with looks that pretraining has seen or not.
    pub(crate) fn mapped(held_out: bool, seed: u64) -> Scene {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let class = stream.random_range(0..CLASSES.len());
        let instance = Instance::sample_where(held_out, class, &mut stream);
        Scene::of(instance, &mut stream)
    }

    /// Two pictures of one instance.
    pub fn pair(seed: u64) -> (Scene, Scene) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let class = stream.random_range(0..CLASSES.len());
        let instance = Instance::sample_where(false, class, &mut stream);
        (Scene::dressed(instance, &mut stream), Scene::dressed(instance, &mut stream))
    }

    /// Two pictures of one held-out instance, and one of another of its class.
    pub fn triplet(seed: u64) -> (Scene, Scene, Scene) {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let class = stream.random_range(0..CLASSES.len());
        let instance = Instance::sample_where(true, class, &mut stream);
        let other = Instance::sample_where(true, class, &mut stream);
        (Scene::of(instance, &mut stream), Scene::of(instance, &mut stream), Scene::of(other, &mut stream))
    }

    /// A held-out instance of `class` in the scene that DreamBooth's prompt number `prompt` asks for.
    pub fn from_prompt(class: usize, prompt: usize, seed: u64) -> Scene {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut instance = Instance::sample_where(true, class, &mut stream);
        let request = requests(is_live(class))[prompt];
        if let Request::Color(color) = request {
            instance.main = color;
        }
        let mut scene = Scene::of(instance, &mut stream);
        match request {
            Request::Context(index) => scene.context.index = index,
            Request::Outfit(index) => scene.outfit = Some(index),
            Request::Attribute(attribute) => scene.attribute = Some(attribute),
            Request::Color(_) => {}
        }
        scene
    }

    /// `instance` somewhere, as it is.
    pub(crate) fn of(instance: Instance, stream: &mut impl Rng) -> Scene {
        let index = if stream.random_bool(0.8) {
            stream.random_range(0..SPOKEN)
        } else {
            stream.random_range(SPOKEN..NUM_CONTEXTS)
        };
        let angle = stream.random_range(0.0..std::f32::consts::TAU);
        Scene {
            instance,
            attribute: None,
            outfit: None,
            context: Context { index, seed: stream.random() },
            pose: Pose {
                center: [stream.random_range(0.40..0.60), stream.random_range(0.50..0.64)],
                scale: stream.random_range(0.31..0.42),
                angle: stream.random_range(-0.16..0.16),
                mirrored: stream.random(),
            },
            light: Light {
                direction: [angle.cos(), -angle.sin().abs()],
                brightness: stream.random_range(0.88..1.10),
                warmth: stream.random_range(-0.05..0.05),
            },
        }
    }

    /// `instance` somewhere, dressed or changed now and then: what its pictures have in common is the instance.
    fn dressed(instance: Instance, stream: &mut impl Rng) -> Scene {
        let mut scene = Scene::of(instance, stream);
        if is_live(instance.class) && stream.random_bool(0.25) {
            scene.outfit = Some(stream.random_range(0..PHRASES.live.len()));
        } else if stream.random_bool(0.15) {
            scene.attribute = Some([Attribute::Shiny, Attribute::Wet][stream.random_range(0..2usize)]);
        }
        scene
    }

    /// The phrase for where it is; empty where a place is not spoken of.
    pub fn place(&self) -> &'static str {
        CONTEXTS[self.context.index]
    }

    /// A caption; `seed` decides which of the looks are spoken of, and how it begins.
    pub fn caption(&self, seed: u64) -> String {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut words = vec![["a photo of a", "a", "a picture of a"][stream.random_range(0..3usize)]];
        words.extend(self.attribute.map(Attribute::words));
        if stream.random_bool(0.6) {
            words.push(COLORS[self.instance.main].0);
        }
        let pattern = usize::from(self.instance.pattern);
        if (1..=PATTERNS.len()).contains(&pattern) && stream.random_bool(0.5) {
            words.push(PATTERNS[pattern - 1]);
        }
        if stream.random_bool(0.05) {
            words.push(IDENTIFIERS[stream.random_range(0..IDENTIFIERS.len())]);
        }
        words.push(CLASSES[self.instance.class]);
        words.extend(self.outfit.map(|outfit| PHRASES.live[outfit]));
        let place = CONTEXTS[self.context.index];
        // Where clothes or an attribute are spoken of, the place may go without saying, as in the prompts.
        let is_special = self.outfit.is_some() || self.attribute.is_some();
        let is_tacit = place.is_empty() || is_special && stream.random_bool(0.4);
        if !is_tacit {
            words.push(place);
        }
        words.join(" ")
    }

    /// Draws the picture, anti-aliased at the object's edges.
    pub fn render(&self) -> Rendered {
        let canvas = Canvas::new(self);
        let mut rendered =
            Rendered { rgb: Vec::with_capacity(SIZE * SIZE * 3), mask: Vec::with_capacity(SIZE * SIZE) };
        for row in 0..SIZE {
            for column in 0..SIZE {
                let (x, y) = ((column as f32 + 0.5) / SIZE as f32, (row as f32 + 0.5) / SIZE as f32);
                let (color, coverage) = canvas.pixel(x, y);
                rendered
                    .rgb
                    .extend(self.lit(color).map(|channel| (channel.clamp(0.0, 1.0) * 255.0 + 0.5) as u8));
                let label =
                    if coverage > 0.5 { self.instance.class } else { CLASSES.len() + self.context.index };
                rendered.mask.push(1 + label as u8);
            }
        }
        rendered
    }

    fn lit(&self, color: Rgb) -> Rgb {
        let Light { brightness, warmth, .. } = self.light;
        [color[0] * (brightness + warmth), color[1] * brightness, color[2] * (brightness - warmth)]
    }
}

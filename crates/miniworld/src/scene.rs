//! One picture: an object with its looks, pose, clothes and attribute, in a context, under a light.

mod canvas;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::SIZE;
use crate::contexts::{CONTEXTS, Context, SPOKEN};
use crate::noise::hash;
use crate::objects::{CLASSES, KINDS, OUTFITS, is_live};
use crate::prompts::{IDENTIFIERS, Request, requests};
use crate::raster::Rgb;
use canvas::Canvas;

/// Colours that captions name.
pub const COLORS: [(&str, Rgb); 12] = [
    ("red", [0.86, 0.10, 0.12]),
    ("purple", [0.52, 0.18, 0.70]),
    ("green", [0.15, 0.62, 0.22]),
    ("blue", [0.13, 0.32, 0.85]),
    ("yellow", [0.97, 0.85, 0.15]),
    ("orange", [0.96, 0.52, 0.10]),
    ("black", [0.13, 0.13, 0.14]),
    ("white", [0.94, 0.93, 0.91]),
    ("pink", [0.97, 0.50, 0.70]),
    ("brown", [0.47, 0.28, 0.14]),
    ("teal", [0.08, 0.58, 0.58]),
    ("gray", [0.53, 0.54, 0.55]),
];

/// Patterns that captions name; two more (plain and a patch) have no word.
pub const PATTERNS: [&str; 3] = ["striped", "spotted", "checkered"];
const PATTERN_COUNT: u8 = 5;
const TEXTURES: u8 = 3;

/// A change of an object that a caption can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    Shiny,
    Wet,
    CubeShaped,
}

impl Attribute {
    pub fn words(self) -> &'static str {
        match self {
            Attribute::Shiny => "shiny",
            Attribute::Wet => "wet",
            Attribute::CubeShaped => "cube shaped",
        }
    }
}

/// What makes an object itself: the same in all its pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance {
    pub class: usize,
    kind: u8,
    main: usize,
    second: usize,
    pattern: u8,
    texture: u8,
    form: [f32; 4],
    /// Shift of the two colours from the named ones.
    tint: [f32; 6],
    frequency: f32,
}

impl Instance {
    fn sample(class: usize, stream: &mut impl Rng) -> Instance {
        let main = stream.random_range(0..COLORS.len());
        Instance {
            class,
            kind: stream.random_range(0..KINDS),
            main,
            second: (main + stream.random_range(1..COLORS.len())) % COLORS.len(),
            pattern: stream.random_range(0..PATTERN_COUNT),
            texture: stream.random_range(0..TEXTURES),
            form: stream.random(),
            tint: std::array::from_fn(|_| stream.random_range(-0.08..0.08)),
            frequency: stream.random_range(0.8..1.3),
        }
    }

    /// An eighth of all looks (class, kind, colours, pattern) is never seen in pretraining.
    pub fn is_held_out(&self) -> bool {
        let looks = (self.class * 2 + usize::from(self.kind)) * 5 + usize::from(self.pattern);
        hash((self.main * COLORS.len() + self.second) as i32, looks as i32, 0x5EED) < 0.125
    }

    fn sample_where(held_out: bool, class: usize, stream: &mut impl Rng) -> Instance {
        loop {
            let instance = Instance::sample(class, stream);
            if instance.is_held_out() == held_out {
                return instance;
            }
        }
    }

    fn colors(&self) -> [Rgb; 2] {
        let tinted = |color: usize, offset: usize| {
            std::array::from_fn(|channel| {
                (COLORS[color].1[channel] + self.tint[offset + channel]).clamp(0.03, 1.0)
            })
        };
        [tinted(self.main, 0), tinted(self.second, 3)]
    }

    /// Main or second colour, by the pattern at a point of the object's frame.
    fn patterned(&self, [x, y]: [f32; 2]) -> Rgb {
        let [main, second] = self.colors();
        let f = self.frequency;
        let is_second = match self.pattern {
            1 => ((x * 0.35 + y) * 2.7 * f).rem_euclid(1.0) < 0.36,
            2 => {
                let (u, v) = ((x * 2.1 * f).rem_euclid(1.0) - 0.5, (y * 2.1 * f).rem_euclid(1.0) - 0.5);
                u * u + v * v < 0.085
            }
            3 => ((x * 1.9 * f).floor() as i32 + (y * 1.9 * f).floor() as i32).rem_euclid(2) == 0,
            4 => y > 0.25 - 0.5 * (f - 1.0),
            _ => false,
        };
        if is_second { second } else { main }
    }
}

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
            scene.outfit = Some(stream.random_range(0..OUTFITS.len()));
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
            stream.random_range(SPOKEN..CONTEXTS.len())
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
            scene.outfit = Some(stream.random_range(0..OUTFITS.len()));
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
        words.extend(self.outfit.map(|outfit| OUTFITS[outfit]));
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

/// The instance of a held-out subject: `class` with looks drawn from `seed`.
pub(crate) fn held_out_instance(class: usize, seed: u64) -> Instance {
    Instance::sample_where(true, class, &mut ChaCha8Rng::seed_from_u64(seed))
}

/// Names of an instance's main colour and pattern.
pub(crate) fn looks(instance: &Instance) -> (&'static str, &'static str) {
    let pattern = ["plain", "striped", "spotted", "checkered", "two_tone"][usize::from(instance.pattern)];
    (COLORS[instance.main].0, pattern)
}

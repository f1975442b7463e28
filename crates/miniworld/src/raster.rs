//! Shapes as signed distances, and colours.

pub type Rgb = [f32; 3];

/// `a` to `b`, `t` of the way.
pub fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * t)
}

pub fn scale(color: Rgb, factor: f32) -> Rgb {
    color.map(|channel| channel * factor)
}

/// A shape in an object's frame, where x is to the right, y down, and the object fills about [-1, 1]².
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Ellipse {
        center: [f32; 2],
        radii: [f32; 2],
    },
    /// An axis-parallel box with rounded corners.
    Box {
        center: [f32; 2],
        half: [f32; 2],
        round: f32,
    },
    Capsule {
        from: [f32; 2],
        to: [f32; 2],
        radius: f32,
    },
    Triangle([[f32; 2]; 3]),
    /// A convex four-sided figure, corners in order.
    Quad([[f32; 2]; 4]),
    Ring {
        center: [f32; 2],
        radius: f32,
        width: f32,
    },
}

impl Shape {
    /// Signed distance to the edge, negative inside; exact or a little too small.
    pub fn distance(&self, [x, y]: [f32; 2]) -> f32 {
        match self {
            Shape::Ellipse { center, radii } => {
                let (u, v) = ((x - center[0]) / radii[0], (y - center[1]) / radii[1]);
                let length = u.hypot(v);
                let gradient = (u / radii[0]).hypot(v / radii[1]);
                if gradient < 1e-6 { -radii[0].min(radii[1]) } else { length * (length - 1.0) / gradient }
            }
            Shape::Box { center, half, round } => {
                let dx = (x - center[0]).abs() - half[0] + round;
                let dy = (y - center[1]).abs() - half[1] + round;
                dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - round
            }
            Shape::Capsule { from, to, radius } => {
                let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
                let t = (((x - from[0]) * dx + (y - from[1]) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
                (x - from[0] - t * dx).hypot(y - from[1] - t * dy) - radius
            }
            Shape::Triangle(corners) => convex(corners, x, y),
            Shape::Quad(corners) => convex(corners, x, y),
            Shape::Ring { center, radius, width } => {
                ((x - center[0]).hypot(y - center[1]) - radius).abs() - width
            }
        }
    }
}

/// The largest distance to the lines through the sides; corners may go round either way.
fn convex(corners: &[[f32; 2]], x: f32, y: f32) -> f32 {
    let area: f32 = (0..corners.len())
        .map(|index| {
            let (a, b) = (corners[index], corners[(index + 1) % corners.len()]);
            a[0] * b[1] - b[0] * a[1]
        })
        .sum();
    let mut distance = f32::MIN;
    for index in 0..corners.len() {
        let (a, b) = (corners[index], corners[(index + 1) % corners.len()]);
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let side = ((x - a[0]) * dy - (y - a[1]) * dx) / dx.hypot(dy).max(1e-6);
        distance = distance.max(side * area.signum());
    }
    distance
}

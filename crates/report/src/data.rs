//! What the page's script draws: trials and their curves as JSON.

use std::collections::BTreeMap;

use results::Curve;
use serde_json::{Value, json};

use crate::error::Result;
use crate::look;
use crate::measured::Measured;
use crate::telemetry;

/// Points of a curve, at most; a longer one is averaged over equal windows of steps.
const MOST_POINTS: usize = 60;
/// With more trials, curves get fewer points, so that the page stays small.
const MOST_NUMBERS: usize = 120_000;
const FEWEST_POINTS: usize = 20;

/// `{"trials": […], "methods": {…}, "curves": {metric: [[trial, steps, values], …]}, "tracked": layer, "telemetry": …}`.
pub fn json(results: &Measured) -> Result<Value> {
    let all = &results.trials;
    let trials = all.all().iter().map(|trial| {
        let subject = match trial.subject.as_str() {
            "" => String::new(),
            subject => format!("{} {subject}", all.task().noun),
        };
        let parts = [all.described(trial), subject, format!("seed {}", trial.seed)];
        let settings: Vec<String> = parts.into_iter().filter(|text| !text.is_empty()).collect();
        json!({ "id": trial.id, "method": trial.method, "status": trial.status.name(), "settings": settings.join(", ") })
    });
    let look = |method| json!({ "title": all.method_title(method), "colour": look::colour(method) });
    let methods: serde_json::Map<String, Value> =
        all.methods().into_iter().map(|method| (method.to_owned(), look(method))).collect();
    let most = (MOST_NUMBERS / results.curves.len().max(1)).clamp(FEWEST_POINTS, MOST_POINTS);
    let mut curves: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for curve in &results.curves {
        curves.entry(&curve.metric).or_default().push(points(curve, most));
    }
    Ok(json!({
        "trials": trials.collect::<Vec<_>>(),
        "methods": methods,
        "curves": curves,
        "tracked": all.distinct("config.tracked_layer").first(),
        "telemetry": telemetry::json(results)?,
    }))
}

fn points(curve: &Curve, most: usize) -> Value {
    let points = averaged(&curve.points, most);
    let (steps, values): (Vec<Value>, Vec<Value>) =
        points.iter().map(|(step, value)| (short(*step), short(*value))).unzip();
    json!([curve.trial, steps, values])
}

/// At most `most` points: means over windows of equally many, the shorter one last.
fn averaged(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let mean = |window: &[(f64, f64)]| {
        let n = window.len() as f64;
        let sum = window.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    points.chunks(points.len().div_ceil(most).max(1)).map(mean).collect()
}

/// A number with four digits, as a whole number where it is one.
pub fn short(value: f64) -> Value {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    let whole = value.fract() == 0.0 && value.abs() < 1e9;
    if whole { json!(value as i64) } else { json!(rounded) }
}

/// JSON that may stand in a `script` element.
pub fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::whole as results;

    #[test]
    fn long_curves_become_means_over_windows() {
        let points: Vec<(f64, f64)> = (0..10).map(|step| (f64::from(step), f64::from(step) * 2.0)).collect();
        assert_eq!(averaged(&points, 5), [(0.5, 1.0), (2.5, 5.0), (4.5, 9.0), (6.5, 13.0), (8.5, 17.0)]);
        assert_eq!(averaged(&points, 100), points);
        assert!(averaged(&points, 3).len() <= 3);
    }

    #[test]
    fn trials_carry_their_settings_and_methods_their_look() {
        let (_folder, results) =
            results("a,done,,lora,0,cat,1,lora,16,0.5,1,2,c,\nb,done,,lora,0,cat,4,lora,16,0.4,1,2,c,\n");
        let data = json(&results).unwrap();
        assert_eq!(data["trials"][1]["settings"], "multiplier 4, subject cat, seed 0");
        assert_eq!(data["methods"]["lora"], json!({ "title": "LoRA", "colour": "#0072b2" }));
        assert_eq!(data["telemetry"], Value::Null);
    }

    #[test]
    fn numbers_are_short_and_a_script_cannot_be_ended_by_its_data() {
        assert_eq!(
            [short(0.123_456), short(3.0), short(123_456.0)],
            [json!(0.1235), json!(3), json!(123_456)]
        );
        assert_eq!(embedded(&json!("</script>")), "\"\\u003c/script>\"");
    }
}

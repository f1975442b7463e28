//! Every adapted layer over time, from the trials' `pictures/<trial id>.telemetry.csv`, as means over replicates.

use std::collections::{BTreeMap, BTreeSet};

use results::{Frame, rank};
use serde_json::{Value, json};

use crate::data::short;
use crate::error::Result;
use crate::measured::Measured;

/// Numbers to embed for one experiment, at most; steps are left out to stay below.
const MOST_NUMBERS: usize = 150_000;
const MOST_STEPS: usize = 40;
const FEWEST_STEPS: usize = 4;
/// What is shown of a layer; the bound use is distance / bound.
const QUANTITIES: [&str; 3] = ["distance", "bound_use", "strength"];

/// Mean and count of a quantity at one step of one layer, of a group of trials.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

/// Trials of one method with the same settings.
#[derive(Default)]
struct Group {
    trials: usize,
    steps: BTreeSet<u64>,
    means: BTreeMap<(String, u64, usize), Mean>,
}

/// Layers and groups with a number for each quantity, layer and step; `None` where no trial left telemetry.
pub fn json(results: &Measured) -> Result<Option<Value>> {
    let mut groups: BTreeMap<(usize, String, String), Group> = BTreeMap::new();
    for trial in results.trials.all() {
        let path = results.folder.join("pictures").join(format!("{}.telemetry.csv", trial.id));
        if path.exists() {
            let key = (rank(&trial.method), trial.method.clone(), results.trials.described(trial));
            groups.entry(key).or_default().add(&Frame::read(&path)?)?;
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let layers: BTreeSet<&String> =
        groups.values().flat_map(|group| group.means.keys().map(|(layer, _, _)| layer)).collect();
    let share = MOST_NUMBERS / (groups.len() * layers.len() * QUANTITIES.len()).max(1);
    let num_steps = share.clamp(FEWEST_STEPS, MOST_STEPS);
    let written = groups.iter().map(|((_, method, settings), group)| {
        let steps = thinned(&group.steps, num_steps);
        let mut written =
            json!({ "method": method, "settings": settings, "n": group.trials, "steps": steps });
        for (quantity, name) in QUANTITIES.iter().enumerate() {
            let rows = layers.iter().map(|layer| group.row(layer, &steps, quantity));
            written[*name] = rows.collect();
        }
        written
    });
    Ok(Some(json!({ "groups": written.collect::<Vec<_>>(), "layers": layers })))
}

impl Group {
    fn add(&mut self, frame: &Frame) -> Result<()> {
        for column in ["step", "layer", "distance"] {
            frame.one_of(&[column])?;
        }
        self.trials += 1;
        for row in 0..frame.len() {
            let (Some(step), Some(distance)) = (frame.number(row, "step"), frame.number(row, "distance"))
            else {
                continue;
            };
            let bound = frame.number(row, "bound").filter(|bound| *bound > 0.0);
            let values = [Some(distance), bound.map(|bound| distance / bound), frame.number(row, "strength")];
            self.steps.insert(step as u64);
            for (quantity, value) in values.into_iter().enumerate() {
                let Some(value) = value else { continue };
                let key = (frame.text(row, "layer").to_owned(), step as u64, quantity);
                let mean = self.means.entry(key).or_default();
                mean.sum += value;
                mean.count += 1;
            }
        }
        Ok(())
    }

    /// Means of a layer at these steps; `null` where there is none, and one `null` for a row of nothing.
    fn row(&self, layer: &str, steps: &[u64], quantity: usize) -> Value {
        let value = |step: &u64| {
            let mean = self.means.get(&(layer.to_owned(), *step, quantity))?;
            Some(short(mean.sum / mean.count as f64))
        };
        let row: Vec<Option<Value>> = steps.iter().map(value).collect();
        if row.iter().all(Option::is_none) { Value::Null } else { json!(row) }
    }
}

/// At most `most` of the steps, evenly spread, the first and the last among them.
fn thinned(steps: &BTreeSet<u64>, most: usize) -> Vec<u64> {
    let steps: Vec<u64> = steps.iter().copied().collect();
    if steps.len() <= most {
        return steps;
    }
    (0..most).map(|index| steps[index * (steps.len() - 1) / (most - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::whole as results;

    #[test]
    fn replicates_are_averaged_and_what_has_no_bound_has_no_use_of_it() {
        let (folder, results) = results(
            "a,done,,delora,0,cat,1,delora,16,0.5,1,2,c,\nb,done,,delora,1,cat,1,delora,16,0.5,1,2,c,\n\
             c,done,,lora,0,cat,1,lora,16,0.5,1,2,c,\nd,done,,lora,1,cat,1,lora,16,0.5,1,2,c,\n",
        );
        assert!(json(&results).unwrap().is_none());
        let pictures = folder.path().join("pictures");
        std::fs::create_dir(&pictures).unwrap();
        let write = |id: &str, rows: &str| {
            let text = format!("step,layer,distance,strength,bound\n{rows}");
            std::fs::write(pictures.join(format!("{id}.telemetry.csv")), text).unwrap();
        };
        write("a", "0,x,0,4,8\n10,x,1,4,8\n10,y,2,4,8\n");
        write("b", "0,x,0,4,8\n10,x,3,2,4\n");
        write("c", "10,x,5,,\n");
        let data = json(&results).unwrap().unwrap();
        assert_eq!(data["layers"], json!(["x", "y"]));
        let lora = &data["groups"][0];
        assert_eq!((&lora["method"], &lora["n"], &lora["steps"]), (&json!("lora"), &json!(1), &json!([10])));
        assert_eq!(lora["distance"], json!([[5], null]));
        assert_eq!(lora["bound_use"], json!([null, null]));
        let delora = &data["groups"][1];
        assert_eq!(delora["distance"], json!([[0, 2], [null, 2]]));
        assert_eq!(delora["bound_use"], json!([[0, 0.4375], [null, 0.25]]));
        assert_eq!(delora["strength"], json!([[4, 3], [null, 4]]));
    }

    #[test]
    fn steps_are_thinned_evenly_with_both_ends() {
        let steps: BTreeSet<u64> = (0..=100).collect();
        assert_eq!(thinned(&steps, 5), [0, 25, 50, 75, 100]);
        assert_eq!(thinned(&steps, 200).len(), 101);
    }
}

//! Folders of pictures: of subjects, and of pairs of pictures and label maps.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use runner::{Experiment, RunOptions, Selection};

use crate::case::{Case, Kind, Verdict};
use crate::experiments::workload;
use crate::random::Random;
use crate::worker::Shared;

pub const SUBJECTS: Kind = Kind { name: "pictures of subjects", share: 4, attempt: subjects };
pub const PAIRS: Kind = Kind { name: "pairs of pictures and maps", share: 2, attempt: pairs };

/// A picture in another format, of another size or of other colours than expected.
pub fn odd(random: &mut Random) -> Option<(Vec<u8>, String)> {
    let (width, height) = *random.pick(&[(1, 1), (1, 64), (3000, 2), (64, 64), (65, 63)]);
    let picture: DynamicImage = match random.below(5) {
        0 => RgbImage::from_pixel(width, height, image::Rgb([200, 10, 99])).into(),
        1 => RgbaImage::from_pixel(width, height, image::Rgba([9, 9, 9, 0])).into(),
        2 => GrayImage::from_pixel(width, height, image::Luma([200])).into(),
        3 => DynamicImage::new_rgb16(width, height),
        _ => DynamicImage::new_luma_a8(width, height),
    };
    let format = if random.percent(70) { ImageFormat::Png } else { ImageFormat::Jpeg };
    let mut bytes = Vec::new();
    let encodable: DynamicImage =
        if format == ImageFormat::Jpeg { picture.to_rgb8().into() } else { picture };
    encodable.write_to(&mut Cursor::new(&mut bytes), format).ok()?;
    Some((bytes, format!("{format:?} of {width} × {height}, {:?}", encodable.color())))
}

/// Runs an experiment's real pictures, which trains nothing.
pub fn run(case: &Case, shared: &Shared, file: &str, sets: &[String]) -> Verdict {
    let experiment = match Experiment::load(Path::new(file), "smoke", sets) {
        Ok(experiment) => experiment,
        Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    };
    let workload = workload(shared, &experiment.task).expect("the task is one of ours");
    let folder = case.folder.join("results");
    let options = RunOptions {
        results_dir: folder.clone(),
        selection: Selection::default(),
        max_failures: None,
        checkpoint_every: Duration::from_secs(600),
        save_adapters: false,
        worker: false,
        lease: Duration::from_secs(60),
        quiet: true,
    };
    let report = match runner::run(&experiment, workload, &options) {
        Ok(report) => report,
        Err(error) => return Verdict::Refused(format!("{:#}", anyhow::Error::from(error))),
    };
    if let Some((_, message)) = report.failed.first() {
        return Verdict::Refused(message.clone());
    }
    let table = folder.join(&experiment.name).join("smoke/trials.csv");
    let Ok(trials) = results::Frame::read(&table) else { return Verdict::Wrong("no table".to_owned()) };
    // Settings and subjects may be called `inf`.
    let is_metric = |name: &&String| !name.starts_with("config.") && *name != "subject";
    for name in trials.names().iter().filter(is_metric) {
        for row in 0..trials.len() {
            let cell = trials.text(row, name);
            if ["nan", "inf", "-inf"].contains(&cell.to_lowercase().as_str()) {
                return Verdict::Wrong(format!("done with `{name}` = {cell}"));
            }
        }
    }
    Verdict::Taken
}

fn subjects(case: &mut Case, shared: &mut Shared) -> Verdict {
    let original = "assets/mini/subjects/dataset";
    let one = "backpack_teal_striped";
    let data = case.folder.join("data");
    case.linked(&Path::new(original).join(one), &format!("data/{one}"));
    fs::write(data.join("prompts_and_classes.txt"), format!("subject_name,class\n{one},backpack\n"))
        .expect("the case's folder can be written");
    let file = case.any_file(&data, |_| true);
    case.damage(&file);
    case.blamed.push(data.join(one).display().to_string());
    let sets = [
        "method=real_images".to_owned(),
        format!("data={:?}", data.display().to_string()),
        "subject={first=1}".to_owned(),
    ];
    run(case, shared, "experiments/table1.toml", &sets)
}

fn pairs(case: &mut Case, shared: &mut Shared) -> Verdict {
    let original = shared.folder.join("pairs");
    if !original.is_dir() {
        miniworld::pairs::write(&original).expect("the mini world can be written");
    }
    let data = case.folder.join("data");
    fs::create_dir_all(&data).expect("temporary files can be written");
    for split in ["training", "validation"] {
        let text = fs::read_to_string(original.join(format!("{split}.jsonl"))).expect("it was written");
        let lines: Vec<&str> = text.lines().take(2).collect();
        fs::write(data.join(format!("{split}.jsonl")), lines.join("\n") + "\n")
            .expect("files can be written");
        for line in lines {
            let line: serde_json::Value = serde_json::from_str(line).expect("it was written so");
            for key in ["image", "mask"] {
                let name = line[key].as_str().expect("it was written so");
                case.linked(&original.join(name), &format!("data/{name}"));
            }
        }
    }
    let file = case.any_file(&data, |_| true);
    case.damage(&file);
    // The list of pairs may name files that are not there.
    case.blamed.push(data.display().to_string());
    let sets = ["method=real_images".to_owned(), format!("data={:?}", data.display().to_string())];
    run(case, shared, "experiments/ablation-table2.toml", &sets)
}

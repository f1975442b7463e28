//! Table 3: rows that are a method at one rank, and LoRA of two ranks wherever methods are told apart.

use super::*;

/// Method, rank and blocks of the rows that are run, each with two seeds and three subjects.
const SERIES: [(&str, &str, &str); 8] = [
    ("none", "", ""),
    ("full", "", ""),
    ("oft", "", "4"),
    ("ether_plus", "", "1"),
    ("lora", "4", ""),
    ("lora", "16", ""),
    ("dora", "16", ""),
    ("delora", "16", ""),
];

fn id(method: &str, rank: &str, seed: u64, subject: &str) -> String {
    format!("{method}{rank}-{seed}-{subject}")
}

fn results() -> Results {
    let mut trials =
        "trial_id,status,method,seed,subject,config.method.rank,config.method.blocks,dino,clip_i,clip_t,\
        diversity,num_parameters\n"
            .to_owned();
    let mut curves = String::new();
    for subject in SUBJECTS {
        writeln!(trials, "real-{subject},done,real_images,0,{subject},,,0.9{},0.8,,0.1,", subject.len())
            .unwrap();
    }
    for (index, (method, rank, blocks)) in SERIES.into_iter().enumerate() {
        for (seed, subject) in [0, 1].into_iter().flat_map(|seed| SUBJECTS.map(|subject| (seed, subject))) {
            let id = id(method, rank, seed, subject);
            let level = if method == "none" { 0.1 } else { 0.5 + 0.02 * index as f64 };
            let dino = level + 0.05 * wobble(subject) + 0.02 * wobble(&id);
            let parameters = 1000 * (index + 1);
            writeln!(
                trials,
                "{id},done,{method},{seed},{subject},{rank},{blocks},{dino},{dino},0.27,0.3,{parameters}"
            )
            .unwrap();
            for step in (0..=300).step_by(10).filter(|_| method != "none") {
                let loss = 0.3 + 0.5 * (-f64::from(step) / (60.0 + 10.0 * index as f64)).exp();
                let distance = (0.2 + 0.1 * index as f64) * f64::from(step) / (f64::from(step) + 80.0);
                writeln!(curves, "{id},{step},loss,,{loss}\n{id},{step},distance,to_out.0,{distance}")
                    .unwrap();
            }
        }
    }
    Results::of(&trials).curves(&curves)
}

#[test]
fn a_row_is_a_method_at_its_rank_beside_all_that_the_paper_prints() {
    let results = results();
    results.render(&["table3"]).unwrap();
    insta::assert_snapshot!("md", results.text("table3.md"));
    insta::assert_snapshot!("csv", results.text("table3.csv"));
    insta::assert_snapshot!("pairs_md", results.text("pairs.md"));
    insta::assert_snapshot!("dino_svg", texts(&results.text("table3-dino.svg")));
    let header = "method,title,metric,n_pairs,n_units,delta_vs_lora_r16,lo,hi,p,detectable,units_needed,";
    assert!(results.text("pairs.csv").starts_with(header));
}

#[test]
fn two_ranks_are_two_lines_and_one_of_them_is_dashed() {
    let results = results();
    results.render(&["curves"]).unwrap();
    insta::assert_snapshot!("curves_svg", texts(&results.text("curves.svg")));
}

#[test]
fn two_ranks_are_two_rows_of_pictures() {
    let results = results();
    let pictures = results.0.path().join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let ids = SERIES.map(|(method, rank, _)| id(method, rank, 0, "cat"));
    let colours: Vec<(&String, [u8; 3])> =
        ids.iter().enumerate().map(|(index, id)| (id, [20 * index as u8, 99, 7])).collect();
    for (id, colour) in &colours {
        RgbImage::from_pixel(320, 320, Rgb(*colour)).save(pictures.join(format!("{id}.png"))).unwrap();
    }
    RgbImage::new(320, 64).save(pictures.join("subject-cat.png")).unwrap();
    std::fs::write(pictures.join("prompts-cat.txt"), "a qwe cat\n").unwrap();
    let written = results.render(&["grid"]).unwrap();
    let grid = image::open(&written[0]).unwrap().to_rgb8();
    for (id, colour) in &colours {
        assert!(grid.pixels().any(|pixel| pixel.0 == *colour), "{id}");
    }
}

#[test]
fn another_table_never_averages_two_ranks_of_a_method() {
    let results = results();
    results.render(&["table8", "table1"]).unwrap();
    let table = results.text("table1.md");
    assert!(table.contains("| LoRA r=4 |") && table.contains("| LoRA r=16 |"), "{table}");
    assert!(!table.contains("| LoRA |"), "{table}");
}

//! The gallery and the weight norms.

use figures::render_weight_norms;

use super::*;

/// Two subjects with pictures whose colour says subject, method and prompt; DeLoRA's second trial diverged.
fn gallery(same_prompts: bool) -> Results {
    let header = "trial_id,status,method,seed,subject,config.subject.class,dino\n";
    let mut trials = header.to_owned();
    for (subject, class) in [("cat_blue", "cat"), ("vase_red", "vase")] {
        for (method, seed) in [("lora", 1), ("lora", 0), ("delora", 0), ("none", 0)] {
            let lost = (method, subject) == ("delora", "vase_red");
            let status = if lost { "diverged" } else { "done" };
            writeln!(trials, "{method}-{seed}-{subject},{status},{method},{seed},{subject},{class},0.5")
                .unwrap();
        }
    }
    let results = Results::of(&trials);
    let pictures = results.0.path().join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    for (row, (subject, class)) in [("cat_blue", "cat"), ("vase_red", "vase")].into_iter().enumerate() {
        for (block, method) in ["lora-0", "lora-1", "delora-0"].into_iter().enumerate() {
            if (method, row) == ("delora-0", 1) {
                continue;
            }
            let tile =
                |x: u32, y: u32| Rgb([10 * (y / 64 * 5 + x / 64) as u8, 80 * block as u8, 100 * row as u8]);
            RgbImage::from_fn(320, 320, tile).save(pictures.join(format!("{method}-{subject}.png"))).unwrap();
        }
        RgbImage::from_pixel(320, 64, Rgb([9, 9, 9 + row as u8]))
            .save(pictures.join(format!("subject-{subject}.png")))
            .unwrap();
        let place = if same_prompts || row == 0 { "in the snow" } else { "on a mirror" };
        let prompts = format!("a [V] {class} {place}\n").repeat(25);
        std::fs::write(pictures.join(format!("prompts-{subject}.txt")), prompts).unwrap();
    }
    results
}

#[test]
fn the_gallery_has_a_row_a_subject_and_a_block_a_method() {
    for same_prompts in [true, false] {
        let results = gallery(same_prompts);
        let written = results.render(&["gallery"]).unwrap();
        let drawn = image::open(&written[0]).unwrap().to_rgb8();
        let has = |colour: [u8; 3]| drawn.pixels().any(|pixel| pixel.0 == colour);
        assert!(has([9, 9, 9]) && has([9, 9, 10]), "the real pictures");
        for prompt in [0, 60, 200] {
            assert!(has([prompt, 0, 0]) && has([prompt, 160, 0]) && has([prompt, 0, 100]), "prompt {prompt}");
            assert!(!has([prompt, 80, 0]), "not the first seed");
            assert!(!has([prompt, 160, 100]), "this trial diverged");
        }
    }
    let message =
        Results::new(&row("dora", "0", "cat", "0.5", "done")).render(&["gallery"]).unwrap_err().to_string();
    assert!(message.contains("trials.csv") && message.contains("`delora`"), "{message}");
    let message =
        Results::new(&row("lora", "0", "cat", "0.5", "done")).render(&["gallery"]).unwrap_err().to_string();
    assert!(message.contains("prompts-cat.txt"), "{message}");
}

fn norms() -> String {
    let mut rows = "block,attention,projection,mean_column_norm,std,columns\n".to_owned();
    let blocks = "up_blocks.1 down_blocks.0 down_blocks.1 down_blocks.2 mid_block up_blocks.2 up_blocks.3";
    for (attention, shift) in [("attn1", 0.0), ("attn2", 0.2)] {
        for (index, projection) in ["to_q", "to_k", "to_v", "to_out.0"].into_iter().enumerate() {
            for block in blocks.split(' ') {
                let norm = 0.7
                    + 0.2 * index as f64
                    + shift
                    + 0.2 * wobble(&format!("{block}{projection}{attention}"));
                writeln!(rows, "{block},{attention},{projection},{norm},0.08,64").unwrap();
            }
        }
    }
    rows
}

fn drawn_norms(rows: &str) -> (TempDir, figures::Result<Vec<PathBuf>>) {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("norms.csv");
    std::fs::write(&csv, rows).unwrap();
    let written = render_weight_norms(&csv, &folder.path().join("plots"));
    (folder, written)
}

#[test]
fn weight_norms_go_through_the_blocks_in_the_order_of_the_unet() {
    let (folder, written) = drawn_norms(&norms());
    assert_eq!(written.unwrap().len(), 3);
    let results = Results(folder);
    insta::assert_snapshot!("weight_norms_svg", texts(&results.text("weight_norms.svg")));
    assert_eq!(results.text("weight_norms.csv").lines().count(), 1 + 2 * 4 * 7);
}

#[test]
fn norms_of_one_block_are_pooled_and_poor_files_are_named() {
    let header = "block,attention,projection,mean_column_norm,std,columns\n";
    let two = format!("{header}mid_block,attn1,to_q,1,0,10\nmid_block,attn1,to_q,2,0,30\n");
    let (folder, written) = drawn_norms(&two);
    written.unwrap();
    let csv = Results(folder).text("weight_norms.csv");
    assert!(csv.contains("mid_block,attn1,to_q,1.75,0.4330127018922193,40"), "{csv}");
    let message = |rows: &str| drawn_norms(rows).1.unwrap_err().to_string();
    assert!(message(header).contains("norms.csv"));
    assert!(message("block,attention\n").contains("`projection`"));
    assert!(message(&format!("{header}mid_block,attn3,to_q,1,0,10\n")).contains("attn1 or attn2"));
}

//! Labelled pictures from both layouts, and what is wrong with them by name.

#[path = "../examples/mini_pictures/hub_layout.rs"]
mod hub_layout;

use std::fs;
use std::path::Path;

use hub_layout::{Row, write};
use image::{Rgb, RgbImage};
use vit_classify::data::{Labelled, list, num_classes};

fn picture(path: &Path, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(6, 4, Rgb([shade; 3])).save(path).unwrap();
}

fn encoded(shade: u8) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    picture(&path, shade);
    fs::read(path).unwrap()
}

/// A row of the class `label` with a picture of this shade.
fn row(shade: u8, label: i64) -> Row {
    ("picture.png".to_owned(), encoded(shade), label)
}

fn read(folder: &Path, split: &str) -> Result<Labelled, String> {
    list(folder, split).and_then(|listing| listing.read()).map_err(|error| error.to_string())
}

/// The shade of each picture.
fn shades(labelled: &Labelled) -> Vec<u8> {
    let rows = labelled.chosen(None);
    let shade = |pictures: &[RgbImage]| pictures.iter().map(|picture| picture[(0, 0)][0]).collect();
    labelled.decoded(&rows, shade).unwrap().into_iter().flat_map(|shades: Vec<u8>| shades).collect()
}

#[test]
fn classes_of_folders_are_sorted_by_name_and_pictures_within_them() {
    let folder = tempfile::tempdir().unwrap();
    for (path, shade) in [("b/2.png", 4), ("b/1.png", 3), ("Z/1.png", 1), ("a/9.png", 2), ("c/1.png", 5)] {
        picture(&folder.path().join("train").join(path), shade);
    }
    fs::write(folder.path().join("train/notes.txt"), "no class").unwrap();
    fs::create_dir(folder.path().join("train/.cache")).unwrap();
    let train = read(folder.path(), "train").unwrap();
    assert_eq!(train.labels, [0, 1, 2, 2, 3]);
    assert_eq!(shades(&train), [1, 2, 3, 4, 5]);
}

#[test]
fn parquet_has_pictures_in_the_order_of_its_rows_over_all_shards() {
    let folder = tempfile::tempdir().unwrap();
    let shard = |index| folder.path().join(format!("data/train-{index:05}-of-00002.parquet"));
    write(&shard(0), Some(&["a", "b", "c"]), &[row(10, 2), row(20, 0)]).unwrap();
    let missing = read(folder.path(), "train").err().unwrap();
    assert!(missing.contains("train-00001-of-00002.parquet is missing"), "{missing}");
    write(&shard(1), Some(&["a", "b", "c"]), &[row(30, 1)]).unwrap();
    let train = read(folder.path(), "train").unwrap();
    assert_eq!(train.labels, [2, 0, 1]);
    assert_eq!(shades(&train), [10, 20, 30]);
    assert_eq!(num_classes(&train, &train).unwrap(), 3);
}

#[test]
fn a_limit_takes_the_classes_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("a", 4), ("b", 1), ("c", 3)] {
        for index in 0..count {
            picture(&folder.path().join(format!("train/{class}/{index}.png")), index);
        }
    }
    let train = read(folder.path(), "train").unwrap();
    assert_eq!(train.labels, [0, 0, 0, 0, 1, 2, 2, 2]);
    assert_eq!(train.chosen(Some(5)), [0, 4, 5, 1, 6]);
    assert_eq!(train.chosen(Some(99)), [0, 4, 5, 1, 6, 2, 7, 3]);
    assert_eq!(train.chosen(None), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn mistakes_in_folders_are_named_with_the_folder_or_file() {
    let folder = tempfile::tempdir().unwrap();
    let none = read(folder.path(), "train").err().unwrap();
    assert!(
        none.contains("no split `train`") && none.contains("data/train-00000-of-00001.parquet"),
        "{none}"
    );
    for split in ["train", "test"] {
        for class in ["cat", "dog"] {
            picture(&folder.path().join(split).join(class).join("1.png"), 7);
        }
    }
    let place = |path: &str| folder.path().join(path);
    fs::create_dir(place("train/emu")).unwrap();
    let empty = read(folder.path(), "train").err().unwrap();
    assert!(empty.contains("train/emu: has no picture"), "{empty}");
    picture(&place("train/emu/1.png"), 7);
    let [train, test] = ["train", "test"].map(|split| read(folder.path(), split).unwrap());
    let differ = num_classes(&train, &test).unwrap_err().to_string();
    assert!(differ.contains("test: has the classes cat, dog, and"), "{differ}");
    assert!(differ.contains("train has cat, dog, emu"), "{differ}");
    fs::write(place("train/dog/2.jpg"), b"\xff\xd8\xff no picture").unwrap();
    fs::write(place("train/cat/0.png"), "text").unwrap();
    let train = read(folder.path(), "train").unwrap();
    let decode = |rows: &[usize]| train.decoded(rows, |_| ()).unwrap_err().to_string();
    let [text, damaged] = [decode(&[0, 1]), decode(&[3])];
    assert!(text.contains("train/cat/0.png: is no JPEG, PNG or WebP file"), "{text}");
    assert!(damaged.contains("train/dog/2.jpg: "), "{damaged}");
    fs::write(place("test/dog/3.heic"), "x").unwrap();
    let unread = read(folder.path(), "test").err().unwrap();
    assert!(unread.contains("test/dog: 3.heic"), "{unread}");
}

#[test]
fn mistakes_in_parquet_are_named_with_the_file_and_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = |split: &str| folder.path().join(format!("data/{split}-00000-of-00001.parquet"));
    let message = |split: &str| read(folder.path(), split).err().unwrap();
    let names: Option<&[&str]> = Some(&["a", "b"]);
    for (label, why) in [(2, "0 to 1"), (-1, "from 0")] {
        write(&path("train"), names, &[row(1, 0), row(2, label)]).unwrap();
        let wrong = message("train");
        assert!(
            wrong.contains(&format!("row 2: label {label} is no class")) && wrong.contains(why),
            "{wrong}"
        );
    }
    write(&path("train"), names, &[]).unwrap();
    assert!(message("train").contains("has no rows"), "{}", message("train"));
    fs::write(path("train"), "text").unwrap();
    assert!(message("train").contains("is no parquet file"), "{}", message("train"));

    write(&path("train"), names, &[row(1, 0), ("x".to_owned(), b"text".to_vec(), 1)]).unwrap();
    let train = read(folder.path(), "train").unwrap();
    let text = train.decoded(&[0, 1], |_| ()).unwrap_err().to_string();
    assert!(text.contains("train-00000-of-00001.parquet: row 2: is no JPEG"), "{text}");
    write(&path("test"), Some(&["b", "a"]), &[row(1, 0)]).unwrap();
    let differ = num_classes(&train, &read(folder.path(), "test").unwrap()).unwrap_err().to_string();
    assert!(differ.contains("has the classes b, a, and"), "{differ}");

    // Without names the classes are those of the training split.
    write(&path("train"), None, &[row(1, 0), row(2, 1)]).unwrap();
    write(&path("test"), None, &[row(1, 1), row(1, 2)]).unwrap();
    let [train, test] = ["train", "test"].map(|split| read(folder.path(), split).unwrap());
    let beyond = num_classes(&train, &test).unwrap_err().to_string();
    assert!(beyond.contains("test-00000-of-00001.parquet: row 2: label 2 is no class"), "{beyond}");
    write(&path("train"), None, &[row(1, 0), row(2, i64::MAX)]).unwrap();
    let train = read(folder.path(), "train").unwrap();
    assert!(num_classes(&train, &train).unwrap_err().to_string().contains("row 2"));
}

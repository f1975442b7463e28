//! Networks and formulas that score generated pictures, on the files made by `tools/goldens/evaluators.py`.
//!
//! Weights and inputs are computed here as there, from a hash of their names.

use std::path::Path;

use models::frechet::Moments;
use models::inception::{Inception, load_inception};
use models::segmentation::Confusion;
use models::upernet::{UPerNet, UPerNetConfig};
use models::{read_config, save_weights};
use serde::Deserialize;
use tch::{Device, Kind, Tensor, nn};

use super::{NETWORK_TOLERANCE, assert_close, folder, tensors};

/// Numbers in [0, 1): multiples of 2⁻²⁴, from splitmix64 started at the FNV-1a hash of `name`.
fn unit(name: &str, shape: &[i64]) -> Tensor {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut next = || {
        state = u64::wrapping_add(state, 0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Gives every weight and statistic of `store` the value of its name.
fn fill(store: &nn::VarStore) {
    let _guard = tch::no_grad_guard();
    for (name, mut variable) in store.variables() {
        let shape = variable.size();
        let noise = unit(&name, &shape) * 2.0 - 1.0;
        let value = if shape.len() > 1 {
            let fan_in = shape[1..].iter().product::<i64>() as f64;
            noise * f64::from((6.0 / fan_in).sqrt() as f32)
        } else if name.ends_with("running_var") {
            noise * 0.5 + 1.0
        } else if name.ends_with("weight") {
            noise * f64::from(0.3f32) + 1.0
        } else {
            noise * f64::from(0.2f32)
        };
        variable.copy_(&value);
    }
}

fn pictures(shape: [i64; 4]) -> Tensor {
    let [count, channels, height, width] = shape;
    unit(&format!("pictures ({count}, {channels}, {height}, {width})"), &shape)
}

/// As `assert_close`, by the largest value of `reference`.
fn assert_close_by_size(what: &str, ours: &Tensor, reference: &Tensor) {
    let size = reference.abs().max();
    assert_close(what, &(ours / &size), &(reference / &size), NETWORK_TOLERANCE);
}

#[test]
fn inception_has_21_785_568_parameters_and_matches_pytorch_fid() {
    let store = nn::VarStore::new(Device::Cpu);
    let network = Inception::new(&store.root());
    fill(&store);
    let parameters: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
    assert_eq!(parameters, 21_785_568);
    let features = gradient_mode::off(|| network.forward(&pictures([2, 3, 40, 56])));
    assert_close_by_size("inception", &features, &tensors("inception")["features"]);
}

fn filled_upernet(config: &UPerNetConfig) -> (nn::VarStore, UPerNet) {
    let store = nn::VarStore::new(Device::Cpu);
    let network = UPerNet::new(&store.root(), config).unwrap();
    fill(&store);
    (store, network)
}

fn upernet() -> (nn::VarStore, UPerNet) {
    filled_upernet(&read_config(&folder("upernet").join("config.json")).unwrap())
}

#[test]
fn upernet_matches_the_reference_alone_and_over_sizes() {
    let (_store, network) = upernet();
    let io = tensors("upernet");
    let _guard = tch::no_grad_guard();
    let logits = network.logits(&pictures([1, 3, 64, 96]), false);
    assert_close_by_size("upernet logits", &logits, &io["logits"]);
    let scores = network.mean_probabilities([12, 16], |[height, width]| pictures([1, 3, height, width]));
    assert_close("upernet scores", &scores, &io["scores"], NETWORK_TOLERANCE);
    let labels = network.segment([12, 16], |[height, width]| pictures([1, 3, height, width]));
    assert_eq!(labels, io["scores"].argmax(1, false) + 1);
}

#[test]
fn upernet_101_has_83_214_422_parameters_in_592_tensors_with_statistics_and_matches_the_reference() {
    let (store, network) = filled_upernet(&UPerNetConfig::default());
    let parameters: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
    assert_eq!((parameters, store.variables().len()), (83_214_422, 592));
    let logits = gradient_mode::off(|| network.logits(&pictures([1, 3, 32, 64]), false));
    let every_15th = logits.slice(1, None, None, 15);
    assert_close_by_size("upernet_101 logits", &every_15th, &tensors("upernet_101")["logits"]);
}

#[test]
fn upernet_trains_as_the_reference_does() {
    let (store, network) = upernet();
    let io = tensors("upernet");
    let logits = network.logits(&pictures([1, 3, 64, 96]), true);
    assert_close_by_size("upernet logits in training", &logits, &io["logits_in_training"]);
    let loss = logits.square().mean(Kind::Float) * 0.5;
    let variables = store.variables();
    let gradient = Tensor::run_backward(&[loss], &[&variables["encoder.conv1.weight"]], false, false);
    assert_close_by_size("upernet gradient", &gradient[0], &io["gradient"]);
    for statistic in ["running_mean", "running_var"] {
        let ours = &variables[&format!("encoder.bn1.{statistic}")];
        assert_close_by_size(&format!("upernet {statistic}"), ours, &io[statistic]);
    }
}

#[test]
fn upernet_is_read_from_its_folder_and_another_network_s_is_refused() {
    let (store, network) = upernet();
    let scratch = tempfile::tempdir().unwrap();
    let config = folder("upernet").join("config.json");
    std::fs::copy(config, scratch.path().join("config.json")).unwrap();
    let mut weights: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    // What batch norms of PyTorch and of the reference keep besides.
    let counter = Tensor::from_slice(&[3i64]);
    weights.push(("encoder.bn1.num_batches_tracked".into(), counter.get(0)));
    weights.push(("encoder.bn1._tmp_running_mean".into(), Tensor::ones([4], (Kind::Float, Device::Cpu))));
    let file = scratch.path().join("model.safetensors");
    Tensor::write_safetensors(&weights, &file).unwrap();
    let loaded = models::upernet::load_upernet(scratch.path(), Device::Cpu).unwrap();
    let _guard = tch::no_grad_guard();
    let input = pictures([1, 3, 32, 32]);
    assert_eq!(loaded.network.logits(&input, false), network.logits(&input, false));

    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mini/segmenter");
    models::upernet::load_upernet(&mini, Device::Cpu).unwrap();

    weights.retain(|(name, _)| name != "decoder.conv_last.1.bias");
    save_weights(&weights, Kind::Float, &file).unwrap();
    let message = refusal(scratch.path());
    assert!(message.contains("decoder.conv_last.1.bias") && message.contains("missing"), "{message}");
    let class = r#"{ "_class_name": "UPerNet", "short_side": [64] }"#;
    std::fs::write(scratch.path().join("config.json"), class).unwrap();
    let message = refusal(scratch.path());
    assert!(message.contains("unknown field `short_side`"), "{message}");
    let message = refusal(&folder("vit"));
    assert!(message.contains("config.json") && message.contains("unknown field"), "{message}");
    let sizes = r#"{ "short_sides": [], "fpn_width": 6 }"#;
    std::fs::write(scratch.path().join("config.json"), sizes).unwrap();
    let message = refusal(scratch.path());
    assert!(message.contains("`short_sides` is []"), "{message}");
}

fn refusal(folder: &Path) -> String {
    models::upernet::load_upernet(folder, Device::Cpu).unwrap_err().to_string()
}

#[test]
fn another_network_is_not_taken_for_inception() {
    let vit = folder("vit");
    let message = load_inception(&vit, Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("model.safetensors") && message.contains("Conv2d_1a_3x3"), "{message}");
    let message = load_inception(&vit.join("no.safetensors"), Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("cannot be read"), "{message}");
}

#[test]
fn features_without_a_distance_are_refused() {
    let features = unit("features", &[5, 4]);
    let message = Moments::of(&features.narrow(0, 0, 1)).unwrap_err().to_string();
    assert!(message.contains("features of 1 pictures"), "{message}");
    let broken = features.copy();
    let _ = broken.get(3).get(1).fill_(f64::NAN);
    let message = Moments::of(&broken).unwrap_err().to_string();
    assert!(message.contains("picture 3 are not finite"), "{message}");
    let [left, right] = [4, 3].map(|size| Moments::of(&features.narrow(1, 0, size)).unwrap());
    let message = left.distance(&right).unwrap_err().to_string();
    assert!(message.contains("4 and 3 values"), "{message}");
}

#[test]
fn labels_that_cannot_be_scored_are_refused_and_count_nothing() {
    let labels = |values: [i64; 4]| Tensor::from_slice(&values).view([2, 2]);
    let mut confusion = Confusion::new(3);
    confusion.add(&labels([1, 2, 3, 1]), &labels([0; 4])).unwrap();
    let message = confusion.scores().unwrap_err().to_string();
    assert!(message.contains("no pixel has a label"), "{message}");
    let mut refused = |predicted: Tensor, labels: Tensor, part: &str| {
        let message = confusion.add(&predicted, &labels).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(labels([1, 2, 3, 0]), labels([1; 4]), "predicted label 0 is outside of 1 to 3");
    refused(labels([1; 4]), labels([1, 2, 4, 0]), "given label 4 is outside of 0 to 3");
    refused(labels([1; 4]).view([4]), labels([1; 4]), "differ in shape");
    assert_eq!(confusion, Confusion::new(3));
}

#[derive(Deserialize)]
struct Metrics {
    frechet: Vec<FrechetCase>,
    segmentation: SegmentationCase,
    evaluation_sizes: Vec<SizesCase>,
}

#[derive(Deserialize)]
struct FrechetCase {
    name: String,
    rows: [i64; 2],
    size: i64,
    /// To 50 digits.
    exact: f64,
    pytorch_fid: f64,
}

#[derive(Deserialize)]
struct SegmentationCase {
    classes: i64,
    maps: Vec<[i64; 2]>,
    class_iou: Vec<f64>,
    mean_iou: f64,
    pixel_accuracy: f64,
}

#[derive(Deserialize)]
struct SizesCase {
    picture: [i64; 2],
    sizes: Vec<[i64; 2]>,
}

fn metrics() -> Metrics {
    let text = std::fs::read_to_string(folder("evaluator_metrics.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn frechet_distance_is_exact_and_pytorch_fid_s() {
    for FrechetCase { name, rows, size, exact, pytorch_fid } in metrics().frechet {
        let draw = |which: &str, rows, columns| {
            unit(&format!("{name} {which}"), &[rows, columns]).to_kind(Kind::Double)
        };
        let second = draw("second", rows[1], size) * 0.5 + draw("third", rows[1], 1) * 0.25 + 0.1;
        let [first, second] = [draw("first", rows[0], size), second].map(|one| Moments::of(&one).unwrap());
        let ours = first.distance(&second).unwrap();
        let off = |reference: f64| (ours / reference - 1.0).abs();
        println!("{name}: off by {:.1e}, from pytorch-fid by {:.1e}", off(exact), off(pytorch_fid));
        assert!(off(exact) < 1e-11, "{name}: {ours} for {exact}");
        // Its matrix root loses half of the digits where a covariance is singular: 1.3e-8 at most here.
        let tolerance = if rows.iter().all(|&rows| rows > size) { 1e-11 } else { 1e-7 };
        assert!(off(pytorch_fid) < tolerance, "{name}: {ours} for {pytorch_fid}");
        assert!((second.distance(&first).unwrap() / ours - 1.0).abs() < 1e-11, "{name}: not symmetric");
        assert!(first.distance(&first).unwrap() < 1e-11 * ours, "{name}: far from itself");
    }
}

#[test]
fn segmentation_scores_equal_the_reference_s() {
    let case = metrics().segmentation;
    let mut confusion = Confusion::new(case.classes as usize);
    for (index, shape) in case.maps.iter().enumerate() {
        let draw = |which: &str| unit(&format!("{which} {index}"), shape).to_kind(Kind::Double);
        let whole = |values: Tensor| values.floor().to_kind(Kind::Int64);
        let without_4 = |labels: Tensor| &labels + labels.eq(4).to_kind(Kind::Int64);
        let labels = whole(draw("labels") * (case.classes + 1));
        let guesses = whole(draw("guesses") * case.classes) + 1;
        let keep = draw("coins").lt(0.6).logical_and(&labels.gt(0));
        let predicted = labels.where_self(&keep, &guesses);
        confusion.add(&without_4(predicted), &without_4(labels)).unwrap();
    }
    let scores = confusion.scores().unwrap();
    let close =
        |ours: f64, reference: f64| assert!((ours - reference).abs() < 1e-12, "{ours} for {reference}");
    close(scores.mean_iou, case.mean_iou);
    close(scores.pixel_accuracy, case.pixel_accuracy);
    assert_eq!(scores.class_iou.len(), case.class_iou.len());
    for (ours, reference) in scores.class_iou.iter().zip(case.class_iou) {
        close(*ours, reference);
    }
}

#[test]
fn sizes_of_evaluation_equal_the_reference_s() {
    for SizesCase { picture: [height, width], sizes } in metrics().evaluation_sizes {
        assert_eq!(UPerNetConfig::default().evaluation_sizes(height, width), sizes, "{height} × {width}");
    }
}

//! RoBERTa and BERT against transformers, and what their hook, padding and files do.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use delora_core::HiddenShape;
use models::Loaded;
use models::roberta::{EncoderConfig, SequenceClassifier, Tokens, load_classifier, load_encoder};
use models::{
    Adaptable, Embedding, Frozen, Hidden, HiddenSite, Hook, LayerNorm, Linear, Place, Role, read_config,
};
use tch::{Device, Kind, Tensor};

use crate::{NETWORK_TOLERANCE, Stretch, TRANSFORMERS, assert_close, folder, load, tensors};

/// Model and number of labels.
const CASES: [(&str, i64); 2] = [("roberta", 3), ("bert", 2)];
/// A row alone runs through the same sums, in blocks of another size.
const PADDING_TOLERANCE: f64 = 1e-5;

fn classifier(case: &str, num_labels: i64) -> Loaded<SequenceClassifier> {
    load_classifier(&folder(case), num_labels, Device::Cpu).unwrap()
}

fn tokens(io: &HashMap<String, Tensor>) -> Tokens<'_> {
    Tokens { ids: &io["ids"], mask: &io["mask"], types: Some(&io["types"]) }
}

fn largest(tensor: Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

/// Names and values of the checkpoint of a case.
fn checkpoint(case: &str) -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(folder(case).join(TRANSFORMERS)).unwrap()
}

#[test]
fn encoders_and_their_heads_match_transformers() {
    for (case, num_labels) in CASES {
        let io = tensors(case);
        let (store, network) = load(case, TRANSFORMERS, |path, config: &EncoderConfig| {
            SequenceClassifier::new(path, config, num_labels).unwrap()
        });
        let hidden = network.encoder.forward(&tokens(&io), Kind::Float, &Frozen);
        assert_close(&format!("{case} hidden"), &hidden, &io["hidden"], NETWORK_TOLERANCE);
        let logits = network.forward(&tokens(&io), Kind::Float, &Frozen);
        assert_close(&format!("{case} logits"), &logits, &io["logits"], NETWORK_TOLERANCE);
        let words = &store.variables()[&format!("{case}.embeddings.word_embeddings.weight")];
        let loss = logits.square().sum(Kind::Float) * 0.5;
        let gradient = &Tensor::run_backward(&[loss], &[words], false, false)[0];
        let what = format!("{case} gradient of the words");
        assert_close(&what, gradient, &io["word_gradient"], NETWORK_TOLERANCE);
    }
}

#[test]
fn absent_token_types_are_all_of_the_first_segment() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        let of = |types| model.network.forward(&Tokens { types, ..tokens(&io) }, Kind::Float, &Frozen);
        let first = io["ids"].zeros_like();
        assert_eq!(of(None), of(Some(&first)));
        assert_eq!(of(None) == of(Some(&io["types"])), case == "roberta"); // which knows but one segment
    }
}

#[test]
fn a_sentence_is_the_same_alone_and_padded_in_a_batch() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        let hidden = model.network.encoder.forward(&tokens(&io), Kind::Float, &Frozen);
        let logits = model.network.forward(&tokens(&io), Kind::Float, &Frozen);
        let lengths: Vec<i64> =
            (&io["mask"].sum_dim_intlist([1].as_slice(), false, Kind::Int64)).try_into().unwrap();
        assert_eq!(lengths, [9, 6, 3]);
        for (row, length) in (0..).zip(lengths) {
            let part = |name: &str| io[name].narrow(0, row, 1).narrow(1, 0, length);
            let (ids, mask, types) = (part("ids"), part("mask"), part("types"));
            let alone = Tokens { ids: &ids, mask: &mask, types: Some(&types) };
            let what = format!("{case} row {row} alone");
            let ours = model.network.encoder.forward(&alone, Kind::Float, &Frozen);
            let padded = hidden.narrow(0, row, 1).narrow(1, 0, length);
            assert_close(&format!("{what}, hidden"), &ours, &padded, PADDING_TOLERANCE);
            let ours = model.network.forward(&alone, Kind::Float, &Frozen);
            assert_close(&format!("{what}, logits"), &ours, &logits.narrow(0, row, 1), PADDING_TOLERANCE);
        }
    }
}

#[test]
fn what_stands_under_the_mask_is_not_seen_and_without_the_mask_it_is() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        let other = io["ids"].where_self(&io["mask"].ne(0), &io["ids"].full_like(17));
        let unseen = model.network.forward(&Tokens { ids: &other, ..tokens(&io) }, Kind::Float, &Frozen);
        assert_close(&format!("{case} other padding"), &unseen, &io["logits"], NETWORK_TOLERANCE);
        let all = io["mask"].ones_like();
        let seen = model.network.forward(&Tokens { mask: &all, ..tokens(&io) }, Kind::Float, &Frozen);
        let moved = (seen - &io["logits"]).abs().amax([1].as_slice(), false);
        let is_padded: Vec<bool> = Vec::<f64>::try_from(&moved.to_kind(Kind::Double))
            .unwrap()
            .iter()
            .map(|&moved| moved > 1e-3)
            .collect();
        assert_eq!(is_padded, [false, true, true], "{case}");
    }
}

#[test]
fn half_precision_stays_near_single_precision() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        let logits = model.network.forward(&tokens(&io), Kind::BFloat16, &Frozen);
        assert_eq!(logits.kind(), Kind::BFloat16);
        // bf16 has eight bits, and some twenty roundings follow one another.
        assert_close(&format!("{case} in bf16"), &logits.to_kind(Kind::Float), &io["logits"], 0.05);
    }
}

#[test]
fn every_tensor_of_the_checkpoint_is_of_a_linear_or_among_the_others() {
    for (case, num_labels) in CASES {
        let model = classifier(case, num_labels);
        let stored: HashMap<String, Tensor> = checkpoint(case).into_iter().collect();
        let linears = model.network.linears();
        let of_linear = |(layer, _): &(&Linear, Role)| {
            let bias = layer.bias.as_ref().expect("every linear has a bias");
            [("weight", &layer.weight), ("bias", bias)]
                .map(|(part, value)| (format!("{}.{part}", layer.name), value.shallow_clone()))
        };
        let mut ours: Vec<(String, Tensor)> = linears.iter().flat_map(of_linear).collect();
        ours.extend(model.other_tensors());
        assert_eq!(ours.len(), stored.len());
        assert!(ours.iter().all(|(name, value)| stored[name] == *value), "{case}");
        let count = |wanted| linears.iter().filter(|(_, role)| *role == wanted).count();
        let blocks =
            [Role::Query, Role::Key, Role::Value, Role::Output, Role::FeedForwardIn, Role::FeedForwardOut];
        assert_eq!(blocks.map(count), [3; 6]);
        assert_eq!(count(Role::Other), 2);
    }
}

#[test]
fn every_linear_reaches_the_output_through_the_hook() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        for (layer, _) in model.network.linears() {
            let output = model.network.forward(&tokens(&io), Kind::Float, &Stretch(&layer.name));
            let moved = largest(output - &io["logits"]);
            assert!(moved > 1e-3, "{} moved the output by {moved}", layer.name);
        }
    }
}

/// Remembers which layers and hidden states passed, in order.
#[derive(Default)]
struct Recorder {
    layers: RefCell<Vec<(String, Tensor)>>,
    hidden: RefCell<Vec<Passed>>,
}

struct Passed {
    site: HiddenSite,
    values: Tensor,
    lengths: Option<Tensor>,
    normed: Option<Tensor>,
}

impl Recorder {
    fn layer(&self, name: &str, input: &Tensor) {
        self.layers.borrow_mut().push((name.to_string(), input.shallow_clone()));
    }
}

impl Hook for Recorder {
    fn linear(&self, layer: &Linear, input: &Tensor) -> Tensor {
        self.layer(&layer.name, input);
        layer.forward(input)
    }

    fn layer_norm(&self, layer: &LayerNorm, input: &Tensor) -> Tensor {
        self.layer(&layer.name, input);
        layer.forward(input)
    }

    fn embedding(&self, layer: &Embedding, ids: &Tensor) -> Tensor {
        self.layer(&layer.name, ids);
        layer.forward(ids)
    }

    fn hidden(&self, site: &HiddenSite, hidden: &Hidden) -> Tensor {
        self.hidden.borrow_mut().push(Passed {
            site: site.clone(),
            values: hidden.values.shallow_clone(),
            lengths: hidden.lengths.map(Tensor::shallow_clone),
            normed: hidden.normed.map(|normed| normed()),
        });
        hidden.values.shallow_clone()
    }
}

/// What passed the hook in one forward pass over the batch of a case.
fn recorded(case: &str, model: &Loaded<SequenceClassifier>) -> Recorder {
    let recorder = Recorder::default();
    let _ = model.network.forward(&tokens(&tensors(case)), Kind::Float, &recorder);
    recorder
}

#[test]
fn every_layer_goes_through_the_hook_with_all_rows() {
    for (case, num_labels) in CASES {
        let stored = checkpoint(case);
        let layers: BTreeSet<&str> =
            stored.iter().map(|(name, _)| name.rsplit_once('.').unwrap().0).collect();
        let passed = recorded(case, &classifier(case, num_labels)).layers.into_inner();
        assert_eq!(passed.iter().map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>(), layers);
        assert!(passed.iter().all(|(_, input)| input.size()[0] == 3), "{case}");
        let tables = passed.iter().filter(|(name, _)| name.ends_with("_embeddings"));
        assert!(tables.map(|(_, ids)| ids.size()).eq([[3, 9]; 3]), "{case}");
    }
}

#[test]
fn hidden_states_pass_behind_both_sublayers_and_the_block() {
    for (case, num_labels) in CASES {
        let model = classifier(case, num_labels);
        let recorder = recorded(case, &model);
        let passed = recorder.hidden.into_inner();
        let sites: Vec<HiddenSite> = passed.iter().map(|passed| passed.site.clone()).collect();
        assert_eq!(sites, model.network.hidden_sites());
        let expected = (0..3).flat_map(|layer| {
            [
                (".attention.output", Place::AttentionOutput),
                (".output", Place::FeedForwardOutput),
                ("", Place::BlockOutput),
            ]
            .map(|(part, place)| HiddenSite {
                name: format!("{case}.encoder.layer.{layer}{part}"),
                shape: HiddenShape { place, layer, features: 32 },
            })
        });
        assert!(expected.eq(sites));
        for passed in &passed {
            assert_eq!(passed.values.size(), [3, 9, 32]);
            assert_eq!(Vec::<i64>::try_from(passed.lengths.as_ref().unwrap()).unwrap(), [9, 6, 3]);
        }
        // What the norm makes of the sum is what goes on: into the feed-forward block, and out of the block.
        let inputs: HashMap<String, Tensor> = recorder.layers.into_inner().into_iter().collect();
        for block in passed.chunks(3) {
            let [attention, feed_forward, whole] = block else { panic!("three sites for each block") };
            let behind = &inputs[&format!("{}.intermediate.dense", whole.site.name)];
            assert_eq!(attention.normed.as_ref().unwrap(), behind);
            assert_eq!(feed_forward.normed.as_ref().unwrap(), &whole.values);
            assert!(whole.normed.is_none());
        }
        let io = tensors(case);
        assert_close(&format!("{case} last block"), &passed[8].values, &io["hidden"], NETWORK_TOLERANCE);
    }
}

/// Takes its place away from the hidden states.
struct Silence(Place);

impl Hook for Silence {
    fn hidden(&self, site: &HiddenSite, hidden: &Hidden) -> Tensor {
        if site.shape.place == self.0 { hidden.values * 0.0 } else { hidden.values.shallow_clone() }
    }
}

#[test]
fn what_the_hook_makes_of_hidden_states_goes_on_before_the_residual_is_added() {
    for (case, num_labels) in CASES {
        let (io, model) = (tensors(case), classifier(case, num_labels));
        let run = |place| model.network.encoder.forward(&tokens(&io), Kind::Float, &Silence(place));
        for place in [Place::AttentionOutput, Place::FeedForwardOutput] {
            let hidden = run(place);
            assert!(largest(&hidden - &io["hidden"]) > 1e-1, "{case}: {place:?} does not reach the output");
            // Without the residual the norm gives its bias at every token.
            let tokens_differ = largest(hidden.select(1, 0) - hidden.select(1, 1)) > 1e-1;
            assert!(tokens_differ, "{case}: the residual is lost behind {place:?}");
        }
        assert_eq!(largest(run(Place::BlockOutput)), 0.0);
    }
}

/// A folder with the config of a case and `tensors`.
fn written(test: &str, case: &str, tensors: &[(String, Tensor)]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}_{case}"));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::copy(folder(case).join("config.json"), path.join("config.json")).unwrap();
    Tensor::write_safetensors(tensors, path.join(TRANSFORMERS)).unwrap();
    path
}

#[test]
fn files_with_gamma_and_beta_are_read_but_not_with_both_names() {
    for (case, num_labels) in CASES {
        let mut old = checkpoint(case);
        for (name, _) in &mut old {
            *name = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
        }
        let model = load_classifier(&written("old_names", case, &old), num_labels, Device::Cpu).unwrap();
        assert_eq!(model.other_tensors(), classifier(case, num_labels).other_tensors());
        let name = format!("{case}.embeddings.LayerNorm.gamma");
        old.retain(|(stored, _)| *stored == name);
        old.extend(checkpoint(case));
        let refused = load_classifier(&written("both_names", case, &old), num_labels, Device::Cpu);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(&name) && message.contains("not part of"), "{message}");
    }
}

#[test]
fn an_encoder_is_read_out_of_files_with_other_heads_and_nothing_else() {
    for (case, num_labels) in CASES {
        let extra = |name: &str| (name.to_string(), Tensor::ones([2], (Kind::Float, Device::Cpu)));
        let mut stored = checkpoint(case);
        let pooler = format!("{case}.pooler.dense.scale");
        let position_ids = format!("{case}.embeddings.position_ids");
        stored.extend(["lm_head.bias", "cls.predictions.bias", &pooler, &position_ids].map(extra));
        let path = written("other_heads", case, &stored);
        let encoder = load_encoder(&path, Device::Cpu).unwrap();
        let io = tensors(case);
        let hidden = encoder.network.forward(&tokens(&io), Kind::Float, &Frozen);
        assert_close(&format!("{case} encoder alone"), &hidden, &io["hidden"], NETWORK_TOLERANCE);
        assert_eq!(encoder.network.linears().len(), 3 * 6);
        load_classifier(&path, num_labels, Device::Cpu).unwrap();

        stored.push(extra("decoder.weight"));
        let message = load_encoder(&written("decoder", case, &stored), Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("decoder.weight") && message.contains("not part of"), "{message}");
        stored.retain(|(name, _)| !name.starts_with("classifier"));
        let path = written("no_head", case, &stored[..stored.len() - 1]);
        let message = load_classifier(&path, num_labels, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("`classifier.") && message.contains("missing"), "{message}");
    }
}

#[test]
fn a_config_that_does_not_go_together_is_an_error() {
    let refusal = |change: &dyn Fn(&mut EncoderConfig)| {
        let mut config: EncoderConfig = read_config(&folder("roberta").join("config.json")).unwrap();
        change(&mut config);
        let store = tch::nn::VarStore::new(Device::Cpu);
        SequenceClassifier::new(&store.root(), &config, 2).unwrap_err().to_string()
    };
    let message = refusal(&|config| config.num_attention_heads = 5);
    assert!(message.contains("32") && message.contains("`num_attention_heads` 5"), "{message}");
    let message = refusal(&|config| config.pad_token_id = 40);
    assert!(message.contains("`pad_token_id` 40"), "{message}");
    let message = refusal(&|config| config.max_position_embeddings = 2);
    assert!(message.contains("leaves room for 0 tokens"), "{message}");
}

#[test]
fn relative_positions_and_other_models_are_not_taken_for_these() {
    let text = std::fs::read_to_string(folder("bert").join("config.json")).unwrap();
    for (ours, other) in [("\"absolute\"", "\"relative_key\""), ("\"bert\"", "\"albert\"")] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other_config.json");
        assert!(text.contains(ours));
        std::fs::write(&path, text.replace(ours, other)).unwrap();
        let message = read_config::<EncoderConfig>(&path).unwrap_err().to_string();
        assert!(message.contains(other.trim_matches('"')), "{message}");
    }
}

#[test]
#[should_panic(expected = "sequences of 13 tokens; the encoder takes 12")]
fn a_sequence_longer_than_the_table_of_positions_panics() {
    let model = classifier("roberta", 3);
    let ids = Tensor::full([1, 13], 7, (Kind::Int64, Device::Cpu));
    let tokens = Tokens { ids: &ids, mask: &ids.ones_like(), types: None };
    let _ = model.network.forward(&tokens, Kind::Float, &Frozen);
}

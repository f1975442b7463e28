//! The bundles of the paper's subject-driven experiments, and the environment that Python shares, against the hub here.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hub::{Environment, Hub, Patience};

use crate::repository::Repository;
use crate::server::{COMMIT, HubServer, What};
use crate::{Client, JOBS, NOTES, walk};

/// Repositories with the names of the files that they have on the hub, or some of them.
fn paper() -> HubServer {
    let repository = |name: &str, small: &'static str, large: &'static str| {
        let small = small.split_whitespace().map(|file| (file, file.as_bytes(), false));
        let large = large.split_whitespace().map(|file| (file, file.as_bytes(), true));
        Repository::new(name, &small.chain(large).collect::<Vec<_>>())
    };
    HubServer::of(vec![
        repository(
            "models/stable-diffusion-v1-5/stable-diffusion-v1-5",
            "README.md model_index.json v1-inference.yaml feature_extractor/preprocessor_config.json
             safety_checker/config.json scheduler/scheduler_config.json text_encoder/config.json
             tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json
             tokenizer/vocab.json unet/config.json vae/config.json",
            "safety_checker/model.safetensors text_encoder/model.fp16.safetensors text_encoder/model.safetensors
             text_encoder/pytorch_model.bin unet/diffusion_pytorch_model.bin
             unet/diffusion_pytorch_model.fp16.safetensors unet/diffusion_pytorch_model.non_ema.safetensors
             unet/diffusion_pytorch_model.safetensors v1-5-pruned.ckpt v1-5-pruned.safetensors
             vae/diffusion_pytorch_model.safetensors",
        ),
        repository(
            "models/facebook/dino-vits16",
            "README.md config.json preprocessor_config.json",
            "pytorch_model.bin",
        ),
        repository(
            "datasets/google/dreambooth",
            "README.md dataset/prompts_and_classes.txt dataset/references_and_licenses.txt",
            "dataset/cat/00.jpg dataset/cat/01.jpg dataset/cat2/00.jpg dataset/rc_car/00.jpg",
        ),
    ])
}

fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    walk(folder, "", &mut names);
    names.sort();
    names
}

#[test]
fn bundles_arrive_side_by_side_and_without_what_nobody_needs() {
    let server = paper();
    let client = Client::of(&server);
    server.fault("GET /store", 4, What::Slow(Duration::from_millis(300)));
    let bundles = ["sd15", "dino-vits16", "dreambooth"].map(|name| hub::find(name).unwrap());
    let plans = client.fetch_all(&bundles).unwrap();
    assert!((2..=JOBS.get()).contains(&server.most_at_once()), "{} at once", server.most_at_once());
    let folders: Vec<Vec<String>> = plans.iter().map(|plan| names(&plan.folder)).collect();
    let expected = "model_index.json scheduler/scheduler_config.json text_encoder/config.json \
        text_encoder/model.safetensors tokenizer/merges.txt tokenizer/special_tokens_map.json \
        tokenizer/tokenizer_config.json tokenizer/vocab.json unet/config.json \
        unet/diffusion_pytorch_model.safetensors vae/config.json vae/diffusion_pytorch_model.safetensors";
    assert_eq!(folders[0].join(" "), expected);
    assert_eq!(folders[1], ["config.json", "preprocessor_config.json", "pytorch_model.bin"]);
    // What `data` names is DreamBooth's own layout.
    assert_eq!(bundles[2].inside, "dataset");
    let expected = "cat/00.jpg cat/01.jpg cat2/00.jpg prompts_and_classes.txt rc_car/00.jpg \
        references_and_licenses.txt";
    assert_eq!(names(&plans[2].folder.join("dataset")).join(" "), expected);
    for (plan, folder) in plans.iter().zip(&folders) {
        for name in folder {
            assert_eq!(fs::read_to_string(plan.folder.join(name)).unwrap(), *name);
        }
    }
}

#[test]
fn of_several_bundles_those_that_are_whole_stay() {
    let server = paper();
    let client = Client::of(&server);
    server.fault(&format!("{COMMIT}/dataset/rc_car/00.jpg"), 1, What::Status(404, &[]));
    let bundles = ["dino-vits16", "dreambooth"].map(|name| hub::find(name).unwrap());
    let error = client.fetch_all(&bundles).err().unwrap().to_string();
    assert!(error.contains("`google/dreambooth` has no file `dataset/rc_car/00.jpg`"), "{error}");
    let reference = |repository: &str| client.folder.path().join(repository).join("refs/main").exists();
    assert!(reference("models--facebook--dino-vits16") && !reference("datasets--google--dreambooth"));
    client.fetch_all(&bundles).unwrap();
    assert!(reference("datasets--google--dreambooth"));
}

#[test]
fn the_variables_of_python_say_where_and_who() {
    let server = crate::notes();
    let home = tempfile::tempdir().unwrap();
    let fetch = |more: &[(&str, &str)]| {
        let home = home.path().to_str().unwrap();
        let variables = [&[("HF_ENDPOINT", server.endpoint.as_str()), ("HF_HOME", home)], more].concat();
        let environment = Environment::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
        .unwrap();
        let progress = hub::Progress::lines(|_| ());
        let hub = Hub::new(&environment, Patience::default()).unwrap();
        let plan = hub.plan(&NOTES, &["b".to_string()], &progress).unwrap();
        hub.download(std::slice::from_ref(&plan), JOBS, &progress).unwrap();
        let asked: Vec<Option<String>> =
            server.seen().into_iter().map(|request| request.authorization).collect();
        (plan.folder, asked)
    };
    let (folder, asked) = fetch(&[("HF_TOKEN", "hf_variable")]);
    assert!(folder.starts_with(home.path().join("hub/datasets--owner--notes/snapshots")), "{folder:?}");
    assert!(asked.contains(&Some("Bearer hf_variable".to_string())), "{asked:?}");
    fs::write(home.path().join("token"), "hf_file\n").unwrap();
    assert_eq!(fetch(&[]).1, [Some("Bearer hf_file".to_string())]);
    assert_eq!(fetch(&[("HF_HUB_OFFLINE", "1")]), (folder, vec![]));
}

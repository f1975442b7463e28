//! What experiments need and no hub has as such: where a user finds it, and what to do with it.

/// A model or data set that is fetched by hand.
#[derive(Debug)]
pub struct ByHand {
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where experiment files have it.
    pub place: &'static str,
    pub licence: &'static str,
    pub about_bytes: u64,
    /// What to do, in lines.
    pub steps: &'static [&'static str],
}

pub const BY_HAND: &[ByHand] = &[
    ByHand {
        name: "ade20k",
        about: "ADE20K's 20,210 training and 2,000 validation pictures, with maps of 150 classes",
        place: "data/ade20k",
        licence: "pictures for non-commercial research and education only, annotations BSD-3-Clause",
        about_bytes: 930_000_000, // from memory
        // The hub's zhoubolei/scene_parse_150 holds a script that downloads this archive, and no pictures.
        steps: &[
            "download ADEChallengeData2016.zip from data.csail.mit.edu/places/ADEchallenge/",
            "unpack it: the folder has images/training, images/validation and annotations beside them",
            "the captions are in the repository Zeju1997/oft: data/ADE20K/train/prompt_train_blip.json and",
            "data/ADE20K/val/prompt_val_blip_full.json",
        ],
    },
    ByHand {
        name: "upernet101",
        about: "UPerNet with ResNet-101 on ADE20K, which scores pictures made from maps",
        place: "models/upernet101",
        licence: "BSD-3-Clause",
        about_bytes: 350_000_000, // by the number of parameters
        steps: &[
            "download encoder_epoch_50.pth and decoder_epoch_50.pth into one folder, from",
            "sceneparsing.csail.mit.edu/model/pytorch/ade20k-resnet101-upernet/",
        ],
    },
    ByHand {
        name: "inception-fid",
        about: "Inception-v3 with the weights that FID is computed with",
        place: "models/inception-fid",
        licence: "Apache-2.0",
        about_bytes: 96_000_000,
        steps: &[
            "download pt_inception-2015-12-05-6726825d.pth into a folder, from the release `fid_weights` of the",
            "repository mseitzer/pytorch-fid; its SHA-256 begins with 6726825d",
        ],
    },
    ByHand {
        name: "alpaca-cleaned",
        about: "the 51,759 instructions that the paper's run took",
        place: "data/alpaca_data_cleaned_archive.json",
        licence: "CC BY-NC 4.0, that of the instructions; the repository's is Apache-2.0",
        about_bytes: 22_000_000,
        steps: &["download alpaca_data_cleaned_archive.json from the repository tloen/alpaca-lora"],
    },
];

/// What this name stands for, if it is fetched by hand.
pub fn by_hand(name: &str) -> Option<&'static ByHand> {
    BY_HAND.iter().find(|entry| entry.name == name)
}

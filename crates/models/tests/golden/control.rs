//! The condition encoder of a ControlNet, on the file made by `tools/goldens/control.py`.

use models::control::{ConditionEncoder, ConditionEncoderConfig};
use models::read_config;

use super::{NETWORK_TOLERANCE, assert_close, folder, tensors};

#[test]
fn condition_encoder_matches_diffusers() {
    let folder = folder("condition_encoder");
    let config: ConditionEncoderConfig = read_config(&folder.join("config.json")).unwrap();
    let encoder = ConditionEncoder::new(&config).unwrap();
    let io = tensors("condition_encoder");
    let features = encoder.forward(&encoder.load(&folder).unwrap(), &io["maps"]);
    assert_close("condition encoder", &features, &io["features"], NETWORK_TOLERANCE);
}

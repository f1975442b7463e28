//! What `--devices` says.

use tch::Device;

/// What is wrong with a list of devices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    #[error(
        "--devices {given}: `{part}` is no device; write `cpu`, `cpu:2` for two workers, `cuda:0`, or several with commas"
    )]
    Unknown { given: String, part: String },
    #[error("--devices {given}: there is no cuda:{index}; {found}")]
    Absent { given: String, index: usize, found: String },
    #[error("--devices {given}: `{part}` stands twice")]
    Twice { given: String, part: String },
}

/// What a machine has.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    pub cuda_devices: usize,
    /// Threads of the CPU that libtorch computes with.
    pub threads: usize,
}

impl Machine {
    /// This one, as libtorch sees it.
    pub fn here() -> Machine {
        crate::load_cuda();
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        Machine {
            cuda_devices: count(tch::Cuda::device_count()),
            threads: count(tch::get_num_threads().into()).max(1),
        }
    }

    /// All CUDA devices; without any, the CPU with a worker per thread.
    pub(crate) fn all(self) -> Vec<Device> {
        match self.cuda_devices {
            0 => vec![Device::Cpu; self.threads],
            count => (0..count).map(Device::Cuda).collect(),
        }
    }
}

/// A list such as `cuda:0,cuda:1`, `cuda` for all of them, `cpu` for a worker on each of its threads, or `cpu:2` for two.
///
/// Errors: what is no device, one that this machine does not have, one that stands twice.
pub fn parse(given: &str, machine: Machine) -> Result<Vec<Device>, DevicesError> {
    let cuda_devices = machine.cuda_devices;
    let mut devices = Vec::new();
    for part in given.split(',').map(str::trim) {
        let unknown = || DevicesError::Unknown { given: given.to_owned(), part: part.to_owned() };
        let (kind, number) = match part.split_once(':') {
            Some((kind, number)) => (kind, Some(number.parse::<usize>().map_err(|_| unknown())?)),
            None => (part, None),
        };
        let found = match (kind, number) {
            ("cpu", workers @ (None | Some(1..))) => vec![Device::Cpu; workers.unwrap_or(machine.threads)],
            ("cuda", None) if cuda_devices > 0 => machine.all(),
            ("cuda", index) if index.unwrap_or(0) >= cuda_devices => {
                let found = match cuda_devices {
                    0 => "this libtorch finds no CUDA device, `delora doctor` says why".to_owned(),
                    count => format!("devices are cuda:0 to cuda:{}", count - 1),
                };
                return Err(DevicesError::Absent {
                    given: given.to_owned(),
                    index: index.unwrap_or(0),
                    found,
                });
            }
            ("cuda", Some(index)) => vec![Device::Cuda(index)],
            _ => return Err(unknown()),
        };
        if found.iter().any(|device| devices.contains(device)) {
            return Err(DevicesError::Twice { given: given.to_owned(), part: part.to_owned() });
        }
        devices.extend(found);
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_devices_of_this_machine_each_once() {
        let cuda = |indices: &[usize]| indices.iter().map(|&index| Device::Cuda(index)).collect::<Vec<_>>();
        let machine = |cuda_devices| Machine { cuda_devices, threads: 3 };
        let parse = |given, cuda_devices| parse(given, machine(cuda_devices));
        assert_eq!(parse("cuda:1, cuda:0", 2), Ok(cuda(&[1, 0])));
        assert_eq!(parse("cuda", 2), Ok(cuda(&[0, 1])));
        assert_eq!(parse("cpu:2", 0), Ok(vec![Device::Cpu; 2]));
        assert_eq!(parse("cpu", 0), Ok(vec![Device::Cpu; 3]));
        assert_eq!((machine(0).all(), machine(2).all()), (vec![Device::Cpu; 3], cuda(&[0, 1])));
        let problem = |given, count| parse(given, count).unwrap_err().to_string();
        for wrong in ["gpu", "cuda:x", "cpu:0", "", "cuda:0,"] {
            assert!(problem(wrong, 2).contains("is no device; write `cpu`"), "{wrong}");
        }
        assert_eq!(
            problem("cuda:2", 2),
            "--devices cuda:2: there is no cuda:2; devices are cuda:0 to cuda:1"
        );
        assert!(problem("cuda", 0).contains("`delora doctor` says why"));
        assert_eq!(problem("cuda,cuda:1", 2), "--devices cuda,cuda:1: `cuda:1` stands twice");
    }
}

//! Hints for the remarks of jobs.

use oneiro_jobs::Remark;
use oneiro_jobs::remark::{PreparationRemark, Relus, ResultRemark, ScanRemark, ZeroMap};

/// Returns the text that is printed for a remark, with the flags that change what it is about.
pub fn of_remark(remark: &Remark) -> String {
    let advice = match remark {
        Remark::Preparation(remark) => of_preparation(remark),
        Remark::Result(remark) => of_result(remark),
        Remark::Scan(ScanRemark::SourcesGone { .. }) => {
            Some("; if they have moved, --images FOLDER says where they are".to_owned())
        }
        Remark::Scan(ScanRemark::FewExamples { short_lists: true, .. }) => {
            Some(" (`oneiro scan … --top 32`)".to_owned())
        }
        Remark::OwnSize { wanted, own } if own[0] < wanted[0] => {
            Some(" (`oneiro render --preset enlarged` makes larger ones)".to_owned())
        }
        Remark::ClassOutput { .. } => Some("; --output NAME or the card's output takes another".to_owned()),
        _ => None,
    };
    format!("{remark}{}", advice.unwrap_or_default())
}

fn of_preparation(remark: &PreparationRemark) -> Option<String> {
    use PreparationRemark as Remark;
    Some(match remark {
        Remark::Guessed { .. } => {
            ": give --preprocess, --mean and --std, or a model card (NAME.toml beside the model)".to_owned()
        }
        Remark::GuessedBands { .. } => ": give --mean, --std and --range, or a model card".to_owned(),
        Remark::Averaged { preprocess: Some(name), .. } => format!(" (--preprocess {name})"),
        Remark::Reordered { preprocess, .. } => format!(" (--preprocess {preprocess})"),
        Remark::LargeMean { .. } => "; if it counts from 0 to 255, give --range 255".to_owned(),
        Remark::ChannelsLast { .. } => " (--layout nchw if not)".to_owned(),
        Remark::AxesGuessed { .. } => "; --input-axes if they are others".to_owned(),
        Remark::Zeros { input, maybe_picture } => {
            let picture = match maybe_picture {
                true => "; if it is a picture, say its axes with --input-axes",
                false => "",
            };
            format!(" (--feed {input}=VALUE or a .npy file for something else){picture}")
        }
        Remark::Unread { input } => format!(" (--feed {input})"),
        Remark::Integers { doubtful: true, .. } => ", which --preprocess none gives".to_owned(),
        _ => return None,
    })
}

fn of_result(remark: &ResultRemark) -> Option<String> {
    use ResultRemark as Remark;
    Some(match remark {
        Remark::UnknownActivation => {
            "; give --set max_activation=A (`oneiro render` also has --data FOLDER, whose photos show it)"
                .to_owned()
        }
        Remark::SeveralInputs { .. } => "; --raw keeps all".to_owned(),
        Remark::Stuck { relus: Relus::Plain, .. } => {
            "; --relu-rule redirected may wake a dead unit".to_owned()
        }
        Remark::Fallen { .. } => "; try a smaller --lr, other --transform, or weaker penalties".to_owned(),
        Remark::Clipped { .. } => "; try a smaller --lr or fewer --steps".to_owned(),
        Remark::EvenBands { vary, .. } => {
            let vary: Vec<String> = vary.iter().map(usize::to_string).collect();
            format!(" (--show {})", vary.join(","))
        }
        Remark::Faint { clipped, .. } => {
            let display = if *clipped { ", or --display auto to see what there is" } else { "" };
            format!("; try a larger --lr or more --steps{display}")
        }
        Remark::Gap { steps, .. } => format!("; more --steps than {steps} bring them together"),
        Remark::ZeroMap { why: ZeroMap::ChosenLayer, .. } | Remark::EvenMap { .. } => {
            "; --cam-layer names another layer".to_owned()
        }
        _ => return None,
    })
}

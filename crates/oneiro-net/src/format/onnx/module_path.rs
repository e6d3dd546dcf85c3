//! Finds the module of the original program from which a node was exported.

use super::proto;

/// Returns the path of the PyTorch module from which a node was exported.
///
/// The newer PyTorch exporter writes the scopes into the node's metadata; the last entry is the call itself
/// (`['', 'layer1', 'layer1.0', 'conv2d']`). The older exporter writes them into the node's name. Each scope
/// has its own name, or, in containers, the container's name and an index (`/layer1/layer1.0/conv1/Conv`).
/// TensorFlow writes scopes into names without a leading slash (`model/conv1/Relu`).
pub(super) fn module_path(node: &proto::NodeProto) -> Option<String> {
    let scopes = node.metadata_props.iter().find(|p| p.key() == "pkg.torch.onnx.name_scopes");
    if let Some(scopes) = scopes {
        let parts: Vec<&str> =
            scopes.value().trim_matches(['[', ']']).split(',').map(|s| s.trim().trim_matches('\'')).collect();
        return parts.iter().rev().skip(1).find(|s| !s.is_empty()).map(|s| (*s).to_owned());
    }
    let Some(scopes) = node.name().strip_prefix('/') else {
        let (scopes, _operation) = node.name().rsplit_once('/')?;
        return Some(scopes.replace('/', "."));
    };
    let mut path: Vec<&str> = Vec::new();
    let mut parts: Vec<&str> = scopes.split('/').collect();
    parts.pop();
    for part in parts {
        match path.last_mut() {
            Some(last) if part.strip_prefix(*last).is_some_and(|rest| rest.starts_with('.')) => *last = part,
            _ => path.push(part),
        }
    }
    if path.is_empty() { None } else { Some(path.join(".")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Option<String> {
        module_path(&proto::NodeProto { name: Some(name.into()), ..Default::default() })
    }

    #[test]
    fn module_paths_lose_the_exporters_decoration() {
        assert_eq!(path("/features/features.0/Conv").as_deref(), Some("features.0"));
        assert_eq!(path("/layer1/layer1.0/conv1/Conv").as_deref(), Some("layer1.0.conv1"));
        assert_eq!(
            path("/features/features.1/conv/conv.0/conv.0.0/Conv").as_deref(),
            Some("features.1.conv.0.0")
        );
        assert_eq!(path("/blocks/blocks.11/Add").as_deref(), Some("blocks.11"));
        assert_eq!(path("model_1/conv1_1/Relu").as_deref(), Some("model_1.conv1_1"));
        assert_eq!(path("Conv_12"), None);
    }

    #[test]
    fn module_paths_come_from_the_newer_exporters_metadata() {
        let node = proto::NodeProto {
            name: Some("node_conv2d".into()),
            metadata_props: vec![proto::StringStringEntryProto {
                key: Some("pkg.torch.onnx.name_scopes".into()),
                value: Some("['', 'flow', 'flow.conv3', 'conv2d_6']".into()),
            }],
            ..Default::default()
        };
        assert_eq!(module_path(&node).as_deref(), Some("flow.conv3"));
    }
}

// What the tests of this target share: loading a text, and the error a wrong text gives.

import Testing

@testable import Manifests

/// Loads a text as file `test.yaml`.
func load(_ text: String) throws(ManifestError) -> LoadedManifests {
    try LoadedManifests.load(text: text, name: "test.yaml")
}

/// The description of the error a text gives, or `no error`.
func errorText(_ text: String) -> String {
    do {
        _ = try load(text)
        return "no error"
    } catch {
        return error.description
    }
}

/// A pod with the given lines below `spec:`, which begin in line 6.
func pod(spec: String) -> String {
    """
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
    spec:
    \(spec)
    """
}

/// A pod whose metadata has more lines, beginning in line 5.
func pod(metadata: String) -> String {
    """
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
    \(metadata)
    spec: {containers: [{name: web}]}
    """
}

// Files, directories and standard input; objects that stand twice or mean nothing here; and the way back from an
// object's error to its line.

import Kubernetes
import Testing

@testable import Manifests

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

private func writeText(_ text: String, to descriptor: Int32) -> Bool {
    let bytes = Array(text.utf8)
    return write(descriptor, bytes, bytes.count) == bytes.count
}

/// A directory that is removed with its files when it is let go of.
private final class TemporaryDirectory {
    let path: String
    private var files: [String] = []

    init() throws {
        var template = Array("/tmp/podnet-manifests-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        path = try #require(made)
    }

    deinit {
        for file in files { unlink(file) }
        rmdir(path)
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(writeText(text, to: descriptor))
        if !files.contains(file) { files.append(file) }
        return file
    }
}

@Suite struct LoadingTests {
    private func namespace(_ name: String) -> String {
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: \(name)}\n"
    }

    private func error(_ paths: [String], standardInput: Int32 = -1) -> String {
        do {
            _ = try LoadedManifests.load(paths: paths, standardInput: standardInput)
            return "no error"
        } catch {
            return error.description
        }
    }

    @Test func `a directory stands for its manifests in the order of their names`() throws {
        let directory = try TemporaryDirectory()
        try directory.write("b.yml", namespace("b"))
        try directory.write("a.yaml", namespace("a"))
        try directory.write("B.json", #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"upper"}}"#)
        try directory.write(".hidden.yaml", "broken: [")
        try directory.write("notes.txt", "broken: [")
        for path in [directory.path, directory.path + "/"] {
            let loaded = try LoadedManifests.load(paths: [path])
            #expect(loaded.objects.namespaces.map(\.metadata.name) == ["upper", "a", "b"])
            #expect(loaded.place(of: loaded.objects.namespaces[1].metadata.origin)?.file == directory.path + "/a.yaml")
        }
    }

    @Test func `files keep the order of the arguments`() throws {
        let directory = try TemporaryDirectory()
        let first = try directory.write("z.yaml", namespace("z"))
        let second = try directory.write("a.yaml", namespace("a") + "---\n" + namespace("b"))
        let loaded = try LoadedManifests.load(paths: [first, second])
        #expect(loaded.objects.namespaces.map(\.metadata.name) == ["z", "a", "b"])
        #expect(
            loaded.objects.namespaces.map(\.metadata.origin) == [
                ObjectOrigin(source: 0, item: 0), ObjectOrigin(source: 1, item: 0), ObjectOrigin(source: 1, item: 1),
            ])
    }

    @Test func `standard input is read to its end and kept for errors`() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        try #require(writeText(namespace("piped"), to: ends[1]))
        close(ends[1])
        defer { close(ends[0]) }
        let loaded = try LoadedManifests.load(paths: ["-"], standardInput: ends[0])
        #expect(loaded.objects.namespaces[0].metadata.name == "piped")
        let located = loaded.locate(ObjectError(loaded.objects.namespaces[0], FieldPath("metadata", "name"), "wrong"))
        #expect(located.description == "<stdin>:3:18: Namespace piped: metadata.name: wrong")
        #expect(
            error(["-", "-"]) == """
                <stdin>: standard input is given twice
                  hint: it can be read only once: give `-f -` once
                """)
    }

    @Test func `what cannot be read is named`() throws {
        let directory = try TemporaryDirectory()
        #expect(
            error([directory.path + "/none.yaml"])
                == "\(directory.path)/none.yaml: no such file or directory\n  hint: check the path")
        #expect(
            error([directory.path]) == """
                \(directory.path): the directory has no *.yaml, *.yml or *.json file
                  hint: subdirectories are not searched: name them with -f as well
                """)
        #expect(
            error(["-"], standardInput: -1) == """
                <stdin>: cannot be read: bad file descriptor
                  hint: name a readable file or directory, or - for standard input
                """)
        let empty = try directory.write("empty.yaml", "# nothing\n")
        #expect(
            error([empty])
                == """
                \(empty): there is no object in the input
                  hint: give at least one manifest with `apiVersion:` and `kind:`
                """
        )
        var limits = ManifestLimits()
        limits.fileSize = 5
        let small = #expect(throws: ManifestError.self) { try LoadedManifests.load(paths: [empty], limits: limits) }
        #expect(small?.message == "the file is larger than 5 octets")
    }

    @Test func `an object that stands twice is refused with both places`() throws {
        let directory = try TemporaryDirectory()
        let first = try directory.write("a.yaml", namespace("x") + "---\n" + namespace("a"))
        let second = try directory.write("b.yaml", "# copy\n" + namespace("a"))
        #expect(
            error([first, second]) == """
                \(second):4:18: metadata.name: Namespace a is defined twice, first at \(first):5:1
                  hint: remove one of the two, or give it another name
                """)
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}\n"
        let other = service.replacing("{name: a}", with: "{name: a, namespace: other}")
        let same = service.replacing("{name: a}", with: "{name: a, namespace: default}")
        #expect(try load(service + "---\n" + other).objects.services.count == 2)
        #expect(errorText(service + "---\n" + same).contains("Service default/a is defined twice"))
    }

    @Test func `objects with only a generateName get different names`() throws {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\nspec: {containers: [{name: c}]}\n"
        let names = try load(text + "---\n" + text).objects.pods.map(\.metadata.name)
        #expect(names.count == 2 && Set(names).count == 2 && names.allSatisfy { $0.hasPrefix("web-") })
    }

    @Test func `kinds podnet does not use give one warning per kind and file`() throws {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n"
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: odd:name}\n---\n"
        let directory = try TemporaryDirectory()
        let one = try directory.write("1.yaml", secret + role + secret + namespace("a") + "---\n" + secret)
        let two = try directory.write("2.yaml", secret)
        #expect(
            try LoadedManifests.load(paths: [one, two]).warnings.map(\.description) == [
                "\(one):2:7: warning: kind Secret (v1) is not used by podnet and skipped (and 2 more in this file)",
                "\(one):6:7: warning: kind Role (rbac.authorization.k8s.io/v1) is not used by podnet and skipped",
                "\(two):2:7: warning: kind Secret (v1) is not used by podnet and skipped",
            ])
    }

    @Test func `a known kind under a wrong apiVersion is pointed out`() throws {
        #expect(
            try load("apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n").warnings.map(\.description) == [
                """
                test.yaml:2:7: warning: kind Deployment (v1) is not used by podnet and skipped
                  hint: Deployment is known as apiVersion apps/v1
                """
            ])
        #expect(try load("apiVersion: serving.knative.dev/v1\nkind: Service\n").warnings.map(\.hint) == [nil])
    }

    @Test func `an error about an object is traced back to line and column`() throws {
        let text = """
            kind: List
            apiVersion: v1
            items:
            - apiVersion: v1
              kind: Service
              metadata: {name: web, namespace: shop}
              spec:
                type: NodePort
                clusterIP: 10.96.0.5
                ports:
                - name: http
                  port: 80
                  nodePort: 99
                - port: 81
            """
        let loaded = try load(text)
        let service = loaded.objects.services[0]
        let rows: [(FieldPath, String)] = [
            (FieldPath("spec", "ports").index(0).key("nodePort"), "test.yaml:13:17"),
            (FieldPath("spec", "ports").index(1).key("name"), "test.yaml:14:7"),
            (FieldPath("spec", "ports").index(7).key("name"), "test.yaml:11:5"),
            (FieldPath("spec", "clusterIPs").index(0), "test.yaml:9:16"),
            (FieldPath("spec", "externalIPs").index(0), "test.yaml:8:5"),
            (FieldPath("metadata", "namespace"), "test.yaml:6:36"),
            (FieldPath(), "test.yaml:4:3"),
            (FieldPath("status", "loadBalancer"), "test.yaml:4:3"),
        ]
        for (path, place) in rows {
            let located = loaded.locate(ObjectError(service, path, "wrong", hint: "put it right"))
            let field = path.elements.isEmpty ? "" : "\(path): "
            #expect(located.description == "\(place): Service shop/web: \(field)wrong\n  hint: put it right")
        }
        let warning = loaded.locate(ObjectWarning(service, FieldPath("spec", "type"), "odd"))
        #expect(warning.description == "test.yaml:8:11: warning: Service shop/web: spec.type: odd")
        let nowhere = loaded.locate(ObjectError(kind: "Node", name: "worker-1", message: "wrong"))
        #expect(nowhere.description == "Node worker-1: wrong")
    }

    @Test func `an error about a configuration in a ConfigMap is traced into its text`() throws {
        let text = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: kubeadm-config, namespace: kube-system}
            data:
              ClusterConfiguration: |
                apiVersion: kubeadm.k8s.io/v1beta4
                kind: ClusterConfiguration
                networking:
                  podSubnet: 10.244.0.0/16
            ---
            \(ConfigurationDecodingTests.flannel)
            """
        let loaded = try load(text)
        let cluster = ObjectError(
            kind: "ClusterConfiguration", name: "", origin: loaded.objects.clusterConfiguration?.origin,
            field: FieldPath("networking", "podSubnet"), message: "wrong")
        #expect(
            loaded.locate(cluster).description == "test.yaml:9:18: ClusterConfiguration: networking.podSubnet: wrong")
        let flannel = ObjectError(
            kind: "ConfigMap", namespace: "kube-flannel", name: "kube-flannel-cfg",
            origin: loaded.objects.flannelConfiguration?.origin,
            field: FieldPath("data").key("net-conf.json").key("Network"), message: "wrong")
        #expect(
            loaded.locate(flannel).description
                == "test.yaml:26:18: ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json].Network: wrong")
    }

    @Test func `a file that changed since is no second error`() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("a.yaml", namespace("a"))
        let loaded = try LoadedManifests.load(paths: [file])
        let error = ObjectError(loaded.objects.namespaces[0], FieldPath("metadata", "name"), "wrong")
        #expect(loaded.locate(error).line == 3)
        try directory.write("a.yaml", "{{{")
        #expect(loaded.locate(error).line == 1)
        unlink(file)
        #expect(loaded.locate(error).line == 1)
    }
}

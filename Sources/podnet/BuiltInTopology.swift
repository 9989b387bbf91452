// The cluster podnet uses when no input is given: a client, a web server on another node
// behind a ClusterIP and a NodePort, and a UDP echo. Nodes and the host outside are defaulted.

let builtInTopology = """
    apiVersion: v1
    kind: Pod
    metadata: {name: client, namespace: default, labels: {app: client}}
    spec:
      nodeName: worker-1
      containers: [{name: client, image: curlimages/curl}]
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: web, namespace: default, labels: {app: web}}
    spec:
      nodeName: worker-2
      containers: [{name: web, image: nginx, ports: [{name: http, containerPort: 8080}]}]
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web, namespace: default}
    spec:
      type: NodePort
      clusterIP: 10.96.0.100
      selector: {app: web}
      ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}]
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: echo, namespace: default, labels: {app: echo}}
    spec:
      nodeName: worker-1
      containers: [{name: echo, image: echo, ports: [{name: echo, containerPort: 7, protocol: UDP}]}]
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: echo, namespace: default}
    spec:
      clusterIP: 10.96.0.101
      selector: {app: echo}
      ports: [{name: echo, port: 7, targetPort: echo, protocol: UDP}]

    """

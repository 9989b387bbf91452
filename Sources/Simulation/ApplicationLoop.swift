// Applications at work: news from sockets comes in, and what they do about it goes out. Whatever they send is noted as
// caused by the packet that brought the news.

internal import Addressing
internal import Netstack

extension Simulator {
    /// Starts a flow and runs until it has ended and everything it set off has settled. Returns what became of it.
    public mutating func run(_ request: FlowRequest) -> FlowReport {
        let flow = start(request)
        runUntilQuiet(limit: request.timeout + 120_000_000_000)
        flows[flow].events = flows[flow].events.lowerBound..<context.recording.events.count
        return flows[flow]
    }

    /// Starts a flow; its place in `flows`.
    mutating func start(_ request: FlowRequest) -> Int {
        let flow = flows.count
        var report = FlowReport(request)
        report.started = context.now
        report.events = context.recording.events.count..<context.recording.events.count
        flows.append(report)
        openFlows += 1
        context.actBecause(of: 0)
        do throws(SocketError) {
            let socket = try open(request)
            flows[flow].socket = socket
            applications[ApplicationSocket(namespace: request.source, socket: socket)] = .client(flow: flow)
            flows[flow].local = withNamespace(request.source) { namespace, _ in namespace.localEnd(of: socket) }
            queue.schedule(.giveUp(flow: flow), at: context.now + request.timeout)
        } catch {
            finish(flow, .failed(error))
        }
        return flow
    }

    private mutating func open(_ request: FlowRequest) throws(SocketError) -> SocketID {
        let source = request.source
        switch (request.protocol, request.port) {
        case (.tcp, let port?):
            let target = SocketAddress(request.destination, port)
            return try withNamespace(source) { (namespace, context) throws(SocketError) in
                try namespace.connectTCP(to: target, timeToLive: request.timeToLive, &context)
            }
        case (.udp, let port?):
            let target = SocketAddress(request.destination, port)
            return try withNamespace(source) { (namespace, context) throws(SocketError) in
                let socket = try namespace.connectUDP(to: target, timeToLive: request.timeToLive, &context)
                try namespace.sendDatagram(socket, request.payload, &context)
                return socket
            }
        default:
            return try withNamespace(source) { (namespace, context) throws(SocketError) in
                try namespace.ping(request.destination, timeToLive: request.timeToLive, &context)
            }
        }
    }

    private mutating func finish(_ flow: Int, _ outcome: FlowOutcome, by packet: UInt32 = 0) {
        guard flows[flow].outcome == nil else { return }
        flows[flow].outcome = outcome
        flows[flow].answer = packet
        flows[flow].finished = context.now
        openFlows -= 1
    }

    // MARK: news

    /// Hands all news from sockets to the applications behind them.
    mutating func deliverSocketEvents() {
        while !context.socketEvents.isEmpty {
            let events = context.socketEvents
            context.socketEvents.removeAll(keepingCapacity: true)
            for event in events { handle(event) }
        }
    }

    private mutating func handle(_ event: SocketEvent) {
        let key = ApplicationSocket(namespace: event.namespace, socket: event.socket)
        switch event.kind {
        case .accepted(let listener):
            let label = withNamespace(event.namespace) { namespace, _ in namespace.label(of: listener) }
            let own = answers[ApplicationSocket(namespace: event.namespace, socket: listener)]
            applications[key] = .httpConnection(
                answer: own ?? HTTP.response(name: label), request: [], hasAnswered: false)
        case .datagram(let payload, let sender, let own):
            datagramArrived(payload, from: sender, to: own, event, key)
        default:
            switch applications[key] {
            case .httpConnection(let answer, let request, let hasAnswered):
                serve(event, key, answer: answer, request: request, hasAnswered: hasAnswered)
            case .client(let flow): clientNews(event, flow: flow)
            case nil: break
            }
        }
    }

    private mutating func serve(
        _ event: SocketEvent, _ key: ApplicationSocket, answer: [UInt8], request: [UInt8], hasAnswered: Bool
    ) {
        switch event.kind {
        case .received(let octets):
            // A request line and headers need no more room than this.
            let read = Array((request + octets).suffix(65_536))
            let isComplete = HTTP.isComplete(read) && !hasAnswered
            applications[key] = .httpConnection(
                answer: answer, request: read, hasAnswered: hasAnswered || isComplete)
            guard isComplete else { return }
            schedule(
                .respond(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.response)
        case .endOfStream:
            schedule(.close(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.close)
        case .failed: applications[key] = nil
        default: break
        }
    }

    private mutating func datagramArrived(
        _ payload: [UInt8], from sender: SocketAddress, to own: IPAddress, _ event: SocketEvent,
        _ key: ApplicationSocket
    ) {
        if case .client(let flow) = applications[key] {
            flows[flow].response = payload
            finish(flow, .answered, by: event.packet)
            return
        }
        schedule(
            .echo(event.namespace, event.socket, payload, to: sender, cause: event.packet),
            after: ApplicationDelay.echo)
    }

    private mutating func clientNews(_ event: SocketEvent, flow: Int) {
        switch event.kind {
        case .errorQueued(let error):
            guard flows[flow].request.isProbe else { break }
            finish(flow, .failed(error), by: event.packet)
            withNamespace(event.namespace) { namespace, _ in namespace.abandon(event.socket) }
        case .connected where flows[flow].request.isProbe:
            finish(flow, .answered, by: event.packet)
            schedule(.close(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.clientClose)
        case .connected:
            let octets = HTTP.request(host: flows[flow].request.host)
            schedule(
                .request(event.namespace, event.socket, octets, cause: event.packet), after: ApplicationDelay.request)
        case .received(let octets): flows[flow].response += octets
        case .endOfStream:
            finish(flow, .answered)
            schedule(.close(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.clientClose)
        case .echoReply: finish(flow, .answered, by: event.packet)
        case .failed(let error): finish(flow, .failed(error), by: event.packet)
        default: break
        }
    }

    private mutating func schedule(_ timer: ApplicationTimer, after delay: Nanoseconds) {
        queue.schedule(.application(timer), at: context.now + delay)
    }

    // MARK: deeds

    mutating func applicationTimer(_ timer: ApplicationTimer) {
        switch timer {
        case .request(let id, let socket, let octets, let cause):
            context.actBecause(of: cause)
            withNamespace(id) { namespace, context in
                namespace.send(socket, octets, &context)
            }
        case .respond(let id, let socket, let cause):
            let key = ApplicationSocket(namespace: id, socket: socket)
            guard case .httpConnection(let answer, _, _) = applications[key] else { return }
            context.actBecause(of: cause)
            withNamespace(id) { namespace, context in
                namespace.send(socket, answer, &context)
            }
            schedule(.close(id, socket, cause: cause), after: ApplicationDelay.close)
        case .close(let id, let socket, let cause):
            context.actBecause(of: cause)
            withNamespace(id) { namespace, context in namespace.close(socket, &context) }
            applications[ApplicationSocket(namespace: id, socket: socket)] = nil
        case .echo(let id, let socket, let payload, let sender, let cause):
            context.actBecause(of: cause)
            withNamespace(id) { namespace, context in
                // A server that cannot answer says nothing.
                try? namespace.sendDatagram(socket, payload, to: sender, &context)
            }
        }
    }

    /// The client stops waiting and closes its socket without a word.
    mutating func giveUp(flow: Int) {
        guard flows[flow].outcome == nil, let socket = flows[flow].socket else { return }
        let source = flows[flow].request.source
        finish(flow, .timedOut)
        withNamespace(source) { namespace, _ in namespace.abandon(socket) }
    }
}

// Applications at work: news from sockets comes in, and what they do about it goes out. Whatever they send is noted as
// caused by the packet that brought the news.

internal import Addressing
internal import Netstack

extension Simulator {
    /// Starts a flow and runs until it has ended and everything it set off has settled. Returns what became of it.
    public mutating func run(_ request: FlowRequest) -> FlowReport {
        run(request, times: 1, every: 0)[0]
    }

    /// Asks again and again, so far apart or when the request before has ended, and lets everything settle in the end.
    mutating func run(_ request: FlowRequest, times count: Int, every interval: Nanoseconds) -> [FlowReport] {
        let patience = (request.timeout + request.interval).multipliedReportingOverflow(by: Int64(request.requests))
        let limit = (patience.overflow ? Int64.max / 4 : patience.partialValue) + 120_000_000_000
        let (beginning, first) = (context.now, flows.count)
        for number in 0..<count {
            if number > 0 {
                runUntilEnded(first + number - 1, limit: limit)
                run(until: max(context.now, beginning + Int64(number) * interval))
                endEvents(of: first + number - 1)
            }
            _ = start(request)
        }
        runUntilQuiet(limit: limit)
        endEvents(of: flows.count - 1)
        return Array(flows[first...])
    }

    private mutating func endEvents(of flow: Int) {
        flows[flow].events = flows[flow].events.lowerBound..<context.recording.events.count
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
            flows[flow].asked = 1
            applications[ApplicationSocket(namespace: request.source, socket: socket)] = .client(flow: flow)
            flows[flow].local = withNamespace(request.source) { namespace, _ in namespace.localEnd(of: socket) }
            queue.schedule(.giveUp(flow: flow, request: 1), at: context.now + request.timeout)
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
                try namespace.connectTCP(
                    to: target, timeToLive: request.timeToLive, sendsKeepalives: request.sendsKeepalives, &context)
            }
        case (.udp, let port?):
            let target = SocketAddress(request.destination, port)
            return try withNamespace(source) { (namespace, context) throws(SocketError) in
                let socket = try namespace.connectUDP(
                    to: target, timeToLive: request.timeToLive, pathMTUDiscovery: request.pathMTUDiscovery, &context)
                try namespace.sendDatagram(socket, request.payload, &context)
                return socket
            }
        default:
            return try withNamespace(source) { (namespace, context) throws(SocketError) in
                try namespace.ping(
                    request.destination, octets: request.requestOctets, timeToLive: request.timeToLive,
                    pathMTUDiscovery: request.pathMTUDiscovery, &context)
            }
        }
    }

    private mutating func finish(
        _ flow: Int, _ outcome: FlowOutcome, at time: Nanoseconds? = nil, by packet: UInt32 = 0
    ) {
        guard flows[flow].outcome == nil else { return }
        flows[flow].outcome = outcome
        flows[flow].answer = packet
        flows[flow].finished = time ?? context.now
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
                HTTPConnection(answer: own.map { .always($0) } ?? .server(name: label)))
        case .datagram(let payload, let sender, let own):
            datagramArrived(payload, from: sender, to: own, event, key)
        default:
            switch applications[key] {
            case .httpConnection(let connection): serve(event, key, connection)
            case .client(let flow): clientNews(event, flow: flow)
            case nil: break
            }
        }
    }

    private mutating func serve(_ event: SocketEvent, _ key: ApplicationSocket, _ connection: HTTPConnection) {
        switch event.kind {
        case .received(let octets):
            var connection = connection
            let isComplete = connection.read(octets)
            applications[key] = .httpConnection(connection)
            guard isComplete else { return }
            schedule(
                .respond(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.response)
        case .written:
            guard let cause = connection.closesBecauseOf else { return }
            schedule(.close(event.namespace, event.socket, cause: cause), after: ApplicationDelay.close)
        case .endOfStream:
            schedule(.close(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.serverClose)
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
            answered(flow, by: event)
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
            schedule(.request(flow: flow, event.socket, cause: event.packet), after: ApplicationDelay.request)
        case .received(let octets):
            flows[flow].response += octets
            let isLast = flows[flow].asked == flows[flow].request.requests
            if !isLast, HTTP.isComplete(flows[flow].response) { answered(flow, by: event) }
        case .endOfStream:
            if flows[flow].asked == flows[flow].request.requests {
                answered(flow, by: event)
            } else {
                finish(flow, .failed(.connectionReset))
            }
            schedule(.close(event.namespace, event.socket, cause: event.packet), after: ApplicationDelay.clientClose)
        case .echoReply: answered(flow, by: event)
        case .failed(let error): finish(flow, .failed(error), by: event.packet)
        default: break
        }
    }

    /// The client has its answer: it asks again after a pause, or is done.
    private mutating func answered(_ flow: Int, by event: SocketEvent) {
        guard flows[flow].outcome == nil, flows[flow].answered < flows[flow].asked else { return }
        flows[flow].answered += 1
        if flows[flow].asked == flows[flow].request.requests {
            finish(flow, .answered, at: event.time, by: event.packet)
        } else {
            schedule(.ask(flow: flow), after: flows[flow].request.interval)
        }
    }

    private mutating func sendRequest(_ flow: Int, _ socket: SocketID, because packet: UInt32) {
        let request = flows[flow].request
        let octets = HTTP.request(
            host: request.host, body: request.requestOctets, response: request.responseOctets,
            keepsOpen: flows[flow].asked < request.requests)
        context.actBecause(of: packet)
        withNamespace(request.source) { namespace, context in namespace.send(socket, octets, &context) }
    }

    private mutating func askAgain(_ flow: Int) {
        guard flows[flow].outcome == nil, let socket = flows[flow].socket else { return }
        let request = flows[flow].request
        flows[flow].asked += 1
        let number = flows[flow].asked
        queue.schedule(.giveUp(flow: flow, request: number), at: context.now + request.timeout)
        context.actBecause(of: 0)
        do throws(SocketError) {
            switch request.protocol {
            case .tcp:
                flows[flow].response = []
                sendRequest(flow, socket, because: 0)
            case .udp:
                try withNamespace(request.source) { (namespace, context) throws(SocketError) in
                    try namespace.sendDatagram(socket, request.payload, &context)
                }
            default:
                try withNamespace(request.source) { (namespace, context) throws(SocketError) in
                    try namespace.pingAgain(
                        socket, request.destination, sequence: UInt16(truncatingIfNeeded: number),
                        octets: request.requestOctets, timeToLive: request.timeToLive, &context)
                }
            }
        } catch {
            finish(flow, .failed(error))
        }
    }

    private mutating func schedule(_ timer: ApplicationTimer, after delay: Nanoseconds) {
        queue.schedule(.application(timer), at: context.now + delay)
    }

    // MARK: deeds

    mutating func applicationTimer(_ timer: ApplicationTimer) {
        switch timer {
        case .request(let flow, let socket, let cause):
            guard flows[flow].outcome == nil else { return }
            sendRequest(flow, socket, because: cause)
        case .respond(let id, let socket, let cause):
            let key = ApplicationSocket(namespace: id, socket: socket)
            guard case .httpConnection(var connection) = applications[key] else { return }
            let (answer, keepsOpen) = connection.takeAnswer()
            connection.closesBecauseOf = keepsOpen ? nil : cause
            applications[key] = .httpConnection(connection)
            context.actBecause(of: cause)
            withNamespace(id) { namespace, context in
                namespace.send(socket, answer, &context)
            }
        case .ask(let flow): askAgain(flow)
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
    mutating func giveUp(flow: Int, request: Int) {
        guard flows[flow].outcome == nil, flows[flow].answered < request, let socket = flows[flow].socket else {
            return
        }
        let source = flows[flow].request.source
        finish(flow, .timedOut)
        withNamespace(source) { namespace, _ in namespace.abandon(socket) }
    }
}

// Payload on its way to the application: order, duplicates, the moment it is read, and the acknowledgments that follow.
// Mirrors tcp_data_queue, tcp_fin and tcp_ack_snd_check of net/ipv4/tcp_input.c and tcp_cleanup_rbuf of tcp.c. An
// application reads a moment after something has arrived, as one that is woken does.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// tcp_data_queue
    mutating func receive(
        _ payload: [UInt8], _ header: TCPHeader, at id: SocketID, _ context: inout PathContext
    ) {
        let fin = header.flags.contains(.fin)
        guard !payload.isEmpty || fin else {
            // A number already passed asks whether we are here (tcp_send_dupack).
            if let expected = sockets[tcp: id]?.expected, isBefore(header.sequence, expected) {
                sockets[tcp: id]?.acknowledgments.mustNotWait()
            }
            return
        }
        let echo = header.options.timestamps?.echo
        let clock = sockets[tcp: id].map { timestamp($0, context) } ?? 0
        let sawFIN = sockets[tcp: id]?.arrived(payload, header, elapsed: echo.map { clock &- $0 }, at: context.now)
        if sawFIN == true { sockets[tcp: id]?.endArrived() }
        if sockets[tcp: id]?.unread.isEmpty == false || sockets[tcp: id]?.endIsUnread == true {
            sockets[tcp: id]?.newsFrom = context.cause
            sockets[tcp: id]?.newsAt = context.now
            wakeReader(id, &context)
        }
        if sawFIN == true, sockets[tcp: id]?.state == .timeWait { enterTimeWait(id, &context) }
    }

    /// Acknowledges, now or later (tcp_ack_snd_check).
    mutating func respond(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.acknowledgments.isOwed == true else { return }
        if sockets[tcp: id]?.acknowledgesNow() == true {
            sendAcknowledgment(id, &context)
        } else if sockets[tcp: id]?.acknowledgments.compressesDuplicates == true {
            wakeReader(id, &context)
        } else if sockets[tcp: id]?.acknowledgments.deadline == nil, let connection = sockets[tcp: id] {
            let delay = connection.acknowledgments.delay(roundTrip: connection.roundTrip.smoothed)
            let deadline = context.schedule(.delayedAcknowledgment(id), in: self.id, after: delay)
            sockets[tcp: id]?.acknowledgments.deadline = deadline
        }
    }

    /// From arrival to the application's reading: it must be woken, and run.
    private static let wakeUp: Nanoseconds = 50_000

    private mutating func wakeReader(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.isWoken == false else { return }
        sockets[tcp: id]?.isWoken = true
        context.schedule(.reading(id), in: self.id, at: context.now + Self.wakeUp)
    }

    mutating func readerWakes(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id] != nil else { return }
        sockets[tcp: id]?.isWoken = false
        handOver(id, &context)
        if sockets[tcp: id]?.acknowledgments.compressesDuplicates == true { sendAcknowledgment(id, &context) }
    }

    /// The application reads all there is (tcp_recvmsg).
    mutating func handOver(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], !connection.unread.isEmpty || connection.endIsUnread else { return }
        let octets = connection.unread.count == 1 ? connection.unread[0] : Array(connection.unread.joined())
        let hasEnded = connection.endIsUnread
        sockets[tcp: id]?.unread = []
        sockets[tcp: id]?.endIsUnread = false
        context.cause = connection.newsFrom
        if !octets.isEmpty {
            let answers = sockets[tcp: id]?.wasRead(octets.count, at: context.now) == true
            if answers { sendAcknowledgment(id, &context) }
            context.notify(id, in: self.id, .received(octets), at: connection.newsAt)
        }
        if hasEnded { context.notify(id, in: self.id, .endOfStream, at: connection.newsAt) }
        context.cause = 0
    }

    mutating func delayedAcknowledgmentTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let deadline = sockets[tcp: id]?.acknowledgments.deadline, deadline <= context.now,
            sockets[tcp: id]?.acknowledgments.isOwed == true
        else { return }
        sockets[tcp: id]?.acknowledgments.waited()
        context.cause = 0
        sendAcknowledgment(id, &context)
    }
}

extension TCPConnection {
    /// Puts arriving octets in order. True when the peer's FIN is among them.
    mutating func arrived(
        _ payload: [UInt8], _ header: TCPHeader, elapsed: UInt32?, at now: Nanoseconds
    ) -> Bool {
        let fin = header.flags.contains(.fin)
        let segment = OutOfOrderQueue.Segment(sequence: header.sequence, octets: payload, fin: fin)
        let mostExpected = expected &+ UInt32(receiving.remaining(expected: expected))
        guard isBefore(expected, segment.end) else {
            // All of it is old (tcp_dsack_set).
            outOfOrder.duplicate = SACKBlock(left: segment.sequence, right: segment.end)
            acknowledgments.somethingIsWrong(receiving)
            acknowledgments.mustNotWait()
            return false
        }
        guard isBefore(segment.sequence, mostExpected) || segment.sequence == expected else {
            acknowledgments.somethingIsWrong(receiving)
            acknowledgments.mustNotWait()
            return false
        }
        let isPush = header.flags.contains(.psh)
        if isBefore(expected, segment.sequence) {
            let follows = outOfOrder.segments.last?.end == segment.sequence
            let joins = payload.isEmpty && follows
            if outOfOrder.insert(segment), usesSACK {
                let grew =
                    joins
                    ? receiving.endJoined()
                    : receiving.arrived(payload.count, isInOrder: false, follows: follows)
                if grew { acknowledgments.windowGrew() }
            }
            acknowledgments.owe()
            return false
        }
        if isBefore(segment.sequence, expected) {
            outOfOrder.duplicate = SACKBlock(left: segment.sequence, right: expected)
            acknowledgments.somethingIsWrong(receiving)
        }
        let known = Int(expected &- segment.sequence)
        let news = known == 0 ? payload : Array(payload.dropFirst(known))
        let follows = !unread.isEmpty
        if !news.isEmpty { unread.append(news) }
        expected &+= UInt32(news.count)
        if !payload.isEmpty {
            let isFull = payload.count >= receiving.segmentSize
            acknowledgments.dataArrived(
                receiving, endsWrite: !isFull || isPush, timeout: roundTrip.timeout, at: now)
            if isFull, let elapsed { receiving.measure(elapsed) }
            if receiving.arrived(payload.count, isInOrder: true, follows: follows) { acknowledgments.windowGrew() }
        }
        var sawFIN = fin
        if !outOfOrder.isEmpty {
            let (octets, end) = outOfOrder.takeContiguous(from: &expected)
            unread += octets
            sawFIN = sawFIN || end
            if outOfOrder.isEmpty { acknowledgments.mustNotWait() }
        }
        return sawFIN
    }

    /// tcp_fin
    mutating func endArrived() {
        expected &+= 1
        endIsUnread = true
        acknowledgments.owe()
        switch state {
        case .established:
            state = .closeWait
            acknowledgments.takeTurns()
        case .finWait1:
            state = .closing
            acknowledgments.mustNotWait()
        case .finWait2:
            state = .timeWait
            acknowledgments.mustNotWait()
        default: break
        }
    }

    mutating func acknowledgesNow() -> Bool {
        acknowledgments.actsNow(
            receiving, expected: expected, hasUnread: !unread.isEmpty, hasGap: !outOfOrder.isEmpty, scale: windowScale)
    }

    /// The application has read everything. True when the peer should hear of it.
    mutating func wasRead(_ octets: Int, at now: Nanoseconds) -> Bool {
        receiving.wasRead(octets, waiting: outOfOrder.segments.count { !$0.octets.isEmpty }, at: now)
        return acknowledgments.actsAfterReading(receiving, expected: expected)
            || receiving.opensMuch(expected: expected, scale: windowScale)
    }
}

// Which address and port NAT gives a new connection: the mapping its source already has, an address of the range by a
// hash of both ends, a port nobody's replies would come to. Mirrors get_unique_tuple and what it calls in
// net/netfilter/nf_nat_core.c. Simplified: a port is never taken from a connection that is about to end
// (nf_nat_used_tuple_harder).

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// A tuple within the range that no other connection's reply would be mistaken for. When all are taken the last
    /// one tried comes back, and confirmation ends the packet.
    mutating func uniqueTuple(
        _ current: ConnectionTuple, _ packet: Packet, _ manipulation: Manipulation, _ range: TranslationRange,
        _ context: inout PathContext
    ) -> ConnectionTuple {
        let id = packet.connection
        if manipulation == .source, !range.drawsPort {
            if range.holds(current, .source) {
                if !connections.isTaken(current, except: id, now: context.now) { return current }
            } else if let known = knownMapping(of: current, in: range, now: context.now),
                !connections.isTaken(known, except: id, now: context.now)
            {
                return known
            }
        }
        var tuple = current
        if let address = range.address(for: current) { tuple[manipulation].address = address }
        if !range.drawsPort {
            if let ports = range.ports {
                let isSingle = ports.lowerBound == ports.upperBound
                if range.basePort == nil, range.holdsPort(of: tuple, manipulation),
                    isSingle || !connections.isTaken(tuple, except: id, now: context.now)
                {
                    return tuple
                }
            } else if !connections.isTaken(tuple, except: id, now: context.now) {
                return tuple
            }
        }
        return withFreePort(tuple, packet, manipulation, range, &context)
    }

    /// What another connection from the same source was mapped to, if the range allows it (find_appropriate_src).
    private func knownMapping(
        of current: ConnectionTuple, in range: TranslationRange, now: Nanoseconds
    ) -> ConnectionTuple? {
        var next = connections.newest(from: current)
        while next != .none {
            let connection = connections[next]
            if connection.expires > now || !connection.status.contains(.confirmed),
                var mapped = connection.reply.inverted
            {
                mapped.destination = current.destination
                mapped.destinationPort = current.destinationPort
                if range.holds(mapped, .source) { return mapped }
            }
            next = connection.olderFromSource
        }
        return nil
    }

    /// nf_nat_l4proto_unique_tuple
    private mutating func withFreePort(
        _ start: ConnectionTuple, _ packet: Packet, _ manipulation: Manipulation, _ range: TranslationRange,
        _ context: inout PathContext
    ) -> ConnectionTuple {
        let id = packet.connection
        var tuple = start
        let old = Int(tuple[manipulation].port)
        let ports: ClosedRange<Int>
        if tuple.protocol.isICMP {
            ports = range.ports.map { Int($0.lowerBound)...Int($0.upperBound) } ?? 0...65535
        } else if !tuple.protocol.hasPorts {
            return tuple
        } else if let given = range.ports {
            ports = Int(given.lowerBound)...Int(given.upperBound)
        } else if manipulation == .destination {
            return tuple
        } else {
            // Well-known ports stay well known.
            ports = old >= 1024 ? 1024...65535 : old < 512 ? 1...511 : 600...1023
        }
        // Where a packet goes is what people ask about; which port it comes from is not.
        func draw(_ context: inout PathContext) -> Int {
            manipulation == .destination
                ? context.pick(below: ports.count, for: packet) : context.random.next(below: ports.count)
        }
        var offset = 0
        if let base = range.basePort {
            offset = Int(UInt16(truncatingIfNeeded: old - Int(base)))
        } else if range.drawsPort || manipulation == .source {
            offset = draw(&context)
        }
        // 128 tries onward, then half as many from a new start, and so on.
        var attempts = min(128, ports.count)
        while true {
            for step in 0..<attempts {
                tuple[manipulation].port = UInt16(ports.lowerBound + (offset + step) % ports.count)
                if !connections.isTaken(tuple, except: id, now: context.now) { return tuple }
            }
            if attempts >= ports.count || attempts < 16 { return tuple }
            attempts /= 2
            offset = draw(&context)
        }
    }
}

extension ConnectionTuple {
    /// The end NAT of that kind changes. ICMP has its identifier where others have the source port, at both ends.
    fileprivate subscript(_ manipulation: Manipulation) -> (address: IPAddress, port: UInt16) {
        get {
            switch manipulation {
            case .source: (source, sourcePort)
            case .destination: (destination, `protocol`.isICMP ? sourcePort : destinationPort)
            }
        }
        set {
            switch manipulation {
            case .source: (source, sourcePort) = newValue
            case .destination where `protocol`.isICMP: (destination, sourcePort) = newValue
            case .destination: (destination, destinationPort) = newValue
            }
        }
    }
}

extension TranslationRange {
    /// The tuple's end is one the range allows (nf_in_range).
    fileprivate func holds(_ tuple: ConnectionTuple, _ manipulation: Manipulation) -> Bool {
        if let addresses, !addresses.contains(tuple[manipulation].address) { return false }
        return ports == nil || holdsPort(of: tuple, manipulation)
    }

    /// l4proto_in_range
    fileprivate func holdsPort(of tuple: ConnectionTuple, _ manipulation: Manipulation) -> Bool {
        guard let ports, tuple.protocol.hasPorts || tuple.protocol.isICMP else { return true }
        return ports.contains(tuple[manipulation].port)
    }

    /// The range's address for a connection: the same ends always get the same one (find_best_ips_proto). Nil keeps
    /// what is there.
    func address(for tuple: ConnectionTuple) -> IPAddress? {
        guard let addresses else { return nil }
        let (low, high) = (addresses.lowerBound, addresses.upperBound)
        guard low != high else { return low }
        let (source, destination) = (tuple.source.words, tuple.destination.words)
        let last = low.family == .ipv4 ? 0 : 3
        var hash = jenkinsHash(source, options.contains(.persistent) ? 0 : destination[last])
        var words: [UInt32] = [0, 0, 0, 0]
        var isBelowHigh = false
        for position in 0...last {
            let lowest = isBelowHigh ? 0 : low.words[position].byteSwapped
            let highest = isBelowHigh ? UInt32.max : high.words[position].byteSwapped
            let count = isBelowHigh ? UInt32.max : highest &- lowest &+ 1
            let scaled = UInt32(truncatingIfNeeded: (UInt64(hash) * UInt64(count)) >> 32)
            words[position] = (lowest &+ scaled).byteSwapped
            if words[position] != high.words[position] { isBelowHigh = true }
            if !options.contains(.persistent) { hash ^= destination[position] }
        }
        return IPAddress(words: words, family: low.family)
    }
}

extension IPAddress {
    /// The address as four words the way a little-endian machine reads it from memory; IPv4 fills the first.
    fileprivate var words: [UInt32] {
        func word(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value).byteSwapped }
        return family == .ipv4 ? [word(low), 0, 0, 0] : [word(high >> 32), word(high), word(low >> 32), word(low)]
    }

    fileprivate init(words: [UInt32], family: AddressFamily) {
        let values = words.map { UInt64($0.byteSwapped) }
        switch family {
        case .ipv4: self.init(high: 0, low: values[0], family: .ipv4)
        case .ipv6: self.init(high: values[0] << 32 | values[1], low: values[2] << 32 | values[3], family: .ipv6)
        }
    }
}

/// Bob Jenkins' hash over four words (jhash2 of include/linux/jhash.h).
private func jenkinsHash(_ words: [UInt32], _ start: UInt32) -> UInt32 {
    func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 { value << count | value >> (32 - count) }
    var a = 0xdead_beef &+ 16 &+ start
    var (b, c) = (a, a)
    a &+= words[0]
    b &+= words[1]
    c &+= words[2]
    for (first, second, third) in [(4, 6, 8), (16, 19, 4)] as [(UInt32, UInt32, UInt32)] {
        a = (a &- c) ^ rotate(c, first)
        c &+= b
        b = (b &- a) ^ rotate(a, second)
        a &+= c
        c = (c &- b) ^ rotate(b, third)
        b &+= a
    }
    a &+= words[3]
    c = (c ^ b) &- rotate(b, 14)
    a = (a ^ c) &- rotate(c, 11)
    b = (b ^ a) &- rotate(a, 25)
    c = (c ^ b) &- rotate(b, 16)
    a = (a ^ c) &- rotate(c, 4)
    b = (b ^ a) &- rotate(a, 14)
    c = (c ^ b) &- rotate(b, 24)
    return c
}

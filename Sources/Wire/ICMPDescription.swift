// ICMP of both families and IGMP in tcpdump's words (print-icmp.c, print-icmp6.c, print-igmp.c).
// See PacketDescription.swift.

import Addressing

extension PacketDescriber {
    // MARK: ICMP

    func describeICMP(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        text += envelope.ends()
        guard range.count >= ICMPv4Message.length,
            let message = try? ICMPv4Message(parsing: bytes, at: range.lowerBound),
            let words = words(for: message, bytes, range.lowerBound + ICMPv4Message.length..<range.upperBound)
        else {
            text += "[|icmp]"
            return
        }
        text += "ICMP \(words), length \(envelope.length)"
    }

    /// Nil when the message needs more octets than there are.
    private func words(for message: ICMPv4Message, _ bytes: RawSpan, _ payload: Range<Int>) -> String? {
        switch message.type {
        case 0, 8:
            let word = message.type == 0 ? "reply" : "request"
            return "echo \(word), id \(message.identifier), seq \(message.sequence)"
        case 3:
            return unreachable(message, bytes, payload)
        case 4: return "source quench"
        case 5:
            guard payload.count >= IPv4Header.length else { return nil }
            let destination = bytes.loadIPv4Address(at: payload.lowerBound + IPv4Header.Offset.destination)
            let kinds = ["redirect D to net", "redirect D to host", "redirect-tos D to net", "redirect-tos D to host"]
            let kind = message.code < 4 ? kinds[Int(message.code)] : "redirect-#\(message.code) D to"
            return "\(kind.replacingPlaceholder(with: destination)) \(IPv4Address(rawValue: message.restOfHeader))"
        case 9: return "router advertisement"
        case 10: return "router solicitation"
        case 11:
            switch message.code {
            case 0: return "time exceeded in-transit"
            case 1: return "ip reassembly time exceeded"
            default: return "time exceeded-#\(message.code)"
            }
        case 12:
            return message.code == 0
                ? "parameter problem - octet \(message.restOfHeader >> 24)"
                : "parameter problem - code \(message.code)"
        case 13: return "time stamp query id \(message.identifier) seq \(message.sequence)"
        case 14: return "time stamp reply id \(message.identifier) seq \(message.sequence)"
        case 15: return "information request"
        case 16: return "information reply"
        case 17: return "address mask request"
        case 18: return "address mask reply"
        default: return "type-#\(message.type)"
        }
    }

    private func unreachable(_ message: ICMPv4Message, _ bytes: RawSpan, _ quote: Range<Int>) -> String? {
        guard quote.count >= IPv4Header.length else { return nil }
        let destination = bytes.loadIPv4Address(at: quote.lowerBound + IPv4Header.Offset.destination)
        let number = IPProtocol(rawValue: bytes.loadUInt8(at: quote.lowerBound + IPv4Header.Offset.protocol))
        switch message.code {
        case 2:
            return "\(destination) protocol \(number.rawValue) unreachable"
        case 3:
            let headerLength = Int(bytes.loadUInt8(at: quote.lowerBound) & 0xf) * 4
            guard quote.count >= headerLength + 4 else { return nil }
            let port = bytes.loadUInt16(at: quote.lowerBound + headerLength + 2)
            let name = number == .tcp ? "tcp" : number == .udp ? "udp" : "protocol \(number.rawValue)"
            return "\(destination) \(name) port \(port) unreachable"
        case 4:
            let size = message.nextHopMTU == 0 ? "" : " (mtu \(message.nextHopMTU))"
            return "\(destination) unreachable - need to frag\(size)"
        default:
            // D stands for the destination that could not be reached.
            let texts = [
                0: "net D unreachable", 1: "host D unreachable", 5: "D unreachable - source route failed",
                6: "net D unreachable - unknown", 7: "host D unreachable - unknown",
                8: "D unreachable - source host isolated", 9: "net D unreachable - admin prohibited",
                10: "host D unreachable - admin prohibited", 11: "net D unreachable - tos prohibited",
                12: "host D unreachable - tos prohibited", 13: "host D unreachable - admin prohibited filter",
                14: "host D unreachable - host precedence violation", 15: "host D unreachable - precedence cutoff",
            ]
            let text = texts[Int(message.code)] ?? "D unreachable - #\(message.code)"
            return text.replacingPlaceholder(with: destination)
        }
    }

    // MARK: ICMPv6

    func describeICMPv6(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        text += "\(envelope.ends())ICMP6, "
        guard range.count >= ICMPv6Message.length,
            let message = try? ICMPv6Message(parsing: bytes, at: range.lowerBound)
        else {
            text += "[|icmp6]"
            return
        }
        let payload = range.lowerBound + ICMPv6Message.length..<range.upperBound
        let destination =
            payload.count >= IPv6Header.length
            ? bytes.loadIPv6Address(at: payload.lowerBound + IPv6Header.Offset.destination) : nil
        switch message.type {
        case 1:
            text += "destination unreachable, "
            guard let destination else {
                text += "[|icmp6]"
                return
            }
            switch message.code {
            case 0: text += "unreachable route \(destination)"
            case 1: text += " unreachable prohibited \(destination)"
            case 2:
                let source = bytes.loadIPv6Address(at: payload.lowerBound + IPv6Header.Offset.source)
                text += "beyond scope \(destination), source address \(source)"
            case 3: text += "unreachable address \(destination)"
            case 4:
                text += "unreachable port, \(destination)"
                let upper = try? IPv6UpperLayer(
                    parsing: bytes.extracting(0..<payload.upperBound), at: payload.lowerBound)
                if let upper, payload.upperBound - upper.offset >= 4 {
                    let port = bytes.loadUInt16(at: upper.offset + 2)
                    let number = upper.protocol
                    text += number == .tcp ? " tcp" : number == .udp ? " udp" : " protocol \(number.rawValue)"
                    text += " port \(port)"
                }
            default:
                text += "unknown unreach code (\(message.code))"
                return
            }
        case 2: text += "packet too big, mtu \(message.mtu)"
        case 3:
            text += "time exceeded in-transit"
            switch message.code {
            case 0: if let destination { text += " for \(destination)" }
            case 1: text += " (reassembly)"
            default: text += ", unknown code (\(message.code))"
            }
        case 4:
            let problems = ["erroneous", "next header", "option", "incomplete header chain"]
            text += "parameter problem, "
            text +=
                message.code < 4
                ? "\(problems[Int(message.code)]) - octet \(message.restOfHeader)" : "code-#\(message.code)"
        case 128: text += "echo request, id \(message.identifier), seq \(message.sequence)"
        case 129: text += "echo reply, id \(message.identifier), seq \(message.sequence)"
        case 133: text += "router solicitation"
        case 134: text += "router advertisement"
        case 135, 136:
            guard range.count >= NeighborDiscoveryMessage.length else {
                text += "[|icmp6]"
                return
            }
            let target = bytes.loadIPv6Address(at: range.lowerBound + NeighborDiscoveryMessage.Offset.target)
            text += message.type == 135 ? "neighbor solicitation, who has " : "neighbor advertisement, tgt is "
            text += "\(target)"
        case 137: text += "redirect"
        case 143: text += "multicast listener report v2, \(message.restOfHeader & 0xffff) group record(s)"
        default: text += "unknown icmp6 type (\(message.type))"
        }
        text += ", length \(envelope.length)"
    }

    // MARK: IGMP

    func describeIGMP(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        text += "\(envelope.ends())igmp"
        guard range.count >= 8, bytes.loadUInt8(at: range.lowerBound) == 0x22 else { return }
        text += " v3 report, \(bytes.loadUInt16(at: range.lowerBound + 6)) group record(s)"
    }
}

extension String {
    /// The text with the address in place of the letter D.
    fileprivate func replacingPlaceholder(with address: IPv4Address) -> String {
        split(separator: "D", omittingEmptySubsequences: false).joined(separator: address.description)
    }
}

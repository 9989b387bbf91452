// A map answers as a walk over its elements would, whatever it is made of.

import Addressing
import Testing

@testable import Netstack

@Suite struct NFTablesLookupTests {
    private func ranges(_ value: NFTablesValue) -> [ClosedRange<UInt128>] { value.ranges ?? [] }

    /// The element a walk finds: one equal to the key before one around it.
    private func walk(_ elements: [NFTablesElement], _ key: [UInt128]) -> Int? {
        let holding = elements.indices.filter { position in
            zip(ranges(elements[position].key), key).allSatisfy { $0.contains($1) } && elements[position].key != .any
        }
        let exact = holding.first { ranges(elements[$0].key).allSatisfy { $0.lowerBound == $0.upperBound } }
        return exact ?? holding.first ?? elements.firstIndex { $0.key == .any }
    }

    private func found(_ set: CompiledNFTablesSet, _ key: [UInt128]) -> Int? {
        guard case .numbers(let number, _) = set.lookup(key, NFTablesState(), now: 0) else { return nil }
        return Int(number)
    }

    @Test("Random maps", arguments: 0..<40)
    func equalsWalk(round: Int) {
        var random = SeededGenerator(seed: UInt64(round))
        let isConcatenation = round % 2 == 1
        var elements: [NFTablesElement] = []
        var next = 0
        for number in 0..<30 {
            // One-part intervals do not overlap, as nft sees to; the others are told apart by their first part.
            let low = next + random.next(below: 4)
            let high = round % 3 == 0 ? low : low + random.next(below: 5)
            next = high + 1
            let first = NFTablesValue.range(.number(UInt64(low)), .number(UInt64(high)))
            let port = UInt64(random.next(below: 3))
            let second = random.next(below: 2) == 0 ? NFTablesValue.number(port) : .range(.number(port), .number(2))
            elements.append(
                NFTablesElement(
                    isConcatenation ? .concatenation([first, second]) : first, .number(UInt64(number))))
        }
        if round % 5 == 0 { elements.append(NFTablesElement(.any, .number(30))) }
        let set = CompiledNFTablesSet(elements) { _ in nil }
        for key in 0..<UInt128(next + 3) {
            for port in 0..<UInt128(isConcatenation ? 4 : 1) {
                let key = isConcatenation ? [key, port] : [key]
                #expect(found(set, key) == walk(elements, key), "seed \(round), key \(key)")
            }
        }
    }

    @Test func `A map behind numgen is asked by place`() {
        let elements = (0..<100).map { NFTablesElement(.number(UInt64($0)), .number(UInt64(200 - $0))) }
        let set = CompiledNFTablesSet(elements) { _ in nil }
        #expect((0..<100).allSatisfy { found(set, [UInt128($0)]) == 200 - $0 })
        #expect(found(set, [100]) == nil)
    }
}

// Rules as people write them by hand, one to a line behind their table: with long and short names, options in any
// order, defaults left out. Every match, every target and many of their options occur.

enum HandWrittenRules {
    static let ipv4 = #"""
        filter INPUT -m addrtype --dst-type LOCAL -j ACCEPT
        filter INPUT -m addrtype --dst-type LOCAL,BROADCAST,MULTICAST -j ACCEPT
        filter INPUT -m addrtype ! --src-type UNICAST --dst-type LOCAL --limit-iface-in -j ACCEPT
        filter OUTPUT -m addrtype --dst-type LOCAL --limit-iface-out -j ACCEPT
        filter INPUT -m comment --comment "a \"quoted\" \\ text" -j ACCEPT
        filter INPUT -m comment --comment "tab and 'single'" -j ACCEPT
        filter INPUT -m comment --comment plain -j ACCEPT
        filter INPUT -m conntrack --ctstate NEW,ESTABLISHED,RELATED,DNAT,SNAT,UNTRACKED,INVALID -j ACCEPT
        filter INPUT -m conntrack ! --ctstate INVALID -j ACCEPT
        filter INPUT -m conntrack --ctproto tcp -j ACCEPT
        filter INPUT -m conntrack ! --ctproto 17 -j ACCEPT
        filter INPUT -m conntrack --ctproto tcp --ctorigsrcport 1000:2000 --ctorigdstport 80 --ctreplsrcport \#
        8080 ! --ctrepldstport 1:65535 -j ACCEPT
        filter INPUT -m conntrack --ctstatus EXPECTED,SEEN_REPLY,ASSURED,CONFIRMED -j ACCEPT
        filter INPUT -m conntrack --ctstatus NONE -j ACCEPT
        filter INPUT -m conntrack ! --ctstatus ASSURED -j ACCEPT
        filter INPUT -m conntrack --ctexpire 10 -j ACCEPT
        filter INPUT -m conntrack ! --ctexpire 10:20 -j ACCEPT
        filter INPUT -m conntrack --ctdir ORIGINAL -j ACCEPT
        filter INPUT -m conntrack --ctdir REPLY -j ACCEPT
        filter INPUT -m conntrack --ctstate NEW --ctdir REPLY --ctstatus ASSURED --ctproto tcp --ctorigdstport \#
        80 --ctorigdst 1.1.1.1 -j ACCEPT
        filter INPUT -m state --state NEW,ESTABLISHED -j ACCEPT
        filter INPUT -m state ! --state INVALID,UNTRACKED -j ACCEPT
        filter INPUT -m mark --mark 0x4000/0x4000 -j ACCEPT
        filter INPUT -m mark ! --mark 17 -j ACCEPT
        filter INPUT -m connmark --mark 1/0xff -j ACCEPT
        filter INPUT -m connmark ! --mark 0x10 -j ACCEPT
        filter INPUT -m statistic --mode random --probability 0.3333 -j ACCEPT
        filter INPUT -m statistic --mode random ! --probability 0.5 -j ACCEPT
        filter INPUT -m statistic --mode nth --every 3 --packet 2 -j ACCEPT
        filter INPUT -m statistic --mode nth ! --every 5 --packet 1 -j ACCEPT
        filter INPUT -m recent --set --name ssh --rsource -j ACCEPT
        filter INPUT -m recent --set -j ACCEPT
        filter INPUT -m recent --rcheck --seconds 60 --hitcount 4 --name ssh --rttl -j DROP
        filter INPUT -m recent --update --seconds 60 --reap --name ssh --mask 255.255.255.0 --rdest -j DROP
        filter INPUT -m recent --remove --name ssh -j DROP
        filter INPUT -m recent ! --rcheck --name ssh -j DROP
        filter INPUT -m recent ! --set --name ssh2 -j DROP
        filter INPUT -p tcp -m multiport --dports 80,443,8000:8080 -j ACCEPT
        filter INPUT -p udp -m multiport ! --sports 53,123 -j ACCEPT
        filter INPUT -p tcp -m multiport --ports 22 -j ACCEPT
        filter INPUT -p sctp -m multiport --dports 1:10 -j ACCEPT
        filter INPUT -m physdev --physdev-in veth+ -j ACCEPT
        filter FORWARD -m physdev --physdev-is-bridged -j ACCEPT
        filter FORWARD -m physdev --physdev-in eth0 --physdev-out eth1 --physdev-is-bridged -j ACCEPT
        filter FORWARD -m physdev ! --physdev-is-in ! --physdev-is-out -j ACCEPT
        filter FORWARD -m physdev --physdev-is-in -j ACCEPT
        filter FORWARD -m physdev ! --physdev-in eth0 -j ACCEPT
        filter INPUT -m iprange --src-range 10.0.0.1-10.0.0.9 -j ACCEPT
        filter INPUT -m iprange ! --src-range 10.0.0.1-10.0.0.9 --dst-range 1.1.1.1-2.2.2.2 -j ACCEPT
        filter INPUT -m iprange --src-range 10.0.0.1 -j ACCEPT
        filter INPUT -m limit --limit 5/min -j ACCEPT
        filter INPUT -m limit --limit 3/sec --limit-burst 10 -j ACCEPT
        filter INPUT -m limit --limit 7/hour -j ACCEPT
        filter INPUT -m limit --limit 1/day --limit-burst 1 -j ACCEPT
        filter INPUT -m limit --limit 90/min -j ACCEPT
        filter INPUT -m limit --limit 100/min -j ACCEPT
        filter INPUT -m limit --limit 7/min -j ACCEPT
        filter INPUT -m limit -j ACCEPT
        filter INPUT -p tcp --syn -j ACCEPT
        filter INPUT -p tcp ! --syn -j ACCEPT
        filter INPUT -p tcp --tcp-flags SYN,FIN SYN,FIN -j ACCEPT
        filter INPUT -p tcp --tcp-flags ALL NONE -j ACCEPT
        filter INPUT -p tcp ! --tcp-flags ALL ALL -j ACCEPT
        filter INPUT -p tcp --tcp-option 8 -j ACCEPT
        filter INPUT -p tcp ! --tcp-option 4 --sport 1000: --dport :1024 -j ACCEPT
        filter INPUT -p tcp ! --sport 1000:2000 ! --dport 22 -j ACCEPT
        filter INPUT -p tcp --dport 80 -j ACCEPT
        filter INPUT -p tcp -m tcp -j ACCEPT
        filter INPUT -p tcp -m tcp --dport 0:65535 -j ACCEPT
        filter INPUT -p udp --sport 53 --dport 1024:65535 -j ACCEPT
        filter INPUT -p udp -m udp -j ACCEPT
        filter INPUT -p sctp --dport 80 --sport 1:2 -j ACCEPT
        filter INPUT -p sctp --chunk-types any INIT,DATA:Be -j ACCEPT
        filter INPUT -p sctp ! --chunk-types all DATA -j ACCEPT
        filter INPUT -p icmp --icmp-type echo-request -j ACCEPT
        filter INPUT -p icmp --icmp-type any -j ACCEPT
        filter INPUT -p icmp ! --icmp-type 3/1 -j ACCEPT
        filter INPUT -p icmp --icmp-type destination-unreachable -j ACCEPT
        filter INPUT -p icmp --icmp-type fragmentation-needed -j ACCEPT
        filter INPUT -p icmp --icmp-type 200 -j ACCEPT
        filter INPUT -p icmp --icmp-type 255/1 -j ACCEPT
        filter INPUT -p icmp -j ACCEPT
        filter OUTPUT -m owner --uid-owner 1000 -j ACCEPT
        filter OUTPUT -m owner ! --uid-owner 1000-2000 -j ACCEPT
        filter OUTPUT -m owner --gid-owner 5 --suppl-groups -j ACCEPT
        filter OUTPUT -m owner --socket-exists -j ACCEPT
        filter OUTPUT -m owner ! --socket-exists -j ACCEPT
        filter OUTPUT -m owner --uid-owner root ! --gid-owner root -j ACCEPT
        filter INPUT -m length --length 100 -j ACCEPT
        filter INPUT -m length ! --length 100:200 -j ACCEPT
        filter INPUT -m length --length 100: -j ACCEPT
        filter INPUT -m ttl --ttl-eq 64 -j ACCEPT
        filter INPUT -m ttl ! --ttl-eq 64 -j ACCEPT
        filter INPUT -m ttl --ttl-lt 5 -j ACCEPT
        filter INPUT -m ttl --ttl-gt 5 -j ACCEPT
        filter INPUT -m mac --mac-source 00:11:22:AA:bb:cc -j ACCEPT
        filter INPUT -m mac ! --mac-source 00:11:22:AA:bb:cc -j ACCEPT
        filter INPUT -m pkttype --pkt-type broadcast -j ACCEPT
        filter INPUT -m pkttype ! --pkt-type unicast -j ACCEPT
        filter INPUT -m dscp --dscp 10 -j ACCEPT
        filter INPUT -m dscp ! --dscp-class EF -j ACCEPT
        filter INPUT -m tos --tos 0x10/0x3f -j ACCEPT
        filter INPUT -m tos ! --tos Minimize-Delay -j ACCEPT
        filter INPUT -m tos --tos 0x10 -j ACCEPT
        filter INPUT -m hashlimit --hashlimit-upto 5/min --hashlimit-burst 7 --hashlimit-mode srcip,dstport \#
        --hashlimit-name foo -j ACCEPT
        filter INPUT -m hashlimit --hashlimit-above 10/sec --hashlimit-name bar -j ACCEPT
        filter INPUT -m hashlimit --hashlimit-above 512kb/s --hashlimit-burst 1mb --hashlimit-mode srcip \#
        --hashlimit-name baz --hashlimit-srcmask 24 --hashlimit-htable-expire 30000 -j ACCEPT
        mangle PREROUTING -m rpfilter -j ACCEPT
        mangle PREROUTING -m rpfilter --loose --validmark --accept-local --invert -j DROP
        filter INPUT -m socket --transparent -j ACCEPT
        filter INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 0xdeadbeef \#
        -j ACCEPT
        filter INPUT -m connlimit --connlimit-above 3 -j REJECT
        filter INPUT -m connbytes --connbytes 1000:2000 --connbytes-dir both --connbytes-mode bytes -j ACCEPT
        filter INPUT -m string --string "foo bar" --algo bm --to 65535 -j DROP
        filter INPUT -m string --hex-string "|0a 0d|x" --algo kmp -j DROP
        filter INPUT -m time --timestart 10:00 --timestop 12:00 --weekdays Mon,Tue -j DROP
        filter INPUT -m u32 --u32 "0>>22&0x3C@4=0x29" -j DROP
        filter INPUT -m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" -j DROP
        filter INPUT -m helper --helper ftp -j ACCEPT
        filter INPUT -m quota --quota 1000 -j ACCEPT
        filter INPUT -m policy --dir in --pol none -j ACCEPT
        filter INPUT -m cpu --cpu 1 -j ACCEPT
        filter INPUT -m ecn --ecn-tcp-ece -p tcp -j ACCEPT
        filter INPUT -p tcp -m tcpmss --mss 500:1400 -j ACCEPT
        filter INPUT -p esp -m esp --espspi 100 -j ACCEPT
        filter INPUT -p ah -j ACCEPT
        filter INPUT -p dccp --dport 5 -j ACCEPT
        filter INPUT -p udplite -m multiport --dports 5 -j ACCEPT
        filter INPUT -p gre -j ACCEPT
        filter INPUT -p 89 -j ACCEPT
        filter INPUT -p 200 -j ACCEPT
        filter INPUT ! -p tcp -j ACCEPT
        filter INPUT -p all -j ACCEPT
        filter INPUT -f -j DROP
        filter INPUT ! -f -j DROP
        filter INPUT -s 10.0.0.0/255.0.255.0 -d 1.2.3.4 -j ACCEPT
        filter INPUT ! -s 10.1.2.3/8 ! -d 1.2.3.0/24 ! -i eth0 -j ACCEPT
        filter FORWARD -i veth+ -o + -j ACCEPT
        filter FORWARD -i + -j ACCEPT
        filter FORWARD ! -o eth+ -j ACCEPT
        filter INPUT -s 0.0.0.0/0 -d 0.0.0.0/0
        filter INPUT
        filter INPUT -j REJECT
        filter INPUT -j REJECT --reject-with icmp-net-unreachable
        filter INPUT -j REJECT --reject-with net-unreach
        filter INPUT -j REJECT --reject-with host-prohib
        filter INPUT -j REJECT --reject-with admin-prohib
        filter INPUT -p tcp -j REJECT --reject-with tcp-reset
        filter INPUT -j LOG
        filter INPUT -j LOG --log-prefix "a b " --log-level 7 --log-tcp-sequence --log-tcp-options \#
        --log-ip-options --log-uid --log-macdecode
        filter INPUT -j LOG --log-level debug --log-prefix x
        filter INPUT -j LOG --log-level warning
        filter INPUT -j NFLOG --nflog-size 64
        filter INPUT -j NFLOG
        mangle PREROUTING -j MARK --set-mark 1
        mangle PREROUTING -j MARK --set-xmark 0x10/0xff
        mangle PREROUTING -j MARK --or-mark 4
        mangle PREROUTING -j MARK --and-mark 4
        mangle PREROUTING -j MARK --xor-mark 4
        mangle PREROUTING -j MARK --set-mark 1/3
        mangle PREROUTING -j CONNMARK --set-mark 1
        mangle PREROUTING -j CONNMARK --set-xmark 0x10/0xff
        mangle PREROUTING -j CONNMARK --save-mark
        mangle PREROUTING -j CONNMARK --restore-mark
        mangle PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xf0
        mangle PREROUTING -j CONNMARK --restore-mark --mask 0xff
        mangle PREROUTING -j CONNMARK --and-mark 0xff
        mangle FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
        mangle FORWARD -p tcp --syn -j TCPMSS --set-mss 1300
        mangle FORWARD -j DSCP --set-dscp 10
        mangle FORWARD -j DSCP --set-dscp-class EF
        mangle FORWARD -j TOS --set-tos 0x10
        mangle FORWARD -j TOS --set-tos 0x10/0x3f
        mangle FORWARD -j TOS --and-tos 0x10
        mangle FORWARD -j TTL --ttl-set 64
        mangle FORWARD -j TTL --ttl-inc 1
        mangle FORWARD -j TTL --ttl-dec 1
        mangle FORWARD -j CLASSIFY --set-class 1:1
        mangle FORWARD -j CHECKSUM --checksum-fill
        mangle FORWARD -p tcp -j ECN --ecn-tcp-remove
        raw PREROUTING -j NOTRACK
        raw PREROUTING -j CT --notrack
        raw PREROUTING -j CT --zone 5
        raw PREROUTING -j CT --zone-orig 5
        raw PREROUTING -j CT --zone mark
        raw PREROUTING -p tcp --dport 21 -j CT --helper ftp
        raw OUTPUT -j CT --zone 5 --ctevents new
        raw PREROUTING -j TRACE
        mangle PREROUTING -p tcp -j TPROXY --on-port 50080 --tproxy-mark 0x1/0x1
        mangle PREROUTING -j TEE --gateway 10.0.0.1
        filter INPUT -j NFQUEUE --queue-num 3
        filter INPUT -j NFQUEUE --queue-balance 0:3 --queue-bypass
        filter INPUT -j AUDIT --type accept
        nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:80
        nat PREROUTING -j DNAT --to-destination 10.0.0.1
        nat PREROUTING -j DNAT --to-destination 10.0.0.1-10.0.0.9
        nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90
        nat PREROUTING -p tcp -j DNAT --to-destination :8080
        nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:80-90 --random --persistent
        nat PREROUTING -p tcp -m tcp --dport 5000:5010 -j DNAT --to-destination 10.0.0.1:6000-6010/5000
        nat PREROUTING -p tcp -j REDIRECT --to-ports 8080
        nat PREROUTING -j REDIRECT
        nat PREROUTING -p tcp -j REDIRECT --to-ports 8080-8090 --random
        nat POSTROUTING -j SNAT --to-source 10.0.0.1
        nat POSTROUTING -p tcp -j SNAT --to-source 10.0.0.1-10.0.0.3:1024-65535 --random --persistent
        nat POSTROUTING -p udp -j SNAT --to-source :1024-65535 --random-fully
        nat POSTROUTING -j SNAT --to-source 10.0.0.1 --random-fully
        nat POSTROUTING -j MASQUERADE
        nat POSTROUTING -p tcp -j MASQUERADE --to-ports 1024-65535
        nat POSTROUTING -p tcp -j MASQUERADE --to-ports 1024 --random
        nat POSTROUTING -j MASQUERADE --random-fully
        nat POSTROUTING -j MASQUERADE --random --random-fully
        nat PREROUTING -d 1.1.1.0/24 -j NETMAP --to 2.2.2.0/24
        nat PREROUTING -p icmp -j DNAT --to-destination 10.0.0.1
        filter INPUT -m comment --comment x -p tcp --dport 80 -j ACCEPT
        filter FORWARD -m physdev --physdev-is-bridged --physdev-out b --physdev-in a --physdev-is-in \#
        --physdev-is-out -j ACCEPT
        filter OUTPUT -m owner --socket-exists --gid-owner 1-2 --uid-owner 5 --suppl-groups -j ACCEPT
        filter INPUT -m recent --rcheck --rttl --hitcount 3 --reap --seconds 9 --name x --rsource -j ACCEPT
        filter INPUT -m recent --update --name x -j ACCEPT
        filter INPUT -m statistic --mode nth --every 3 --packet 0 -j ACCEPT
        filter INPUT -j NFLOG --nflog-threshold 5 --nflog-size 64 --nflog-group 1 --nflog-prefix x
        filter INPUT -m state --state UNTRACKED,RELATED,ESTABLISHED,NEW,INVALID
        filter INPUT -m limit --limit 2000/sec
        filter INPUT -m limit --limit 10000/second --limit-burst 5
        filter INPUT -m limit --limit 25/hour
        filter INPUT -m addrtype --src-type ANYCAST,THROW,NAT,XRESOLVE,UNSPEC,PROHIBIT
        filter INPUT -m tcp -p tcp --tcp-option 2 --tcp-flags SYN SYN
        filter INPUT -m mark --mark 0x1/0xffffffff
        filter INPUT -m mark --mark 0x0/0x0
        filter INPUT -m comment --comment ""
        filter INPUT -m comment --comment "a:b/c.d"
        filter INPUT -p icmp --icmp-type 8/0
        filter INPUT -p 255 -j ACCEPT
        filter INPUT -p 0 -j ACCEPT
        filter INPUT ! -p icmp
        filter INPUT -p ipv6-icmp
        filter INPUT -p 4
        filter INPUT -p 47
        filter INPUT -p 50
        filter INPUT -p 136
        filter INPUT -p 112
        filter INPUT -p 94
        filter INPUT -p 2
        filter INPUT -m iprange ! --dst-range 1.1.1.1-1.1.1.2
        filter INPUT -m length --length :100
        filter INPUT -m pkttype --pkt-type host
        filter INPUT -m pkttype --pkt-type multicast
        filter INPUT -m hashlimit --hashlimit-upto 5/min --hashlimit-name a
        filter INPUT -m conntrack --ctstatus NONE,ASSURED
        filter INPUT -m tos --tos 0
        filter INPUT -m connmark --mark 0
        nat POSTROUTING -p tcp -j SNAT --to-source 1.1.1.1:5
        nat POSTROUTING -p icmp -j SNAT --to-source 1.1.1.1:5-10
        nat POSTROUTING -p icmp -j MASQUERADE --to-ports 5-10
        nat OUTPUT -j DNAT --to-destination 1.1.1.1 --persistent --random
        nat PREROUTING -p tcp -j DNAT --to-destination 1.1.1.1:80
        nat PREROUTING -p tcp -j REDIRECT --to-ports 81
        mangle POSTROUTING -j MARK --set-xmark 0x5
        nat OUTPUT -p tcp -j REDIRECT --to-ports 80 --random
        mangle FORWARD -j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xff
        mangle FORWARD -j CONNMARK --set-xmark 0x1/0xff --left-shift-mark 5
        mangle FORWARD -j CONNMARK --save-mark --left-shift-mark 5
        mangle FORWARD -j TOS --set-tos 0x1f
        mangle FORWARD -j TOS --or-tos 0x10
        mangle FORWARD -j TOS --set-tos Normal-Service
        filter INPUT -m string --hex-string "|0a0d|x" --algo kmp --from 5 --to 60 --icase
        filter INPUT -p tcp -m multiport --ports 1,2:3 -m multiport --dports 5
        filter INPUT -m limit --limit 5/min -m limit --limit 6/min
        """#.split(separator: "\n").map(String.init)

    static let ipv6 = #"""
        filter INPUT -s fd00::/64 ! -d fd00::1 -p icmpv6 --icmpv6-type echo-request -j ACCEPT
        filter INPUT -p icmpv6 -m icmp6 --icmpv6-type 1/4 -j ACCEPT
        filter INPUT -p icmpv6 ! --icmpv6-type destination-unreachable -j ACCEPT
        filter INPUT -j REJECT
        filter INPUT -j REJECT --reject-with adm-prohibited
        filter INPUT -j REJECT --reject-with icmp6-no-route
        filter INPUT -j REJECT --reject-with addr-unreach
        filter INPUT -j REJECT --reject-with policy-fail
        filter INPUT -j REJECT --reject-with reject-route
        filter INPUT -p tcp -j REJECT --reject-with tcp-reset
        filter INPUT -m hl --hl-eq 64 -j ACCEPT
        filter INPUT -m hl ! --hl-eq 64 -j ACCEPT
        filter INPUT -m hl --hl-lt 64 -j ACCEPT
        mangle FORWARD -j HL --hl-set 64
        mangle FORWARD -j HL --hl-dec 1
        filter INPUT -m frag --fragfirst -j ACCEPT
        filter INPUT -m rt --rt-type 0 -j DROP
        filter INPUT -m ipv6header --header frag --soft -j DROP
        filter INPUT -m recent --set --name x
        filter INPUT -m conntrack --ctorigsrc fd00::/8 --ctorigdst ::1
        filter INPUT -m iprange --src-range fd00::1-fd00::5
        nat PREROUTING -p tcp -j DNAT --to-destination [fd00::1]:80
        nat PREROUTING -p tcp -j DNAT --to-destination [fd00::1-fd00::5]:80-90
        nat PREROUTING -j DNAT --to-destination fd00::1-fd00::5
        nat PREROUTING -j DNAT --to-destination fd00::1
        nat POSTROUTING -p tcp -j SNAT --to-source [fd00::1]:1024-65535
        nat POSTROUTING -j SNAT --to-source fd00::1 --random-fully
        nat POSTROUTING -j MASQUERADE --random-fully
        filter INPUT -s fd00::1/ffff:0:ffff::
        filter INPUT -m mac --mac-source 00:00:00:00:00:01
        mangle FORWARD -p tcp --syn -j TCPMSS --set-mss 1200
        mangle PREROUTING -m rpfilter
        filter INPUT -d ff00::/8
        filter INPUT -s ::/0
        filter INPUT -p tcp -m multiport --dports 80
        filter INPUT -m addrtype --dst-type LOCAL
        filter INPUT -p 0
        filter INPUT -p esp
        filter INPUT -p mh
        """#.split(separator: "\n").map(String.init)

    /// What iptables-restore reads: the rules of each table, between some chains of one's own.
    static func restoreText(_ lines: [String]) -> String {
        var text = ""
        for table in ["raw", "mangle", "nat", "filter", "security"] {
            let rules = lines.filter { $0.hasPrefix("\(table) ") }.map { $0.dropFirst(table.count + 1) }
            text += "*\(table)\n:ZEBRA - [0:0]\n:apple.1 - [0:0]\n:OUTPUT DROP [7:420]\n"
            for rule in rules { text += "-A \(rule)\n" }
            text += "-A OUTPUT -j ZEBRA\n-A ZEBRA -g apple.1\n-A apple.1 -j RETURN\nCOMMIT\n"
        }
        return text
    }
}
